//! The command where the machine is hard on it: memory that goes away, descriptors that run out, other users, a wrong /dev/shm. Each
//! time an exit code and a message that says what to do, and nothing left behind.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::*;

/// Cuts the object of `path` to nothing, as no party of ours ever does.
fn cut(path: &Path) {
    let object = std::fs::OpenOptions::new().write(true).open(object(path)).unwrap();
    object.set_len(0).unwrap();
}

/// Both parts of what a fault in the segment's memory is told as.
fn told_of_the_cut(output: &std::process::Output) {
    let errors = text(&output.stderr);
    assert_eq!(code(output), 3, "{errors}");
    assert!(errors.contains("its file was cut by somebody"), "{errors}");
    assert!(errors.contains("next: remove it (`seqslot rm PATH --force`)"), "{errors}");
}

#[test]
fn a_segment_that_is_cut_is_told_and_not_a_crash() {
    let place = Place::new();
    let path = place.path("P");
    let mut writer = Running::publish(&path, &[]);
    until("the segment", || inspect(&path));
    let mut reader = Running::subscribe(&path, &[]);
    until("the reader", || (inspect(&path)?["readers"].as_array()?.iter().any(|entry| entry["state"] == "in-use")).then_some(()));
    let mut input = writer.input();
    feed(&mut input, b"before\n");
    assert_eq!(reader.read(7), b"before\n");
    cut(&path);
    feed(&mut input, b"after\n");
    drop(input);
    told_of_the_cut(&writer.finish());
    // The reader comes to it at the end of its slice at the latest.
    told_of_the_cut(&reader.finish());
    // What is left is named, and goes as the message says.
    let look = run("inspect", &path, &[]);
    assert_ne!(code(&look), 0);
    assert_eq!(code(&run("rm", &path, &["--force"])), 0);
    assert!(!path.exists());
}

/// Runs a shell command line in which `$0` is the command and `$1` the path; `None` if it says that it cannot be done here.
fn shell(line: &str, path: &Path, around: &[&str]) -> Option<std::process::Output> {
    let mut words = around.iter().copied().chain(["sh", "-c", line, env!("CARGO_BIN_EXE_seqslot")]);
    let output = Command::new(words.next()?).args(words).arg(path).stdin(Stdio::null()).output();
    let output = output.inspect_err(|error| println!("skipped: {error}")).ok()?;
    if text(&output.stdout).contains("ready") {
        return Some(output);
    }
    println!("skipped: {}", text(&output.stderr).trim());
    None
}

#[test]
fn without_descriptors_the_limit_is_named() {
    let place = Place::new();
    let path = place.path("P");
    let mut seen = 0;
    // Some are needed for the command's own pipes: those limits end in another error, or in a loader that cannot start.
    for limit in 5..9 {
        let Some(output) = shell(&format!("echo ready; ulimit -n {limit}; exec \"$0\" pub \"$1\""), &path, &[]) else { return };
        let errors = text(&output.stderr);
        if output.status.code() == Some(5) && errors.contains("Too many open files") {
            assert!(errors.contains("next: too many open files: raise the limit (ulimit -n)"), "{errors}");
            seen += 1;
        }
        assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "left behind with {limit} descriptors: {errors}");
    }
    assert!(seen > 0, "the limit was never met");
}

#[test]
fn a_dev_shm_that_is_not_there_is_named() {
    let place = Place::new();
    let line = "mount -t tmpfs none /dev && echo ready && exec \"$0\" pub \"$1\"";
    let Some(output) = shell(line, &place.path("P"), &["unshare", "-rm"]) else { return };
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 5, "{errors}");
    assert!(errors.contains("/dev/shm/seqslot-") && errors.contains("next: the directory is not there"), "{errors}");
    assert!(!place.path("P").exists());
}

#[test]
fn another_users_segment_is_refused_with_what_to_do() {
    let place = Place::new();
    let path = place.path("P");
    // Everybody may come as far as the name.
    std::fs::set_permissions(place.dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = place.path("seqslot");
    std::fs::copy(env!("CARGO_BIN_EXE_seqslot"), &binary).unwrap();
    let _writer = Running::publish(&path, &[]);
    until("the segment", || inspect(&path));
    let line = "echo ready; exec \"$(dirname \"$1\")/seqslot\" sub \"$1\"";
    let Some(output) = shell(line, &path, &["setpriv", "--reuid", "54321", "--regid", "54322", "--clear-groups"]) else { return };
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 5, "{errors}");
    assert!(errors.contains("Permission denied") && errors.contains("next: run as the user that made the segment"), "{errors}");
}
