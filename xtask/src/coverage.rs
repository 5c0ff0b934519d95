//! Line coverage of the core by the tests of all packages that run its code, by the compiler's own instrumentation.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::run::{Outcome, capture, cargo, root, target_dir, tests};
use crate::sanitize::PACKAGES;

/// Per cent of the core's lines that must be covered.
const FLOOR: f64 = 95.0;
/// The tools of the compiler's LLVM major version.
const TOOLS: [&str; 2] = ["/usr/bin/llvm-profdata-22", "/usr/bin/llvm-cov-22"];

#[derive(clap::Args)]
pub struct Args {
    /// Print the uncovered lines, too (they are always written to the build folder)
    #[arg(long)]
    uncovered: bool,
}

impl Args {
    /// As by default.
    pub fn quiet() -> Self {
        Self { uncovered: false }
    }
}

/// Counts by line, by file.
type Lines = BTreeMap<PathBuf, BTreeMap<usize, u64>>;

pub fn run(args: &Args) -> Outcome {
    for tool in TOOLS {
        if !Path::new(tool).exists() {
            return Err(format!("{tool} is missing; install llvm-22").into());
        }
    }
    let start = Instant::now();
    let folder = target_dir().join("coverage");
    let profiles = folder.join("profiles");
    if profiles.exists() {
        std::fs::remove_dir_all(&profiles)?;
    }
    let (listed, _) = capture(instrumented(&folder, &profiles).args(["--no-run", "--message-format=json"]))?;
    let binaries = executables(&listed)?;
    let ran = tests(&mut instrumented(&folder, &profiles), &[])?;
    let mut lines = Lines::new();
    let merged = merge(&folder, &profiles)?;
    // One at a time: a function that one binary has and never calls hides what others did with it.
    for binary in &binaries {
        of_core(&export(&merged, binary)?, &mut lines)?;
    }
    if lines.is_empty() {
        return Err("no line of the core in what was exported".into());
    }
    for (file, lines) in &mut lines {
        without_tests(&std::fs::read_to_string(file)?, lines);
    }
    let report = uncovered(&lines)?;
    std::fs::write(folder.join("uncovered.txt"), &report)?;
    if args.uncovered {
        println!("{report}");
    }
    unexplained(&report)?;
    let all: usize = lines.values().map(BTreeMap::len).sum();
    let hit: usize = lines.values().flat_map(BTreeMap::values).filter(|count| **count != 0).count();
    let share = hit as f64 * 100.0 / all as f64;
    let line = format!(
        "core: {hit} of {all} lines covered ({share:.1} %) by {} in {} binaries, {} s",
        ran.tests(),
        ran.binaries,
        start.elapsed().as_secs()
    );
    if share >= FLOOR { Ok(line) } else { Err(format!("{line}; at least {FLOOR} % are wanted, see {}", folder.display()).into()) }
}

/// `cargo test` of all packages, every binary of which writes a profile for each of its processes.
fn instrumented(folder: &Path, profiles: &Path) -> Command {
    let mut command = cargo();
    command.env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", "-Cinstrument-coverage");
    command.env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"));
    command.args(["test", "--lib", "--tests"]);
    PACKAGES.iter().for_each(|package| _ = command.args(["-p", package]));
    command
}

/// The test binaries that cargo names in its messages.
fn executables(messages: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if let Some(path) = message["executable"].as_str().filter(|_| message["profile"]["test"] == true) {
            found.push(PathBuf::from(path));
        }
    }
    if found.is_empty() { Err("cargo names no test binary".into()) } else { Ok(found) }
}

/// One profile of them all.
fn merge(folder: &Path, profiles: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let (list, merged) = (folder.join("profiles.txt"), folder.join("merged.profdata"));
    let mut names = String::new();
    for profile in std::fs::read_dir(profiles)? {
        let profile = profile?;
        // A process that was killed while it wrote leaves an empty one.
        if profile.metadata()?.len() != 0 {
            names += &format!("{}\n", profile.path().display());
        }
    }
    std::fs::write(&list, names)?;
    // One that was killed may leave half a profile: those are left out.
    let mut merge = Command::new(TOOLS[0]);
    capture(merge.args(["merge", "--sparse", "--failure-mode=all", "-o"]).arg(&merged).arg("-f").arg(&list))?;
    Ok(merged)
}

/// What the profile says of one binary, in LCOV's format; nothing of one that holds no instrumented code (models of another build).
fn export(merged: &Path, binary: &Path) -> Result<String, Box<dyn Error>> {
    let mut export = Command::new(TOOLS[1]);
    let out = export.args(["export", "--format=lcov", "--instr-profile"]).arg(merged).arg(binary).output()?;
    let errors = String::from_utf8_lossy(&out.stderr);
    if out.status.success() || errors.contains("no coverage data found") {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!("{export:?} ended with {}\n{errors}", out.status).into())
    }
}

/// Adds the counts of the core's files.
fn of_core(lcov: &str, lines: &mut Lines) -> Result<(), Box<dyn Error>> {
    let sources = root().join("core/src");
    let mut file = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = Path::new(path).starts_with(&sources).then(|| PathBuf::from(path));
        } else if let (Some(file), Some(data)) = (&file, line.strip_prefix("DA:")) {
            let (number, count) = data.split_once(',').ok_or("a line of another format")?;
            let sum = lines.entry(file.clone()).or_default().entry(number.parse()?).or_default();
            *sum = sum.saturating_add(count.parse()?);
        }
    }
    Ok(())
}

/// Takes out what is only there for tests: from each `#[cfg(test)]` to the end of its item.
fn without_tests(source: &str, lines: &mut BTreeMap<usize, u64>) {
    let mut end: Option<String> = None;
    for (index, line) in source.lines().enumerate() {
        if end.is_none() && line.trim_start() == "#[cfg(test)]" {
            end = Some(format!("{}}}", &line[..line.len() - line.trim_start().len()]));
        }
        if let Some(last) = &end {
            lines.remove(&(index + 1));
            if line == last {
                end = None;
            }
        }
    }
}

/// The lines without a hit, each with its text.
fn uncovered(lines: &Lines) -> Result<String, Box<dyn Error>> {
    let mut report = String::new();
    for (file, lines) in lines {
        let source = std::fs::read_to_string(file)?;
        let source: Vec<_> = source.lines().collect();
        let name = file.strip_prefix(root()).unwrap_or(file).display();
        for number in lines.iter().filter(|(_, count)| **count == 0).map(|(number, _)| *number) {
            report += &format!("{name}:{number}: {}\n", source.get(number - 1).map_or("", |line| line.trim()));
        }
    }
    Ok(report)
}

/// Fails if a file has uncovered lines and is not named where they are explained.
fn unexplained(report: &str) -> Result<(), Box<dyn Error>> {
    let explained = std::fs::read_to_string(root().join("docs/coverage.md"))?;
    let files = report.lines().filter_map(|line| line.split(':').next()?.strip_prefix("core/src/"));
    let missing: std::collections::BTreeSet<_> = files.filter(|file| !explained.contains(&format!("`{file}`"))).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("docs/coverage.md does not explain the uncovered lines of {missing:?}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_for_tests_only_does_not_count() {
        let source =
            "fn a() {\n}\n    #[cfg(test)]\n    fn b() {\n        c();\n    }\nfn d() {}\n#[cfg(test)]\nmod tests {\n    fn e() {}\n}\n";
        let mut lines: BTreeMap<usize, u64> = (1..=11).map(|line| (line, 1)).collect();
        without_tests(source, &mut lines);
        assert_eq!(lines.into_keys().collect::<Vec<_>>(), [1, 2, 7]);
    }
}
