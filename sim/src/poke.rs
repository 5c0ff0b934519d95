//! What needs `unsafe`: positions that would take 2^32 commits, and evictions.

use seqslot_core::{EvictError, Memory, Ordering, ReaderId, Segment, SlotsOs, Word, WriterIndex};
use seqslot_os_mock::bounded;

use crate::env::SHORT;

fn store<M: Memory>(word: &Word<'_, M>, value: u32) {
    // SAFETY: 1. the segment's memory is real and writable. 2. nobody has joined yet: there is no loan and no sample.
    unsafe { word.atomic() }.store(value, Ordering::Relaxed);
}

/// Has every writer index stand where it would after `start` commits.
pub(crate) fn start_at<O: SlotsOs>(segment: &Segment<O>, start: u32) {
    if start == 0 {
        return;
    }
    let geometry = *segment.geometry();
    for index in (0..geometry.writers).filter_map(WriterIndex::new) {
        let (Some(ring), Some(entry)) = (segment.view().ring(index), segment.view().writer_entry(index)) else { continue };
        let last = start.wrapping_sub(1).wrapping_add(geometry.ring_len);
        for back in 0..geometry.ring_len {
            let position = last.wrapping_sub(back);
            store(&ring.index(position), u32::MAX);
            store(&ring.tag(position), position);
        }
        store(&entry.head(), start);
    }
}

/// Evicts a reader of the model, which does not look at what that holds any more.
pub(crate) fn evict<O: SlotsOs>(segment: &Segment<O>, reader: ReaderId) -> Result<(), EvictError> {
    // SAFETY: samples that the reader still holds are compared byte by byte with what they were, or not at all: any value will do. They
    // are in one thread with whoever writes them.
    bounded("evict", SHORT, || unsafe { segment.evict(reader) })
}
