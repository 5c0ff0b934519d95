//! Snapshots between real processes: never torn at full speed, and nothing lost with a writer that is killed.

mod support;

use std::time::{Duration, Instant};

use seqslot::{SnapshotConfig, SnapshotReader, SnapshotWriter, platform};
use support::{Peer, pause, place, role, say};

/// A state whose parts must agree.
type State = [u64; 32];

fn state(number: u64) -> State {
    core::array::from_fn(|at| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ at as u64)
}

#[test]
fn no_torn_snapshot_from_a_writing_process_at_full_speed() {
    if let Some((_, path)) = role() {
        let mut writer = SnapshotWriter::<State>::create(platform(), &path, SnapshotConfig::of::<State>()).unwrap();
        writer.publish(&state(0)).unwrap();
        say("first");
        // Ends with the test, which kills it.
        for number in 1.. {
            writer.publish(&state(number)).unwrap();
        }
    }
    let (_folder, path) = place();
    let mut peer = Peer::start("no_torn_snapshot_from_a_writing_process_at_full_speed", "writer", &path);
    peer.expect("first");
    let mut reader = SnapshotReader::<State>::attach(platform(), &path).unwrap();
    let (mut last, mut fresh) = (0, 0_u32);
    let start = Instant::now();
    while fresh < 20_000 && start.elapsed() < Duration::from_secs(60) {
        let Ok(seen) = reader.snapshot() else { continue };
        let base = seen[0];
        assert!(seen.iter().enumerate().all(|(at, part)| *part == base ^ at as u64), "torn: {:?}", *seen);
        assert!(seen.generation() >= last, "the newest goes back");
        last = seen.generation();
        fresh += u32::from(seen.is_fresh());
    }
    assert!(fresh > 100, "{fresh} fresh snapshots in {:?}", start.elapsed());
    peer.kill();
    let kept = reader.snapshot().map(|seen| *seen);
    assert!(kept.is_ok(), "the last good value went with the killed writer: {kept:?}");
    let next = SnapshotWriter::<State>::attach(platform(), &path);
    let mut next = next.unwrap();
    next.publish(&state(7)).unwrap();
    assert_eq!(*reader.snapshot().unwrap(), state(7), "the next writer continues");
}

#[test]
fn a_second_writer_is_refused_while_the_first_lives() {
    if let Some((_, path)) = role() {
        let mut writer = SnapshotWriter::<State>::create(platform(), &path, SnapshotConfig::of::<State>()).unwrap();
        writer.publish(&state(1)).unwrap();
        say("there");
        return pause();
    }
    let (_folder, path) = place();
    let mut peer = Peer::start("a_second_writer_is_refused_while_the_first_lives", "writer", &path);
    peer.expect("there");
    assert!(SnapshotWriter::<State>::attach(platform(), &path).is_err());
    peer.kill();
    assert!(SnapshotWriter::<State>::attach(platform(), &path).is_ok());
}
