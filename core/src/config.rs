//! What a segment of slots is asked to be.

use core::time::Duration;

use crate::error::GeometryError;
use crate::layout::head::FLAG_OVERWRITE;
use crate::layout::slots::{SlotsGeometry, SlotsShape};
use crate::typed::Payload;

/// What a segment of slots is asked to be: counts, sizes, and what happens when every slot is taken.
///
/// ```
/// use seqslot_core::Config;
/// let config = Config::slots(64, 1024).writers(1).readers(8);
/// assert!(config.len()? > 64 * 1024);
/// assert!(Config::slots(0, 1024).len().is_err());
/// # Ok::<(), seqslot_core::GeometryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Config {
    pub(crate) slots: u64,
    pub(crate) capacity: u64,
    pub(crate) writers: u32,
    pub(crate) readers: u32,
    pub(crate) align: u32,
    pub(crate) overwrite: bool,
    pub(crate) sparse: bool,
    pub(crate) group: bool,
    pub(crate) full_fences: bool,
    pub(crate) type_hash: [u8; 16],
}

impl Config {
    /// `slots` slots of `capacity` bytes each. By default: 4 writers and 32 readers at most, payloads at multiples of 32 bytes,
    /// nothing is ever overwritten, the memory is reserved at creation, only the same user may attach.
    pub const fn slots(slots: u64, capacity: u64) -> Self {
        Self { slots, capacity, writers: 4, readers: 32, align: 32, overwrite: false, sparse: false, group: false, full_fences: false, type_hash: [0; 16] }
    }

    /// `slots` slots for values of `T`.
    ///
    /// ```
    /// use seqslot_core::Config;
    /// assert_eq!(Config::typed::<[u64; 4]>(8).len()?, Config::slots(8, 32).len()?);
    /// # Ok::<(), seqslot_core::GeometryError>(())
    /// ```
    pub fn typed<T: Payload>(slots: u64) -> Self {
        Self { align: if T::ALIGN > 32 { T::ALIGN as u32 } else { 32 }, ..Self::slots(slots, T::SIZE.unwrap_or(1) as u64) }
    }

    /// Writers at a time: 1 to 32.
    pub const fn writers(mut self, writers: u32) -> Self {
        self.writers = writers;
        self
    }

    /// Readers at a time: 1 to 32 (31 where overwriting is allowed).
    pub const fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }

    /// Alignment of payloads in bytes: a power of two up to 4096; at least 32 is had anyway.
    pub const fn align(mut self, align: u32) -> Self {
        self.align = align;
        self
    }

    /// A writer never waits for readers: it takes the next slot in its ring order that nobody owns and no reader is inside of, read or
    /// unread, and with it the sample that was there. Readers are told how many samples they missed. 31 readers at most.
    ///
    /// ```
    /// use seqslot_core::{Bare, Config, Segment};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let segment = Segment::create(Bare::new(region), &(), &Config::slots(2, 8).overwrite())?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// for number in 0..5 {
    ///     writer.send(&[number])?; // never fails for want of a slot
    /// }
    /// let sample = reader.take()?.expect("the last two are there");
    /// assert_eq!((&*sample, sample.missed()), (&[3][..], 3));
    /// assert_eq!((reader.missed(), segment.stats().overwritten), (3, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn overwrite(mut self) -> Self {
        self.overwrite = true;
        if self.readers == 32 {
            self.readers = 31;
        }
        self
    }

    /// Do not reserve memory at creation: faster, and a full system is then a fault (SIGBUS on Linux) at first use.
    pub const fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// Let the creator's group attach as well (mode 0660 in place of 0600).
    pub const fn group(mut self) -> Self {
        self.group = true;
        self
    }

    /// Every commit and release makes a full fence, as on platforms without [`Os::fence_all`](crate::Os::fence_all): slower by a locked
    /// instruction each. For segments that a process attaches to which may not make such fences (a sandbox that forbids `membarrier`),
    /// where it would otherwise wake up every millisecond of a wait, and for machines where nobody is to be interrupted when a peer parks.
    pub const fn full_fences(mut self) -> Self {
        self.full_fences = true;
        self
    }

    /// Identity of the payload's type: whoever attaches with another one is refused. All zero: not checked.
    pub const fn type_hash(mut self, hash: [u8; 16]) -> Self {
        self.type_hash = hash;
        self
    }

    /// Length in bytes of the region that the segment needs.
    ///
    /// # Errors
    /// [`GeometryError`]: which value cannot be.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> Result<usize, GeometryError> {
        Ok(self.geometry()?.total_len)
    }

    /// Whether memory is not reserved at creation.
    #[must_use]
    pub const fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// Head flags.
    pub(crate) fn flags(&self) -> u32 {
        if self.overwrite { FLAG_OVERWRITE } else { 0 }
    }

    pub(crate) fn geometry(&self) -> Result<SlotsGeometry, GeometryError> {
        let slots = u32::try_from(self.slots)
            .map_err(|_| GeometryError::TooManySlots { slots: self.slots, max: crate::layout::slots::SLOTS_MAX })?;
        let capacity = u32::try_from(self.capacity)
            .map_err(|_| GeometryError::CapacityOverflow { capacity: self.capacity, max: crate::layout::slots::CAPACITY_MAX })?;
        SlotsGeometry::new(SlotsShape { slots, capacity, writers: self.writers, readers: self.readers, align: self.align, flags: self.flags() })
    }
}

/// How long one sleep of a waiting writer lasts at most, before it looks again whether its peers live.
pub const WRITER_SLICE: Duration = Duration::from_millis(100);
/// How long one sleep of a waiting reader lasts at most, before it looks again whether its peers live.
pub const READER_SLICE: Duration = Duration::from_secs(1);
