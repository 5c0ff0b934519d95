//! The ABI of a slots segment, word by word: a change here is another layout version.

use core::sync::atomic::AtomicU8;

use portable_atomic::Ordering::Relaxed;
use seqslot_core::{Bare, Config, Memory, Region, Segment};

#[repr(align(64))]
struct Bank([AtomicU8; 4096]);

/// Words that differ from run to run: tokens and the instance.
const DRAWN: core::ops::Range<usize> = 80..96;

#[test]
fn two_commits_and_one_release_give_exactly_these_words() {
    static BANK: Bank = Bank([const { AtomicU8::new(0) }; 4096]);
    let config = Config::slots(3, 20).writers(2).readers(2).type_hash(*b"0123456789abcdef");
    // SAFETY: 1. and 2. only this test uses the bank, for one segment.
    let region = unsafe { Region::new(&BANK.0) }.unwrap();
    let segment = Segment::create(Bare::new(region), &(), &config).unwrap();
    let (reader, _slow) = (segment.reader().unwrap(), segment.reader().unwrap());
    let writer = segment.writer().unwrap();
    writer.send(b"abcd").unwrap();
    writer.send(b"efghijkl").unwrap();
    drop(reader.take().unwrap());
    let _loan = writer.loan().unwrap();

    let text = |bytes: &[u8; 4]| u32::from_ne_bytes(*bytes);
    let expected: &[(usize, u32)] = &[
        // Head.
        (0, text(b"SEQS")),
        (4, text(b"LOT1")),
        (8, 0x0102_0304),
        (12, 1 << 16),
        (16, 128),
        (20, 1),
        (24, 1216),
        (32, 3),
        (36, 20),
        (40, 64),
        (44, 32),
        (48, 2),
        (52, 2),
        (56, 4),
        (64, text(b"0123")),
        (68, text(b"4567")),
        (72, text(b"89ab")),
        (76, text(b"cdef")),
        (96, 32),
        (124, 0x5245_4144),
        // Active: both readers. Ever: writer 0.
        (128, 0b11),
        (220, 0b1),
        // Entries of the readers, 576 and 640: lock, state (generation 1, in use), taken.
        (576, 1),
        (600, 1 << 2 | 1),
        (604, 1),
        (640, 1),
        (664, 1 << 2 | 1),
        // Entry of writer 0, 704: lock, state, head.
        (704, 1),
        (728, 1 << 2 | 1),
        (732, 2),
        // Ring of writer 0, 832: positions 4 and 5 in slots 0 and 1.
        (832, 4),
        (840, 5),
        (844, 1),
        // Slots from 1024. Slot 0: position 4, 4 bytes, owed to reader 1, generation 1, writer 0.
        (1024, 4),
        (1028, 4),
        (1032, 0b10),
        (1040, 1),
        (1044, 1),
        (1048, 1),
        (1056, text(b"abcd")),
        // Slot 1: position 5, 8 bytes, owed to both.
        (1088, 5),
        (1092, 8),
        (1096, 0b11),
        (1104, 1),
        (1108, 1),
        (1112, 1),
        (1120, text(b"efgh")),
        (1124, text(b"ijkl")),
        // Slot 2: on loan to writer 0, generation 1.
        (1168, 1 << 26 | 1),
    ];
    let tokens = [512 + 4, 576 + 4, 640 + 4, 704 + 4];
    let memory = region.raw();
    let mut found = Vec::new();
    for at in (0..segment.geometry().total_len).step_by(4) {
        // SAFETY: a word inside the region, which lives for ever.
        let word = unsafe { memory.load(at, Relaxed) };
        if word != 0 && !DRAWN.contains(&at) && !tokens.contains(&at) {
            found.push((at, word));
        }
    }
    assert_eq!(found, expected);
    for at in tokens {
        // SAFETY: as above.
        assert_ne!(unsafe { memory.load(at, Relaxed) }, 0, "token at {at}");
    }
}
