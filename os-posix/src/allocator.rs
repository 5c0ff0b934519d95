//! The seeds' slot allocator over named segments: `create` and `attach` by the path of a flink.
//!
//! [`SlotAllocator`] is written for any POSIX platform; a shim exports it for its own as `PosixSlotAllocator`.

mod fault;

use core::fmt;
use core::time::Duration;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};

use seqslot_core::zerodds::Zds2Face;
use seqslot_core::{
    Access, AttachError, Config, Exclusion, Exclusive, Os, ReaderMask, Segment, SlotBackend, SlotError, SlotFace, SlotHandle, SlotHeader,
    SlotsOs,
};

pub use fault::{PosixSlotError, ShmFault};

/// Writer entries of a segment made here: allocators that reserve or wait at the same time. Each costs 8 bytes a slot; those
/// beyond it wait by sleeping in growing steps, and cannot reserve.
pub const WRITERS: u32 = 16;

/// Tries for the lock before the thread gives its processor away: the holder may need it.
const SPINS: u32 = 100;

/// The in-process locks of the seeds' face: spin locks that yield.
#[derive(Debug)]
pub struct Spinning;

/// A value under a spin lock.
#[derive(Debug)]
pub struct Spun<T>(spin::Mutex<T>);

impl Exclusion for Spinning {
    type Of<T> = Spun<T>;
}

impl<T> Exclusive<T> for Spun<T> {
    fn new(value: T) -> Self {
        Self(spin::Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        loop {
            for _ in 0..SPINS {
                if let Some(mut held) = self.0.try_lock() {
                    return act(&mut held);
                }
                core::hint::spin_loop();
            }
            std::thread::yield_now();
        }
    }
}

/// The seeds' slot allocator: an owner process creates the segment, others attach to it; all of them may write and read.
///
/// Use it through [`SlotBackend`]. Any thread may call; a forked child gets [`SlotError::Forked`] and attaches anew. Dropping it
/// gives its loans back; dropping the owner's takes the name away, and those attached keep the memory.
///
/// It works on two layouts, and `attach` tells which one it found: this library's own, and zerodds-flatdata's "ZDS2", which processes that
/// use that crate can attach to, or have made. That one promises less (see [`seqslot_core::zerodds`]), and only its owner writes.
pub struct SlotAllocator<O: SlotsOs> {
    face: Face<O>,
    flink_path: String,
}

/// The face over the layout that the object has.
#[allow(clippy::large_enum_variant, reason = "one for each allocator")]
pub(crate) enum Face<O: SlotsOs> {
    Native(SlotFace<O, Spinning>),
    Zds2(Zds2Face<O, Spinning>),
}

/// Calls the face, whichever it is. Its users are inlined, so that the way to a native segment costs a comparison more and no call.
macro_rules! on_face {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &$self.face {
            Face::Native(face) => face.$method($($argument),*),
            Face::Zds2(face) => face.$method($($argument),*),
        }
    };
}

impl<O: SlotsOs + Os<Name = Path> + Default> SlotAllocator<O> {
    /// Creates a segment of `slot_count` slots of `slot_capacity` bytes each as its owner; `flink_path` is the file by which
    /// others find it. Does not wait. Where the owner of a segment at that path is dead, it is replaced by a new one.
    ///
    /// # Errors
    /// [`PosixSlotError::Shm`]: a living owner has the path (with its process number), the path cannot be used, there is not
    /// enough memory, `slot_count` or `slot_capacity` is zero; [`PosixSlotError::CapacityOverflow`]. Nothing is left behind.
    pub fn create<P: Into<PathBuf>>(flink_path: P, slot_count: usize, slot_capacity: usize) -> Result<Self, PosixSlotError> {
        let path = flink_path.into();
        let config = Config::slots(slot_count as u64, slot_capacity as u64).writers(WRITERS);
        let segment = Segment::create(O::default(), &path, &config)?;
        Ok(Self::at(&path, native(segment)?))
    }

    /// As [`create`](Self::create), in the layout of zerodds-flatdata 1.0.0-rc.7, so that processes that use that crate can attach to it
    /// as readers. They must run as the same user. Nobody but the owner may write, and samples have one byte at least.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn create_zds2<P: Into<PathBuf>>(flink_path: P, slot_count: usize, slot_capacity: usize) -> Result<Self, PosixSlotError> {
        let path = flink_path.into();
        let face = Zds2Face::create(O::default(), &path, slot_count as u64, slot_capacity as u64)?;
        Ok(Self::at(&path, Face::Zds2(face)))
    }

    /// Attaches to the segment at `flink_path`, of either layout, and recovers what the dead left in it. Dropping the value takes no name
    /// away.
    ///
    /// # Errors
    /// [`PosixSlotError::Shm`]: there is none (yet), it is not trusted, or the system refused; [`PosixSlotError::InvalidHeader`]:
    /// it is not a segment of slots, of another version, cut short, or one that allows overwriting; [`PosixSlotError::Slot`]: a writer of
    /// the safe face lives in it.
    pub fn attach<P: Into<PathBuf>>(flink_path: P) -> Result<Self, PosixSlotError> {
        let path = flink_path.into();
        let os = O::default();
        let mapping = os.open(&path, Access::ReadWrite).map_err(AttachError::from)?;
        let face = if Zds2Face::<O, Spinning>::recognises(&mapping) {
            Face::Zds2(Zds2Face::adopt(os, mapping)?)
        } else {
            native(Segment::adopt(os, mapping)?)?
        };
        Ok(Self::at(&path, face))
    }

    pub(crate) fn at(path: &Path, face: Face<O>) -> Self {
        // A path that is not UTF-8 was refused by create and by attach, so nothing is lost here.
        Self { face, flink_path: path.to_string_lossy().into_owned() }
    }
}

pub(crate) fn native<O: SlotsOs>(segment: Segment<O>) -> Result<Face<O>, PosixSlotError> {
    SlotFace::new(segment).map(Face::Native).map_err(|error| match error {
        SlotError::Overwrites => PosixSlotError::InvalidHeader,
        error => error.into(),
    })
}

impl<O: SlotsOs> SlotAllocator<O> {
    /// Path of the flink file.
    #[must_use]
    pub fn flink_path(&self) -> &str {
        &self.flink_path
    }

    /// What a locator tells others: the path of the flink file.
    #[must_use]
    pub fn segment_path(&self) -> String {
        self.flink_path.clone()
    }

    /// The segment beneath, for the safe face and for tools; `None` where it is one of the layout "ZDS2".
    #[must_use]
    pub fn segment(&self) -> Option<&Segment<O>> {
        match &self.face {
            Face::Native(face) => Some(face.segment()),
            Face::Zds2(_) => None,
        }
    }

    /// Whether the segment is one of the layout "ZDS2".
    #[must_use]
    pub fn is_zds2(&self) -> bool {
        matches!(self.face, Face::Zds2(_))
    }

    /// Whether the owner of the segment lives. If not, the segment works on, but the path may be taken by a new one. `None` where nobody can
    /// tell: the crate zerodds-flatdata made the segment, and holds no lock on it.
    ///
    /// # Errors
    /// [`SlotError::Os`].
    pub fn owner_lives(&self) -> Result<Option<bool>, SlotError> {
        match &self.face {
            Face::Native(face) => Ok(Some(face.segment().owner_lives()?)),
            Face::Zds2(face) => face.owner_lives(),
        }
    }
}

impl<O: SlotsOs> SlotBackend for SlotAllocator<O>
where
    Self: Send + Sync,
    SlotFace<O, Spinning>: SlotBackend,
    Zds2Face<O, Spinning>: SlotBackend,
{
    #[inline(always)]
    fn reserve_slot(&self, active_readers_mask: ReaderMask) -> Result<SlotHandle, SlotError> {
        on_face!(self.reserve_slot(active_readers_mask))
    }

    #[inline(always)]
    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        on_face!(self.commit_slot(handle, bytes))
    }

    #[inline(always)]
    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError> {
        on_face!(self.discard_slot(handle))
    }

    #[inline(always)]
    fn read_slot(&self, handle: SlotHandle) -> Result<(SlotHeader, Vec<u8>), SlotError> {
        on_face!(self.read_slot(handle))
    }

    #[inline(always)]
    fn read_slot_into(&self, handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        on_face!(self.read_slot_into(handle, into))
    }

    #[inline(always)]
    fn mark_read(&self, handle: SlotHandle, reader_index: u8) -> Result<(), SlotError> {
        on_face!(self.mark_read(handle, reader_index))
    }

    #[inline(always)]
    fn mark_reader_disconnected(&self, reader_index: u8) -> Result<(), SlotError> {
        on_face!(self.mark_reader_disconnected(reader_index))
    }

    #[inline(always)]
    fn slot_count(&self) -> Result<usize, SlotError> {
        on_face!(self.slot_count())
    }

    #[inline(always)]
    fn slot_total_size(&self) -> usize {
        on_face!(self.slot_total_size())
    }

    #[inline(always)]
    fn slot_capacity(&self) -> usize {
        on_face!(self.slot_capacity())
    }

    #[inline(always)]
    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        on_face!(self.slot_data_ptr(handle))
    }

    #[inline(always)]
    fn commit_in_place(&self, handle: SlotHandle, len: usize) -> Result<u32, SlotError> {
        on_face!(self.commit_in_place(handle, len))
    }

    #[inline(always)]
    fn slot_read_ptr(&self, handle: SlotHandle) -> Result<(*const u8, usize), SlotError> {
        on_face!(self.slot_read_ptr(handle))
    }

    #[inline(always)]
    fn next_unread_slot(&self, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        on_face!(self.next_unread_slot(reader_index))
    }

    #[inline(always)]
    fn sample_at(&self, slot_index: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        on_face!(self.sample_at(slot_index))
    }

    #[inline(always)]
    fn next_of_writer(&self, handle: SlotHandle, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        on_face!(self.next_of_writer(handle, reader_index))
    }

    #[inline(always)]
    fn evict_sample(&self, handle: SlotHandle, readers: ReaderMask) -> Result<ReaderMask, SlotError> {
        on_face!(self.evict_sample(handle, readers))
    }

    #[inline(always)]
    fn now(&self) -> Option<Duration> {
        on_face!(self.now())
    }

    #[inline(always)]
    fn type_hash(&self) -> Option<[u8; 16]> {
        on_face!(self.type_hash())
    }

    #[inline(always)]
    fn notify_generation(&self) -> u64 {
        on_face!(self.notify_generation())
    }

    #[inline(always)]
    fn wait_for_change(&self, last: u64, timeout: Duration) {
        on_face!(self.wait_for_change(last, timeout));
    }
}

// A panic of a caller leaves nothing half done: what runs under the locks does not panic, and what is shared is made for the death of
// its writers at any instruction.
impl<O: SlotsOs> UnwindSafe for SlotAllocator<O> {}
impl<O: SlotsOs> RefUnwindSafe for SlotAllocator<O> {}

impl<O: SlotsOs> fmt::Debug for SlotAllocator<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosixSlotAllocator").field("flink_path", &self.flink_path).finish_non_exhaustive()
    }
}
