//! The loom binaries, and one model run in a process of its own.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::loom::TESTS;
use crate::run::{capture, cargo, root, target_dir};

/// The binaries that hold models, built.
pub struct Binaries {
    /// By the test target's name.
    paths: Vec<(&'static str, PathBuf)>,
}

/// How a model ended.
pub enum End {
    /// It failed, and this is why.
    Failed(String),
    Passed,
    /// It was still exploring at its limit.
    Unfinished,
}

/// What a run said.
pub struct Ran {
    pub end: End,
    /// Places that it executed, if it was asked to say so.
    pub executed: BTreeSet<String>,
    /// Whether it came to the place that was to be weakened.
    pub weakened: bool,
}

impl Binaries {
    pub fn build() -> Result<Self, Box<dyn Error>> {
        let mut command = cargo();
        command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target_dir().join("loom")).env("CARGO_TERM_COLOR", "never");
        command.args(["test", "--release", "--no-run", "-p", "seqslot-core", "--features", "alloc"]);
        command.args(TESTS.iter().flat_map(|test| ["--test", test]));
        let (_, said) = capture(&mut command)?;
        // "Executable tests/loom_snapshot.rs (/…/loom_snapshot-22efd3efce90fa7e)"
        let executables: Vec<PathBuf> = said
            .lines()
            .filter(|line| line.trim_start().starts_with("Executable"))
            .filter_map(|line| Some(root().join(line.rsplit_once('(')?.1.strip_suffix(')')?)))
            .collect();
        let path_of = |test: &&'static str| {
            let is_it = |path: &&PathBuf| {
                path.file_stem().is_some_and(|name| name.to_string_lossy().rsplit_once('-').is_some_and(|(stem, _)| stem == *test))
            };
            executables.iter().find(is_it).map(|path| (*test, path.clone())).ok_or_else(|| format!("cargo built no {test}"))
        };
        Ok(Self { paths: TESTS.iter().map(path_of).collect::<Result<_, _>>()? })
    }

    /// Every model: "binary path::of::test". Tests in a module `mutants` are about models and none themselves.
    pub fn models(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut models = Vec::new();
        for (test, path) in &self.paths {
            let (listed, _) = capture(Command::new(path).args(["--list", "--format=terse"]))?;
            let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
            models.extend(names.filter(|name| !name.split("::").any(|part| part == "mutants")).map(|name| format!("{test} {name}")));
        }
        Ok(models)
    }

    /// Runs a model, with `site` ("place=variant") weakened or all places traced; `limit` is one of processor time, whatever else the
    /// machine does.
    pub fn run(&self, model: &str, site: Option<&str>, limit: Duration) -> Result<Ran, Box<dyn Error>> {
        let (test, name) = model.split_once(' ').ok_or_else(|| format!("{model}: not a binary and a model"))?;
        let (_, path) = self.paths.iter().find(|(known, _)| *known == test).ok_or_else(|| format!("{model}: no such binary"))?;
        let mut command = Command::new(path);
        command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env_remove("LOOM_SMALL").env("RUST_BACKTRACE", "0");
        match site {
            Some(site) => command.env("LOOM_SITE", site),
            None => command.env("LOOM_TRACE", "1"),
        };
        let seconds = limit.as_secs();
        // SAFETY: between fork and exec there is one system call, which is async-signal-safe, and nothing is allocated.
        unsafe { command.pre_exec(move || limit_processor_time(seconds)) };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut streams: Vec<Box<dyn Read + Send>> = Vec::new();
        streams.extend(child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
        streams.extend(child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
        let readers: Vec<_> = streams.into_iter().map(|stream| std::thread::spawn(move || read(stream))).collect();
        let said: Vec<String> = readers.into_iter().map(|reader| reader.join().unwrap_or_default()).collect();
        // A process that aborts ends in the midst of a line.
        let said = said.join("\n");
        let status = child.wait()?;
        let end = match status.signal() {
            _ if !said.contains("running 1 test") => return Err(format!("{model}: no such model ({status})\n{said}").into()),
            Some(libc::SIGXCPU | libc::SIGKILL) => End::Unfinished,
            _ if status.success() => End::Passed,
            _ => End::Failed(reason(model, &said)?),
        };
        let executed = said.lines().filter_map(|line| line.strip_prefix("executes ")).map(String::from).collect();
        let weakened = said.lines().any(|line| line.starts_with("weakens "));
        Ok(Ran { end, executed, weakened })
    }
}

fn limit_processor_time(seconds: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: seconds, rlim_max: seconds + 1 };
    // SAFETY: the structure lives through the call, which only reads it.
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_CPU, &raw const limit) } != 0;
    if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

fn read(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What could be read before an error is worth having.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first panic's message, on one line.
fn reason(model: &str, said: &str) -> Result<String, Box<dyn Error>> {
    // A model that is itself at fault must not pass for one that caught something.
    for fault in ["the model has no", "Model exceeded maximum", "a small segment", "LOOM_SITE", "shows nothing"] {
        if said.contains(fault) {
            return Err(format!("{model} is wrong, not the ordering:\n{said}").into());
        }
    }
    let message: Vec<&str> = said.lines().skip_while(|line| !line.contains("panicked at")).skip(1).take(2).collect();
    if message.is_empty() {
        Err(format!("{model} failed without a panic:\n{said}").into())
    } else {
        Ok(message.join(" ").chars().take(90).collect())
    }
}
