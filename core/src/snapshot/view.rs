//! The protocol's steps over the words of a segment. Everything that touches shared memory for a snapshot is here.

use portable_atomic::Ordering;

use super::SNAPSHOT_TRIES_MAX;
use super::decide::{BUSY, Mismatch, high, join, low, mismatch, next, resume};
use crate::error::{CreateError, HeadError, PublishError, SnapshotError};
use crate::layout::LINE;
use crate::layout::control::{CLOSED_AT, ENTRY_LOCK};
use crate::layout::head::{HEAD_LEN, Head, READY_AT};
use crate::layout::snapshot::{
    BUFFER_HIGH, BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT, SNAPSHOT_CONTROL_END, SNAPSHOT_WRITER_AT, SnapshotGeometry, SnapshotShape,
};
use crate::memory::{Memory, Raw};
use crate::os::Mapping;
use crate::region::{Region, Word};

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SnapshotRead {
    /// Still the generation that the reader has; nothing was copied.
    Unchanged,
    /// This generation was copied.
    Fresh(u64),
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// The writer has moved on.
    Overtaken,
    /// The buffer is not what `latest` says, and `latest` has not moved.
    Contradiction,
    /// Trying again will not help.
    Final(SnapshotError),
}

/// Where a writer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SnapshotResume {
    /// The last published generation; 0 if there is none.
    pub latest: u64,
    /// A value of the writer before was complete and not announced; it is now.
    pub announced: bool,
    /// The control words contradicted each other; the next publication mends them.
    pub damaged: bool,
}

/// A snapshot segment in some memory, by whatever means it got there: the layer below the handles, for those who bring their own.
///
/// It claims nothing and wakes nobody. [`Publisher`](super::Publisher) and [`Observer`](super::Observer) wrap it over a
/// [`Region`](crate::Region), [`SnapshotWriter`](super::SnapshotWriter) and [`SnapshotReader`](super::SnapshotReader) over an [`Os`](crate::Os).
///
/// ```
/// use seqslot_core::{SnapshotRead, SnapshotView, layout::snapshot::SnapshotShape};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// let shape = SnapshotShape { buffers: 2, capacity: 4, align: 16, flags: 0 };
/// // SAFETY: 1. the bank lives for ever and is writable. 2. nobody else uses it yet.
/// let view = unsafe { SnapshotView::format(region.raw(), shape, [0; 16], [0; 16]) }?;
/// let generation = view.publish(view.resume().latest, b"abcd")?;
/// let mut copy = [0; 4];
/// assert_eq!((view.read(0, &mut copy)?, &copy), (SnapshotRead::Fresh(generation), b"abcd"));
/// assert_eq!(view.read(generation, &mut copy)?, SnapshotRead::Unchanged);
///
/// // SAFETY: 1. and 3. as above. 2. the bank is aligned to 64.
/// let (other, head) = unsafe { SnapshotView::attach(region.raw()) }?;
/// assert_eq!((other.latest(), head.count), (generation, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SnapshotView<M> {
    memory: M,
    geometry: SnapshotGeometry,
}

impl<M: Memory> SnapshotView<M> {
    /// Lays a new, empty segment out in `memory`, whose control words it zeroes first.
    ///
    /// # Errors
    /// [`CreateError`]: a shape that cannot be, or memory too short for it.
    ///
    /// # Safety
    ///
    /// 1. `memory` is mapped, writable, as long as the view and its clones are used. 2. Nobody else uses the memory yet.
    pub unsafe fn format(memory: M, shape: SnapshotShape, type_hash: [u8; 16], instance: [u8; 16]) -> Result<Self, CreateError> {
        // SAFETY: the caller's duties are those of `prepare`.
        let view = unsafe { Self::prepare(memory, shape) }?;
        view.word(READY_AT).store(0, Ordering::Relaxed);
        for at in (HEAD_LEN..SNAPSHOT_CONTROL_END).step_by(4) {
            view.word(at).store(0, Ordering::Relaxed);
        }
        for buffer in 0..view.geometry.buffers {
            let at = view.geometry.buffer_at(buffer);
            view.word(at + BUFFER_HIGH).store(0, Ordering::Relaxed);
            view.word(at + BUFFER_LOW).store(BUSY, Ordering::Relaxed);
        }
        view.finish(type_hash, instance);
        Ok(view)
    }

    /// A view of memory that is all zero, before it has a head: [`finish`](Self::finish) writes it.
    ///
    /// # Safety
    /// As for [`format`](Self::format).
    pub(super) unsafe fn prepare(memory: M, shape: SnapshotShape) -> Result<Self, CreateError> {
        let geometry = SnapshotGeometry::new(shape)?;
        if memory.len() < geometry.total_len {
            return Err(CreateError::RegionTooShort { len: memory.len() as u64, needed: geometry.total_len as u64 });
        }
        Ok(Self { memory, geometry })
    }

    /// Writes the head and its ready word: from here on others may attach.
    pub(super) fn finish(&self, type_hash: [u8; 16], instance: [u8; 16]) {
        // `prepare` has checked the length, which is all that writing a head may complain about.
        let written = self.geometry.head(type_hash, instance).write(&self.memory);
        debug_assert!(written.is_ok());
    }

    /// A view of an existing segment, and its head.
    ///
    /// # Errors
    /// [`HeadError`]: what is wrong with the bytes.
    ///
    /// # Safety
    ///
    /// 1. `memory` is mapped as long as the view and its clones are used. 2. It starts at a multiple of 64.
    /// 3. It is mapped writable, if [`resume`](Self::resume) or [`publish`](Self::publish) is called.
    pub unsafe fn attach(memory: M) -> Result<(Self, Head), HeadError> {
        let head = Head::read(&memory)?;
        let geometry = SnapshotGeometry::from_head(&head, memory.len())?;
        Ok((Self { memory, geometry }, head))
    }

    /// Where everything is.
    #[must_use]
    pub fn geometry(&self) -> &SnapshotGeometry {
        &self.geometry
    }

    /// The newest generation, 0 if there is none. It may be published and overtaken at any moment.
    #[inline(always)]
    #[must_use]
    pub fn latest(&self) -> u64 {
        let low = self.word(LATEST_LOW_AT).load(Ordering::Relaxed);
        // ORDERING: Acquire fence after a Relaxed load, edge "latest"; pairs with W7 in `announce`. Carries the buffer of that
        // generation and `latest.high`.
        self.memory.fence(Ordering::Acquire);
        // ORDERING: Relaxed; the fence above orders it behind the low word, so it is that generation's or a newer one.
        join(self.word(LATEST_HIGH_AT).load(Ordering::Relaxed), low)
    }

    /// Copies the newest value into `into`, unless it is generation `seen` (0: the reader has none). What `into` holds after an
    /// error is unspecified.
    ///
    /// Never waits; tries at most [`SNAPSHOT_TRIES_MAX`] times. Loads only: the memory may be mapped read-only.
    ///
    /// # Errors
    /// [`SnapshotError`]: nothing published yet, overtaken on every try, damaged, or `into` is not as long as a value.
    #[inline(always)]
    pub fn read(&self, seen: u64, into: &mut [u8]) -> Result<SnapshotRead, SnapshotError> {
        let latest = self.latest();
        if latest == seen && seen != 0 {
            return Ok(SnapshotRead::Unchanged);
        }
        if into.len() != self.geometry.capacity as usize {
            return Err(SnapshotError::TypeMismatch);
        }
        if seen != 0 {
            self.expect_after(seen);
        }
        match self.attempt(latest, seen, into) {
            Ok(answer) => Ok(answer),
            Err(failure) => self.read_again(failure, seen, into),
        }
    }

    /// Asks for the first two lines of the buffer after generation `seen`, and of the other one where there are two.
    ///
    /// It depends on nothing that `latest` says. So a processor that expects `latest` to have moved brings these lines while it waits for
    /// that of `latest`, not after it; and whoever finds `latest` unmoved has not asked for them.
    #[inline(always)]
    fn expect_after(&self, seen: u64) {
        let second = LINE.min(self.geometry.stride as usize - LINE);
        let ahead = if self.geometry.buffers == 2 { 2 } else { 1 };
        for after in 1..=ahead {
            let at = self.geometry.buffer_at(low(seen).wrapping_add(after));
            self.memory.prefetch(at, false);
            self.memory.prefetch(at + second, false);
        }
    }

    /// What follows a try that failed: the tries after the first.
    #[cold]
    fn read_again(&self, first: Failure, seen: u64, into: &mut [u8]) -> Result<SnapshotRead, SnapshotError> {
        let mut last = first;
        for _ in 1..SNAPSHOT_TRIES_MAX {
            if let Failure::Final(error) = last {
                return Err(error);
            }
            core::hint::spin_loop();
            let failure = match self.attempt(self.latest(), seen, into) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if last == Failure::Contradiction && failure == Failure::Contradiction {
                return Err(SnapshotError::Damaged);
            }
            last = failure;
        }
        Err(match last {
            Failure::Final(error) => error,
            _ => SnapshotError::Contended { tries: SNAPSHOT_TRIES_MAX },
        })
    }

    /// One try, steps R2 to R5. The caller has checked the length of `into`.
    #[inline(always)]
    fn attempt(&self, latest: u64, seen: u64, into: &mut [u8]) -> Result<SnapshotRead, Failure> {
        if low(latest) == BUSY {
            return Err(Failure::Final(if latest == 0 { SnapshotError::Empty } else { SnapshotError::Damaged }));
        }
        let at = self.geometry.buffer_at(low(latest));
        let found = self.word(at + BUFFER_LOW).load(Ordering::Relaxed);
        let lap = self.word(at + BUFFER_HIGH).load(Ordering::Relaxed);
        // ORDERING: Acquire fence after Relaxed loads, edges "recycle" and "lap"; pairs with W1, W4 and W5 in `publish`. Carries the newer
        // `latest`, if the buffer is BUSY or newer, and the data, if only the high word is newer. (Else it came with `latest`.)
        self.memory.fence(Ordering::Acquire);
        if found != low(latest) {
            return Err(match mismatch(latest, found, self.latest(), self.geometry.buffers) {
                Mismatch::Damaged => Failure::Final(SnapshotError::Damaged),
                Mismatch::Contradiction => Failure::Contradiction,
                Mismatch::Overtaken => Failure::Overtaken,
            });
        }
        let generation = join(lap, found);
        if generation == seen {
            return Ok(SnapshotRead::Unchanged);
        }
        // SAFETY: 1. buffers start at multiples of 64 and the payload offset is one of 16. 2. `into` is as long as a value, which
        // the geometry has found inside the memory with the last word filled up. 3. by `prepare` or `attach`.
        unsafe { self.memory.copy_out(at + self.geometry.payload_offset as usize, into) };
        // ORDERING: Acquire fence after the Relaxed copy, edge "torn"; pairs with the Release fence W2 in `publish`: whoever copied a
        // byte of a newer value sees BUSY or a newer generation below.
        self.memory.fence(Ordering::Acquire);
        if self.word(at + BUFFER_LOW).load(Ordering::Relaxed) != found {
            return Err(Failure::Overtaken);
        }
        // ORDERING: Acquire fence after a Relaxed load, edge "lap"; pairs with W5 in `publish`. Should the low word have gone
        // all the way round, the high word below is a newer one.
        self.memory.fence(Ordering::Acquire);
        if self.word(at + BUFFER_HIGH).load(Ordering::Relaxed) != lap {
            return Err(Failure::Overtaken);
        }
        Ok(SnapshotRead::Fresh(generation))
    }

    /// Finds where the writer before stopped, and finishes what it had only to announce. Called by a new writer, once.
    #[must_use]
    pub fn resume(&self) -> SnapshotResume {
        // ORDERING: Relaxed; only the one writer stores to these words, and the writer before is gone: whoever let this one in
        // (a lock of the system, the start of a program) orders its stores before.
        let latest = join(self.word(LATEST_HIGH_AT).load(Ordering::Relaxed), self.word(LATEST_LOW_AT).load(Ordering::Relaxed));
        let own = self.generation_in(low(latest));
        let after = self.generation_in(low(latest).wrapping_add(1));
        let found = resume(latest, own, after, self.geometry.buffers);
        if found.announce {
            self.announce(found.latest);
        }
        SnapshotResume { latest: found.latest, announced: found.announce, damaged: found.damaged }
    }

    /// Publishes `value` as the generation after `latest`, and returns that generation: the `latest` of the next call. Never waits.
    ///
    /// Only the one writer of the segment calls this, with what [`resume`](Self::resume) or its own last call gave: two
    /// writers at once mix their values up (they corrupt no memory).
    ///
    /// # Errors
    /// [`PublishError::SizeMismatch`] if `value` is not as long as the segment's values.
    #[inline(always)]
    pub fn publish(&self, latest: u64, value: &[u8]) -> Result<u64, PublishError> {
        if value.len() != self.geometry.capacity as usize {
            return Err(PublishError::SizeMismatch { len: value.len(), expected: self.geometry.capacity });
        }
        let generation = next(latest, self.geometry.buffers);
        let at = self.geometry.buffer_at(low(generation));
        // ORDERING: Release, W1, edge "recycle"; pairs with the fence after the buffer's words in `attempt`. Carries the `latest` that
        // stands above this buffer's old generation.
        self.word(at + BUFFER_LOW).store(BUSY, Ordering::Release);
        // ORDERING: Release fence, W2, edge "torn"; pairs with the Acquire fence after the copy in `attempt`. Keeps the data behind BUSY.
        self.memory.fence(Ordering::Release);
        // SAFETY: 1. and 2. as in `attempt`, with the length checked above. 3. and 4. by `prepare` or `attach`.
        unsafe { self.memory.copy_in(at + self.geometry.payload_offset as usize, value) };
        // ORDERING: Release, W4, edge "lap"; pairs with the fence after the buffer's words in `attempt`. Carries the data.
        self.word(at + BUFFER_HIGH).store(high(generation), Ordering::Release);
        // ORDERING: Release, W5, edges "recycle" and "lap"; pairs with the fences after the buffer's low word in `attempt`. Carries the
        // `latest` above the buffer's old generation, and the buffer's high word.
        self.word(at + BUFFER_LOW).store(low(generation), Ordering::Release);
        self.announce(generation);
        Ok(generation)
    }

    /// W6 and W7.
    #[inline(always)]
    fn announce(&self, generation: u64) {
        // ORDERING: Release, W6, edge "lap"; pairs with the fence after the buffer's words in `attempt`: a reader that paused for a whole
        // lap, so that only this word has moved, finds the buffer's new generation when it tries again.
        self.word(LATEST_HIGH_AT).store(high(generation), Ordering::Release);
        // ORDERING: Release, W7, edge "latest"; pairs with the fence in `latest`. Carries the buffer and the high word.
        self.word(LATEST_LOW_AT).store(low(generation), Ordering::Release);
    }

    /// The generation in the buffer that `low` goes to.
    fn generation_in(&self, low: u32) -> u64 {
        let at = self.geometry.buffer_at(low);
        // ORDERING: Relaxed, as in `resume`.
        join(self.word(at + BUFFER_HIGH).load(Ordering::Relaxed), self.word(at + BUFFER_LOW).load(Ordering::Relaxed))
    }

    /// A word of the writer's entry.
    pub(super) fn entry(&self, field: usize) -> Word<'_, M> {
        self.word(SNAPSHOT_WRITER_AT + field)
    }

    /// The word set aside for the writer's lock.
    pub(super) fn writer_lock(&self) -> Word<'_, M> {
        self.entry(ENTRY_LOCK)
    }

    /// A word of the owner's entry.
    pub(super) fn owner_entry(&self, field: usize) -> Word<'_, M> {
        self.word(crate::layout::control::OWNER_AT + field)
    }

    /// Whether the writer left; its last publication is then what `latest` finds.
    pub(super) fn has_left(&self) -> bool {
        let closed = self.closed().load(Ordering::Relaxed) & 1 != 0;
        // ORDERING: Acquire fence after a Relaxed load, edge "left"; pairs with the Release in the writer's drop. Carries its last
        // publication.
        self.memory.fence(Ordering::Acquire);
        closed
    }

    /// The mask of writers that left.
    pub(super) fn closed(&self) -> Word<'_, M> {
        self.word(CLOSED_AT)
    }

    /// The futex word of those who wait for something newer.
    pub(super) fn latest_low(&self) -> Word<'_, M> {
        self.word(LATEST_LOW_AT)
    }

    /// The word at `at`, which is a control word or one of the two words of a buffer's generation.
    #[inline(always)]
    fn word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= self.geometry.total_len);
        // SAFETY: 1. and 2. control words are constants below the first buffer, a buffer's words come from `buffer_at`, and the geometry
        // was checked against the memory's length. 3. by `prepare` or `attach`. 4. storing methods are called by writers only.
        unsafe { Word::new(&self.memory, at) }
    }
}

impl<M: Memory> SnapshotView<M> {
    /// A view of a new, zeroed mapping, which the caller keeps beside it.
    pub(super) fn of_new_mapping<G: Mapping<Memory = M>>(mapping: &G, shape: SnapshotShape) -> Result<Self, CreateError> {
        // SAFETY: 1. the caller keeps the mapping, which `Os::create` maps writable. 2. it has no head yet.
        unsafe { Self::prepare(mapping.memory(), shape) }
    }

    /// A view of a mapping, which the caller keeps beside it; one mapped read-only is used by readers only.
    pub(super) fn of_mapping<G: Mapping<Memory = M>>(mapping: &G) -> Result<(Self, Head), HeadError> {
        // SAFETY: 1. and 3. the caller keeps the mapping, and writes only if it was opened for it. 2. mappings start at a page.
        unsafe { Self::attach(mapping.memory()) }
    }
}

impl SnapshotView<Raw> {
    /// [`format`](Self::format) over a region, which the caller keeps beside the view.
    pub(super) fn format_region(
        region: Region<'_>,
        shape: SnapshotShape,
        type_hash: [u8; 16],
        instance: [u8; 16],
    ) -> Result<Self, CreateError> {
        // SAFETY: 1. the caller keeps the region, which is writable through a shared reference. 2. whoever uses the region already
        // sees words change, all of them atomics.
        unsafe { Self::format(region.raw(), shape, type_hash, instance) }
    }

    /// [`attach`](Self::attach) over a region, which the caller keeps beside the view.
    pub(super) fn of_region(region: Region<'_>) -> Result<(Self, Head), HeadError> {
        // SAFETY: 1. the caller keeps the region. 2. checked when the region was made. 3. writable through a shared reference.
        unsafe { Self::attach(region.raw()) }
    }
}
