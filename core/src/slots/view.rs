//! A slots segment as words: every shared word by its name, bounds established once.

use portable_atomic::AtomicU32;

use super::parts::{Entry, Ring, Slot};
use crate::error::HeadError;
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control as at;
use crate::layout::slots as field;
use crate::layout::slots::{SlotsGeometry, SlotsShape};
use crate::layout::head;
use crate::layout::LINE;
use crate::memory::Memory;
use crate::os::{Lock, Os};
use crate::region::Word;

/// A memory together with the geometry that was checked against it.
#[derive(Debug)]
pub struct SlotsView<M> {
    memory: M,
    geometry: SlotsGeometry,
    fences: Fences,
}

/// Where a ring is: computed once by a view, to be given back to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingPlace {
    at: usize,
    mask: usize,
}

impl RingPlace {
    /// Of no view.
    pub(crate) const NOWHERE: Self = Self { at: usize::MAX, mask: 0 };
}

/// How the segment's parties make the fences of the edges "notify" and "scarce".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fences {
    /// Who waits makes a heavy fence: some of those who commit and release make light ones.
    pub(crate) asymmetric: bool,
    /// This process makes light ones.
    pub(crate) light: bool,
}

impl Fences {
    /// Full fences on both sides.
    pub(crate) const FULL: Self = Self { asymmetric: false, light: false };

    /// Those of a segment with these head flags, for a process of `os`.
    pub(crate) fn of<O: Os>(flags: u32, os: &O) -> Self {
        let asymmetric = flags & head::FLAG_ASYMMETRIC != 0;
        Self { asymmetric, light: asymmetric && os.enroll() }
    }
}

impl<M: Memory> SlotsView<M> {
    /// Pairs a memory with a geometry, after computing the geometry anew and comparing: every offset used below is inside.
    ///
    /// # Errors
    /// [`HeadError::TooShort`] or [`HeadError::Field`] where they do not fit.
    ///
    /// # Safety
    ///
    /// 1. The memory is mapped as long as the view is used. 2. It is mapped writable, if the view is given to the protocol (others only load).
    pub unsafe fn new(memory: M, geometry: SlotsGeometry) -> Result<Self, HeadError> {
        let shape = SlotsShape {
            slots: geometry.slots,
            capacity: geometry.capacity,
            writers: geometry.writers,
            readers: geometry.readers,
            align: geometry.align,
            flags: if geometry.overwrite { head::FLAG_OVERWRITE } else { 0 },
        };
        if SlotsGeometry::new(shape) != Ok(geometry) {
            return Err(HeadError::Field { name: "geometry", value: geometry.total_len as u64 });
        }
        // SAFETY: 1. and 2. are the caller's. 3. computed and compared just now.
        unsafe { Self::of_computed(memory, geometry) }
    }

    /// [`new`](Self::new) for a geometry that was computed just now.
    ///
    /// # Safety
    ///
    /// 1. and 2. as for [`new`](Self::new). 3. `geometry` is as [`SlotsGeometry::new`] or [`SlotsGeometry::from_head`] returned it.
    pub(crate) unsafe fn of_computed(memory: M, geometry: SlotsGeometry) -> Result<Self, HeadError> {
        if memory.len() < geometry.total_len {
            return Err(HeadError::TooShort { len: memory.len() as u64, needed: geometry.total_len as u64 });
        }
        Ok(Self { memory, geometry, fences: Fences::FULL })
    }

    /// With these fences in place of full ones.
    pub(crate) fn with_fences(self, fences: Fences) -> Self {
        Self { fences, ..self }
    }

    /// The fence between a change and the look at who waits for it, edges "notify" and "scarce": light where those who wait make a heavy one.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn fence_light(&self) {
        if self.fences.light {
            self.memory.fence_light();
        } else {
            self.memory.fence_full();
        }
    }

    /// The fence between a waiter's bit (or a flag) and the look at what it waits for. False if others' light fences are not covered:
    /// the system refused.
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn fence_heavy<O: Os>(&self, os: &O) -> bool {
        self.memory.fence_full();
        !self.fences.asymmetric || os.fence_all()
    }

    /// A copy for the length of one step of the data path. A reference's fields are loaded anew after every atomic access; a
    /// copy's stay in registers, as long as no reference to it leaves the inlined code: what is outlined gets an index instead.
    #[inline(always)]
    pub(crate) fn local(&self) -> Self {
        Self { memory: self.memory.clone(), geometry: self.geometry, fences: self.fences }
    }

    /// The memory.
    #[inline(always)]
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The geometry.
    #[inline(always)]
    pub fn geometry(&self) -> &SlotsGeometry {
        &self.geometry
    }

    /// A control word at a fixed offset.
    #[inline(always)]
    fn control<const AT: usize>(&self) -> Word<'_, M> {
        const { assert!(AT.is_multiple_of(4) && AT + 4 <= at::READERS_AT) };
        // SAFETY: 1. and 2. asserted above; every segment is longer than its control lines, `new` compared with the memory's length.
        // 3. the memory is borrowed, and mapped as long as the view (`new` 1). 4. stores are the protocol's (`new` 2).
        unsafe { Word::new(&self.memory, AT) }
    }

    /// A word at an offset that the geometry computed.
    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= self.geometry.total_len);
        // SAFETY: private to this module and `parts`, called with offsets of whole words inside parts whose bounds the geometry computed with
        // checked arithmetic, at indices compared with their counts; `new` compared the total with the memory's length.
        unsafe { Word::new(&self.memory, at) }
    }

    /// Reader mask of those that count.
    #[inline(always)]
    pub fn active(&self) -> Word<'_, M> {
        self.control::<{ at::ACTIVE_AT }>()
    }

    /// Reader waiters.
    #[inline(always)]
    pub fn reader_waiters(&self) -> Word<'_, M> {
        self.control::<{ at::READER_WAITERS_AT }>()
    }

    /// Writer waiters.
    #[inline(always)]
    pub fn writer_waiters(&self) -> Word<'_, M> {
        self.control::<{ at::WRITER_WAITERS_AT }>()
    }

    /// Change waiters.
    #[inline(always)]
    pub fn change_waiters(&self) -> Word<'_, M> {
        self.control::<{ at::CHANGE_WAITERS_AT }>()
    }

    /// Disconnected readers of the seeds' face.
    #[inline(always)]
    pub fn disconnected(&self) -> Word<'_, M> {
        self.control::<{ at::DISCONNECTED_AT }>()
    }

    /// Evicted readers.
    #[inline(always)]
    pub fn quarantined(&self) -> Word<'_, M> {
        self.control::<{ at::QUARANTINED_AT }>()
    }

    /// Writers that closed.
    #[inline(always)]
    pub fn closed(&self) -> Word<'_, M> {
        self.control::<{ at::CLOSED_AT }>()
    }

    /// Writers that died.
    #[inline(always)]
    pub fn died(&self) -> Word<'_, M> {
        self.control::<{ at::DIED_AT }>()
    }

    /// Writers ever used.
    #[inline(always)]
    pub fn ever(&self) -> Word<'_, M> {
        self.control::<{ at::EVER_AT }>()
    }

    /// Reader indices that two parties of the seeds' face ever used at once.
    #[inline(always)]
    pub fn shared(&self) -> Word<'_, M> {
        self.control::<{ at::SHARED_AT }>()
    }

    /// Flags.
    #[inline(always)]
    pub fn flags(&self) -> Word<'_, M> {
        self.control::<{ at::FLAGS_AT }>()
    }

    /// Futex word of readers.
    #[inline(always)]
    pub fn reader_generation(&self) -> Word<'_, M> {
        self.control::<{ at::READER_GENERATION_AT }>()
    }

    /// Futex word of writers.
    #[inline(always)]
    pub fn writer_generation(&self) -> Word<'_, M> {
        self.control::<{ at::WRITER_GENERATION_AT }>()
    }

    /// Futex word of the seeds' `wait_for_change`.
    #[inline(always)]
    pub fn change_generation(&self) -> Word<'_, M> {
        self.control::<{ at::CHANGE_GENERATION_AT }>()
    }

    /// Moves with leave, disconnection, eviction and recovery.
    #[inline(always)]
    pub fn changes(&self) -> Word<'_, M> {
        self.control::<{ at::TOTALS_AT }>()
    }

    /// Totals: recovered writers, recovered readers, recovered slots, evicted readers.
    pub fn totals(&self) -> [Word<'_, M>; 4] {
        [
            self.control::<{ at::TOTALS_AT + 4 }>(),
            self.control::<{ at::TOTALS_AT + 8 }>(),
            self.control::<{ at::TOTALS_AT + 12 }>(),
            self.control::<{ at::TOTALS_AT + 16 }>(),
        ]
    }

    /// The word set aside for `lock`, on platforms without locks; `None` if the segment has no such entry.
    pub(crate) fn lock_word(&self, lock: Lock) -> Option<&AtomicU32> {
        let number = u32::from(lock.number());
        let word = match number {
            0..32 => self.reader_entry(ReaderIndex::new(number)?)?.lock(),
            32..64 => self.writer_entry(WriterIndex::new(number - 32)?)?.lock(),
            64 => self.owner_entry().lock(),
            // The eviction lock has a word of the owner's line that the owner does not need.
            _ => self.owner_entry().lapses(),
        };
        Some(word.futex())
    }

    /// The owner's entry.
    pub fn owner_entry(&self) -> Entry<'_, M> {
        Entry { view: self, base: at::OWNER_AT }
    }

    /// The entry of reader `index`; `None` if the segment has fewer.
    #[inline(always)]
    pub fn reader_entry(&self, index: ReaderIndex) -> Option<Entry<'_, M>> {
        (index.get() < self.geometry.readers).then(|| Entry { view: self, base: at::READERS_AT + index.get() as usize * LINE })
    }

    /// The entry of writer `index`; `None` if the segment has fewer.
    #[inline(always)]
    pub fn writer_entry(&self, index: WriterIndex) -> Option<Entry<'_, M>> {
        (index.get() < self.geometry.writers).then(|| Entry { view: self, base: self.geometry.writers_at + index.get() as usize * LINE })
    }

    /// The ring of writer `index`; `None` if the segment has fewer.
    #[inline(always)]
    pub fn ring(&self, index: WriterIndex) -> Option<Ring<'_, M>> {
        (index.get() < self.geometry.writers)
            .then(|| Ring { view: self, base: self.geometry.rings_at + index.get() as usize * self.geometry.ring_stride })
    }

    /// Slot `index`; `None` if the segment has fewer.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<Slot<'_, M>> {
        (index < self.geometry.slots).then(|| Slot {
            view: self,
            index,
            base: self.geometry.slots_at + index as usize * self.geometry.stride as usize,
        })
    }

    /// Where the ring of writer `index` is, for polling; nowhere, if the segment has fewer writers, or allows overwriting.
    pub(crate) fn ring_place(&self, index: WriterIndex) -> RingPlace {
        // Where overwriting is allowed the ring alone cannot tell that a position was not committed.
        let ring = if self.geometry.overwrite { None } else { self.ring(index) };
        ring.map_or(RingPlace::NOWHERE, |ring| RingPlace { at: ring.base, mask: self.geometry.ring_len as usize - 1 })
    }

    /// The tag of the entry of `position` in a ring; `None` if this view has no such ring.
    #[inline(always)]
    pub(crate) fn tag_in(&self, ring: RingPlace, position: u32) -> Option<Word<'_, M>> {
        // The rings are before the slots; a multiple of 8 from a multiple of 64.
        let at = ring.at + (position as usize & ring.mask) * 8;
        (at < self.geometry.slots_at).then(|| self.word(at))
    }

    /// All slots in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_, M>> {
        (0..self.geometry.slots).filter_map(|index| self.slot(index))
    }

    /// Word `index` of level `level` of the free map; `None` outside.
    #[inline]
    pub fn free_word(&self, level: usize, index: u32) -> Option<Word<'_, M>> {
        let part = self.geometry.free.get(level)?;
        (level < self.geometry.free_levels && index < part.words).then(|| self.word(part.at + index as usize * 4))
    }

    /// Byte offsets of every shared word that is written after creation, for mocks and model checkers. `readers` and `writers`
    /// first entries only are listed.
    pub fn for_each_word(&self, mut visit: impl FnMut(usize)) {
        let fixed = [at::ACTIVE_AT, at::READER_GENERATION_AT, at::WRITER_GENERATION_AT, at::CHANGE_GENERATION_AT];
        fixed.into_iter().for_each(&mut visit);
        (at::WAITERS_AT..=at::SHARED_AT).step_by(4).for_each(&mut visit);
        (at::TOTALS_AT..at::TOTALS_AT + 20).step_by(4).for_each(&mut visit);
        let g = &self.geometry;
        for entry in (at::OWNER_AT..g.rings_at).step_by(LINE) {
            (entry..=entry + at::ENTRY_BURNT_THEN).step_by(4).for_each(&mut visit);
        }
        for ring in 0..g.writers as usize {
            let base = g.rings_at + ring * g.ring_stride;
            (base..base + g.ring_len as usize * 8).step_by(4).for_each(&mut visit);
        }
        for level in &g.free[..g.free_levels] {
            (level.at..level.at + level.words as usize * 4).step_by(4).for_each(&mut visit);
        }
        for slot in self.slots() {
            (slot.base..=slot.base + field::SLOT_GENERATION).step_by(4).for_each(&mut visit);
        }
    }
}
