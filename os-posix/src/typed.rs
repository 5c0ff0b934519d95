//! Segments for values of one type: its identity is in their head.

use std::path::{Path, PathBuf};

use seqslot_core::{Config, FlatStruct, Os, Segment, SlotBackend, SlotError, SlotsOs};

use crate::allocator::{PosixSlotError, SlotAllocator, WRITERS, native};

impl<O: SlotsOs + Os<Name = Path> + Default> SlotAllocator<O>
where
    Self: SlotBackend,
{
    /// As [`create`](Self::create), for values of `T`: slots of its size and alignment, and its [`TYPE_HASH`](FlatStruct::TYPE_HASH) in the
    /// head, where `FlatWriter`s, `FlatReader`s and [`attach_typed`](Self::attach_typed) look.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_typed<T: FlatStruct>(flink_path: impl Into<PathBuf>, slot_count: usize) -> Result<Self, PosixSlotError> {
        const { assert!(u128::from_ne_bytes(T::TYPE_HASH) != 0, "all zero stands for no type") };
        let path = flink_path.into();
        let config = Config::typed::<T>(slot_count as u64).writers(WRITERS).type_hash(T::TYPE_HASH);
        let segment = Segment::create(O::default(), &path, &config)?;
        Ok(Self::at(&path, native(segment)?))
    }

    /// As [`attach`](Self::attach), to a segment that was created for values of `T`.
    ///
    /// # Errors
    /// As [`attach`](Self::attach); [`SlotError::TypeMismatch`] in [`PosixSlotError::Slot`] if it is for another type, or for none.
    pub fn attach_typed<T: FlatStruct>(flink_path: impl Into<PathBuf>) -> Result<Self, PosixSlotError> {
        let attached = Self::attach(flink_path)?;
        match attached.type_hash() {
            Some(found) if found == T::TYPE_HASH => Ok(attached),
            found => Err(SlotError::TypeMismatch { expected: T::TYPE_HASH, found }.into()),
        }
    }
}
