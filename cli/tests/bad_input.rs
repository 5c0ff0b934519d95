//! Whatever a shell user gives: a clear error, its exit code, what to do next; and nothing is lost or left behind.
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;
use std::process::Output;

use common::*;
use seqslot::Config;

/// It failed with this code, without a panic, and told what to do next.
fn refused(output: &Output, expected: i32, says: &str) {
    let errors = text(&output.stderr);
    assert_eq!(code(output), expected, "{errors}");
    assert!(errors.contains(says) && !errors.contains("panicked"), "{errors}");
    assert!(expected == 2 && errors.contains("Usage") || errors.contains("next: "), "{errors}");
}

#[test]
fn a_path_that_is_not_there() {
    let place = Place::new();
    let path = place.path("nothing");
    refused(&run("sub", &path, &["--wait", "0"]), 4, "no segment of this name");
    for command in ["inspect", "recover"] {
        refused(&run(command, &path, &[]), 4, "no such path");
    }
    assert_eq!(code(&run("rm", &path, &[])), 4);
}

#[test]
fn a_file_that_is_no_segment_is_left_as_it_is() {
    let place = Place::new();
    let path = place.file("notes.txt", b"some notes\n");
    refused(&run("sub", &path, &["--wait", "0"]), 3, "not a segment");
    refused(&run("pub", &path, &[]), 3, "not a segment");
    refused(&run("inspect", &path, &[]), 3, "too short");
    refused(&run("recover", &path, &[]), 3, "too short");
    for options in [&[][..], &["--force"]] {
        refused(&run("rm", &path, options), 3, "not a segment");
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"some notes\n");
}

#[test]
fn a_directory_a_link_and_a_device() {
    let place = Place::new();
    let segment = seqslot::create(place.path("P"), &Config::slots(2, 64)).unwrap();
    let link = place.path("link");
    std::os::unix::fs::symlink(place.path("P"), &link).unwrap();
    for (path, says) in [(place.dir(), "a directory"), (link.as_path(), "a symbolic link"), (Path::new("/dev/null"), "a device")] {
        refused(&run("inspect", path, &[]), 3, says);
        refused(&run("sub", path, &["--wait", "0"]), 3, "not a segment");
        refused(&run("rm", path, &["--force"]), 3, "not a segment");
        refused(&run("pub", path, &[]), 3, "not a segment");
    }
    assert!(link.exists() && place.path("P").exists());
    drop(segment);
}

#[test]
fn counts_and_sizes_that_cannot_be() {
    let place = Place::new();
    let path = place.path("P");
    for (options, says) in [
        (&["--slots", "0"][..], "at least one slot"),
        (&["--slots", "5000000000"], "slots asked for"),
        (&["--slots", "16777217"], "slots asked for"),
        (&["--capacity", "0"], "at least one byte"),
        (&["--capacity", "4294967295"], "a capacity of 4294967295"),
        (&["--capacity", "5000000000"], "a capacity of 5000000000"),
        (&["--bytes", "0"], "at least one byte"),
        (&["--bytes", "100", "--capacity", "99"], "does not fit"),
        (&["--capacity", "lots"], "Usage"),
        (&["--readers", "33"], "Usage"),
        (&["--slots", "-1"], "Usage"),
    ] {
        let output = run("pub", &path, options);
        let errors = text(&output.stderr);
        assert_eq!(code(&output), 2, "{options:?}: {errors}");
        assert!(errors.contains(says) || says == "Usage", "{options:?}: {errors}");
        assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0, "{options:?} left something behind");
    }
    assert_eq!(code(&run("sub", &path, &["--wait", "-1"])), 2);
    assert_eq!(code(&run("nonsense", &path, &[])), 2);
}

#[test]
fn a_directory_that_is_not_there_or_not_writable() {
    let place = Place::new();
    refused(&run("pub", &place.path("no/such/directory"), &[]), 5, "No such file or directory");
    // Not even root can make a file there.
    let output = run("pub", Path::new("/proc/sys/P"), &[]);
    assert_eq!(code(&output), 5, "{}", text(&output.stderr));
    refused(&run("pub", &place.file("file", b"x").join("P"), &[]), 5, "Not a directory");
    assert_eq!(code(&run("pub", &place.path("P/"), &[])), 2);
}

#[test]
fn a_full_dev_shm_is_an_error_and_not_a_crash() {
    let place = Place::new();
    let command = "mount -t tmpfs -o size=1m tmpfs /dev/shm && echo mounted && \"$0\" pub \"$1\" --slots 64 --capacity 64K < /dev/null";
    let binary = env!("CARGO_BIN_EXE_seqslot");
    let mut script = std::process::Command::new("unshare");
    let output = script.args(["-rm", "sh", "-c", command, binary]).arg(place.path("P")).output();
    let Some(output) = output.ok().filter(|output| text(&output.stdout).contains("mounted")) else {
        eprintln!("no mount namespaces here: nothing tested");
        return;
    };
    refused(&output, 5, "No space left on device");
    assert!(!place.path("P").exists());
}

#[test]
fn a_name_file_that_names_nothing() {
    let place = Place::new();
    let path = place.file("P", b"/seqslot-00000000deadbeef");
    refused(&run("inspect", &path, &[]), 4, "names the object /seqslot-00000000deadbeef, which is not there");
    refused(&run("sub", &path, &["--wait", "0"]), 4, "no segment of this name");
    refused(&run("recover", &path, &[]), 4, "which is not there");
    assert_eq!(code(&run("rm", &path, &[])), 0);
    assert!(!path.exists());
}

/// A segment whose bytes are forged, under a name of its own.
struct Forged {
    place: Place,
    object: std::path::PathBuf,
}

impl Forged {
    fn new(nth: u32, forge: impl Fn(&mut Vec<u8>)) -> Self {
        let place = Place::new();
        let segment = seqslot::create(place.path("good"), &Config::slots(4, 100)).unwrap();
        let mut bytes = std::fs::read(object(&place.path("good"))).unwrap();
        drop(segment);
        forge(&mut bytes);
        let name = format!("seqslot-{:08x}{nth:08x}", std::process::id());
        let object = Path::new("/dev/shm").join(&name);
        std::fs::write(&object, bytes).unwrap();
        place.file("P", format!("/{name}").as_bytes());
        Self { place, object }
    }
}

impl Drop for Forged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.object);
    }
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
}

#[test]
fn heads_that_are_forged() {
    type Forge = fn(&mut Vec<u8>);
    let cases: [(Forge, i32, &str); 12] = [
        (|b| b[0] = b'X', 3, "not a seqslot segment"),
        (|b| put(b, 8, 0x0403_0201), 3, "other byte order"),
        (|b| put(b, 12, 99 << 16), 3, "version 99.0"),
        (|b| put(b, 20, 7), 3, "kind is 7"),
        (|b| put(b, 32, 0), 3, "count is 0"),
        (|b| put(b, 32, u32::MAX), 3, "cannot be"),
        (|b| put(b, 36, u32::MAX), 3, "cannot be"),
        (|b| put(b, 48, 33), 3, "cannot be"),
        (|b| put(b, 40, 64), 3, "stride is 64"),
        (|b| put(b, 124, 0), 4, "not ready"),
        (|b| b.truncate(1000), 3, "too short"),
        (|b| b.truncate(100), 3, "too short"),
    ];
    for (nth, (forge, expected, says)) in cases.into_iter().enumerate() {
        let forged = Forged::new(nth as u32, forge);
        let path = forged.place.path("P");
        for output in [
            run("inspect", &path, &[]),
            run("inspect", &forged.object, &[]),
            run("sub", &path, &["--wait", "0"]),
            run("recover", &path, &[]),
        ] {
            refused(&output, expected, says);
        }
        assert_eq!(code(&run("rm", &path, &[])), 0);
        assert!(!path.exists() && !forged.object.exists());
    }
}

#[test]
fn an_empty_object() {
    let forged = Forged::new(100, Vec::clear);
    refused(&run("inspect", &forged.place.path("P"), &[]), 4, "is not there");
    refused(&run("inspect", &forged.object, &[]), 3, "an empty file");
}

#[test]
fn a_snapshot_is_not_subscribed_to() {
    let place = Place::new();
    let path = place.path("cell");
    let config = seqslot_core::SnapshotConfig::bytes(100);
    let _cell = seqslot_core::SnapshotWriter::<seqslot::Platform>::create(seqslot::platform(), &path, config).unwrap();
    refused(&run("sub", &path, &["--wait", "0"]), 2, "kind 2");
    let output = run("pub", &path, &[]);
    refused(&output, 4, &std::process::id().to_string());
}

#[test]
fn errors_as_json_have_cause_and_advice() {
    let place = Place::new();
    for command in ["sub", "inspect", "recover", "rm"] {
        let output = run(command, &place.file("x", b"no segment at all"), &["--json"]);
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((code(&output), &error["cause"]), (3, &"corruption".into()), "{command}");
        assert!(error["next"].is_string() && output.stdout.is_empty());
    }
}

#[test]
fn any_bytes_at_all_are_no_crash() {
    let place = Place::new();
    let segment = seqslot::create(place.path("good"), &Config::slots(4, 100)).unwrap();
    let good = std::fs::read(object(&place.path("good"))).unwrap();
    for round in 0..60_u64 {
        let mut bytes = good.clone();
        let noise = noise(bytes.len(), round * 77 + 1);
        // First a flipped byte of the head, then control words and slots made noise behind a good head, then noise only.
        match round % 3 {
            0 => bytes[noise[0] as usize % 128] ^= noise[1].max(1),
            1 => bytes[128..].copy_from_slice(&noise[128..]),
            _ => bytes = noise,
        }
        let path = place.file("bytes", &bytes);
        for options in [&["--slots"][..], &["--json", "--slots"]] {
            let output = run("inspect", &path, options);
            let errors = text(&output.stderr);
            assert!([0, 3, 4].contains(&code(&output)), "round {round}: {errors}");
            assert!(!errors.contains("panicked"), "round {round}: {errors}");
            assert!(round % 3 != 1 || code(&output) == 0, "round {round}: a good head is shown, whatever is behind it: {errors}");
        }
    }
    drop(segment);
}
