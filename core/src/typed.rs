//! Payload types: bytes, or any type that zerocopy knows to be valid for all bit patterns and free of padding.

use core::mem::{align_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a slot can hold: `[u8]`, or a plain type. Sealed; implemented for every type with zerocopy's traits.
///
/// Such a type has no invalid bit pattern and no padding, so whatever a peer wrote is a value of it.
pub trait Payload: sealed::Sealed {
    /// Size in bytes of a typed payload; `None` for bytes, whose length each sample says.
    const SIZE: Option<usize>;
    /// Alignment it needs.
    const ALIGN: usize;

    /// A reference to a payload of `len` bytes.
    #[doc(hidden)]
    fn cast(payload: *const u8, len: usize) -> *const Self;

    /// A unique reference to a payload of `len` bytes.
    #[doc(hidden)]
    fn cast_mut(payload: *mut u8, len: usize) -> *mut Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for [u8] {}
    impl<T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable + zerocopy::KnownLayout> Sealed for T {}
}

impl Payload for [u8] {
    const SIZE: Option<usize> = None;
    const ALIGN: usize = 1;

    #[inline(always)]
    fn cast(payload: *const u8, len: usize) -> *const Self {
        core::ptr::slice_from_raw_parts(payload, len)
    }

    #[inline(always)]
    fn cast_mut(payload: *mut u8, len: usize) -> *mut Self {
        core::ptr::slice_from_raw_parts_mut(payload, len)
    }
}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> Payload for T {
    const SIZE: Option<usize> = Some(size_of::<T>());
    const ALIGN: usize = align_of::<T>();

    #[inline(always)]
    fn cast(payload: *const u8, _len: usize) -> *const Self {
        payload.cast()
    }

    #[inline(always)]
    fn cast_mut(payload: *mut u8, _len: usize) -> *mut Self {
        payload.cast()
    }
}

/// Whether `T` fits slots of `capacity` bytes whose payloads start at multiples of `align` (and of 32, where `align` is less).
pub(crate) fn fits<T: Payload + ?Sized>(capacity: u32, align: u32) -> bool {
    T::SIZE.is_none_or(|size| size <= capacity as usize) && T::ALIGN <= (align as usize).max(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_fits_where_its_size_and_alignment_do() {
        assert!(fits::<[u8]>(1, 1));
        assert!(fits::<[u64; 8]>(64, 8));
        assert!(!fits::<[u64; 8]>(63, 8));
        assert!(fits::<u128>(16, 1), "payloads start at multiples of 32 at least");
    }
}
