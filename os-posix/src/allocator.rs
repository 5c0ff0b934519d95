//! The seeds' slot allocator over named segments: `create` and `attach` by the path of a flink.
//!
//! [`SlotAllocator`] is written for any POSIX platform; a shim exports it for its own as `PosixSlotAllocator`.

use core::fmt;
use core::time::Duration;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};

use seqslot_core::{
    AttachError, Cause, Config, CreateError, Exclusion, Exclusive, GeometryError, HeadError, Os, ReaderMask, Segment, SlotBackend,
    SlotError, SlotFace, SlotHandle, SlotHeader, SlotsOs,
};

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

/// Why shared memory was not created or attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShmFault {
    /// It was not created: [`CreateError::AlreadyExists`] has the process number of the living owner.
    Create(CreateError),
    /// It was not attached to.
    Attach(AttachError),
}

impl ShmFault {
    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Create(error) => error.cause(),
            Self::Attach(error) => error.cause(),
        }
    }
}

impl fmt::Display for ShmFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(error) => error.fmt(f),
            Self::Attach(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShmFault {}

/// Why there is no [`SlotAllocator`]. Nothing is left behind.
///
/// A living owner is `Shm(ShmFault::Create(CreateError::AlreadyExists { pid }))`; [`owner_pid`](Self::owner_pid) takes it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PosixSlotError {
    /// The object or its flink: the name is taken, not there, not trusted, or a system call failed.
    Shm(ShmFault),
    /// The capacity, or the whole with it, is beyond what the layout can say.
    CapacityOverflow,
    /// The object is not a segment of slots that this library reads, or not one that keeps account of who owes a read.
    InvalidHeader,
    /// An operation on slots failed.
    Slot(SlotError),
}

impl PosixSlotError {
    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Shm(fault) => fault.cause(),
            Self::CapacityOverflow => Cause::Misuse,
            Self::InvalidHeader => Cause::Corruption,
            Self::Slot(error) => error.cause(),
        }
    }

    /// The process number of the living owner that has the path, if that is what was wrong.
    #[must_use]
    pub fn owner_pid(&self) -> Option<u32> {
        match self {
            Self::Shm(ShmFault::Create(CreateError::AlreadyExists { pid })) => Some(*pid),
            _ => None,
        }
    }
}

impl fmt::Display for PosixSlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shm(fault) => fault.fmt(f),
            Self::CapacityOverflow => f.write_str("slots of that capacity, or that many of them, do not fit a segment"),
            Self::InvalidHeader => f.write_str("the object is not a segment of slots that this library reads"),
            Self::Slot(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PosixSlotError {}

impl From<SlotError> for PosixSlotError {
    fn from(error: SlotError) -> Self {
        Self::Slot(error)
    }
}

impl From<CreateError> for PosixSlotError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Geometry(GeometryError::CapacityOverflow { .. } | GeometryError::TotalOverflow) => Self::CapacityOverflow,
            error => Self::Shm(ShmFault::Create(error)),
        }
    }
}

impl From<AttachError> for PosixSlotError {
    fn from(error: AttachError) -> Self {
        match error {
            // Still being made, or its creator died at it: there is nothing wrong with the header yet.
            AttachError::Head(HeadError::NotReady) => Self::Shm(ShmFault::Attach(error)),
            AttachError::Head(_) | AttachError::NotASegment => Self::InvalidHeader,
            error => Self::Shm(ShmFault::Attach(error)),
        }
    }
}

/// The seeds' slot allocator: an owner process creates the segment, others attach to it; all of them may write and read.
///
/// Use it through [`SlotBackend`]. Any thread may call; a forked child gets [`SlotError::Forked`] and attaches anew. Dropping it
/// gives its loans back; dropping the owner's takes the name away, and those attached keep the memory.
pub struct SlotAllocator<O: SlotsOs> {
    face: SlotFace<O, Spinning>,
    flink_path: String,
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
        Self::over(segment, &path)
    }

    /// Attaches to the segment at `flink_path`, and recovers what the dead left in it. Dropping the value takes no name away.
    ///
    /// # Errors
    /// [`PosixSlotError::Shm`]: there is none (yet), it is not trusted, or the system refused; [`PosixSlotError::InvalidHeader`]:
    /// it is not a segment of slots, of another version, cut short, or one that allows overwriting; [`PosixSlotError::Slot`]: a writer of
    /// the safe face lives in it.
    pub fn attach<P: Into<PathBuf>>(flink_path: P) -> Result<Self, PosixSlotError> {
        let path = flink_path.into();
        let segment = Segment::attach(O::default(), &path)?;
        Self::over(segment, &path)
    }

    fn over(segment: Segment<O>, path: &Path) -> Result<Self, PosixSlotError> {
        // A path that is not UTF-8 was refused by create and by attach, so nothing is lost here.
        let flink_path = path.to_string_lossy().into_owned();
        let face = SlotFace::new(segment).map_err(|error| match error {
            SlotError::Overwrites => PosixSlotError::InvalidHeader,
            error => error.into(),
        })?;
        Ok(Self { face, flink_path })
    }
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

    /// The segment beneath, for the safe face and for tools.
    #[must_use]
    pub fn segment(&self) -> &Segment<O> {
        self.face.segment()
    }

    /// Whether the owner of the segment lives. If not, the segment works on, but the path may be taken by a new one.
    ///
    /// # Errors
    /// [`SlotError::Os`].
    pub fn owner_lives(&self) -> Result<bool, SlotError> {
        Ok(self.face.segment().owner_lives()?)
    }
}

impl<O: SlotsOs> SlotBackend for SlotAllocator<O>
where
    Self: Send + Sync,
    SlotFace<O, Spinning>: SlotBackend,
{
    fn reserve_slot(&self, active_readers_mask: ReaderMask) -> Result<SlotHandle, SlotError> {
        self.face.reserve_slot(active_readers_mask)
    }

    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        self.face.commit_slot(handle, bytes)
    }

    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError> {
        self.face.discard_slot(handle)
    }

    fn read_slot(&self, handle: SlotHandle) -> Result<(SlotHeader, Vec<u8>), SlotError> {
        self.face.read_slot(handle)
    }

    fn read_slot_into(&self, handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        self.face.read_slot_into(handle, into)
    }

    fn mark_read(&self, handle: SlotHandle, reader_index: u8) -> Result<(), SlotError> {
        self.face.mark_read(handle, reader_index)
    }

    fn mark_reader_disconnected(&self, reader_index: u8) -> Result<(), SlotError> {
        self.face.mark_reader_disconnected(reader_index)
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        self.face.slot_count()
    }

    fn slot_total_size(&self) -> usize {
        self.face.slot_total_size()
    }

    fn slot_capacity(&self) -> usize {
        self.face.slot_capacity()
    }

    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        self.face.slot_data_ptr(handle)
    }

    fn commit_in_place(&self, handle: SlotHandle, len: usize) -> Result<u32, SlotError> {
        self.face.commit_in_place(handle, len)
    }

    fn slot_read_ptr(&self, handle: SlotHandle) -> Result<(*const u8, usize), SlotError> {
        self.face.slot_read_ptr(handle)
    }

    fn next_unread_slot(&self, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        self.face.next_unread_slot(reader_index)
    }

    fn type_hash(&self) -> Option<[u8; 16]> {
        self.face.type_hash()
    }

    fn notify_generation(&self) -> u64 {
        self.face.notify_generation()
    }

    fn wait_for_change(&self, last: u64, timeout: Duration) {
        self.face.wait_for_change(last, timeout);
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
