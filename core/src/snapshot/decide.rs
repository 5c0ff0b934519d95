//! The decisions of the snapshot protocol over plain values; nothing here touches memory.

/// Low word of a generation that is none: the buffer is being written, or never was.
pub(super) const BUSY: u32 = 0;

/// A generation of its two words.
#[inline(always)]
pub(super) const fn join(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// The low word of a generation.
#[inline(always)]
pub(super) const fn low(generation: u64) -> u32 {
    generation as u32
}

/// The high word of a generation.
#[inline(always)]
pub(super) const fn high(generation: u64) -> u32 {
    (generation >> 32) as u32
}

/// The generation after `generation` (0: nothing yet) with `buffers` buffers: its low word is never BUSY, its buffer is the next one.
#[inline(always)]
pub(super) const fn next(generation: u64, buffers: u32) -> u64 {
    let after = generation.wrapping_add(1);
    if low(after) == BUSY { after | buffers as u64 } else { after }
}

/// What a reader makes of a buffer's low word that is not the one it came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The writer has moved on: look for the newer value.
    Overtaken,
    /// `latest` stands where it stood. Met twice in a row it is damage; once, it may be a whole lap of the low word.
    Contradiction,
    /// No writer leaves this behind.
    Damaged,
}

/// The buffer of `was` holds low word `found`, and `latest` now is `now`.
pub(super) const fn mismatch(was: u64, found: u32, now: u64, buffers: u32) -> Mismatch {
    let another_buffers = found != BUSY && (found ^ low(was)) & (buffers - 1) != 0;
    if another_buffers {
        Mismatch::Damaged
    } else if was == now {
        Mismatch::Contradiction
    } else {
        Mismatch::Overtaken
    }
}

/// Where the next writer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resumption {
    /// The last generation that counts as published (0: none).
    pub latest: u64,
    /// `latest` does not say so yet: announce it.
    pub announce: bool,
    /// The words contradicted each other, and a generation that nobody has seen was made up.
    pub damaged: bool,
}

/// Decides from the words a writer left: `latest`, the generation in the buffer of `latest`, and the one in the buffer after it.
pub(super) const fn resume(latest: u64, own: u64, after: u64, buffers: u32) -> Resumption {
    // A `latest.high` ahead of the buffer's is a death between W6 and W7, which only the lap of the low word can leave.
    let split = low(latest) == u32::MAX && own == latest.wrapping_sub(1 << 32);
    if own != latest && !split {
        // The next high word, the same place in the row of buffers: a generation that no reader holds.
        let made_up = join(high(latest).wrapping_add(1), buffers | (low(latest) & (buffers - 1)));
        return Resumption { latest: made_up, announce: false, damaged: true };
    }
    let latest_true = if split { own } else { latest };
    let next = next(latest_true, buffers);
    if after == next {
        return Resumption { latest: next, announce: true, damaged: false };
    }
    Resumption { latest: latest_true, announce: split, damaged: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_word_wraps_to_k_and_keeps_the_row_of_buffers() {
        for buffers in [2, 4, 64] {
            assert_eq!(next(0, buffers), 1);
            assert_eq!(next(join(0, u32::MAX), buffers), join(1, buffers));
            let mut generation = join(7, u32::MAX - 200);
            for _ in 0..400 {
                let after = next(generation, buffers);
                assert!(after > generation && low(after) != BUSY);
                assert_eq!(low(after) & (buffers - 1), low(generation).wrapping_add(1) & (buffers - 1));
                generation = after;
            }
            assert_eq!(high(generation), 8);
            assert_eq!(next(u64::MAX, buffers), u64::from(buffers));
        }
    }

    #[test]
    fn a_writer_goes_on_where_the_last_one_stopped() {
        let goes_on = |latest, announce| Resumption { latest, announce, damaged: false };
        assert_eq!(resume(0, 0, 0, 2), goes_on(0, false));
        assert_eq!(resume(0, 0, 1, 2), goes_on(1, true));
        assert_eq!(resume(5, 5, 4, 2), goes_on(5, false));
        assert_eq!(resume(5, 5, 6, 2), goes_on(6, true));
        assert_eq!(resume(5, 5, 0, 2), goes_on(5, false));
    }

    #[test]
    fn a_death_between_the_two_words_of_latest_is_mended() {
        let (old, new) = (join(0, u32::MAX), join(1, 4));
        // latest.high is new, latest.low is old; the buffer of `old` still holds it, the next one is complete.
        assert_eq!(resume(join(1, u32::MAX), old, new, 4), Resumption { latest: new, announce: true, damaged: false });
    }

    #[test]
    fn damage_is_told_and_left_behind_on_an_unused_generation() {
        for (latest, own) in [(5, 3), (5, 0), (0, 8), (join(1, 0), 0), (join(3, 9), join(2, 9))] {
            let made_up = resume(latest, own, 0, 2);
            assert!(made_up.damaged && !made_up.announce, "{latest} {own}");
            assert_eq!(high(made_up.latest), high(latest) + 1);
            assert_eq!(low(made_up.latest) & 1, low(latest) & 1);
            assert_ne!(low(made_up.latest), BUSY);
        }
    }

    #[test]
    fn a_buffer_that_stays_behind_or_holds_anothers_generation_is_damage() {
        assert_eq!(mismatch(4, BUSY, 5, 2), Mismatch::Overtaken);
        assert_eq!(mismatch(4, 6, 6, 2), Mismatch::Overtaken);
        assert_eq!(mismatch(4, BUSY, 4, 2), Mismatch::Contradiction);
        assert_eq!(mismatch(4, 6, 4, 2), Mismatch::Contradiction);
        assert_eq!(mismatch(4, 5, 6, 2), Mismatch::Damaged);
    }
}
