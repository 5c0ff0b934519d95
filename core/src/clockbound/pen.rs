//! The writer's steps over a segment, with ClockBound's readers, of 2.x and 3.0, and ours on the other side.
//!
//! | step | what | why |
//! |---|---|---|
//! | 1 | version (0 if it was wiped) and an odd generation, one word, Relaxed; fence Release | whoever copies a word of the new payload sees the odd generation, or a later one, when it looks again |
//! | 2 | payload, 32-bit words, Relaxed | |
//! | 3 | version and the even generation after it, Release | whoever sees it sees the payload |
//!
//! A segment that is not usable is wiped in place, without a moment in which it is shorter (mapped readers would be killed), and is not
//! initialised until the first write:
//!
//! | what is found | from the wipe on | until |
//! |---|---|---|
//! | generation 0: never written | version of the layout, generation 0, as ClockBound's writers leave it | the first write's step 1 |
//! | another one | version 0, and the odd generation after it (or itself); fence Release; magic, size, zeros | the first write's step 3 |
//!
//! The odd generation is for a reader of ClockBound's in the midst of its look: it compares generations only, and takes 0 for an even one, so
//! that it would accept a mixture of old words and zeros. And a next writer finds it, should this one die here: a reader that slept through it
//! all does not meet its old generation again. The version 0 is for readers that come now: they would take an odd generation for a segment
//! in use. The zeros go as far as the longest layout, where there is room: ClockBound 3.0's attached reader takes version 2 for its own
//! layout, and reads on at the old offsets.
//!
//! Generations: even is followed by odd, odd by even; 65535 by 2, because 0 means wiped. A writer that died in step 2 left an odd one: the next
//! starts its first write from it, without adding one.

use portable_atomic::Ordering;

use super::bound::ClockErrorBound;
use super::error::ShmError;
use super::layout::{HEADER_LEN, Layout, MAGIC_0, MAGIC_1, PAYLOAD_LEN_MAX, SEGMENT_SIZE_AT, VERSION_GENERATION_AT};
use super::parse::{SegmentHeader, join, split};
use crate::memory::Memory;
use crate::region::Word;

/// The one writer of a mapped ClockBound segment.
///
/// ```
/// use seqslot_core::clockbound::{ClockBoundPen, ClockBoundView, ClockErrorBound, ClockStatus, Layout, ShmError, TimeSpec};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 80]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 80]);
/// # // SAFETY: nobody else uses the bank.
/// # let memory = unsafe { seqslot_core::Region::new(&BANK.0) }?.raw();
/// // SAFETY: 1. `memory` is mapped, writable, as long as the program runs. 2. it is aligned to 64. 3. nobody else writes.
/// let mut pen = unsafe { ClockBoundPen::start(memory, Layout::V2) }?;
/// let time = |seconds| TimeSpec::new(seconds, 0).expect("nanoseconds below a second");
/// pen.write(&ClockErrorBound::new(time(100), time(1100), 10_000, 0, 1_000, ClockStatus::Synchronized, false))?;
///
/// // SAFETY: 1. and 2. as above.
/// let mut view = unsafe { ClockBoundView::attach(memory) }?;
/// assert_eq!((view.snapshot()?.bound_nsec(), pen.generation()), (10_000, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClockBoundPen<M> {
    memory: M,
    layout: Layout,
    /// The generation that the segment has, or, when it was wiped, had.
    generation: u16,
    /// The version during a write: 0 until the first one after a wipe is done.
    version_meanwhile: u16,
}

impl<M: Memory> ClockBoundPen<M> {
    /// The writer of the segment in `memory`. A usable segment of this layout is left as it is, and read on meanwhile; anything else is wiped.
    ///
    /// # Errors
    /// [`ShmError::SegmentMalformed`] if `memory` is shorter than the layout.
    ///
    /// # Safety
    ///
    /// 1. `memory` is mapped, writable, and not cut short, as long as the value is used. 2. It starts at a multiple of 4.
    /// 3. Nobody else writes to it as long as the value is used, and what its writer before wrote happened before this call.
    pub unsafe fn start(memory: M, layout: Layout) -> Result<Self, ShmError> {
        let mapped = memory.len();
        if mapped < layout.segment_len() {
            return Err(ShmError::SegmentMalformed);
        }
        let mut pen = Self { memory, layout, generation: 0, version_meanwhile: layout.version() };
        // ORDERING: Relaxed; duty 3.
        let words = [0, 4, SEGMENT_SIZE_AT, VERSION_GENERATION_AT].map(|at| pen.word(at).load(Ordering::Relaxed));
        pen.generation = split(words[3]).1;
        if !SegmentHeader::of_words(words, mapped as u64).is_ok_and(|header| header.layout == layout) {
            pen.wipe();
        }
        Ok(pen)
    }

    /// Makes the segment anew, in place.
    fn wipe(&mut self) {
        let is_new = self.generation == 0;
        let odd = if is_new { 0 } else { begun(self.generation) };
        // ORDERING: Relaxed; the fence follows.
        self.word(VERSION_GENERATION_AT).store(join(0, odd), Ordering::Relaxed);
        // ORDERING: Release fence, edge "torn"; pairs with the Acquire fence after the copy in `ClockBoundView::attempt`. Keeps what follows
        // behind version 0 and the odd generation.
        self.memory.fence(Ordering::Release);
        for (at, word) in [(0, MAGIC_0), (4, MAGIC_1), (SEGMENT_SIZE_AT, self.layout.segment_len() as u32)] {
            // ORDERING: Relaxed; carried by the first write's even generation, before which nobody may rely on it.
            self.word(at).store(word, Ordering::Relaxed);
        }
        // Whole words.
        let len = PAYLOAD_LEN_MAX.min(self.memory.len() - HEADER_LEN) & !3;
        // SAFETY: 1. and 2. the header is 16 bytes, and the memory has `len` more. 3. and 4. `start`, duty 1.
        unsafe { self.memory.copy_in(HEADER_LEN, &[0; PAYLOAD_LEN_MAX][..len]) };
        if is_new {
            // ORDERING: Relaxed; generation 0 carries nothing.
            self.word(VERSION_GENERATION_AT).store(join(self.layout.version(), 0), Ordering::Relaxed);
        } else {
            self.version_meanwhile = 0;
        }
    }

    /// Writes a bound. Never waits.
    ///
    /// # Errors
    /// [`ShmError::OtherLayout`]: the bound is of another layout than the segment. [`ShmError::SegmentMalformed`]: readers would refuse it
    /// ([`ClockErrorBound::check`]). Nothing is written then.
    pub fn write(&mut self, bound: &ClockErrorBound) -> Result<(), ShmError> {
        if bound.layout() != self.layout {
            return Err(ShmError::OtherLayout { found: bound.layout() });
        }
        bound.check()?;
        let odd = begun(self.generation);
        // ORDERING: Relaxed; the fence follows.
        self.word(VERSION_GENERATION_AT).store(join(self.version_meanwhile, odd), Ordering::Relaxed);
        // ORDERING: Release fence, edge "torn"; pairs with the Acquire fence after the copy in `ClockBoundView::attempt`. Keeps the payload
        // behind the odd generation.
        self.memory.fence(Ordering::Release);
        let len = self.layout.payload_len();
        // SAFETY: 1. and 2. the header is 16 bytes, and `start` has checked that the layout's payload follows. 3. and 4. `start`, duty 1.
        unsafe { self.memory.copy_in(HEADER_LEN, &bound.to_payload()[..len]) };
        (self.generation, self.version_meanwhile) = (finished(odd), self.layout.version());
        // ORDERING: Release, edge "payload"; pairs with the Acquire fence after the generation's load in `ClockBoundView::attempt`. Carries the
        // payload.
        self.word(VERSION_GENERATION_AT).store(join(self.layout.version(), self.generation), Ordering::Release);
        Ok(())
    }

    /// The generation of the last write, by this writer or the one before; what it was before a wipe.
    #[must_use]
    pub fn generation(&self) -> u16 {
        self.generation
    }

    /// The segment's layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// A word of the header, whose length `start` has checked.
    fn word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at < HEADER_LEN);
        // SAFETY: 1. and 2. a constant inside the header. 3. and 4. `start`, duty 1.
        unsafe { Word::new(&self.memory, at) }
    }
}

/// The generation while a write is under way that found this one.
const fn begun(generation: u16) -> u16 {
    if generation.is_multiple_of(2) { generation.wrapping_add(1) } else { generation }
}

/// The generation after that write.
const fn finished(odd: u16) -> u16 {
    match odd.wrapping_add(1) {
        0 => 2,
        even => even,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_odd_while_writing_and_never_0_again() {
        for (found, odd, even) in [(0, 1, 2), (2, 3, 4), (3, 3, 4), (65_532, 65_533, 65_534), (65_534, 65_535, 2), (65_535, 65_535, 2)] {
            assert_eq!((begun(found), finished(begun(found))), (odd, even), "from {found}");
        }
        let (mut generation, mut seen) = (0, 0);
        for _ in 0..70_000 {
            generation = finished(begun(generation));
            assert!(generation != 0 && generation % 2 == 0);
            seen += u32::from(generation == 2);
        }
        assert_eq!(seen, 3, "32,767 updates go round");
    }
}
