//! The writer's handle.

mod way;

use core::cell::Cell;
use core::marker::PhantomData;
use core::time::Duration;

use portable_atomic::Ordering::{Relaxed, Release};

use crate::config::WRITER_SLICE;
use crate::deadline::Deadline;
use crate::error::{CommitError, JoinError, LoanError, SendError};
use crate::index::WriterIndex;
use crate::layout::control::STATE_IN_USE;
use crate::loan::Loan;
use crate::os::{Claim, MemoryOf};
use crate::registry::{Claimed, clean};
use crate::segment::{Segment, SegmentHandle};
use crate::slots::Protocol;
use crate::slots::decide::{owner_field, owner_of};
use crate::slots::notify::Wait;
use crate::slots::reserve::Reserved;
use crate::typed::{Payload, fits};
use way::{RECENT, Way, window};

/// Publishes samples. It has one of the segment's writer entries, and its own order of samples.
///
/// `Send`, not `Sync`: one thread at a time. Several [`Loan`]s may be out at once; none outlives the writer. Dropping the writer
/// closes its stream: readers drain it and are told.
///
/// `H` is how it holds the segment: `&Segment`, or `Arc<Segment>` (feature `alloc`) for a writer that lives on its own.
///
/// ```
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let reader = segment.reader()?;
/// let writer = segment.writer()?;
/// let mut first = writer.loan()?;
/// let second = writer.try_loan()?; // several may be out
/// first[..3].copy_from_slice(b"one");
/// assert_eq!(first.commit_len(3)?, 0);
/// drop(second); // discarded: nothing is published
/// assert_eq!(writer.send(b"two")?, 1);
/// assert_eq!(writer.position(), 2);
/// for expected in [b"one", b"two"] {
///     assert_eq!(&*reader.take()?.expect("committed"), expected);
/// }
/// assert!(reader.take()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<H: SegmentHandle, T: ?Sized = [u8]> {
    // Let go of before the handle, which may be the last one to the mapping.
    claimed: Claimed<H::Platform, WriterIndex>,
    handle: H,
    /// The next position.
    position: Cell<u32>,
    /// The next slot in ring order.
    next: Cell<u32>,
    /// The window that ring order goes round in while readers keep up: its first slot, and how many there are.
    first: u32,
    window: u32,
    /// Steps until it goes back to the first.
    left: Cell<u32>,
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
    /// Claims the first free writer entry of the segment. Where every entry seems taken it looks again a few times, a millisecond apart:
    /// one may be being put right just now.
    ///
    /// # Errors
    /// [`JoinError`]: every entry is taken by somebody alive, `T` does not fit, or the system refused.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use seqslot_core::{Reader, Writer};
    /// use std::sync::Arc;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let segment = Arc::new(segment);
    /// let reader: Reader<_> = Reader::join(Arc::clone(&segment))?;
    /// let writer: Writer<_> = Writer::join(segment)?; // lives on its own: may go to a thread
    /// let sent = std::thread::spawn(move || writer.send(b"from a thread"));
    /// assert_eq!(sent.join().expect("no panic")?, 0);
    /// assert_eq!(reader.take()?.as_deref(), Some(&b"from a thread"[..]));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(handle: H) -> Result<Self, JoinError> {
        if !fits::<T>(handle.geometry().capacity, handle.geometry().align) {
            return Err(JoinError::TypeMismatch);
        }
        let claimed = handle.claim_writer(STATE_IN_USE)?;
        let geometry = *handle.geometry();
        let head = handle.view().writer_entry(claimed.index).map_or(0, |entry| entry.head().load(Relaxed));
        let position = head.wrapping_add(geometry.ring_len);
        // Writers start far from each other, so that they do not meet at the same slots.
        // Below 2^29: there are at most 2^24 slots.
        let start = claimed.index.get() * geometry.slots / geometry.writers;
        Ok(Self {
            handle,
            claimed,
            position: Cell::new(position),
            next: Cell::new(start),
            first: start,
            window: window(&geometry),
            left: Cell::new(window(&geometry)),
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
    ///
    /// ```
    /// use seqslot_core::LoanError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let writer = segment.writer()?;
    /// let loans = writer.loan_batch::<4>()?; // all there are
    /// assert_eq!(writer.try_loan().err(), Some(LoanError::NoFreeSlot));
    /// drop(loans);
    /// assert!(writer.try_loan().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use core::time::Duration;
    /// use seqslot_core::LoanError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let writer = segment.writer()?;
    /// for _ in 0..4 {
    ///     writer.send(b"unread")?;
    /// }
    /// assert_eq!(writer.loan_timeout(Duration::from_millis(1)).err(), Some(LoanError::TimedOut));
    /// drop(reader.take()?); // read: its slot is free
    /// writer.loan_timeout(Duration::from_millis(1))?.commit_len(0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
            let slice = wait.at_most(slice);
            let woken = wait.sleep(slice);
            deadline.account(self.handle.os(), slice, woken);
        }
    }

    /// Copies `bytes` into a free slot and publishes it; the sequence number. Does not wait.
    ///
    /// # Errors
    /// [`LoanError`] from the loan; [`CommitError::SampleTooLarge`] comes as [`SendError::Commit`].
    ///
    /// ```
    /// use seqslot_core::{CommitError, SendError};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let writer = segment.writer()?;
    /// assert_eq!(writer.send(b"hello")?, 0);
    /// assert_eq!(reader.take()?.as_deref(), Some(&b"hello"[..]));
    /// let too_large = CommitError::SampleTooLarge { sample: 65, capacity: 64 };
    /// assert_eq!(writer.send(&[0; 65]), Err(SendError::Commit(too_large)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use core::time::Duration;
    /// use seqslot_core::{LoanError, SendError};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let writer = segment.writer()?;
    /// for sequence in 0..4 {
    ///     assert_eq!(writer.send_timeout(b"unread", Duration::from_millis(1))?, sequence);
    /// }
    /// assert_eq!(writer.send_timeout(b"one more", Duration::from_millis(1)), Err(SendError::Loan(LoanError::TimedOut)));
    /// # drop(reader);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use seqslot_core::TakeError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let writer = segment.writer()?;
    /// writer.send(b"last")?;
    /// writer.close();
    /// assert_eq!(reader.take()?.as_deref(), Some(&b"last"[..]));
    /// assert_eq!(reader.take().err(), Some(TakeError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Publishes a loan; `quiet` leaves telling others to the caller.
    #[inline(always)]
    pub(crate) fn commit_slot(&self, loan: Reserved, size: u32, quiet: bool) -> Result<u32, CommitError> {
        self.loans.set(self.loans.get().wrapping_sub(1));
        if !self.is_mine() {
            return Err(CommitError::Forked);
        }
        let position = self.position.get();
        self.protocol().commit(self.claimed.index, loan, position, size, false, quiet, self.ahead()).map_err(|_| CommitError::StaleHandle)?;
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
