//! Writers with their loans, readers with their samples, faces with theirs: in one value each, so that they can come and go in any order.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use seqslot_core::{
    Exclusion, Exclusive, JoinError, Loan, Reader, ReaderIndex, Sample, Segment, SlotBackend, SlotFace, SlotHandle, Writer,
};

use crate::world::HostileOs;

/// The segments of these tests.
pub type Seg = Arc<Segment<HostileOs>>;

/// A place of its own on the heap, which what is beside it borrows from.
struct Home<T>(NonNull<T>);

impl<T> Home<T> {
    fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(value))))
    }

    /// The value, for as long as the caller likes: whoever keeps a borrow beside this drops it first.
    fn get(&self) -> &'static T {
        // SAFETY: on the heap until `drop`; this module's types drop every borrow before it.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Home<T> {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`, once; nothing borrows from it any more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// A writer and its loans. Fields are dropped in this order.
pub struct WriterParty {
    /// Loans that are out.
    pub loans: Vec<Loan<'static, Seg>>,
    writer: Home<Writer<Seg>>,
}

impl WriterParty {
    /// Joins.
    pub fn join(segment: &Seg) -> Result<Self, JoinError> {
        Ok(Self { loans: Vec::new(), writer: Home::new(Writer::join(Arc::clone(segment))?) })
    }

    /// The writer; loans of it stay in this party.
    pub fn writer(&self) -> &'static Writer<Seg> {
        self.writer.get()
    }
}

/// A reader and its samples. Fields are dropped in this order.
pub struct ReaderParty {
    /// Samples that are held.
    pub samples: Vec<Sample<'static, Seg>>,
    reader: Home<Reader<Seg>>,
    /// Position expected next, by writer.
    pub due: [u32; 32],
    /// It was evicted.
    pub is_evicted: bool,
}

impl ReaderParty {
    /// Joins, with this index if one is wanted.
    pub fn join(segment: &Seg, wanted: Option<ReaderIndex>) -> Result<Self, JoinError> {
        let segment = Arc::clone(segment);
        let reader = match wanted {
            Some(index) => Reader::join_as(segment, index)?,
            None => Reader::join(segment)?,
        };
        Ok(Self { samples: Vec::new(), reader: Home::new(reader), due: [0; 32], is_evicted: false })
    }

    /// The reader; samples of it stay in this party.
    pub fn reader(&self) -> &'static Reader<Seg> {
        self.reader.get()
    }

    /// Evicts the reader, after it has let go of everything.
    pub fn evict(&mut self, segment: &Seg) {
        self.samples.clear();
        // SAFETY: the reader's samples were just dropped, and are never looked at again.
        self.is_evicted |= unsafe { segment.evict(self.reader().id()) }.is_ok();
    }
}

/// The lock of the seeds' face.
#[derive(Debug)]
pub struct Guard<T>(Mutex<T>);

impl<T> Exclusive<T> for Guard<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The kind of it.
#[derive(Debug)]
pub struct Guards;

impl Exclusion for Guards {
    type Of<T> = Guard<T>;
}

/// A face of the seeds, and the handles it gave out.
pub struct FaceParty {
    /// The face.
    pub face: SlotFace<HostileOs, Guards>,
    /// Reserved slots.
    pub loans: Vec<SlotHandle>,
    /// Slots seen by readers.
    pub seen: Vec<SlotHandle>,
}

impl FaceParty {
    /// Fills a loan through its pointer, as C programs do; where it is.
    pub fn scribble(&self, loan: SlotHandle, byte: u8) -> Option<Span> {
        let (at, len) = self.face.slot_data_ptr(loan).ok()?;
        // SAFETY: the face gave the pointer for so many bytes of a slot on loan, and this is the one thread.
        unsafe { std::ptr::write_bytes(at, byte, len) };
        Some((at.addr(), len))
    }

    /// Reads a sample through its pointer; where it is.
    pub fn read(&self, seen: SlotHandle) -> Option<Span> {
        let (at, len) = self.face.slot_read_ptr(seen).ok()?;
        // SAFETY: the face gave the pointer for so many bytes, and this is the one thread.
        std::hint::black_box(sum(unsafe { std::slice::from_raw_parts(at, len) }));
        Some((at.addr(), len))
    }
}

/// Address and length of something lent.
pub type Span = (usize, usize);

/// Adds the bytes up, so that a sanitizer sees them read.
pub fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}
