//! Running other programs.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// What a command of this tool gives: its closing line, or what went wrong.
pub type Outcome = Result<String, Box<dyn Error>>;

/// The workspace's root.
pub fn root() -> PathBuf {
    // This package is one folder below the root.
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, PathBuf::from)
}

/// The build folder.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Cargo, in the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root());
    command
}

/// Runs to the end, its output passed through.
pub fn pass(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status().map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// Runs to the end and gives its standard output and standard error.
pub fn capture(command: &mut Command) -> Result<(String, String), Box<dyn Error>> {
    let output = command.output().map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    if output.status.success() { Ok((out, err)) } else { Err(format!("{command:?} ended with {}\n{out}{err}", output.status).into()) }
}

/// Runs to the end, its output passed through but for the last line, which is given: whoever called prints it.
pub fn closing_line(command: &mut Command) -> Outcome {
    use std::io::BufRead;
    let started = command.stdout(std::process::Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    let mut closing = None;
    for line in std::io::BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        if let Some(before) = closing.replace(line?) {
            println!("{before}");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("it ended with {status}").into());
    }
    Ok(closing.ok_or("nothing was printed")?)
}

/// What `cargo test` did.
pub struct Ran {
    /// Test binaries that ran to their end, and had tests.
    pub binaries: u32,
    /// Tests that passed.
    pub passed: u32,
    /// Times that one of them said that it skipped something that this machine or user does not allow: it passes all the same.
    pub skipped: u32,
}

impl Ran {
    /// The tests, for a closing line.
    pub fn tests(&self) -> String {
        let skipped = if self.skipped == 0 { String::new() } else { format!(" ({} skipped or in part, as they say above)", self.skipped) };
        format!("{} tests{skipped}", self.passed)
    }
}

/// Runs `cargo test`, its output passed through, and counts. What is in `leave_out` is not run.
pub fn tests(command: &mut Command, leave_out: &[&str]) -> Result<Ran, Box<dyn Error>> {
    use std::io::BufRead;
    command.args(["--", "--show-output"]);
    leave_out.iter().for_each(|test| _ = command.args(["--skip", test]));
    let started = command.stdout(std::process::Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
    let mut ran = Ran { binaries: 0, passed: 0, skipped: 0 };
    for line in std::io::BufReader::new(child.stdout.take().ok_or("no output")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        ran.skipped += u32::from(line.starts_with("skipped"));
        if let Some(rest) = line.strip_prefix("test result: ok. ") {
            let passed = rest.split(' ').next().and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
            // Models of another build are binaries without a test here.
            ran.binaries += u32::from(passed != 0);
            ran.passed += passed;
        }
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?} ended with {status}").into());
    }
    if ran.passed == 0 { Err("no test ran".into()) } else { Ok(ran) }
}

/// Refuses with advice where a program is missing.
pub fn need(program: &str, package: &str) -> Result<(), Box<dyn Error>> {
    let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    if found { Ok(()) } else { Err(format!("{program} is missing; install the package {package}").into()) }
}
