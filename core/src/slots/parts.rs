//! The parts of a slots segment: an entry of the registry, a ring, a slot. Made by [`SlotsView`], which has checked their bounds.

use portable_atomic::Ordering;

use super::view::SlotsView;
use crate::layout::LINE;
use crate::layout::control as at;
use crate::layout::slots as field;
use crate::memory::Memory;
use crate::region::Word;

/// One line of the registry.
///
/// ```
/// use seqslot_core::Ordering::Relaxed;
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let (reader, writer) = (segment.reader()?, segment.writer()?);
/// writer.send(b"hello")?;
/// drop(reader.take()?);
/// let entry = segment.view().writer_entry(writer.index()).expect("its index");
/// assert_eq!((entry.state().load(Relaxed) & 3, entry.head().load(Relaxed)), (1, 1)); // in use, one sample
/// let entry = segment.view().reader_entry(reader.index()).expect("its index");
/// assert_eq!((entry.head().load(Relaxed), entry.burnt().load(Relaxed)), (1, 0)); // one taken, none missed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Entry<'v, M> {
    pub(super) view: &'v SlotsView<M>,
    pub(super) base: usize,
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

    /// A writer's samples published, ever: the positions before its head, less those burnt. For people, while everybody goes on.
    pub fn published(&self, ring_len: u32) -> u32 {
        // ORDERING: Relaxed, all; for people, and the mapping may be read-only.
        let (head, burnt) = (self.head().load(Ordering::Relaxed), self.burnt().load(Ordering::Relaxed));
        // Counted, and not passed yet: by a recovery that is under way, or died.
        let is_ahead = self.burning().load(Ordering::Relaxed) == head.wrapping_add(ring_len) && burnt != 0 && self.burnt_then().load(Ordering::Relaxed) == burnt;
        head.wrapping_sub(burnt).wrapping_add(is_ahead.into())
    }

    /// A reader's marks of the seeds' face, begun.
    pub fn marks_begun(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_MARKS_BEGUN }>()
    }

    /// A reader's marks of the seeds' face that are over.
    pub fn marks_ended(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_MARKS_ENDED }>()
    }

    /// The position that a recovery counts, or counted last, as burnt.
    pub fn burning(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_BURNING }>()
    }

    /// Positions burnt when that one is counted.
    pub fn burnt_then(&self) -> Word<'v, M> {
        self.word::<{ at::ENTRY_BURNT_THEN }>()
    }
}

/// The ring of one writer.
///
/// ```
/// use seqslot_core::Ordering::Relaxed;
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let writer = segment.writer()?;
/// writer.send(b"hello")?;
/// let ring = segment.view().ring(writer.index()).expect("its index");
/// let first = segment.geometry().ring_len; // positions start there
/// assert_eq!((ring.tag(first).load(Relaxed), ring.index(first).load(Relaxed)), (first, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ring<'v, M> {
    pub(super) view: &'v SlotsView<M>,
    pub(super) base: usize,
}

impl<'v, M: Memory> Ring<'v, M> {
    #[inline(always)]
    fn entry(&self, position: u32) -> usize {
        // The ring length is a power of two, checked with the geometry.
        self.base + (position & (self.view.geometry().ring_len - 1)) as usize * 8
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
///
/// ```
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let (reader, writer) = (segment.reader()?, segment.writer()?);
/// writer.send(b"hello")?;
/// let words = segment.view().slot(0).expect("there are four").words();
/// assert_eq!((words.size, words.unread, words.writer), (5, reader.index().bit(), 1));
/// assert_eq!(words.state >> 26, 0, "nobody's: it is published");
/// let loan = writer.loan()?;
/// let words = segment.view().slot(loan.slot()).expect("its index").words();
/// assert_eq!(words.state >> 26, writer.index().get() + 1);
/// assert!(segment.view().slot(4).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Slot<'v, M> {
    pub(super) view: &'v SlotsView<M>,
    pub(super) index: u32,
    pub(super) base: usize,
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

    /// Asks for the first two cache lines of the slot so many behind this one in ring order, to be read or to be written soon: a hint.
    /// Where there are not so many, for the segment's last two.
    #[inline(always)]
    pub(crate) fn ask_ahead(&self, slots: u32, write: bool) {
        let g = self.view.geometry();
        // It may wrap where addresses have 32 bits: then, too, it is a place in the segment that is asked for.
        let at = self.base.wrapping_add((slots as usize).wrapping_mul(g.stride as usize));
        // The slots are the last part.
        let at = if at < g.total_len { at } else { at - g.total_len + g.slots_at };
        let at = at.min(g.total_len - 2 * LINE);
        self.view.memory().prefetch(at, write);
        self.view.memory().prefetch(at + LINE, write);
    }

    /// Offset of its payload.
    #[inline(always)]
    pub fn payload_at(&self) -> usize {
        self.base + self.view.geometry().payload_offset as usize
    }

    /// The first `len` bytes of its payload, for reading; `len` is cut to the capacity.
    ///
    /// # Safety
    ///
    /// By the protocol nobody writes the payload while the pointer is used: the caller's bit (or pin) is set in the slot, or the caller owns it.
    #[inline(always)]
    pub unsafe fn payload(&self, len: usize) -> *const u8 {
        let len = len.min(self.view.geometry().capacity as usize);
        // SAFETY: 1. the geometry puts capacity bytes there. 2. the memory is borrowed. 3. the caller's duty.
        unsafe { self.view.memory().payload(self.payload_at(), len) }
    }

    /// The first `len` bytes of its payload, for filling; `len` is cut to the capacity.
    ///
    /// # Safety
    ///
    /// By the protocol nobody else reads or writes the payload: the caller owns the slot, and nobody's bit is set.
    #[inline(always)]
    pub unsafe fn payload_mut(&self, len: usize) -> *mut u8 {
        let len = len.min(self.view.geometry().capacity as usize);
        // SAFETY: 1. the geometry puts capacity bytes there. 2. the memory is borrowed. 3. the caller's duty.
        unsafe { self.view.memory().payload_mut(self.payload_at(), len) }
    }

    /// Copies the first bytes of the payload out with atomic accesses: trusts nobody, may be torn if a peer scribbles.
    pub(crate) fn copy_out(&self, into: &mut [u8]) {
        let len = into.len().min(self.view.geometry().capacity as usize);
        // SAFETY: 1. a payload starts at a multiple of 4 (alignments below 4 put it at 32). 2. strides are multiples of 64, so the
        // range rounded up to 4 is inside the slot. 3. the memory is borrowed.
        unsafe { self.view.memory().copy_out(self.payload_at(), &mut into[..len]) };
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
