//! The writer's handle.

use core::cell::Cell;
use core::marker::PhantomData;
use core::time::Duration;

use portable_atomic::Ordering::{Relaxed, Release};

use crate::config::WRITER_SLICE;
use crate::deadline::Deadline;
use crate::error::{CommitError, JoinError, LoanError, SendError};
use crate::index::WriterIndex;
use crate::layout::control::STATE_IN_USE;
use crate::layout::slots::SlotsGeometry;
use crate::loan::Loan;
use crate::os::{Claim, MemoryOf};
use crate::registry::{Claimed, clean};
use crate::segment::{Segment, SegmentHandle};
use crate::slots::Protocol;
use crate::slots::decide::{owner_field, owner_of};
use crate::slots::notify::Wait;
use crate::slots::reserve::Reserved;
use crate::typed::{Payload, fits};

/// Slots tried in ring order before slots count as scarce.
const PROBES: u32 = 8;
/// Slots this writer committed last, tried first when slots are scarce or large.
const RECENT: usize = 4;
/// From this capacity on, the hottest slot goes before ring order: large payloads in ring order leave the last-level cache.
const LARGE: u32 = 32 * 1024;
/// While slots are scarce, one slot in ring order is tried at every so manieth position, to see whether they still are.
const SCARCE_PROBE: u32 = 16;
/// So many of those in a row found free end the scarcity.
const PLENTIFUL: u32 = 8;
/// Milliseconds between two looks for dead peers by one segment's writers and readers.
const RECOVERY_INTERVAL_MS: usize = 10;

/// Which slot a reserve tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The next in ring order: where the readers' prediction looks.
    InOrder,
    /// The hottest: slots are scarce, or large.
    Hottest,
    /// The oldest, taking its sample away.
    Overwrite,
}

impl Way {
    /// The way while slots are not scarce.
    fn of(geometry: &SlotsGeometry) -> Self {
        if geometry.overwrite {
            Self::Overwrite
        } else if geometry.capacity >= LARGE {
            Self::Hottest
        } else {
            Self::InOrder
        }
    }
}

/// Publishes samples. It has one of the segment's writer entries, and its own order of samples.
///
/// `Send`, not `Sync`: one thread at a time. Several [`Loan`]s may be out at once; none outlives the writer. Dropping the writer
/// closes its stream: readers drain it and are told.
///
/// `H` is how it holds the segment: `&Segment`, or `Arc<Segment>` (feature `alloc`) for a writer that lives on its own.
pub struct Writer<H: SegmentHandle, T: ?Sized = [u8]> {
    // Let go of before the handle, which may be the last one to the mapping.
    claimed: Claimed<H::Platform, WriterIndex>,
    handle: H,
    /// The next position.
    position: Cell<u32>,
    /// The next slot in ring order.
    next: Cell<u32>,
    /// The slots of the last commits, by position.
    recent: [Cell<u32>; RECENT],
    /// Loans that are out.
    loans: Cell<u32>,
    /// Failures since the last sweep; probes in a row that found plenty.
    failures: Cell<u32>,
    plenty: Cell<u32>,
    way: Cell<Way>,
    payload: PhantomData<fn(&T)>,
}

impl<H: SegmentHandle, T: Payload + ?Sized> Writer<H, T> {
    /// Claims the first free writer entry of the segment. Does not wait.
    ///
    /// # Errors
    /// [`JoinError`]: every entry is taken by somebody alive, `T` does not fit, or the system refused.
    pub fn join(handle: H) -> Result<Self, JoinError> {
        if !fits::<T>(handle.geometry().capacity, handle.geometry().align) {
            return Err(JoinError::TypeMismatch);
        }
        let claimed = handle.claim_writer(STATE_IN_USE)?;
        let geometry = *handle.geometry();
        let head = handle.view().writer_entry(claimed.index).map_or(0, |entry| entry.head().load(Relaxed));
        let position = head.wrapping_add(geometry.ring_len);
        // Writers start far from each other, so that they do not meet at the same slots.
        let start = (u64::from(claimed.index.get()) * u64::from(geometry.slots) / u64::from(geometry.writers)) as u32;
        Ok(Self {
            handle,
            claimed,
            position: Cell::new(position),
            next: Cell::new(start),
            recent: [const { Cell::new(u32::MAX) }; RECENT],
            loans: Cell::new(0),
            failures: Cell::new(0),
            plenty: Cell::new(0),
            way: Cell::new(Way::of(&geometry)),
            payload: PhantomData,
        })
    }

    /// Loans a free slot, if there is one. Never waits and never recovers: may run in a signal or interrupt handler.
    ///
    /// # Errors
    /// [`LoanError::NoFreeSlot`], [`LoanError::Forked`].
    #[inline(always)]
    pub fn try_loan(&self) -> Result<Loan<'_, H, T>, LoanError> {
        if !self.claimed.claim.is_mine() {
            return Err(LoanError::Forked);
        }
        match self.reserve_next().or_else(|| self.reserve_slowly()) {
            Some(reserved) => Ok(self.lend(reserved)),
            None => Err(LoanError::NoFreeSlot),
        }
    }

    /// Loans a free slot; where there is none, looks once whether dead peers hold some. Never waits for the living.
    ///
    /// # Errors
    /// As [`try_loan`](Self::try_loan).
    #[inline(always)]
    pub fn loan(&self) -> Result<Loan<'_, H, T>, LoanError> {
        // Spelt out, not by way of `try_loan`: a match on its answer would move the loan through memory.
        if !self.claimed.claim.is_mine() {
            return Err(LoanError::Forked);
        }
        match self.reserve_next().or_else(|| self.reserve_slowly()).or_else(|| self.reserve_from_the_dead()) {
            Some(reserved) => Ok(self.lend(reserved)),
            None => Err(LoanError::NoFreeSlot),
        }
    }

    #[inline(always)]
    fn lend(&self, reserved: Reserved) -> Loan<'_, H, T> {
        self.loans.set(self.loans.get().wrapping_add(1));
        Loan::new(self, reserved)
    }

    /// Loans a free slot; waits for one at most `timeout` in all. Sleeps in slices of 100 ms, after each of which it looks for
    /// dead peers, so that it never waits for somebody who is gone.
    ///
    /// # Errors
    /// [`LoanError::TimedOut`], [`LoanError::Forked`].
    pub fn loan_timeout(&self, timeout: Duration) -> Result<Loan<'_, H, T>, LoanError> {
        let mut left = None;
        loop {
            match self.loan() {
                Err(LoanError::NoFreeSlot) => {}
                answer => return answer,
            }
            let deadline = left.get_or_insert_with(|| Deadline::new(self.handle.os(), timeout));
            let Some(slice) = deadline.next(WRITER_SLICE) else { return Err(LoanError::TimedOut) };
            let view = self.handle.view();
            let bit = self.claimed.index.bit();
            let wait = Wait::begin(self.protocol(), view.writer_waiters(), view.writer_generation(), bit);
            // The look after the registration: what was freed before it told nobody.
            match self.try_loan() {
                Err(LoanError::NoFreeSlot) => {}
                answer => return answer,
            }
            // Marks may lag (somebody else's sweep, or mark, is half done): nobody parks on a hint.
            if let Some(reserved) = self.reserve_by_looking_at_all() {
                return Ok(self.lend(reserved));
            }
            let woken = wait.sleep(slice);
            deadline.account(self.handle.os(), slice, woken);
        }
    }

    /// Copies `bytes` into a free slot and publishes it; the sequence number. Does not wait.
    ///
    /// # Errors
    /// [`LoanError`] from the loan; [`CommitError::SampleTooLarge`] comes as [`SendError::Commit`].
    pub fn send(&self, bytes: &T) -> Result<u32, SendError>
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        self.check_len(bytes.as_bytes().len()).map_err(SendError::Commit)?;
        let mut loan = self.loan().map_err(SendError::Loan)?;
        loan.fill(bytes.as_bytes());
        loan.commit_bytes(bytes.as_bytes().len()).map_err(SendError::Commit)
    }

    /// As [`send`](Self::send), waiting for a free slot at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`LoanError::TimedOut`].
    pub fn send_timeout(&self, bytes: &T, timeout: Duration) -> Result<u32, SendError>
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        self.check_len(bytes.as_bytes().len()).map_err(SendError::Commit)?;
        let mut loan = self.loan_timeout(timeout).map_err(SendError::Loan)?;
        loan.fill(bytes.as_bytes());
        loan.commit_bytes(bytes.as_bytes().len()).map_err(SendError::Commit)
    }

    /// A sample of `len` bytes fits a slot.
    pub(crate) fn check_len(&self, len: usize) -> Result<(), CommitError> {
        let capacity = self.handle.geometry().capacity as usize;
        if len <= capacity { Ok(()) } else { Err(CommitError::SampleTooLarge { sample: len, capacity }) }
    }

    /// Ends the stream: readers drain what was committed and are then told. The same as dropping the writer.
    pub fn close(self) {
        drop(self);
    }

    /// Its index among the segment's writers.
    pub fn index(&self) -> WriterIndex {
        self.claimed.index
    }

    /// The segment.
    pub fn segment(&self) -> &Segment<H::Platform> {
        &self.handle
    }

    /// Samples committed by this and former holders of the index, burnt positions included.
    pub fn position(&self) -> u32 {
        self.position.get().wrapping_sub(self.handle.geometry().ring_len)
    }
}

impl<H: SegmentHandle, T: ?Sized> Writer<H, T> {
    #[inline(always)]
    pub(crate) fn protocol(&self) -> Protocol<'_, MemoryOf<H::Platform>, H::Platform> {
        self.handle.protocol()
    }

    #[inline(always)]
    pub(crate) fn handle(&self) -> &H {
        &self.handle
    }

    #[inline(always)]
    pub(crate) fn is_mine(&self) -> bool {
        self.claimed.claim.is_mine()
    }

    /// Claims the slot that this writer's way tries first: one claim, everything inlined.
    #[inline(always)]
    fn reserve_next(&self) -> Option<Reserved> {
        let slot = match self.way.get() {
            Way::InOrder => self.step(),
            Way::Hottest if !self.position.get().is_multiple_of(SCARCE_PROBE) => self.recent(1),
            Way::Hottest | Way::Overwrite => return None,
        };
        self.protocol().claim(self.claimed.index, slot, 0)
    }

    /// Claims a slot by whatever way is left: further ring order, the hottest first, the free map, or overwriting.
    #[cold]
    #[inline(never)]
    fn reserve_slowly(&self) -> Option<Reserved> {
        let geometry = self.handle.geometry();
        if geometry.overwrite {
            return self.reserve_by_overwriting();
        }
        if geometry.capacity >= LARGE
            && let Some(got) = self.reserve_recent()
        {
            return Some(got);
        }
        if !self.protocol().is_scarce() {
            self.way.set(Way::of(geometry));
            let got = (0..PROBES).find_map(|_| self.probe());
            if got.is_some() {
                return got;
            }
            self.plenty.set(0);
            self.failures.set(0);
            self.protocol().become_scarce();
        }
        self.way.set(Way::Hottest);
        self.reserve_scarce()
    }

    /// Nothing is free: perhaps dead peers hold some.
    #[cold]
    #[inline(never)]
    fn reserve_from_the_dead(&self) -> Option<Reserved> {
        // An error of the system (descriptors ran out) leaves things as they are; the answer stays true.
        let found = self.handle.recovery_is_due(RECOVERY_INTERVAL_MS) && self.handle.recover().is_ok_and(|found| !found.is_empty());
        if found { self.reserve_next().or_else(|| self.reserve_slowly()) } else { None }
    }

    /// The next slot in ring order; goes on.
    #[inline(always)]
    fn step(&self) -> u32 {
        let slot = self.next.get();
        let following = slot + 1;
        self.next.set(if following >= self.handle.geometry().slots { 0 } else { following });
        slot
    }

    /// The slot of the last commit but `back`; no slot's index where there was none.
    #[inline(always)]
    fn recent(&self, back: u32) -> u32 {
        self.recent[self.position.get().wrapping_sub(1 + back) as usize % RECENT].get()
    }

    /// Tries the next slot in ring order.
    fn probe(&self) -> Option<Reserved> {
        self.protocol().claim(self.claimed.index, self.step(), 0)
    }

    /// Tries the slots this writer committed last, the last but one first: the last is most likely still being read.
    fn reserve_recent(&self) -> Option<Reserved> {
        [1, 2, 3, 0].into_iter().find_map(|back| self.protocol().claim(self.claimed.index, self.recent(back), 0))
    }

    /// Slots are scarce: the hottest, then what the map shows; now and then one in ring order, to see whether they still are.
    fn reserve_scarce(&self) -> Option<Reserved> {
        let protocol = self.protocol();
        if self.position.get().is_multiple_of(SCARCE_PROBE) {
            let got = self.probe();
            let plenty = if got.is_some() { self.plenty.get() + 1 } else { 0 };
            self.plenty.set(plenty);
            if plenty >= PLENTIFUL {
                protocol.become_plentiful();
                self.plenty.set(0);
            }
            if got.is_some() {
                return got;
            }
        }
        if let Some(got) = self.reserve_recent().or_else(|| self.reserve_marked()) {
            self.failures.set(0);
            return Some(got);
        }
        // A mark is lost only with its maker; the sweep that finds it again gets rarer the longer nothing is found.
        let failures = self.failures.get().wrapping_add(1);
        self.failures.set(failures);
        if failures.is_power_of_two() || failures.is_multiple_of(1024) {
            protocol.mark_all_free();
            return self.reserve_marked();
        }
        None
    }

    /// Takes marked slots out of the map until one can be claimed; at most as many as there are slots.
    fn reserve_marked(&self) -> Option<Reserved> {
        let protocol = self.protocol();
        for _ in 0..protocol.view.geometry().slots {
            let slot = protocol.pop_marked()?;
            let got = protocol.claim(self.claimed.index, slot, 0);
            if got.is_some() {
                return got;
            }
        }
        None
    }

    /// Looks at every slot: O(slots), before this writer parks.
    #[cold]
    fn reserve_by_looking_at_all(&self) -> Option<Reserved> {
        if self.handle.geometry().overwrite {
            return None;
        }
        (0..self.handle.geometry().slots).find_map(|slot| self.protocol().claim(self.claimed.index, slot, 0))
    }

    /// Takes the oldest sample in ring order away that nobody is inside of.
    fn reserve_by_overwriting(&self) -> Option<Reserved> {
        let protocol = self.protocol();
        let slots = protocol.view.geometry().slots;
        for _ in 0..slots {
            let got = protocol.claim_and_evict(self.claimed.index, self.step());
            if got.is_some() {
                return got;
            }
        }
        None
    }

    /// Publishes a loan; `quiet` leaves telling others to the caller.
    #[inline(always)]
    pub(crate) fn commit_slot(&self, loan: Reserved, size: u32, quiet: bool) -> Result<u32, CommitError> {
        self.loans.set(self.loans.get().wrapping_sub(1));
        if !self.is_mine() {
            return Err(CommitError::Forked);
        }
        let position = self.position.get();
        self.protocol().commit(self.claimed.index, loan, position, size, false, quiet).map_err(|_| CommitError::StaleHandle)?;
        self.position.set(position.wrapping_add(1));
        self.recent[position as usize % RECENT].set(loan.slot());
        Ok(position.wrapping_sub(self.handle.geometry().ring_len))
    }

    /// Gives a loan back without a sample.
    #[cold]
    #[inline(never)]
    pub(crate) fn discard_slot(&self, loan: Reserved) {
        self.loans.set(self.loans.get().wrapping_sub(1));
        if self.is_mine() {
            // Stale: the slot is not ours any more, there is nothing to give back.
            let _ = self.protocol().discard(self.claimed.index, loan.slot(), loan.state());
        }
    }

    /// Takes back loans that were forgotten (`mem::forget`): O(slots).
    #[cold]
    fn take_back_forgotten(&self) {
        let owner = owner_field(self.claimed.index.get());
        for slot in self.handle.view().slots() {
            // ORDERING: Relaxed; our own slots, which nobody else gives up while we live.
            let state = slot.state().load(Relaxed);
            if owner_of(state) == owner {
                let _ = self.protocol().discard(self.claimed.index, slot.index(), state);
            }
        }
    }
}

impl<H: SegmentHandle, T: ?Sized> Drop for Writer<H, T> {
    fn drop(&mut self) {
        if !self.is_mine() {
            return;
        }
        let view = self.handle.view();
        let Some(entry) = view.writer_entry(self.claimed.index) else { return };
        // ORDERING: Relaxed; only a declaration of death changes the state of an entry that is held.
        if entry.state().load(Relaxed) != self.claimed.state {
            // Declared dead, and the entry is another's by now.
            return;
        }
        if self.loans.get() != 0 {
            self.take_back_forgotten();
        }
        if self.way.get() == Way::Hottest && self.protocol().is_scarce() {
            // Nobody else may ever look whether slots still are scarce; whoever finds them so says it again.
            self.protocol().become_plentiful();
        }
        // ORDERING: Release, edge "close"; pairs with the Acquire of an empty take. Carries the last commit.
        view.closed().fetch_or(self.claimed.index.bit(), Release);
        self.protocol().notify_all();
        // ORDERING: Release, last: a death before this is recovered.
        entry.state().store(clean(self.claimed.state), Release);
    }
}
