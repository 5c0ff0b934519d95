//! `inspect`: shows what is there, and changes nothing.
#![cfg(target_os = "linux")]

mod common;

use common::*;
use seqslot::Config;
use seqslot_core::{SnapshotConfig, SnapshotWriter};

#[test]
fn every_part_of_a_segment_is_shown_and_nothing_is_changed() {
    let place = Place::new();
    let path = place.path("P");
    let segment = seqslot::create(&path, &Config::slots(8, 100).writers(2).readers(5)).unwrap();
    let (first, second) = (segment.reader().unwrap(), segment.reader().unwrap());
    let writer = segment.writer().unwrap();
    for text in [&b"one"[..], b"two", b"three"] {
        writer.send(text).unwrap();
    }
    drop(first.take().unwrap());
    let loan = writer.loan().unwrap();
    let before = std::fs::read(object(&path)).unwrap();

    let shown = inspect(&path).unwrap();
    let me = std::process::id();
    assert_eq!((&shown["kind"], &shown["slots"], &shown["capacity"]), (&"slots".into(), &8.into(), &100.into()));
    assert_eq!(shown["object"].as_str().unwrap(), std::fs::read_to_string(&path).unwrap());
    assert_eq!((&shown["owner"]["pid"], &shown["owner"]["alive"]), (&me.into(), &true.into()));
    let reader = |index: usize| {
        let reader = &shown["readers"][index];
        serde_json::json!([reader["pid"], reader["taken"], reader["owed"], reader["alive"]])
    };
    assert_eq!(reader(0), serde_json::json!([me, 1, 2, true]));
    assert_eq!(reader(1), serde_json::json!([me, 0, 3, true]));
    assert_eq!(shown["readers"].as_array().unwrap().len(), 2);
    assert_eq!((&shown["writers"][0]["published"], &shown["writers"][0]["on_loan"]), (&3.into(), &1.into()));
    assert_eq!((&shown["states"]["owed"], &shown["states"]["on_loan"], &shown["states"]["free"]), (&3.into(), &1.into(), &4.into()));
    assert_eq!((&shown["slot_list"][2]["size"], &shown["slot_list"][2]["sequence"]), (&5.into(), &2.into()));
    assert_eq!(shown["slot_list"][0]["unread"], serde_json::json!([1]));
    assert_eq!(shown["slot_list"].as_array().unwrap().len(), 8);

    let drawn = text(&run("inspect", &path, &[]).stdout);
    assert!(drawn.contains("0  122w....\n"), "{drawn}");
    assert!(drawn.contains(&format!("pid {me} alive")), "{drawn}");
    let raw = text(&run("inspect", &object(&path), &[]).stdout);
    assert_eq!(raw.lines().skip(1).collect::<Vec<_>>(), drawn.lines().skip(1).collect::<Vec<_>>(), "the object itself shows the same");

    assert!(before == std::fs::read(object(&path)).unwrap(), "not a byte was changed");
    drop((loan, second));
}

#[test]
fn the_dead_are_told_from_the_living() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1", "--slots", "4"]);
    let mut stdin = publisher.input();
    let mut subscriber = Running::subscribe(&path, &[]);
    feed(&mut stdin, b"a\n");
    assert_eq!(subscriber.read(2), b"a\n");
    subscriber.signal(libc::SIGSTOP);
    feed(&mut stdin, b"b\nc\n");
    until("two slots owed", || (inspect(&path)?["states"]["owed"] == 2).then_some(()));
    let pid = subscriber.pid();
    subscriber.kill();
    let shown = inspect(&path).unwrap();
    assert_eq!((&shown["readers"][0]["pid"], &shown["readers"][0]["alive"]), (&pid.into(), &false.into()));
    assert_eq!((&shown["readers"][0]["owed"], &shown["states"]["owed_to_the_dead"]), (&2.into(), &2.into()));
    assert_eq!(shown["owner"]["alive"], true);
    let drawn = text(&run("inspect", &path, &[]).stdout);
    assert!(drawn.contains(&format!("reader 0   pid {pid} DEAD")) && drawn.matches('d').count() > 2, "{drawn}");
    publisher.kill();
    let shown = inspect(&path).unwrap();
    assert_eq!((&shown["owner"]["alive"], &shown["writers"][0]["alive"]), (&false.into(), &false.into()));
}

#[test]
fn an_overwriting_segment_shows_its_samples() {
    let place = Place::new();
    let path = place.path("P");
    let segment = seqslot::create(&path, &Config::slots(4, 10).overwrite()).unwrap();
    let reader = segment.reader().unwrap();
    let writer = segment.writer().unwrap();
    for _ in 0..3 {
        writer.send(b"x").unwrap();
    }
    let held = reader.take().unwrap().unwrap();
    let shown = inspect(&path).unwrap();
    assert_eq!((&shown["overwrite"], &shown["states"]["samples"], &shown["states"]["owed"]), (&true.into(), &2.into(), &1.into()));
    assert!(text(&run("inspect", &path, &[]).stdout).contains("0  1oo.\n"));
    drop(held);
}

#[test]
fn a_snapshot_segment_is_shown() {
    let place = Place::new();
    let path = place.path("cell");
    let mut cell =
        SnapshotWriter::<seqslot::Platform, [u64; 3]>::create(seqslot::platform(), &path, SnapshotConfig::of::<[u64; 3]>()).unwrap();
    assert_eq!(inspect(&path).unwrap()["latest"], 0);
    for value in 1..=5 {
        cell.publish(&[value; 3]).unwrap();
    }
    let shown = inspect(&path).unwrap();
    assert_eq!((&shown["kind"], &shown["latest"], &shown["capacity"]), (&"snapshot".into(), &5.into(), &24.into()));
    assert_eq!((&shown["writer"]["pid"], &shown["writer"]["alive"]), (&std::process::id().into(), &true.into()));
    let states: Vec<_> = shown["buffer_list"].as_array().unwrap().iter().map(|buffer| buffer["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["older", "latest"]);
    let drawn = text(&run("inspect", &path, &["--slots"]).stdout);
    assert!(drawn.contains("latest     generation 5") && drawn.contains("buffer 1   Latest, generation 5"), "{drawn}");
    cell.leave();
    let shown = inspect(&path).unwrap();
    assert_eq!((&shown["writer"]["alive"], &shown["writer_left"]), (&false.into(), &true.into()));
    assert_eq!(code(&run("recover", &path, &[])), 0);
    assert_eq!(code(&run("rm", &path, &[])), 0);
}

#[test]
fn segments_of_other_programs_are_named() {
    let place = Place::new();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).chain([0; 200]).collect::<Vec<u8>>();
    for (bytes, says) in [
        (words(&[0x414D_5A4E, 0x4342_0200, 80, 2 << 16 | 2]), "a ClockBound segment"),
        (words(&[0x5A44_5332, 4, 128]), "ZDS2"),
        (std::fs::read("/bin/sh").unwrap(), "an executable or library"),
        (noise(5000, 3), "magic"),
    ] {
        let output = run("inspect", &place.file("other", &bytes), &[]);
        assert_eq!(code(&output), 3);
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}
