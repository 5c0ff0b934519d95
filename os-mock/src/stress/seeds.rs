//! The seeds' face with threads: two writers and two readers on each allocator, one of each way of filling and reading.

use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Release};
use std::thread;

use seqslot_core::{SlotBackend, SlotError, SlotHandle};

use super::{Span, Tally, text};

/// How long anybody waits for a change before it looks again.
const NAP: Duration = Duration::from_millis(20);
/// Writing threads of each allocator.
const WRITERS: usize = 2;

/// Runs writers and readers on each of `backends`, which are allocators of one segment. Every reader marks every sample; at least four slots for each allocator, of at least 16 bytes.
///
/// # Panics
/// If a sample is lost, wrong, or out of its writer's order.
pub fn seeds<B: SlotBackend>(backends: &[&B]) -> Tally {
    let span = Span::begin();
    let readers: Vec<_> = backends.iter().flat_map(|backend| [*backend; 2]).collect();
    let active = (1_u32 << readers.len()) - 1;
    for (reader, backend) in readers.iter().enumerate() {
        // From here on it counts: nothing is committed yet.
        assert_eq!(backend.next_unread_slot(reader as u8), Ok(None));
    }
    let writing = AtomicUsize::new(backends.len() * WRITERS);
    thread::scope(|scope| {
        let writing = &writing;
        let feed = |number: usize| {
            let backend = backends[number / WRITERS];
            scope.spawn(move || {
                let _ends = Ends(writing);
                feed(backend, number as u32, active, span)
            })
        };
        let drain = |(reader, backend)| scope.spawn(move || drain(backend, reader as u8, writing));
        let feeds: Vec<_> = (0..backends.len() * WRITERS).map(feed).collect();
        let drains: Vec<_> = readers.iter().copied().enumerate().map(drain).collect();
        let sent: u64 = feeds.into_iter().map(|thread| thread.join().expect("a writer that ended well")).sum();
        let mut taken = 0;
        for drain in drains {
            let got = drain.join().expect("a reader that ended well");
            assert_eq!(got, sent, "every reader gets every sample");
            taken += got;
        }
        Tally { sent, taken, came: 0 }
    })
}

/// One writer less, also after a failed assertion.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Release);
    }
}

/// Writes until the time is over: copied and in place by turns, now and then discarding. The number of samples.
fn feed<B: SlotBackend>(backend: &B, writer: u32, active: u32, span: Span) -> u64 {
    let mut bytes = vec![0; backend.slot_capacity()];
    let mut sequence = 0;
    while span.goes_on(sequence) {
        let before = backend.notify_generation();
        let loan = match backend.reserve_slot(active) {
            Ok(loan) => loan,
            Err(error) => {
                assert_eq!(error, SlotError::NoFreeSlot);
                backend.wait_for_change(before, NAP);
                continue;
            }
        };
        if sequence % 5 == 4 && before.is_multiple_of(2) {
            backend.discard_slot(loan).expect("its own loan");
            assert_eq!(backend.commit_slot(loan, b""), Err(SlotError::StaleHandle));
            continue;
        }
        if sequence.is_multiple_of(2) {
            let len = text::write(&mut bytes, writer, sequence);
            backend.commit_slot(loan, &bytes[..len]).expect("its own loan");
        } else {
            let (data, capacity) = backend.slot_data_ptr(loan).expect("its own loan");
            // SAFETY: the loan is out, this thread has its only handle, and the pointer is not used after the commit.
            let data = unsafe { core::slice::from_raw_parts_mut(data, capacity) };
            let len = text::write(data, writer, sequence);
            backend.commit_in_place(loan, len).expect("its own loan");
        }
        sequence += 1;
    }
    u64::from(sequence)
}

/// Reads and marks until all writers have ended and nothing is left; the number of samples.
fn drain<B: SlotBackend>(backend: &B, reader: u8, writing: &AtomicUsize) -> u64 {
    let mut expected = [0_u32; 32];
    let mut taken = 0;
    loop {
        let before = backend.notify_generation();
        // Before the look, which then sees whatever the last writer had sent.
        let is_over = writing.load(Acquire) == 0;
        let Some(handle) = backend.next_unread_slot(reader).expect("a reader of its own") else {
            if is_over {
                return taken;
            }
            backend.wait_for_change(before, NAP);
            continue;
        };
        assert_eq!(backend.next_unread_slot(reader), Ok(Some(handle)), "the same again until it is marked");
        let (writer, sequence) = read(backend, handle, taken % 2 == 1);
        let next = &mut expected[writer as usize];
        assert_eq!(sequence, *next, "in the order of thread {writer}, none left out");
        *next += 1;
        taken += 1;
        backend.mark_read(handle, reader).expect("not marked yet");
    }
}

/// Reads the sample, in place or copied, and gives who sent it and when.
fn read<B: SlotBackend>(backend: &B, handle: SlotHandle, in_place: bool) -> (u32, u32) {
    let capacity = backend.slot_capacity();
    let mut copy = vec![0; capacity];
    let bytes = if in_place {
        let (data, len) = backend.slot_read_ptr(handle).expect("not marked yet");
        // SAFETY: the reader counts and has not marked the sample; the slice is not used after the mark.
        unsafe { core::slice::from_raw_parts(data, len) }
    } else {
        let header = backend.read_slot_into(handle, &mut copy).expect("not marked yet");
        &copy[..header.sample_size as usize]
    };
    let (writer, sequence) = text::said(bytes);
    text::check(bytes, writer, sequence, capacity);
    (writer, sequence)
}
