//! What a typed slot can hold.

use core::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::seeds::{SlotBackend, SlotError};

/// A plain type with an identity: what a [`FlatWriter`](crate::FlatWriter) writes and a [`FlatReader`](crate::FlatReader) reads.
///
/// Safe to implement: zerocopy's derives see to it that every bit pattern is a value and that there is no padding, so whatever a peer
/// wrote is a `Self`. [`as_bytes`](zerocopy::IntoBytes::as_bytes) is zerocopy's. Give the type `#[repr(C)]`: its layout is what both sides share.
///
/// ```
/// use seqslot_core::FlatStruct;
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
/// #[repr(C)]
/// struct Pose {
///     x: i64,
///     y: i64,
/// }
///
/// impl FlatStruct for Pose {
///     const TYPE_HASH: [u8; 16] = *b"Pose{x:i64,y:i64";
/// }
///
/// let pose = Pose { x: 1, y: 2 };
/// assert_eq!(Pose::WIRE_SIZE, 16);
/// assert_eq!(Pose::from_bytes(pose.as_bytes()), Some(pose));
/// assert_eq!(Pose::from_bytes(&[0; 15]), None);
/// ```
pub trait FlatStruct: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + Send + Sync + 'static {
    /// Bytes of a value. Not to be given another value.
    const WIRE_SIZE: usize = size_of::<Self>();

    /// Identity of this very layout, by convention the first 16 bytes of SHA-256 over name and fields: a change of either is another hash.
    /// All zero stands for no identity.
    const TYPE_HASH: [u8; 16];

    /// The value of these bytes; `None` if they are not [`WIRE_SIZE`](Self::WIRE_SIZE).
    #[must_use]
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::read_from_bytes(bytes).ok()
    }
}

/// Whether values of `T` can go through `backend`: they fit its slots, and if it is for a type, for this one.
pub(super) fn check<T: FlatStruct, B: SlotBackend + ?Sized>(backend: &B) -> Result<(), SlotError> {
    const { assert!(T::WIRE_SIZE == size_of::<T>(), "WIRE_SIZE is the size of the type") };
    match backend.type_hash() {
        Some(found) if found != T::TYPE_HASH => return Err(SlotError::TypeMismatch { expected: T::TYPE_HASH, found: Some(found) }),
        _ => {}
    }
    let slot_capacity = backend.slot_capacity();
    if size_of::<T>() > slot_capacity {
        return Err(SlotError::SampleTooLarge { sample: size_of::<T>(), slot_capacity });
    }
    Ok(())
}
