//! One writer at full speed, several readers: no value is torn, none is older than the one before it, the last one arrives.

use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use seqslot_core::{Os, SnapshotError, SnapshotReader, SnapshotWriter};

use super::{Span, Tally, text};

/// How long a reader sleeps at a time for a newer value.
const NAP: Duration = Duration::from_millis(20);

/// Publishes on this thread for `readers`, each in a thread of its own: one reads in place, one sleeps for newer values, one copies, and so
/// on. Values are at least 16 bytes.
///
/// # Panics
/// If a value is torn or old.
pub fn snapshots<O>(writer: &mut SnapshotWriter<O>, readers: Vec<SnapshotReader<O>>) -> Tally
where
    O: Os,
    SnapshotReader<O>: Send,
{
    let (span, left) = (Span::begin(), AtomicUsize::new(readers.len()));
    let mut value = vec![0; readers.first().map_or(0, SnapshotReader::value_len)];
    thread::scope(|scope| {
        let left = &left;
        let start = |(number, reader)| {
            scope.spawn(move || {
                let _leaves = Leaves(left);
                read(reader, number, span)
            })
        };
        let reading: Vec<_> = readers.into_iter().enumerate().map(start).collect();
        let mut sent = 0;
        while left.load(Relaxed) != 0 {
            publish(writer, &mut value);
            sent += 1;
            if sent % 64 == 0 {
                // Whoever sleeps for a newer value gets a chance to.
                thread::yield_now();
            }
        }
        let taken = reading.into_iter().map(|thread| thread.join().expect("a reader that ended well")).sum();
        Tally { sent, taken, came: 0 }
    })
}

/// One reader less, also after a failed assertion.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A value says which one it is, and so can be checked without the others.
fn publish<O: Os>(writer: &mut SnapshotWriter<O>, value: &mut [u8]) {
    let next = writer.generation() + 1;
    let len = text::write(value, 0, next as u32);
    value[len..].fill(next as u8);
    writer.publish(value).expect("of the segment's length");
}

/// Reads until the time is over, and enough was read.
fn read<O: Os>(mut reader: SnapshotReader<O>, number: usize, span: Span) -> u64 {
    let (mut seen, mut fresh) = (0, 0_u32);
    let mut copy = vec![0; reader.value_len()];
    while span.goes_on(fresh) {
        let got = if number % 3 == 2 {
            reader.read_into(&mut copy)
        } else {
            if number % 3 == 1 {
                reader.wait_newer(NAP);
            }
            reader.snapshot().map(|snapshot| {
                copy.copy_from_slice(&snapshot);
                snapshot.generation()
            })
        };
        match got {
            Ok(generation) => {
                assert!(generation >= seen, "went back from {seen} to {generation}");
                fresh += u32::from(generation > seen);
                seen = generation;
                check(&copy);
            }
            Err(SnapshotError::Empty | SnapshotError::Contended { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    u64::from(fresh)
}

fn check(value: &[u8]) {
    let (_, which) = text::said(value);
    let len = text::len_of(which, value.len());
    text::check(&value[..len], 0, which, value.len());
    assert!(value[len..].iter().all(|&byte| byte == which as u8), "value {which} is torn in its rest");
}
