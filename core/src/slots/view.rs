//! A slots segment as words: every shared word by its name, bounds established once.

use portable_atomic::{AtomicU32, Ordering};

use crate::error::{HeadError, OsError};
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control as at;
use crate::layout::slots as field;
use crate::layout::slots::{SlotsGeometry, SlotsShape};
use crate::layout::head::{self, Head};
use crate::layout::LINE;
use crate::memory::Memory;
use crate::os::{Lock, Mapping};
use crate::region::Word;

/// A memory together with the geometry that was checked against it.
#[derive(Debug)]
pub struct SlotsView<M> {
    memory: M,
    geometry: SlotsGeometry,
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
        if memory.len() < geometry.total_len {
            return Err(HeadError::TooShort { len: memory.len() as u64, needed: geometry.total_len as u64 });
        }
        Ok(Self { memory, geometry })
    }

    /// A copy for the length of one step of the data path. A reference's fields are loaded anew after every atomic access; a
    /// copy's stay in registers, as long as no reference to it leaves the inlined code: what is outlined gets an index instead.
    #[inline(always)]
    pub(crate) fn local(&self) -> Self {
        Self { memory: self.memory.clone(), geometry: self.geometry }
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
    fn word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= self.geometry.total_len);
        // SAFETY: private, called below only, with offsets of whole words inside parts whose bounds the geometry computed with
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
        (at::WAITERS_AT..=at::FLAGS_AT).step_by(4).for_each(&mut visit);
        (at::TOTALS_AT..at::TOTALS_AT + 20).step_by(4).for_each(&mut visit);
        let g = &self.geometry;
        for entry in (at::OWNER_AT..g.rings_at).step_by(LINE) {
            (entry..=entry + at::ENTRY_LAPSES).step_by(4).for_each(&mut visit);
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

/// A view for looking only, over a mapping that it borrows; the mapping may be read-only.
#[derive(Debug)]
pub struct Inspection<'g, G: Mapping> {
    view: SlotsView<G::Memory>,
    head: Head,
    mapping: &'g G,
}

impl<'g, G: Mapping> Inspection<'g, G> {
    /// Looks at the slots segment in `mapping`.
    ///
    /// # Errors
    /// [`HeadError`]: the bytes are not a slots segment, or one cut short.
    pub fn of(mapping: &'g G) -> Result<Self, HeadError> {
        let head = Head::of(mapping)?;
        let memory = mapping.memory();
        let geometry = SlotsGeometry::from_head(&head, memory.len())?;
        // SAFETY: 1. the mapping is borrowed for 'g, and its memory is valid as long as it is (`Mapping` 4). 2. only loads are public.
        let view = unsafe { SlotsView::new(memory, geometry) }?;
        Ok(Self { view, head, mapping })
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether somebody alive holds `lock`.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn is_claimed(&self, lock: Lock) -> Result<bool, OsError> {
        self.view.lock_word(lock).map_or(Ok(false), |word| self.mapping.is_claimed(lock, word))
    }
}

impl<G: Mapping> core::ops::Deref for Inspection<'_, G> {
    type Target = SlotsView<G::Memory>;

    fn deref(&self) -> &Self::Target {
        &self.view
    }
}

/// One line of the registry.
#[derive(Debug)]
pub struct Entry<'v, M> {
    view: &'v SlotsView<M>,
    base: usize,
}

impl<'v, M: Memory> Entry<'v, M> {
    #[inline(always)]
    fn word<const AT: usize>(&self) -> Word<'v, M> {
        const { assert!(AT.is_multiple_of(4) && AT + 4 <= LINE) };
        self.view.word(self.base + AT)
    }

    /// Lock word for platforms without locks.
    pub fn lock(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_LOCK }>()
    }

    /// Token of the holder.
    pub fn token(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_TOKEN }>()
    }

    /// Process number of the holder.
    pub fn pid(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_PID }>()
    }

    /// Start time of the holder: low and high word.
    pub fn start(&self) -> [Word<'v, M>; 2] {
        [self.word::<{ at::ENTRY_START }>(), self.word::<{ at::ENTRY_START + 4 }>()]
    }

    /// Pid namespace of the holder.
    pub fn namespace(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_NAMESPACE }>()
    }

    /// State and generation.
    pub fn state(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_STATE }>()
    }

    /// A writer's next position less the ring length; a reader's count of samples taken.
    #[inline(always)]
    pub fn head(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_HEAD }>()
    }

    /// Change counter.
    #[inline(always)]
    pub fn changes(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_CHANGES }>()
    }

    /// Positions burnt, or samples missed.
    #[inline(always)]
    pub fn burnt(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_BURNT }>()
    }

    /// Retries.
    #[inline(always)]
    pub fn retries(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_RETRIES }>()
    }

    /// Samples this writer took away from readers.
    #[inline(always)]
    pub fn overwritten(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_OVERWRITTEN }>()
    }

    /// Samples skipped for their bad size.
    pub fn lapses(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_LAPSES }>()
    }
}

/// The ring of one writer.
#[derive(Debug)]
pub struct Ring<'v, M> {
    view: &'v SlotsView<M>,
    base: usize,
}

impl<'v, M: Memory> Ring<'v, M> {
    #[inline(always)]
    fn entry(&self, position: u32) -> usize {
        // The ring length is a power of two, checked with the geometry.
        self.base + (position & (self.view.geometry.ring_len - 1)) as usize * 8
    }

    /// The tag of the entry of `position`: the full position it was last written for.
    #[inline(always)]
    pub fn tag(&self, position: u32) -> Word<'v, M> {
        self.view.word(self.entry(position))
    }

    /// The slot index of the entry of `position`.
    #[inline(always)]
    pub fn index(&self, position: u32) -> Word<'v, M> {
        self.view.word(self.entry(position) + 4)
    }
}

/// One slot.
#[derive(Debug)]
pub struct Slot<'v, M> {
    view: &'v SlotsView<M>,
    index: u32,
    base: usize,
}

impl<'v, M: Memory> Slot<'v, M> {
    #[inline(always)]
    fn word<const AT: usize>(&self) -> Word<'v, M> {
        const { assert!(AT.is_multiple_of(4) && AT + 4 <= field::SLOT_HEADER_LEN) };
        self.view.word(self.base + AT)
    }

    /// Its index.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The sample's full position.
    #[inline(always)]
    pub fn sequence(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_SEQUENCE }>()
    }

    /// The sample's size in bytes.
    #[inline(always)]
    pub fn size(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_SIZE }>()
    }

    /// Reader mask of those who still owe a read.
    #[inline(always)]
    pub fn unread(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_UNREAD }>()
    }

    /// Reader mask of those inside the sample, and EVICT.
    #[inline(always)]
    pub fn pins(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_PINS }>()
    }

    /// Owner and generation.
    #[inline(always)]
    pub fn state(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_STATE }>()
    }

    /// Writer of the sample.
    #[inline(always)]
    pub fn writer(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_WRITER }>()
    }

    /// Generation of the sample.
    #[inline(always)]
    pub fn generation(&self) -> Word<'v, M> {
        self.word::<{ field::SLOT_GENERATION }>()
    }

    /// Offset of its payload.
    #[inline(always)]
    pub fn payload_at(&self) -> usize {
        self.base + self.view.geometry.payload_offset as usize
    }

    /// The first `len` bytes of its payload, for reading; `len` is cut to the capacity.
    ///
    /// # Safety
    ///
    /// By the protocol nobody writes the payload while the pointer is used: the caller's bit (or pin) is set in the slot, or the caller owns it.
    #[inline(always)]
    pub unsafe fn payload(&self, len: usize) -> *const u8 {
        let len = len.min(self.view.geometry.capacity as usize);
        // SAFETY: 1. the geometry puts capacity bytes there. 2. the memory is borrowed. 3. the caller's duty.
        unsafe { self.view.memory.payload(self.payload_at(), len) }
    }

    /// The first `len` bytes of its payload, for filling; `len` is cut to the capacity.
    ///
    /// # Safety
    ///
    /// By the protocol nobody else reads or writes the payload: the caller owns the slot, and nobody's bit is set.
    #[inline(always)]
    pub unsafe fn payload_mut(&self, len: usize) -> *mut u8 {
        let len = len.min(self.view.geometry.capacity as usize);
        // SAFETY: 1. the geometry puts capacity bytes there. 2. the memory is borrowed. 3. the caller's duty.
        unsafe { self.view.memory.payload_mut(self.payload_at(), len) }
    }

    /// Copies the first bytes of the payload out with atomic accesses: trusts nobody, may be torn if a peer scribbles.
    pub(crate) fn copy_out(&self, into: &mut [u8]) {
        let len = into.len().min(self.view.geometry.capacity as usize);
        // SAFETY: 1. a payload starts at a multiple of 4 (alignments below 4 put it at 32). 2. strides are multiples of 64, so the
        // range rounded up to 4 is inside the slot. 3. the memory is borrowed.
        unsafe { self.view.memory.copy_out(self.payload_at(), &mut into[..len]) };
    }
}

/// A plain picture of a slot's header, for people: words read one by one, Relaxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderWords {
    /// Sequence number.
    pub sequence: u32,
    /// Size.
    pub size: u32,
    /// Unread mask.
    pub unread: u32,
    /// Pins.
    pub pins: u32,
    /// State word.
    pub state: u32,
    /// Writer.
    pub writer: u32,
    /// Generation of the sample.
    pub generation: u32,
}

impl<M: Memory> Slot<'_, M> {
    /// Reads all words, for people.
    pub fn words(&self) -> HeaderWords {
        // ORDERING: Relaxed throughout; a picture, nothing is concluded from it.
        let read = |word: Word<'_, M>| word.load(Ordering::Relaxed);
        HeaderWords {
            sequence: read(self.sequence()),
            size: read(self.size()),
            unread: read(self.unread()),
            pins: read(self.pins()),
            state: read(self.state()),
            writer: read(self.writer()),
            generation: read(self.generation()),
        }
    }
}
