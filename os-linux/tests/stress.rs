//! Threads on one mapping of a memory file or a named object: real futexes, real locks.
#![allow(missing_docs)]

use seqslot_core::{Config, ObjectSpec, Segment, SnapshotConfig, SnapshotReader, SnapshotWriter};
use seqslot_os_linux::{Linux, PosixSlotAllocator};
use seqslot_os_mock::stress;

const OS: Linux = Linux::new();

/// A segment in a sealed memory file, mapped once.
fn segment(config: Config) -> Segment<Linux> {
    let spec = ObjectSpec { len: config.len().expect("it can be"), reserve: true, group: false };
    let made = OS.memfd("stress", spec).expect("a memory file");
    // SAFETY: made just now, and laid out once.
    unsafe { Segment::format(OS, made, &config) }.expect("long enough")
}

/// Enough for three writers and three readers.
fn roomy() -> Config {
    Config::slots(16, 96).writers(4).readers(6)
}

#[test]
fn every_reader_gets_every_sample_of_every_writer() {
    println!("{:?}", stress::streams(&segment(roomy()), 3, 3));
}

#[test]
fn parked_threads_wake_each_other_while_slots_are_scarce() {
    println!("{:?}", stress::streams(&segment(Config::slots(5, 40).writers(2).readers(2)), 1, 2));
}

#[test]
fn a_slot_is_never_on_loan_to_two() {
    println!("{:?}", stress::contend(&segment(Config::slots(3, 64).writers(3)), 3));
}

#[test]
fn the_only_slot_is_free_again_when_its_reader_has_left() {
    println!("{:?}", stress::leaving(&segment(Config::slots(1, 200).writers(1).readers(2))));
}

#[test]
fn who_stays_gets_everything_while_others_come_and_go() {
    println!("{:?}", stress::churn(&segment(roomy())));
}

#[test]
fn what_is_not_taken_by_a_reader_that_overwriting_left_behind_is_counted() {
    let config = Config::slots(8, 64).writers(2).readers(2).overwrite();
    println!("{:?}", stress::overwrite(&segment(config.clone()), 2));
    println!("{:?}", stress::overwrite(&segment(config), 1));
}

#[test]
fn the_threads_of_one_allocator_share_its_readers_and_its_entry() {
    let directory = tempfile::tempdir().expect("a directory");
    let slots = PosixSlotAllocator::create(directory.path().join("slots.flink"), 12, 64).expect("a fresh name");
    println!("{:?}", stress::seeds(&[&slots, &slots]));
}

#[test]
fn three_readers_of_a_snapshot_see_whole_values_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state.flink");
    let config = SnapshotConfig::bytes(200).always_wake(true);
    let mut writer = SnapshotWriter::create(OS, &path, config).expect("a fresh name");
    let readers = (0..3).map(|_| SnapshotReader::attach(OS, &path).expect("a snapshot")).collect();
    println!("{:?}", stress::snapshots(&mut writer, readers));
}
