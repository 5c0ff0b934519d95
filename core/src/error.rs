//! One small error for each operation. Each variant is plainly one of four [`Cause`]s, so that a caller, and a command's exit
//! code, can tell misuse from damage, from contention, and from the operating system.

use core::fmt;

/// What kind of thing went wrong.
///
/// ```
/// use seqslot_core::{Cause, CommitError, HeadError, LoanError};
/// assert_eq!(LoanError::NoFreeSlot.cause(), Cause::Contention); // try again later
/// assert_eq!(CommitError::SampleTooLarge { sample: 65, capacity: 64 }.cause(), Cause::Misuse); // not again like this
/// assert_eq!(HeadError::Magic { found: 0 }.cause(), Cause::Corruption); // a peer's doing
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause {
    /// The caller asked for something that cannot be; asking again the same way will not help.
    Misuse,
    /// What a peer left in shared memory or in a file is not valid.
    Corruption,
    /// Somebody else has it just now, or is gone; later, or with other peers, it may work.
    Contention,
    /// A system call failed.
    Os,
}

/// Longest path or name that an [`OsError`] keeps, in bytes; a longer one keeps its end.
const OBJECT_MAX: usize = 120;

/// A system call that failed: which, on what, and the error number.
///
/// ```
/// use seqslot_core::{Cause, OsError};
/// let error = OsError::new("shm_open", 13, "/seqslot-0123456789abcdef");
/// assert_eq!((error.call(), error.errno(), error.cause()), ("shm_open", 13, Cause::Os));
/// assert!(error.to_string().starts_with("shm_open failed with error 13"));
/// assert!(error.to_string().ends_with(error.object()));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OsError {
    call: &'static str,
    errno: i32,
    object: heapless::String<OBJECT_MAX>,
}

impl OsError {
    /// `call` failed with `errno` on `object` (a path or a name; empty if there is none).
    #[must_use]
    pub fn new(call: &'static str, errno: i32, object: &str) -> Self {
        let mut start = object.len().saturating_sub(OBJECT_MAX);
        while !object.is_char_boundary(start) {
            start += 1;
        }
        let mut kept = heapless::String::new();
        // The slice was cut to the capacity above, so it always fits.
        let _ = kept.push_str(&object[start..]);
        Self { call, errno, object: kept }
    }

    /// Always [`Cause::Os`].
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause::Os
    }

    /// Name of the system call.
    #[must_use]
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The error number (0 where the platform gave none).
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// Path or name the call was about; empty if there is none, the last 120 bytes of a longer one.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

impl fmt::Debug for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with error {}", self.call, self.errno)?;
        #[cfg(feature = "std")]
        write!(f, " ({})", std::io::Error::from_raw_os_error(self.errno))?;
        if self.object.is_empty() { Ok(()) } else { write!(f, " on {}", self.object) }
    }
}

impl core::error::Error for OsError {}

#[cfg(feature = "defmt")]
impl defmt::Format for OsError {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str} failed with error {=i32} on {=str}", self.call, self.errno, self.object.as_str());
    }
}

/// A process by its number; 0 is one that has no number here.
struct Who(u32);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("a process without a number here, as in another container"),
            pid => write!(f, "process {pid}"),
        }
    }
}

/// The cause of a variant: its own, or that of the error inside.
macro_rules! cause {
    ($cause:ident) => {
        Cause::$cause
    };
    ($cause:ident, $inner:ident) => {
        $inner.cause()
    };
}

/// Declares an error enum with its texts and causes in one table.
macro_rules! errors {
    ($(#[$meta:meta])* $name:ident { $( $(#[$vmeta:meta])* $variant:ident $( { $($field:ident : $ftype:ty),* } )? $( ( $inner:ident : $itype:ty ) )? => $cause:ident, $text:literal $(, $arg:expr)* ; )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum $name { $( $(#[$vmeta])* $variant $( { $(#[doc = "See the text."] $field : $ftype),* } )? $( ( $itype ) )? , )* }

        impl $name {
            /// What kind of error this is.
            #[must_use]
            pub fn cause(&self) -> Cause {
                match self { $( Self::$variant $( { $($field: _),* } )? $( ( $inner ) )? => cause!($cause $(, $inner)?), )* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $( Self::$variant $( { $($field),* } )? $( ( $inner ) )? => write!(f, $text $(, $arg)*), )* }
            }
        }

        impl core::error::Error for $name {}
    };
}

errors! {
    /// Why an object was not made by an [`Os`](crate::Os).
    CreateFault {
        /// A living owner has the name. Its process number is 0 where none is known: in another pid namespace (a container), or on a platform without processes.
        AlreadyExists { pid: u32 } => Contention, "the segment exists and its owner ({}) is alive; stop it, choose another path, or attach", Who(*pid);
        /// Somebody is creating or taking over the same name at this moment.
        BeingCreated => Contention, "another process is creating this segment just now; attach to it, or try again";
        /// The name is not one the platform can use.
        BadName { reason: &'static str } => Misuse, "the name cannot be used: {reason}";
        /// Something else, not a segment's name file, has the path, or another user's or system's; it was left as it is.
        NotASegment => Corruption, "the path exists and is not a segment's name file, or is another user's; it was left as it is";
        /// A system call failed.
        Os(error: OsError) => Os, "{error}";
    }
}

errors! {
    /// Why an object was not opened by an [`Os`](crate::Os).
    OpenFault {
        /// There is no such name.
        NotFound => Contention, "there is no segment of this name (yet)";
        /// The name is not one the platform can use.
        BadName { reason: &'static str } => Misuse, "the name cannot be used: {reason}";
        /// The path is there and is not a segment's name file.
        NotASegment => Corruption, "the path is not a segment's name file";
        /// The object belongs to another user, or others may write it.
        Untrusted { uid: u32, mode: u32 } => Corruption, "the object belongs to user {uid} with mode {mode:o}, which is not trusted; attach as that user, or have it made for your group";
        /// A system call failed.
        Os(error: OsError) => Os, "{error}";
    }
}

errors! {
    /// What is wrong with a [`Config`](crate::Config) or a head: the geometry it asks for.
    GeometryError {
        /// No slot.
        ZeroSlots => Misuse, "a segment needs at least one slot";
        /// More slots than an index can name.
        TooManySlots { slots: u64, max: u32 } => Misuse, "{slots} slots asked for, at most {max} are possible";
        /// No capacity, or a snapshot of no bytes.
        ZeroCapacity => Misuse, "the capacity must be at least one byte";
        /// The capacity does not fit 32 bits with its header.
        CapacityOverflow { capacity: u64, max: u32 } => Misuse, "a capacity of {capacity} bytes asked for, at most {max} are possible";
        /// Not 1 to 32 writers.
        Writers { writers: u32 } => Misuse, "{writers} writers asked for; 1 to 32 are possible";
        /// Not 1 to 32 readers (31 where the segment allows overwriting).
        Readers { readers: u32, max: u32 } => Misuse, "{readers} readers asked for; 1 to {max} are possible";
        /// Not a power of two from 1 to 4096.
        Align { align: u32 } => Misuse, "payloads cannot be aligned to {align} bytes; a power of two up to 4096 can";
        /// Not a power of two from 2 to 64.
        Buffers { buffers: u32 } => Misuse, "{buffers} snapshot buffers asked for; a power of two from 2 to 64 is possible";
        /// The whole does not fit the address space.
        TotalOverflow => Misuse, "the segment would be larger than the address space";
    }
}

errors! {
    /// What is wrong with the bytes at the start of a region.
    HeadError {
        /// The region is shorter than a head.
        TooShort { len: u64, needed: u64 } => Corruption, "{len} bytes are too short for a segment that needs {needed}; it was cut, or is not one";
        /// The memory does not start at a multiple of 64, or of the alignment of payloads.
        Misaligned => Misuse, "the memory must start at a multiple of 64 bytes, and of the alignment of payloads";
        /// Not our magic.
        Magic { found: u32 } => Corruption, "not a seqslot segment (magic {found:#010x})";
        /// Written by a machine of the other byte order.
        ByteOrder => Corruption, "the segment was made by a machine of the other byte order";
        /// Made by another layout version.
        Version { major: u16, minor: u16 } => Corruption, "the segment has layout version {major}.{minor}, this library reads {}.x", crate::layout::VERSION_MAJOR;
        /// Made, but its head is not finished; or its creator died while making it.
        NotReady => Contention, "the segment is not ready: its creator is still at it, or died";
        /// Another kind of segment.
        Kind { found: u32, expected: u32 } => Misuse, "the segment is of kind {found} (1 slots, 2 snapshot), not {expected}";
        /// A field that contradicts another, or a limit.
        Field { name: &'static str, value: u64 } => Corruption, "the head's {name} is {value}, which cannot be";
        /// The typed face was asked for another type than the segment was made for.
        TypeMismatch => Misuse, "the segment holds another type: its type hash differs";
    }
}

errors! {
    /// Why a segment was not created.
    CreateError {
        /// The configuration cannot be.
        Geometry(error: GeometryError) => Misuse, "{error}";
        /// The region given is too short for it.
        RegionTooShort { len: u64, needed: u64 } => Misuse, "the region has {len} bytes, the segment needs {needed}";
        /// The region does not start at a multiple of 64.
        Misaligned => Misuse, "the region must start at a multiple of 64 bytes";
        /// The configuration is not for values of the handle's type.
        TypeMismatch => Misuse, "the configuration is for values of another size than the type's";
        /// The process has no memory for what the owner notes of each slot.
        NoHeap { slots: u32 } => Os, "there is no memory for the owner's account of {slots} slots; make fewer of them";
        /// A living owner has the name. Its process number is 0 where none is known: in another pid namespace (a container), or on a platform without processes.
        AlreadyExists { pid: u32 } => Contention, "the segment exists and its owner ({}) is alive; stop it, choose another path, or attach", Who(*pid);
        /// Somebody is creating or taking over the same name at this moment.
        BeingCreated => Contention, "another process is creating this segment just now; attach to it, or try again";
        /// The name is not one the platform can use.
        BadName { reason: &'static str } => Misuse, "the name cannot be used: {reason}";
        /// Something else has the path, or another user's or system's segment.
        NotASegment => Corruption, "the path exists and is not a segment's name file, or is another user's; it was left as it is";
        /// A system call failed.
        Os(error: OsError) => Os, "{error}";
    }
}

impl From<CreateFault> for CreateError {
    fn from(fault: CreateFault) -> Self {
        match fault {
            CreateFault::AlreadyExists { pid } => Self::AlreadyExists { pid },
            CreateFault::BeingCreated => Self::BeingCreated,
            CreateFault::BadName { reason } => Self::BadName { reason },
            CreateFault::NotASegment => Self::NotASegment,
            CreateFault::Os(error) => Self::Os(error),
        }
    }
}

impl From<GeometryError> for CreateError {
    fn from(error: GeometryError) -> Self {
        Self::Geometry(error)
    }
}

errors! {
    /// Why a segment was not attached to.
    AttachError {
        /// There is no such name.
        NotFound => Contention, "there is no segment of this name (yet)";
        /// The name is not one the platform can use.
        BadName { reason: &'static str } => Misuse, "the name cannot be used: {reason}";
        /// The path is there and is not a segment's name file.
        NotASegment => Corruption, "the path is not a segment's name file";
        /// The object belongs to another user, or others may write it.
        Untrusted { uid: u32, mode: u32 } => Corruption, "the object belongs to user {uid} with mode {mode:o}, which is not trusted; attach as that user, or have it made for your group";
        /// A living process has the one writer's entry of the snapshot; its number is 0 as for
        /// [`CreateError::AlreadyExists`].
        Taken { pid: u32 } => Contention, "the segment's writer ({}) is alive; stop it first", Who(*pid);
        /// Slots are for those who write: readers, too, mark what they read.
        ReadOnly => Misuse, "a slots segment cannot be used through a read-only mapping";
        /// The bytes are not a segment that this library reads.
        Head(error: HeadError) => Corruption, "{error}";
        /// A system call failed.
        Os(error: OsError) => Os, "{error}";
    }
}

impl From<OpenFault> for AttachError {
    fn from(fault: OpenFault) -> Self {
        match fault {
            OpenFault::NotFound => Self::NotFound,
            OpenFault::BadName { reason } => Self::BadName { reason },
            OpenFault::NotASegment => Self::NotASegment,
            OpenFault::Untrusted { uid, mode } => Self::Untrusted { uid, mode },
            OpenFault::Os(error) => Self::Os(error),
        }
    }
}

impl From<HeadError> for AttachError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

errors! {
    /// Why a writer or reader entry was not claimed.
    JoinError {
        /// Every entry is taken by somebody alive, is being put right just now, or (readers) was once shared by users of the seeds' face.
        Full { entries: u32 } => Contention, "all {entries} entries are taken by living processes; stop one, or make the segment with more";
        /// The index asked for is not below the segment's count.
        OutOfBounds { index: u32, entries: u32 } => Misuse, "index {index} is out of bounds: the segment has {entries}";
        /// Somebody alive has the index asked for, it was once shared by users of the seeds' face, or the reader was evicted within its join.
        Taken { index: u32 } => Contention, "entry {index} is taken by a living process";
        /// A writer was asked for, and the segment is used through the seeds' face, whose readers a writer of the safe face does not wait for.
        SlotFace => Misuse, "the segment is used through the slot allocator's face; write through that, or make a segment of your own";
        /// The type does not fit the segment: its size, alignment, or type hash.
        TypeMismatch => Misuse, "the type does not fit the segment: size, alignment or type hash differ";
        /// The segment is mapped read-only.
        ReadOnly => Misuse, "the segment is mapped read-only";
        /// The handle is not this process's any more: inherited by a fork, or its holder was declared dead. Attach anew.
        Forked => Misuse, "the handle is the parent process's, or its holder was declared dead; attach anew";
        /// A system call failed.
        Os(error: OsError) => Os, "{error}";
    }
}

errors! {
    /// Why no slot was loaned.
    LoanError {
        /// Every slot is on loan or owed to a living reader.
        NoFreeSlot => Contention, "no slot is free: all are on loan or not yet read";
        /// Nothing became free in time.
        TimedOut => Contention, "no slot became free in time";
        /// The handle is not this process's any more: inherited by a fork, or its holder was declared dead. Attach anew.
        Forked => Misuse, "the handle is the parent process's, or its holder was declared dead; attach anew";
    }
}

errors! {
    /// Why a loan was not committed.
    CommitError {
        /// The sample does not fit the slot.
        SampleTooLarge { sample: usize, capacity: usize } => Misuse, "a sample of {sample} bytes does not fit a slot of {capacity}";
        /// The slot is no longer this loan's: it was recovered, or a peer overwrote its state.
        StaleHandle => Corruption, "the loan is no longer valid: its slot was recovered or overwritten";
        /// The handle is not this process's any more: inherited by a fork, or its holder was declared dead. Attach anew.
        Forked => Misuse, "the loan is the parent process's, or its holder was declared dead; attach anew";
    }
}

/// Why a sample was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// No slot was loaned.
    Loan(LoanError),
    /// The loan was not committed.
    Commit(CommitError),
}

impl SendError {
    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Loan(error) => error.cause(),
            Self::Commit(error) => error.cause(),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loan(error) => error.fmt(f),
            Self::Commit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

errors! {
    /// Why no sample was taken.
    TakeError {
        /// Every writer closed, and everything was read.
        Closed => Contention, "the stream has ended: every writer closed and everything was read";
        /// The last writer died without closing, and everything it committed was read.
        WriterDied => Contention, "the writer died; everything it committed was read";
        /// No writer is attached, none ever was, and the segment's creator is gone.
        PeersGone => Contention, "no writer ever came, and the segment's creator is gone";
        /// This reader was evicted; join again.
        Evicted => Contention, "this reader was evicted; join again";
        /// Nothing came in time.
        TimedOut => Contention, "no sample came in time";
        /// The handle is not this process's any more: inherited by a fork, or its holder was declared dead. Attach anew.
        Forked => Misuse, "the handle is the parent process's, or its holder was declared dead; attach anew";
        /// A peer wrote a size larger than the slot; the sample was skipped and marked read.
        BadSize { size: u32, capacity: u32 } => Corruption, "a sample claims {size} bytes in a slot of {capacity}; it was skipped";
    }
}

errors! {
    /// Why a snapshot was not published.
    PublishError {
        /// The bytes are not as many as a value has.
        SizeMismatch { len: usize, expected: u32 } => Misuse, "{len} bytes given, the segment's values have {expected}";
        /// The handle was inherited by a fork; attach anew in the child.
        Forked => Misuse, "the writer belongs to the parent process; attach anew after fork";
    }
}

errors! {
    /// Why there is no snapshot.
    SnapshotError {
        /// Nothing was published yet.
        Empty => Contention, "nothing was published yet";
        /// The writer lapped the reader on every try.
        Contended { tries: u32 } => Contention, "the writer overtook the reader {tries} times in a row; try again";
        /// The control words contradict each other.
        Damaged => Corruption, "the snapshot's control words contradict each other: a peer damaged them";
        /// The type's size is not the segment's.
        TypeMismatch => Misuse, "the type does not fit the segment: its size or type hash differs";
    }
}

errors! {
    /// Why a reader was not evicted.
    EvictError {
        /// No such reader index.
        OutOfBounds { index: u32, entries: u32 } => Misuse, "index {index} is out of bounds: the segment has {entries}";
        /// The index is free, or its holder is not the one meant any more.
        Gone => Contention, "that reader is gone; its index is free or another's";
        /// Another eviction is under way.
        Busy => Contention, "another eviction is under way; try again";
        /// A system call failed.
        Os(error: OsError) => Os, "{error}";
    }
}
