//! The newtypes for indices, masks, generations and positions.

use core::fmt;

/// Readers a segment can have: the bits of a reader mask.
pub const READERS_MAX: u32 = 32;
/// Writers a segment can have: what the owner field of a slot's state word can name, less one.
pub const WRITERS_MAX: u32 = 32;

/// Index of a slot, below the segment's slot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlotIndex(pub u32);

macro_rules! entry_index {
    ($(#[$meta:meta])* $name:ident, $max:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name(u8);

        impl $name {
            /// The index, or `None` if it is 32 or more.
            #[must_use]
            pub const fn new(index: u32) -> Option<Self> {
                if index < $max { Some(Self(index as u8)) } else { None }
            }

            /// The number, below 32.
            #[inline(always)]
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0 as u32
            }

            /// Its bit in a mask.
            #[inline(always)]
            #[must_use]
            pub const fn bit(self) -> u32 {
                1 << (self.0 & 31)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

entry_index! {
    /// Index of a reader, below 32: its bit in every reader mask.
    ///
    /// ```
    /// use seqslot_core::ReaderIndex;
    /// let last = ReaderIndex::new(31).expect("below 32");
    /// assert_eq!((last.get(), last.bit()), (31, 0x8000_0000));
    /// assert_eq!(ReaderIndex::new(32), None);
    /// ```
    ReaderIndex, READERS_MAX
}
entry_index! {
    /// Index of a writer, below 32.
    ///
    /// ```
    /// use seqslot_core::WriterIndex;
    /// let last = WriterIndex::new(31).expect("below 32");
    /// assert_eq!((last.get(), last.bit()), (31, 0x8000_0000));
    /// assert_eq!(WriterIndex::new(32), None);
    /// ```
    WriterIndex, WRITERS_MAX
}

/// Iterates over the set bits of `mask`, lowest first.
pub(crate) fn bits(mut mask: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let bit = mask.trailing_zeros();
        mask &= mask - 1;
        Some(bit)
    })
}

/// A mask of the first `count` bits; all 32 for 32 and more.
pub(crate) const fn first_bits(count: u32) -> u32 {
    if count >= 32 { u32::MAX } else { (1 << count) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_32_is_refused() {
        assert_eq!(ReaderIndex::new(31).map(ReaderIndex::bit), Some(1 << 31));
        assert_eq!(ReaderIndex::new(32), None);
        assert_eq!(WriterIndex::new(u32::MAX), None);
    }

    #[test]
    fn bits_come_lowest_first() {
        assert!(bits(0b1010_0001).eq([0, 5, 7]));
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(u32::MAX).count(), 32);
    }
}
