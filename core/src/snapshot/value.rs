//! What can be published: plain values, and bytes.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod sealed {
    pub trait Value {}
    pub trait Cache {}
}

/// A value that a snapshot can carry: a sized type valid for all bit patterns and without padding (by zerocopy's traits), or `[u8]`.
///
/// It is implemented for all of these and cannot be implemented for others.
pub trait SnapshotValue: sealed::Value {
    /// What a reader keeps of it: room for two values, so that a failed try never harms the last good one.
    type Cache;

    /// The value's bytes.
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];

    /// Bytes of a value where the type alone says so.
    #[doc(hidden)]
    fn size() -> Option<usize>;

    /// Its alignment.
    #[doc(hidden)]
    fn align() -> usize;

    /// A cache for values of `len` bytes, which the caller has compared with `size`.
    #[doc(hidden)]
    fn cache(len: usize) -> Self::Cache;
}

/// A cache that can lend its value. (`[u8]` has one with the feature `alloc`; without it there is `read_into`.)
pub trait SnapshotCache<T: ?Sized>: sealed::Cache {
    /// The room that is not the current value.
    #[doc(hidden)]
    fn spare(&mut self) -> &mut [u8];
    /// Makes the spare room the current value.
    #[doc(hidden)]
    fn flip(&mut self);
    /// The current value.
    #[doc(hidden)]
    fn current(&self) -> &T;
}

/// Two values, one of which is current.
pub struct Pair<T> {
    values: [T; 2],
    current: bool,
}

impl<T> Pair<T> {
    fn new(values: [T; 2]) -> Self {
        Self { values, current: false }
    }
}

impl<T> fmt::Debug for Pair<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> sealed::Value for T {}
impl<T> sealed::Cache for Pair<T> {}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> SnapshotValue for T {
    type Cache = Pair<T>;

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn size() -> Option<usize> {
        Some(size_of::<T>())
    }

    fn align() -> usize {
        align_of::<T>()
    }

    fn cache(_len: usize) -> Pair<T> {
        Pair::new([T::new_zeroed(), T::new_zeroed()])
    }
}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> SnapshotCache<T> for Pair<T> {
    #[inline(always)]
    fn spare(&mut self) -> &mut [u8] {
        self.values[usize::from(!self.current)].as_mut_bytes()
    }

    #[inline(always)]
    fn flip(&mut self) {
        self.current = !self.current;
    }

    #[inline(always)]
    fn current(&self) -> &T {
        &self.values[usize::from(self.current)]
    }
}

impl sealed::Value for [u8] {}

impl SnapshotValue for [u8] {
    #[cfg(feature = "alloc")]
    type Cache = Pair<Box<[u8]>>;
    #[cfg(not(feature = "alloc"))]
    type Cache = ();

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self
    }

    fn size() -> Option<usize> {
        None
    }

    fn align() -> usize {
        1
    }

    #[cfg(feature = "alloc")]
    fn cache(len: usize) -> Self::Cache {
        Pair::new([alloc::vec![0; len].into_boxed_slice(), alloc::vec![0; len].into_boxed_slice()])
    }

    #[cfg(not(feature = "alloc"))]
    fn cache(_len: usize) {}
}

#[cfg(feature = "alloc")]
impl SnapshotCache<[u8]> for Pair<Box<[u8]>> {
    fn spare(&mut self) -> &mut [u8] {
        &mut self.values[usize::from(!self.current)]
    }

    fn flip(&mut self) {
        self.current = !self.current;
    }

    fn current(&self) -> &[u8] {
        &self.values[usize::from(self.current)]
    }
}
