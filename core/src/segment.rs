//! A segment of slots: created or attached, and what can be asked of it as a whole.

use core::fmt;
use core::ops::Deref;

use portable_atomic::Ordering::Relaxed;
use portable_atomic::{AtomicU32, AtomicUsize};

use crate::config::Config;
use crate::error::{AttachError, CreateError, HeadError, JoinError, OsError};
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::head::{FLAG_ASYMMETRIC, Head};
use crate::layout::slots::SlotsGeometry;
use crate::memory::{Memory, MemoryCas};
use crate::os::{Access, ClaimOf, Created, Lock, Mapping, MemoryOf, ObjectSpec, Os};
use crate::reader::Reader;
use crate::registry;
use crate::slots::Protocol;
use crate::slots::view::{Fences, SlotsView};
use crate::typed::Payload;
use crate::writer::Writer;

/// A platform whose memory can do what slots need. Implemented for every such [`Os`].
pub trait SlotsOs: Os<Mapping: Mapping<Memory: MemoryCas>> {}

impl<O: Os<Mapping: Mapping<Memory: MemoryCas>>> SlotsOs for O {}

/// A segment of slots, created or attached by this process.
///
/// It hands out [`Writer`]s and [`Reader`]s. The creator owns it: dropping the creator's value takes the name away; whoever is
/// attached goes on with the object. `Send + Sync` where the platform's parts are.
///
/// ```
/// use core::sync::atomic::AtomicU8;
/// use seqslot_core::{Bare, Config, Region, Segment};
/// # #[repr(align(64))]
/// # struct Bank([AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { AtomicU8::new(0) }; 16384]);
/// // SAFETY: nobody else uses the bank, and one segment is made in it.
/// let region = unsafe { Region::new(&BANK.0) }?;
/// let segment = Segment::create(Bare::new(region), &(), &Config::slots(4, 100))?;
/// let reader = segment.reader()?;
/// let writer = segment.writer()?;
/// let mut loan = writer.loan()?;
/// loan[..5].copy_from_slice(b"hello");
/// loan.commit_len(5)?;
/// let sample = reader.take()?.expect("committed after the join");
/// assert_eq!(&*sample, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Segment<O: SlotsOs> {
    // Dropped in this order: the claim before the mapping, which everything else points into.
    owner: Option<ClaimOf<O>>,
    view: SlotsView<MemoryOf<O>>,
    head: Head,
    os: O,
    mapping: O::Mapping,
    /// When recovery last ran, in milliseconds of the platform's clock.
    recovered_at: AtomicUsize,
    /// Draws tokens.
    tokens: AtomicU32,
}

impl<O: SlotsOs> Segment<O> {
    /// Makes a segment under `name`, which it owns.
    ///
    /// Does not wait. With the memory reserved (the default) it costs what the system takes to zero it.
    ///
    /// # Errors
    /// [`CreateError`]: the configuration cannot be, a living owner has the name, or the system refused. Nothing is left behind.
    pub fn create(os: O, name: &O::Name, config: &Config) -> Result<Self, CreateError> {
        let geometry = config.geometry()?;
        let spec = ObjectSpec { len: geometry.total_len, reserve: !config.sparse, group: config.group };
        let created = os.create(name, spec)?;
        Self::lay_out(os, created, config)
    }

    /// Makes a segment of an object that is new, all zero, and as long as [`Config::len`] says at least: a memfd, a piece of an allocator.
    ///
    /// # Errors
    /// [`CreateError`]: the configuration cannot be, or the object is too short.
    ///
    /// ```
    /// use seqslot_core::{Bare, Config, ObjectSpec, Os, Segment};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let (os, config) = (Bare::new(region), Config::slots(4, 64));
    /// let created = os.create(&(), ObjectSpec { len: config.len()?, reserve: true, group: false })?;
    /// // SAFETY: made just now, and laid out once.
    /// let segment = unsafe { Segment::format(os, created, &config) }?;
    /// assert_eq!((segment.geometry().slots, segment.geometry().capacity), (4, 64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The object is new: every byte is zero, nobody else is attached to it, and it is laid out this once.
    pub unsafe fn format(os: O, created: Created<O::Mapping, ClaimOf<O>>, config: &Config) -> Result<Self, CreateError> {
        Self::lay_out(os, created, config)
    }

    fn lay_out(os: O, created: Created<O::Mapping, ClaimOf<O>>, config: &Config) -> Result<Self, CreateError> {
        let geometry = config.geometry()?;
        let Created { mapping, owner } = created;
        let memory = mapping.memory();
        let len = memory.len() as u64;
        let asymmetric = if !config.full_fences && os.enroll() { FLAG_ASYMMETRIC } else { 0 };
        let head = geometry.head(config.flags() | asymmetric, config.type_hash, registry::draw_instance(&os));
        if mapping.alignment() < geometry.align as usize {
            return Err(CreateError::Misaligned);
        }
        // SAFETY: 1. the segment keeps the mapping longer than the view (`Mapping` 4). 2. a created object is mapped writable. 3. above.
        let view = unsafe { SlotsView::of_computed(memory, geometry) }
            .map_err(|_| CreateError::RegionTooShort { len, needed: geometry.total_len as u64 })?
            .with_fences(Fences::of(head.flags, &os));
        let segment = Self::new(Some(owner), view, head, os, mapping);
        registry::fill(&segment.view.owner_entry(), &segment.os, segment.draw_token());
        head.write(segment.view.memory()).map_err(|_| CreateError::RegionTooShort { len, needed: geometry.total_len as u64 })?;
        Ok(segment)
    }

    /// Attaches to the segment called `name`, and recovers what the dead left in it.
    ///
    /// # Errors
    /// [`AttachError`]: no such name (yet), not a segment, not ready, another version, kind or byte order, cut short, or the system refused.
    ///
    /// ```
    /// use seqslot_core::{AttachError, Bare, Config, HeadError, Segment};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let os = Bare::new(region);
    /// assert_eq!(Segment::attach(os, &()).err(), Some(AttachError::Head(HeadError::NotReady)));
    /// let made = Segment::create(os, &(), &Config::slots(4, 64))?;
    /// let attached = Segment::attach(os, &())?;
    /// assert_eq!(attached.head(), made.head());
    /// assert!(made.is_owner() && !attached.is_owner());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach(os: O, name: &O::Name) -> Result<Self, AttachError> {
        let mapping = os.open(name, Access::ReadWrite)?;
        Self::adopt(os, mapping)
    }

    /// Attaches to a segment in an object that is mapped already.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    ///
    /// ```
    /// use seqslot_core::Segment;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let again = Segment::adopt(*segment.os(), *segment.mapping())?;
    /// let reader = again.reader()?;
    /// segment.writer()?.send(b"hello")?;
    /// assert_eq!(reader.take()?.as_deref(), Some(&b"hello"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn adopt(os: O, mapping: O::Mapping) -> Result<Self, AttachError> {
        if mapping.access() == Access::ReadOnly {
            return Err(AttachError::ReadOnly);
        }
        let memory = mapping.memory();
        let head = Head::read(&memory)?;
        let geometry = SlotsGeometry::from_head(&head, memory.len())?;
        if mapping.alignment() < geometry.align as usize {
            return Err(HeadError::Misaligned.into());
        }
        // SAFETY: 1. the segment keeps the mapping longer than the view (`Mapping` 4). 2. and 3. above.
        let view = unsafe { SlotsView::of_computed(memory, geometry) }?.with_fences(Fences::of(head.flags, &os));
        let segment = Self::new(None, view, head, os, mapping);
        // What cannot be recovered now (descriptors ran out) is tried again when it is in the way.
        let _ = segment.recover();
        Ok(segment)
    }

    fn new(owner: Option<ClaimOf<O>>, view: SlotsView<MemoryOf<O>>, head: Head, os: O, mapping: O::Mapping) -> Self {
        Self { owner, view, head, os, mapping, recovered_at: AtomicUsize::new(0), tokens: AtomicU32::new(0) }
    }

    /// A writer of byte slots: claims a writer entry.
    ///
    /// # Errors
    /// [`JoinError`]: all entries are taken, or the system refused.
    pub fn writer(&self) -> Result<Writer<&Self>, JoinError> {
        Writer::join(self)
    }

    /// A reader of byte slots: claims a reader entry. Everything committed after this returns is delivered.
    ///
    /// # Errors
    /// [`JoinError`]: all entries are taken, or the system refused.
    pub fn reader(&self) -> Result<Reader<&Self>, JoinError> {
        Reader::join(self)
    }

    /// A writer of values of `T`.
    ///
    /// # Errors
    /// [`JoinError`], also where `T` does not fit the slots.
    pub fn writer_of<T: Payload + ?Sized>(&self) -> Result<Writer<&Self, T>, JoinError> {
        Writer::join(self)
    }

    /// A reader of values of `T`.
    ///
    /// # Errors
    /// [`JoinError`], also where `T` does not fit the slots.
    ///
    /// ```
    /// use seqslot_core::JoinError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (writer, reader) = (segment.writer_of::<[u32; 2]>()?, segment.reader_of::<[u32; 2]>()?);
    /// let mut loan = writer.loan()?;
    /// *loan = [7, 8];
    /// loan.commit()?;
    /// assert_eq!(*reader.take()?.expect("committed"), [7, 8]);
    /// // A slot of 64 bytes has no room for these:
    /// assert_eq!(segment.reader_of::<[u64; 9]>().err(), Some(JoinError::TypeMismatch));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader_of<T: Payload + ?Sized>(&self) -> Result<Reader<&Self, T>, JoinError> {
        Reader::join(self)
    }

    /// The head, as it was when this process attached.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The geometry: counts, strides, offsets.
    pub fn geometry(&self) -> &SlotsGeometry {
        self.view.geometry()
    }

    /// The words of the segment, for tools that look at them.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// segment.writer()?.send(b"hello")?;
    /// let slot = segment.view().slot(0).expect("there are four").words();
    /// assert_eq!((slot.size, slot.unread), (5, reader.index().bit()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn view(&self) -> &SlotsView<MemoryOf<O>> {
        &self.view
    }

    /// The platform.
    pub fn os(&self) -> &O {
        &self.os
    }

    /// The mapped object.
    pub fn mapping(&self) -> &O::Mapping {
        &self.mapping
    }

    /// Refuses another type than the segment was made for. A segment made without a type hash takes any.
    ///
    /// # Errors
    /// [`HeadError::TypeMismatch`].
    ///
    /// ```
    /// use seqslot_core::{Bare, Config, HeadError, Segment};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let config = Config::slots(4, 64).type_hash(*b"sensor reading 1");
    /// let segment = Segment::create(Bare::new(region), &(), &config)?;
    /// assert!(segment.expect_type(*b"sensor reading 1").is_ok());
    /// assert_eq!(segment.expect_type(*b"sensor reading 2"), Err(HeadError::TypeMismatch));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expect_type(&self, hash: [u8; 16]) -> Result<(), HeadError> {
        if self.head.type_hash == [0; 16] || self.head.type_hash == hash { Ok(()) } else { Err(HeadError::TypeMismatch) }
    }

    /// Whether this process created the segment and has the duty to take its name away.
    pub fn is_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Whether the creator lives. A segment whose owner is gone works on; its name may be taken by a new one.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn owner_lives(&self) -> Result<bool, OsError> {
        self.is_alive(Lock::OWNER)
    }

    /// Whether reader `index` is claimed by somebody alive.
    ///
    /// # Errors
    /// The system call that failed.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let index = reader.index();
    /// assert!(segment.reader_lives(index)?);
    /// drop(reader);
    /// assert!(!segment.reader_lives(index)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader_lives(&self, index: ReaderIndex) -> Result<bool, OsError> {
        self.is_alive(Lock::reader(index.get() as u8))
    }

    /// Whether writer `index` is claimed by somebody alive.
    ///
    /// # Errors
    /// The system call that failed.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let writer = segment.writer()?;
    /// let index = writer.index();
    /// assert!(segment.writer_lives(index)?);
    /// writer.close();
    /// assert!(!segment.writer_lives(index)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn writer_lives(&self, index: WriterIndex) -> Result<bool, OsError> {
        self.is_alive(Lock::writer(index.get() as u8))
    }

    fn is_alive(&self, lock: Lock) -> Result<bool, OsError> {
        match self.view.lock_word(lock) {
            Some(word) => self.mapping.is_claimed(lock, word),
            None => Ok(false),
        }
    }

    /// Takes `lock`, without waiting.
    pub(crate) fn claim(&self, lock: Lock) -> Result<Option<ClaimOf<O>>, OsError> {
        match self.view.lock_word(lock) {
            Some(word) => self.mapping.claim(lock, word),
            None => Ok(None),
        }
    }

    /// The protocol over this segment.
    #[inline(always)]
    pub(crate) fn protocol(&self) -> Protocol<'_, MemoryOf<O>, O> {
        Protocol { view: &self.view, os: &self.os }
    }

    /// A token that differs from every other this process drew here.
    pub(crate) fn draw_token(&self) -> u32 {
        // ORDERING: Relaxed; only uniqueness matters.
        registry::token(&self.os, self.tokens.fetch_add(1, Relaxed))
    }

    /// True if recovery has not run for `interval_ms` by the platform's clock; then it counts as running now.
    pub(crate) fn recovery_is_due(&self, interval_ms: usize) -> bool {
        let now = (self.os.now().as_millis() as usize).wrapping_add(1);
        // ORDERING: Relaxed; a rate limit.
        let last = self.recovered_at.load(Relaxed);
        let due = last == 0 || now.wrapping_sub(last) >= interval_ms || self.os.now().is_zero();
        if due {
            self.recovered_at.store(now, Relaxed);
        }
        due
    }

    /// Reader mask of those that count now.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (first, second) = (segment.reader()?, segment.reader()?);
    /// assert_eq!(segment.active_readers(), 0b11);
    /// drop(first);
    /// assert_eq!(segment.active_readers(), second.index().bit());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn active_readers(&self) -> u32 {
        // ORDERING: Relaxed; who sees a reader here and commits, commits for it: a commit's own load comes later, and is not older.
        self.view.active().load(Relaxed)
    }
}

impl<O: SlotsOs> Drop for Segment<O> {
    fn drop(&mut self) {
        if self.owner.is_some() && self.mapping.is_mine() {
            // Nobody to tell; what stays is taken over by the next create.
            let _ = self.mapping.unlink();
        }
    }
}

impl<O: SlotsOs> fmt::Debug for Segment<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("head", &self.head).field("owner", &self.is_owner()).finish_non_exhaustive()
    }
}

/// How a handle holds its segment: by reference, or (with `alloc`) by `Arc`, for handles that live on their own.
/// Sealed: the handles over it rely on getting the same segment every time.
pub trait SegmentHandle: Deref<Target = Segment<Self::Platform>> + sealed::Sealed {
    /// The platform of the segment.
    type Platform: SlotsOs;
}

mod sealed {
    pub trait Sealed {}
    impl<O: super::SlotsOs> Sealed for &super::Segment<O> {}
    #[cfg(feature = "alloc")]
    impl<O: super::SlotsOs> Sealed for alloc::sync::Arc<super::Segment<O>> {}
}

impl<O: SlotsOs> SegmentHandle for &Segment<O> {
    type Platform = O;
}

#[cfg(feature = "alloc")]
impl<O: SlotsOs> SegmentHandle for alloc::sync::Arc<Segment<O>> {
    type Platform = O;
}
