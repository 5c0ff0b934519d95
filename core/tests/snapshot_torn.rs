//! Torn-read hunt: a writer at full speed, readers that check every byte.

mod snapshot_support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use seqslot_core::{SnapshotError, SnapshotRead};
use snapshot_support::{attach, checked_value, format, is_whole, region};

/// Reads that must succeed while the writer runs.
const READS: u32 = 4_000;

/// Ends the writer when the reader is done, also by a failed assertion.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn hunt(buffers: u32, len: usize) {
    let region = region::<16_384>();
    let writer = format(region, buffers, len as u32);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut latest, mut value) = (0, vec![0; len]);
            while !stop.load(Relaxed) {
                checked_value(latest, &mut value);
                latest = writer.publish(latest, &value).unwrap();
            }
        });
        let _stop = Stop(&stop);
        let (view, mut value) = (attach(region.raw()), vec![0; len]);
        let (mut seen, mut fresh, mut overtaken) = (0, 0, 0_u64);
        while fresh < READS {
            match view.read(seen, &mut value) {
                Ok(SnapshotRead::Fresh(generation)) => {
                    assert!(generation > seen, "went back from {seen} to {generation}");
                    assert!(is_whole(&value), "torn: generation {generation}, {len} bytes, {buffers} buffers");
                    (seen, fresh) = (generation, fresh + 1);
                }
                Ok(SnapshotRead::Unchanged) | Err(SnapshotError::Empty) => {}
                Err(SnapshotError::Contended { .. }) => overtaken += 1,
                Err(error) => panic!("{error}"),
            }
        }
        println!("{len} bytes, {buffers} buffers: {seen} published, {fresh} read, {overtaken} times contended");
    });
}

#[test]
fn no_torn_value_of_64_bytes() {
    hunt(2, 64);
}

#[test]
fn no_torn_value_of_1024_bytes() {
    hunt(2, 1024);
}

#[test]
fn no_torn_value_of_odd_sizes() {
    for len in [9, 61, 67, 1021, 2047] {
        hunt(2, len);
    }
}

#[test]
fn no_torn_value_with_more_buffers() {
    hunt(8, 1024);
}
