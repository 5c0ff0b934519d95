//! `recover` and `rm`.
#![cfg(target_os = "linux")]

mod common;

use common::*;
use seqslot::Config;
use serde_json::json as value;

#[test]
fn a_dead_reader_is_recovered_and_what_it_owed_is_free() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1", "--slots", "8"]);
    let mut stdin = publisher.input();
    let mut subscriber = Running::subscribe(&path, &[]);
    feed(&mut stdin, b"a\n");
    assert_eq!(subscriber.read(2), b"a\n");
    subscriber.signal(libc::SIGSTOP);
    feed(&mut stdin, b"b\nc\nd\n");
    until("three slots owed", || (inspect(&path)?["states"]["owed"] == 3).then_some(()));
    let pid = subscriber.pid();
    assert_eq!(json(&run("recover", &path, &["--json"]))["readers"], value!([]), "a reader that hangs lives");
    subscriber.kill();
    let report = json(&run("recover", &path, &["--json"]));
    assert_eq!(report["readers"], value!([{ "index": 0, "pid": pid }]));
    assert_eq!((&report["slots_owed"], &report["owner_alive"]), (&3.into(), &true.into()));
    let shown = inspect(&path).unwrap();
    assert_eq!((&shown["states"]["free"], &shown["counters"]["recovered_readers"]), (&8.into(), &1.into()));
    let again = run("recover", &path, &[]);
    assert!(text(&again.stdout).contains("nothing to recover"), "{}", text(&again.stdout));
    // The writer never noticed.
    let subscriber = Running::subscribe(&path, &[]);
    until("a reader", || (inspect(&path)?["masks"]["active"].as_array()?.len() == 1).then_some(()));
    feed(&mut stdin, b"e\n");
    drop(stdin);
    assert_eq!(text(&subscriber.finish().stdout), "e\n");
    assert_eq!(code(&publisher.finish()), 0);
}

#[test]
fn a_dead_writer_is_recovered_and_its_path_can_be_removed() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &[]);
    let mut stdin = publisher.input();
    feed(&mut stdin, b"a\n");
    until("a sample", || (inspect(&path)?["writers"][0]["published"] == 1).then_some(()));
    let pid = publisher.pid();
    publisher.kill();
    let report = json(&run("recover", &path, &["--json"]));
    assert_eq!(report["writers"], value!([{ "index": 0, "pid": pid }]));
    assert_eq!(report["owner_alive"], false);
    assert!(text(&run("recover", &path, &[]).stdout).contains("owner is dead"));
    let object = object(&path);
    let removed = json(&run("rm", &path, &["--json"]));
    assert_eq!(removed["removed"], path.to_str().unwrap());
    assert!(!path.exists() && !object.exists());
}

#[test]
fn what_somebody_lives_in_is_removed_only_by_force() {
    let place = Place::new();
    let path = place.path("P");
    let segment = seqslot::create(&path, &Config::slots(4, 100)).unwrap();
    let reader = segment.reader().unwrap();
    let writer = segment.writer().unwrap();
    let object = object(&path);
    let output = run("rm", &path, &[]);
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 4);
    for says in ["reader 0", "writer 0", "its owner", &format!("processes {}", std::process::id())] {
        assert!(errors.contains(says), "{errors}");
    }
    assert!(path.exists() && object.exists());
    assert_eq!(code(&run("rm", &path, &["--force"])), 0);
    assert!(!path.exists() && !object.exists());
    // Those attached keep the memory.
    writer.send(b"still").unwrap();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"still");
}

#[test]
fn nobody_can_come_in_once_it_is_removed() {
    let place = Place::new();
    let path = place.path("P");
    let _segment = seqslot::create(&path, &Config::slots(4, 100)).unwrap();
    assert_eq!(code(&run("rm", &path, &["-f"])), 0);
    assert_eq!(code(&run("sub", &path, &["--wait", "0"])), 4);
    assert_eq!(code(&run("pub", &path, &[])), 0, "the path is free");
}
