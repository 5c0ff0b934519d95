//! Cache lines are asked for ahead inside the segment only.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::type_complexity,
    reason = "every unsafe call passes on what `Raw` is asked, with the caller's own duties"
)]

#[allow(dead_code, reason = "this file needs a part of it")]
mod hooked;

use hooked::{ASKED, hooked};
use seqslot_core::Config;

/// The farthest that a writer and a reader that is behind ask for, in a segment of such slots; and where that ends.
fn asked(slots: u64, capacity: u64) -> (usize, usize) {
    let segment = hooked(&Config::slots(slots, capacity).writers(1).readers(1));
    let (writer, reader) = (segment.writer().expect("an entry"), segment.reader().expect("an entry"));
    ASKED.with(|asked| asked.set(0));
    for _ in 0..20 {
        while writer.send(b"behind").is_ok() {}
        for _ in 0..slots {
            assert!(reader.take().expect("its writer lives").is_some());
        }
    }
    (ASKED.with(std::cell::Cell::get), segment.geometry().total_len)
}

#[test]
fn what_is_asked_for_is_in_the_segment() {
    for slots in [1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 17, 31, 32, 33, 64] {
        for capacity in [8, 200] {
            let (asked, end) = asked(slots, capacity);
            assert!(asked < end, "{slots} slots of {capacity}: {asked} of {end}");
        }
    }
    assert_ne!(asked(64, 8).0, 0, "of 64 slots those ahead are asked for");
}
