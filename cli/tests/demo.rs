//! `demo`: everything it verifies, at a small size; that it fails when it must; that it leaves nothing behind.
#![cfg(target_os = "linux")]

mod common;

use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::*;

fn demo(place: &Place, file: &Path, options: &[&str]) -> Command {
    let mut command = seqslot();
    command.arg("demo").arg("--file").arg(file).args(options).env("TMPDIR", place.dir()).stdin(Stdio::null());
    command
}

#[test]
fn a_small_stream_is_verified() {
    let (place, files) = (Place::new(), Place::new());
    let file = files.file("f", &noise(100_003, 5));
    let output = demo(&place, &file, &["--bytes", "1M", "--sample", "4000", "--slots", "4", "--json"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let result = json(&output);
    let (bytes, samples) = (100_003 * 11_u64, (100_003 * 11_u64).div_ceil(4000));
    assert_eq!((&result["verified"], &result["mismatches"]), (&true.into(), &serde_json::json!([])));
    assert_eq!((&result["written"]["bytes"], &result["written"]["samples"]), (&bytes.into(), &samples.into()));
    for reader in result["readers"].as_array().unwrap() {
        assert_eq!((&reader["bytes"], &reader["sha256"]), (&bytes.into(), &result["sha256"]));
        assert!(reader["latency"]["p50_ns"].as_u64().unwrap() > 0);
    }
    assert!(result["joined"]["from"].as_u64().unwrap() > bytes / 2, "it joined in mid-stream");
    assert_eq!(result["written"]["recovered_readers"], 1);
    assert_eq!((&result["leftovers"]["free"], &result["leftovers"]["readers"]), (&4.into(), &0.into()));
    assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn the_last_line_says_that_it_was_verified() {
    let (place, files) = (Place::new(), Place::new());
    // A file smaller than a sample goes round in it.
    let file = files.file("f", b"a small file\n");
    let output = demo(&place, &file, &["--bytes", "10", "--sample", "1000", "--slots", "1"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let out = text(&output.stdout);
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("verified: 5 samples, 4004 bytes, 2 readers, sha256 "), "{last}");
    assert!(text(&output.stderr).contains("was killed inside the sample"), "{}", text(&output.stderr));
}

/// A pipe whose writing end is full: whoever writes to it waits until it is read.
fn full_pipe() -> (OwnedFd, std::fs::File) {
    let mut ends = [0; 2];
    // SAFETY: an array of two descriptors, which the call fills.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: a descriptor that was just made and that nobody else has.
    let read = unsafe { std::fs::File::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    // SAFETY: an open descriptor, a command that takes nothing.
    let size = unsafe { libc::fcntl(ends[1], libc::F_GETPIPE_SZ) };
    std::fs::File::from(write.try_clone().unwrap()).write_all(&vec![b'.'; size as usize]).unwrap();
    (write, read)
}

/// The segment's name file, once it is there.
fn segment(place: &Place) -> Option<PathBuf> {
    let path = std::fs::read_dir(place.dir()).ok()?.next()?.ok()?.path().join("slots.flink");
    path.exists().then_some(path)
}

#[test]
fn a_file_that_is_not_what_was_streamed_is_a_failure() {
    let (place, files) = (Place::new(), Place::new());
    let file = files.file("f", &noise(100_000, 5));
    let (stderr, mut errors) = full_pipe();
    // The parent waits behind its line about the killed reader, which nobody reads yet, so that it cannot verify anything.
    let mut command = demo(&place, &file, &["--bytes", "1M", "--sample", "10000", "--slots", "4"]);
    let mut running = Running::spawn(command.stdout(Stdio::piped()).stderr(stderr));
    drop(command);
    until("everything published", || (inspect(&segment(&place)?)?["writers"][0]["published"] == 110).then_some(()));
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all(b"other bytes").unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        errors.read_to_end(&mut bytes).unwrap();
        text(&bytes)
    });
    let status = until("its end", || running.child().try_wait().unwrap());
    let errors = reader.join().unwrap();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("not verified: reader 0 saw sha256"), "{errors}");
    assert!(!text(&running.finish().stdout).contains("verified:"));
    assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn an_interrupted_demo_ends_its_children_and_removes_its_segment() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let (place, files) = (Place::new(), Place::new());
        let file = files.file("f", &noise(1_000_000, 5));
        let mut running = Running::spawn(demo(&place, &file, &["--bytes", "1T"]).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let path = until("three readers", || {
            let path = segment(&place)?;
            (inspect(&path)?["readers"].as_array()?.len() == 3).then_some(path)
        });
        let shown = inspect(&path).unwrap();
        let pids = shown["readers"].as_array().unwrap().iter().chain([&shown["owner"]]).map(|party| party["pid"].as_u64().unwrap());
        let pids: Vec<u64> = pids.collect();
        let object = object(&path);
        running.signal(signal);
        assert_eq!(code(&running.finish()), 130);
        assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0);
        assert!(!object.exists());
        for pid in pids {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
        }
    }
}

#[test]
fn a_demo_that_is_killed_takes_its_children_with_it() {
    let (place, files) = (Place::new(), Place::new());
    let file = files.file("f", &noise(1_000_000, 5));
    let running = Running::spawn(demo(&place, &file, &["--bytes", "1T"]).stdout(Stdio::null()).stderr(Stdio::null()));
    let path = until("three readers", || {
        let path = segment(&place)?;
        (inspect(&path)?["readers"].as_array()?.len() == 3).then_some(path)
    });
    let object = object(&path);
    running.kill();
    until("no segment", || (!path.exists() && !object.exists()).then_some(()));
}

#[test]
fn a_file_that_cannot_be_streamed_is_named() {
    let place = Place::new();
    for (file, expected) in [(place.path("nothing"), 5), (place.dir().to_path_buf(), 2), (place.file("empty", b""), 2)] {
        let output = demo(&place, &file, &[]).output().unwrap();
        assert_eq!(code(&output), expected);
        assert!(text(&output.stderr).contains(file.to_str().unwrap()) && text(&output.stderr).contains("--file"));
    }
    for options in [["--slots", "0"], ["--sample", "0"], ["--sample", "4294967295"], ["--slots", "16777217"]] {
        let file = place.file("f", &noise(100, 3));
        let output = demo(&place, &file, &options).arg("--bytes").arg("1").output().unwrap();
        assert_eq!(code(&output), 2, "{options:?}: {}", text(&output.stderr));
    }
}
