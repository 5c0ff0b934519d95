//! What the slot allocator has to stand over either layout: called by `tests/seeds_processes.rs` and `tests/seeds_zds2.rs`.

use std::sync::atomic::{AtomicBool, Ordering};

use seqslot::{SlotBackend, SlotError, SlotHandle};

/// Commits `bytes` for the readers of `mask`.
pub fn send(slots: &dyn SlotBackend, mask: u32, bytes: &[u8]) -> SlotHandle {
    let handle = slots.reserve_slot(mask).unwrap();
    slots.commit_slot(handle, bytes).unwrap();
    handle
}

/// Ends the other thread also when this one panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Samples of 512 or 100 bytes, by their number.
const fn len(number: u32) -> usize {
    if number.is_multiple_of(3) { 512 } else { 100 }
}

/// Nobody counts, so slots of 512 bytes are reused while `late` reads them: it gets whole samples, or is told.
pub fn late_reader_reads_nothing_torn(slots: &dyn SlotBackend, late: &dyn SlotBackend) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u32.. {
                send(slots, 0, &[number as u8; 512][..len(number)]);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let _over = Over(&is_over);
        let (mut whole, mut stale) = (0, 0);
        while whole < 20_000 || stale < 20 {
            let Some(handle) = late.next_unread_slot(0).unwrap() else { continue };
            match late.read_slot(handle) {
                Ok((header, bytes)) => {
                    let number = header.sequence_number as u8;
                    assert!(bytes.iter().all(|byte| *byte == number), "torn: {number} and {bytes:?}");
                    assert_eq!(bytes.len(), len(header.sequence_number));
                    whole += 1;
                }
                Err(SlotError::StaleHandle) => stale += 1,
                Err(error) => panic!("{error}"),
            }
        }
    });
}

/// Of two threads that commit one loan of 64 bytes one does, and the other has written nothing. The segment is new.
pub fn one_of_two_threads_commits(slots: &dyn SlotBackend) {
    let barrier = std::sync::Barrier::new(2);
    for round in 0..2000_u32 {
        let handle = slots.reserve_slot(0).unwrap();
        let commit = |thread: u8| {
            barrier.wait();
            slots.commit_slot(handle, &[thread; 64])
        };
        let (one, two) = std::thread::scope(|scope| {
            let other = scope.spawn(|| commit(1));
            (commit(0), other.join().unwrap())
        });
        let winner = match (one, two) {
            (Ok(sequence), Err(SlotError::StaleHandle)) if sequence == round => 0,
            (Err(SlotError::StaleHandle), Ok(sequence)) if sequence == round => 1,
            answers => panic!("{answers:?}"),
        };
        assert_eq!(slots.read_slot(handle).unwrap().1, [winner; 64], "the loser wrote nothing");
    }
}
