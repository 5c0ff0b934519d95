//! Every mutation, each in a process of its own: a lost wake-up aborts, and what is weakened is chosen once for a process.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::models;
use crate::mutation::{self, Expect, Mutation};

/// How long a mutation may take until it fails.
const LIMIT: Duration = Duration::from_secs(300);
/// Processes at a time.
const WORKERS: usize = 2;

/// How a mutated model ended.
enum End {
    /// It failed, and this is why.
    Failed(String),
    Passed,
    /// It was still exploring at the limit.
    Unfinished,
}

/// Runs the mutated model in a process of its own.
fn run(mutation: &Mutation) -> End {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", mutation.model, "--nocapture", "--test-threads=1"])
        .env(mutation::VARIABLE, format!("{}/{}", mutation.model, mutation.name))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs itself");
    let mut said = child.stderr.take().expect("piped");
    let stderr = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        said.read_to_end(&mut bytes).expect("reads");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut told = child.stdout.take().expect("piped");
    let stdout = std::thread::spawn(move || {
        let mut text = String::new();
        told.read_to_string(&mut text).expect("reads");
        text
    });
    let end = wait(&mut child);
    let (stderr, stdout) = (stderr.join().expect("no panic"), stdout.join().expect("no panic"));
    match end {
        None => End::Unfinished,
        Some(true) => {
            assert!(stdout.contains("1 passed"), "{} names no test:\n{stdout}", mutation.model);
            End::Passed
        }
        Some(false) => End::Failed(reason(&stderr)),
    }
}

/// Whether it passed; `None` if it had to be stopped.
fn wait(child: &mut Child) -> Option<bool> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status.success());
        }
        if started.elapsed() > LIMIT {
            child.kill().expect("a child");
            child.wait().expect("a child");
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first panic's message, on one line.
fn reason(stderr: &str) -> String {
    let message: Vec<&str> = stderr.lines().skip_while(|line| !line.contains("panicked at")).skip(1).take(2).collect();
    let text = message.join(" ");
    // A model that is itself at fault must not pass for one that caught something.
    for fault in ["the model has no", "Model exceeded maximum", "names no test", "a small segment", "shows nothing"] {
        assert!(!stderr.contains(fault), "the model is wrong, not the mutation:\n{stderr}");
    }
    assert!(!text.is_empty(), "no panic:\n{stderr}");
    text.chars().take(110).collect()
}

/// One line about a mutation; whether it ended as expected.
fn judge(mutation: &Mutation) -> (bool, String) {
    let started = Instant::now();
    let end = run(mutation);
    let took = started.elapsed().as_secs_f32();
    let model = mutation.model.trim_start_matches("models::");
    let (as_expected, what) = match (end, mutation.expect) {
        (End::Failed(why), Expect::Caught | Expect::CaughtSoon) => (true, format!("caught: {why}")),
        (End::Failed(why), Expect::Survives(_)) => (false, format!("CAUGHT, though listed as an exception: {why}")),
        (End::Passed, Expect::Survives(reason)) => (true, format!("known to pass: {reason}")),
        (End::Passed, _) => (false, "NOT CAUGHT".into()),
        (End::Unfinished, _) => (false, "NOT CAUGHT in time".into()),
    };
    (as_expected, format!("{model} / {}: {what} ({took:.1} s)", mutation.name))
}

#[test]
fn every_mutation_is_caught() {
    // `LOOM_ONLY`: part of a name, for who works on one model.
    let only = std::env::var("LOOM_ONLY").unwrap_or_default();
    let wanted = |mutation: &&Mutation| {
        (!models::only_small() || mutation.expect == Expect::CaughtSoon) && format!("{}/{}", mutation.model, mutation.name).contains(&only)
    };
    let list: Vec<&Mutation> = models::mutations().filter(wanted).collect();
    let exceptions = list.iter().filter(|mutation| matches!(mutation.expect, Expect::Survives(_))).count();
    let queue = Mutex::new(list.iter());
    let unexpected = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no panic").next();
                    let Some(mutation) = next else { break };
                    let (as_expected, line) = judge(mutation);
                    println!("{line}");
                    if !as_expected {
                        unexpected.lock().expect("no panic").push(line);
                    }
                }
            });
        }
    });
    let unexpected = unexpected.into_inner().expect("no panic");
    let missed = unexpected.iter().filter(|line| line.contains("NOT CAUGHT")).count();
    let mutations = list.len() - exceptions;
    println!("caught {} of {mutations} mutations; {exceptions} known exceptions", mutations - missed);
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(mutations > 0, "nothing to do");
}
