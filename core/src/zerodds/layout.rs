//! The bytes of a "ZDS2" segment, as zerodds-flatdata 1.0.0-rc.7 lays them out: a head, then the slots.
//!
//! All fields are 32-bit words in the machine's byte order.
//!
//! | offset | field | written by | read by |
//! |---|---|---|---|
//! | 0x00 | magic 0x5A445332 | the owner, here last, with Release | attach |
//! | 0x04 | slot count | the owner, once | attach |
//! | 0x08 | bytes of a slot: 16 + capacity, rounded up to 64 | the owner, once | attach |
//! | 0x0C | next sequence number | the owner, at commit | readers, to tell which sample is older |
//! | 0x10 | notify generation: the futex word | whoever changes something | whoever waits |
//! | 0x14 | waiters: threads that wait now, in all processes | whoever waits | whoever changes something |
//! | 0x18 | padding there; here the segment's instance, never 0 | the owner, once | attach |
//! | 0x1C | padding there; here the owner's process number | the owner, once | error texts |
//! | 0x20 | the slots | | |
//!
//! A slot:
//!
//! | offset | field | written by | read by |
//! |---|---|---|---|
//! | 0 | sequence number | the owner, at commit | readers |
//! | 4 | size of the sample, 0 for none | the owner, at reserve and commit | readers |
//! | 8 | reader mask: bit r is set when reader r has read | the owner, at reserve and commit; readers, a bit each | both |
//! | 12 | reserved, 0 | | |
//! | 16 | payload | the owner | readers |

use crate::error::{GeometryError, HeadError};

/// What the first word holds.
pub const MAGIC: u32 = 0x5A44_5332;
/// Length of the head; the slots follow.
pub const HEAD_LEN: usize = 0x20;

pub(super) const MAGIC_AT: usize = 0x00;
pub(super) const COUNT_AT: usize = 0x04;
pub(super) const STRIDE_AT: usize = 0x08;
pub(super) const NEXT_AT: usize = 0x0C;
pub(super) const GENERATION_AT: usize = 0x10;
pub(super) const WAITERS_AT: usize = 0x14;
pub(super) const INSTANCE_AT: usize = 0x18;
/// Offset of the word that holds the owner's process number, where the segment was made by this library; else 0.
pub const OWNER_AT: usize = 0x1C;

pub(super) const SEQUENCE_AT: usize = 0;
pub(super) const SIZE_AT: usize = 4;
pub(super) const MASK_AT: usize = 8;
/// Offset of a slot's payload.
pub const PAYLOAD_AT: usize = 16;
/// A slot's length is a multiple of this.
pub const SLOT_ALIGN: u32 = 64;

const _: () = assert!(OWNER_AT + 4 == HEAD_LEN && HEAD_LEN.is_multiple_of(PAYLOAD_AT) && (SLOT_ALIGN as usize) > PAYLOAD_AT);

/// How many slots there are, and how large: checked, so that every offset made from it is inside the memory.
///
/// ```
/// use seqslot_core::zerodds::Zds2Geometry;
/// let geometry = Zds2Geometry::new(4, 100)?;
/// assert_eq!((geometry.slots(), geometry.stride(), geometry.capacity()), (4, 128, 100));
/// assert_eq!(geometry.len(), 0x20 + 4 * 128);
/// assert!(Zds2Geometry::new(0, 100).is_err() && Zds2Geometry::new(4, 1 << 32).is_err());
/// # Ok::<(), seqslot_core::GeometryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zds2Geometry {
    slots: u32,
    stride: u32,
    capacity: u32,
}

#[allow(clippy::len_without_is_empty, reason = "there is always a head")]
impl Zds2Geometry {
    /// `slots` slots for samples of at most `capacity` bytes.
    ///
    /// # Errors
    /// [`GeometryError`]: nothing asked for, or more than 32-bit fields or the address space can say.
    pub const fn new(slots: u64, capacity: u64) -> Result<Self, GeometryError> {
        const CAPACITY_MAX: u32 = u32::MAX - u32::MAX % SLOT_ALIGN - PAYLOAD_AT as u32;
        if slots == 0 {
            return Err(GeometryError::ZeroSlots);
        }
        if slots > u32::MAX as u64 {
            return Err(GeometryError::TooManySlots { slots, max: u32::MAX });
        }
        if capacity == 0 {
            return Err(GeometryError::ZeroCapacity);
        }
        if capacity > CAPACITY_MAX as u64 {
            return Err(GeometryError::CapacityOverflow { capacity, max: CAPACITY_MAX });
        }
        let capacity = capacity as u32;
        let stride = (PAYLOAD_AT as u32 + capacity).next_multiple_of(SLOT_ALIGN);
        let geometry = Self { slots: slots as u32, stride, capacity };
        if geometry.needed() > isize::MAX as u64 {
            return Err(GeometryError::TotalOverflow);
        }
        Ok(geometry)
    }

    /// The geometry that a head alleges, in a memory of `len` bytes. Its capacity is all that a slot has room for.
    pub(super) fn from_head(slots: u32, stride: u32, len: usize) -> Result<Self, HeadError> {
        // The creator writes the magic first: zeros are a part that is not there yet.
        if slots == 0 || stride == 0 {
            return Err(HeadError::NotReady);
        }
        if !stride.is_multiple_of(SLOT_ALIGN) {
            return Err(HeadError::Field { name: "slot_total_size", value: u64::from(stride) });
        }
        let geometry = Self { slots, stride, capacity: stride - PAYLOAD_AT as u32 };
        geometry.fits(len)?;
        Ok(geometry)
    }

    /// Whether it fits a memory of `len` bytes.
    pub(super) fn fits(&self, len: usize) -> Result<(), HeadError> {
        let (len, needed) = (len as u64, self.needed());
        if needed > len { Err(HeadError::TooShort { len, needed }) } else { Ok(()) }
    }

    /// Bytes of the whole; does not overflow, whatever the fields are.
    const fn needed(&self) -> u64 {
        HEAD_LEN as u64 + self.slots as u64 * self.stride as u64
    }

    /// Number of slots.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Bytes from one slot to the next.
    #[must_use]
    pub const fn stride(&self) -> u32 {
        self.stride
    }

    /// Bytes of data that a slot holds. Who attaches is not told what the owner asked for: it is then all that there is room for.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Bytes of the whole segment.
    #[must_use]
    pub const fn len(&self) -> usize {
        // At most `isize::MAX`, or at most the length of a memory: checked when it was made.
        self.needed() as usize
    }

    /// Offset of slot `index`, if there is one.
    pub(super) const fn slot_at(&self, index: u32) -> Option<usize> {
        if index < self.slots { Some(HEAD_LEN + index as usize * self.stride as usize) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_as_long_as_its_header_and_capacity_rounded_up() {
        for (capacity, stride) in [(1, 64), (48, 64), (49, 128), (64, 128), (112, 128), (113, 192), (1024, 1088)] {
            let geometry = Zds2Geometry::new(3, capacity).unwrap();
            assert_eq!((geometry.stride(), geometry.len()), (stride, HEAD_LEN + 3 * stride as usize), "{capacity}");
            assert_eq!(geometry.slot_at(2), Some(HEAD_LEN + 2 * stride as usize));
            assert_eq!(geometry.slot_at(3), None);
        }
    }

    #[test]
    fn what_32_bits_cannot_say_is_refused() {
        let max = u64::from(u32::MAX);
        assert_eq!(Zds2Geometry::new(0, 1), Err(GeometryError::ZeroSlots));
        assert_eq!(Zds2Geometry::new(1, 0), Err(GeometryError::ZeroCapacity));
        assert_eq!(Zds2Geometry::new(max + 1, 1), Err(GeometryError::TooManySlots { slots: max + 1, max: u32::MAX }));
        assert!(matches!(Zds2Geometry::new(1, max), Err(GeometryError::CapacityOverflow { .. })));
        assert_eq!(Zds2Geometry::new(max, max - 200), Err(GeometryError::TotalOverflow));
        let largest = u64::from(u32::MAX - 63 - 16);
        assert_eq!(Zds2Geometry::new(1, largest).map(|geometry| geometry.stride()), Ok(u32::MAX - 63));
        assert!(Zds2Geometry::new(1, largest + 1).is_err());
    }

    #[test]
    fn a_head_that_lies_about_its_length_is_refused() {
        assert_eq!(Zds2Geometry::from_head(4, 128, 0x20 + 4 * 128).map(|geometry| geometry.capacity()), Ok(112));
        let (len, needed) = (0x20 + 4 * 128 - 1, 0x20 + 4 * 128);
        assert_eq!(Zds2Geometry::from_head(4, 128, len as usize), Err(HeadError::TooShort { len, needed }));
        assert!(matches!(Zds2Geometry::from_head(u32::MAX, u32::MAX - 63, usize::MAX >> 1), Err(HeadError::TooShort { .. })));
        for stride in [1, 16, 17, 63, 65, 127] {
            let field = HeadError::Field { name: "slot_total_size", value: u64::from(stride) };
            assert_eq!(Zds2Geometry::from_head(1, stride, 4096), Err(field));
        }
        for (slots, stride) in [(0, 128), (4, 0), (0, 0)] {
            assert_eq!(Zds2Geometry::from_head(slots, stride, 4096), Err(HeadError::NotReady));
        }
    }
}
