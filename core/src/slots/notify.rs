//! Who is told of what, and when nobody is: no waiter, no system call.
//!
//! A waiter sets its bit, makes a heavy fence, looks at its condition again and sleeps on a generation it loaded before all that.
//! A notifier changes something, makes a fence (a light one where it is a commit or a release), looks at the waiters, bumps the generation
//! and wakes. One of the two fences comes first, so either the waiter sees the change or the notifier sees the bit; and if the bump comes between the waiter's look
//! and its sleep, the sleep does not begin. Bits are cleared by their owners (or their recoverers) only.
//!
//! | told | when | how |
//! |---|---|---|
//! | readers | commit, by bit: the audience; recovery, eviction, close: all | wake by bitset on the reader generation |
//! | writers | a slot became free, or may have | wake all on the writer generation: a wake for one is lost with it if it dies |
//! | change waiters | whatever publishes or frees | wake all on the change generation |

use core::time::Duration;

use portable_atomic::Ordering::Relaxed;

use super::Protocol;
use crate::memory::MemoryCas;
use crate::os::{Os, Woken};
use crate::region::Word;

/// How long a wait lasts whose heavy fence the system refused.
pub(crate) const UNCOVERED_SLICE: Duration = Duration::from_millis(1);

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Wakes the waiting readers among `mask`. The caller has made a full fence since its change.
    #[inline]
    pub(crate) fn wake_readers(self, mask: u32) {
        // ORDERING: Relaxed; the caller's fence is the one of the edge "notify".
        let waiting = self.view.reader_waiters().load(Relaxed) & mask;
        if waiting != 0 {
            self.bump(self.view.reader_generation(), waiting);
        }
    }

    /// Wakes every waiting writer. The caller has made a full fence since its change.
    #[inline]
    pub(crate) fn wake_writers(self) {
        // ORDERING: Relaxed; the caller's fence is the one of the edge "notify".
        if self.view.writer_waiters().load(Relaxed) != 0 {
            self.bump(self.view.writer_generation(), u32::MAX);
        }
    }

    /// Wakes whoever waits for any change. The caller has made a full fence since its change, and has moved a counter before that.
    #[inline]
    pub(crate) fn wake_change(self) {
        // ORDERING: Relaxed; the caller's fence is the one of the edge "notify".
        if self.view.change_waiters().load(Relaxed) != 0 {
            self.bump(self.view.change_generation(), u32::MAX);
        }
    }

    /// A full fence, then everybody is told: for rare changes that may concern all.
    #[cold]
    pub(crate) fn notify_all(self) {
        self.view.memory().fence_full();
        self.wake_readers(u32::MAX);
        self.wake_writers();
        self.wake_change();
    }

    #[cold]
    fn bump(self, generation: Word<'_, M>, mask: u32) {
        // ORDERING: Relaxed; the caller's fence before it is the release side of edge "notify": who loads the bump, and has an Acquire or
        // a full fence behind that load, sees the change.
        generation.fetch_add(1, Relaxed);
        self.os.wake(generation.futex(), mask);
    }
}

/// A registered wait on one of the three generations. Dropping it clears the bit.
pub(crate) struct Wait<'s, M: MemoryCas, O: Os> {
    protocol: Protocol<'s, M, O>,
    waiters: Word<'s, M>,
    generation: Word<'s, M>,
    bit: u32,
    seen: u32,
    covered: bool,
}

impl<'s, M: MemoryCas, O: Os> Wait<'s, M, O> {
    /// Loads the generation, registers `bit`, fences. The caller looks at its condition again before [`sleep`](Self::sleep).
    pub(crate) fn begin(protocol: Protocol<'s, M, O>, waiters: Word<'s, M>, generation: Word<'s, M>, bit: u32) -> Self {
        // ORDERING: Relaxed; the fence below is the acquire side of edge "notify", the notifier's fence before its bump the release side:
        // having seen a bump, the look sees its change.
        let seen = generation.load(Relaxed);
        // ORDERING: Relaxed; the fence orders it before the caller's look.
        waiters.fetch_or(bit, Relaxed);
        // Heavy fence, edge "notify": the bit is visible before the condition is looked at, and a change whose bump was seen is, too.
        let covered = protocol.view.fence_heavy(protocol.os);
        Self { protocol, waiters, generation, bit, seen, covered }
    }

    /// How long to sleep where `slice` is the longest. Where the heavy fence was refused a notifier may have missed the bit: then for a
    /// moment only.
    pub(crate) fn at_most(&self, slice: Duration) -> Duration {
        if self.covered { slice } else { slice.min(UNCOVERED_SLICE) }
    }

    /// Sleeps until a notifier bumps the generation, at most `slice`, which is [`at_most`](Self::at_most) what it should be.
    pub(crate) fn sleep(self, slice: Duration) -> Woken {
        self.protocol.os.wait(self.generation.futex(), self.seen, self.bit, slice)
    }
}

impl<M: MemoryCas, O: Os> Drop for Wait<'_, M, O> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; a notifier that still sees the bit wakes nobody.
        self.waiters.fetch_and(!self.bit, Relaxed);
    }
}
