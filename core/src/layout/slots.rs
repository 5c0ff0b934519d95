//! Geometry of a slots segment: where entries, rings, free map and slots are.
//!
//! After the control lines (see [`control`](super::control)) come, each at a multiple of 64:
//!
//! | part | size | what |
//! |---|---|---|
//! | readers' entries | readers x 64 | from 576 |
//! | writers' entries | writers x 64 | |
//! | rings | writers x align64(ring length x 8) | entries { tag: full position, index } |
//! | free map | levels x align64(words x 4) | one bit a slot, then one bit a word of the level below, up to one word |
//! | slots | slots x stride | 32-byte header, payload at the payload offset |
//!
//! A slot's header:
//!
//! | offset | word | who writes |
//! |---|---|---|
//! | +0 | sequence number: the sample's full position | owner of the loan |
//! | +4 | sample size, in bytes | owner of the loan |
//! | +8 | unread: reader mask of those who still owe a read | owner at commit; reader r its bit; a joining r its bit |
//! | +12 | pins: reader mask of those inside the sample, bit 31 EVICT (only where overwriting is allowed) | reader r its bit; owner |
//! | +16 | state: owner << 26 (0 none, else writer + 1), generation of 26 bits | whoever claims; owner; recoverer |
//! | +20 | writer: 0 none, else writer + 1 | owner of the loan |
//! | +24 | generation of the sample | owner of the loan |
//! | +28 | reserved | nobody |

use crate::error::{GeometryError, HeadError};
use crate::index::{READERS_MAX, WRITERS_MAX};
use crate::layout::control::READERS_AT;
use crate::layout::head::{FLAG_ALWAYS_WAKE, FLAG_OVERWRITE, Head, Kind, check_computed};
use crate::layout::{LINE, VERSION_MINOR, align_up};

/// Length of a slot's header.
pub const SLOT_HEADER_LEN: usize = 32;
/// Slot: sequence number.
pub const SLOT_SEQUENCE: usize = 0;
/// Slot: sample size.
pub const SLOT_SIZE: usize = 4;
/// Slot: unread mask.
pub const SLOT_UNREAD: usize = 8;
/// Slot: pins.
pub const SLOT_PINS: usize = 12;
/// Slot: owner and generation.
pub const SLOT_STATE: usize = 16;
/// Slot: writer of the sample.
pub const SLOT_WRITER: usize = 20;
/// Slot: generation of the sample.
pub const SLOT_GENERATION: usize = 24;

/// Bit of the pins word: the owner is taking the sample away.
pub const EVICT: u32 = 1 << 31;
/// Bits of a state word that hold the generation.
pub const GENERATION_MASK: u32 = (1 << 26) - 1;
/// Where the owner is in a state word.
pub const OWNER_SHIFT: u32 = 26;

/// Most slots a segment can have: the free map has at most five levels.
pub const SLOTS_MAX: u32 = 1 << 24;
/// Largest capacity of a slot in bytes.
pub const CAPACITY_MAX: u32 = u32::MAX - 8192;
/// Largest alignment of payloads.
pub const ALIGN_MAX: u32 = 4096;
/// Most levels of the free map.
pub const FREE_LEVELS_MAX: usize = 5;

const _: () = assert!(SLOT_GENERATION + 8 == SLOT_HEADER_LEN);
const _: () = assert!(32_u64.pow(FREE_LEVELS_MAX as u32) >= SLOTS_MAX as u64);
const _: () = assert!((WRITERS_MAX as u64) < (1 << (32 - OWNER_SHIFT)));

/// What a slots segment is asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotsShape {
    /// Slots.
    pub slots: u32,
    /// Payload bytes of each.
    pub capacity: u32,
    /// Writer entries.
    pub writers: u32,
    /// Reader entries.
    pub readers: u32,
    /// Alignment of payloads.
    pub align: u32,
    /// `FLAG_*` of the head.
    pub flags: u32,
}

/// One level of the free map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreeLevel {
    /// Offset of its first word.
    pub at: usize,
    /// Its words.
    pub words: u32,
}

/// Where everything is; every offset was computed with checked arithmetic and lies inside `total_len`.
///
/// ```
/// use seqslot_core::layout::slots::{SlotsGeometry, SlotsShape};
/// let shape = SlotsShape { slots: 4, capacity: 64, writers: 1, readers: 1, align: 32, flags: 0 };
/// let geometry = SlotsGeometry::new(shape)?;
/// assert_eq!((geometry.payload_offset, geometry.stride, geometry.ring_len), (32, 128, 4));
/// let head = geometry.head(0, [0; 16], [0; 16]);
/// assert_eq!(SlotsGeometry::from_head(&head, geometry.total_len), Ok(geometry));
/// assert!(SlotsGeometry::from_head(&head, geometry.total_len - 1).is_err(), "cut short");
/// # Ok::<(), seqslot_core::GeometryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotsGeometry {
    /// Slots.
    pub slots: u32,
    /// Payload bytes of each.
    pub capacity: u32,
    /// Bytes from slot to slot.
    pub stride: u32,
    /// From the start of a slot to its payload.
    pub payload_offset: u32,
    /// Writer entries.
    pub writers: u32,
    /// Reader entries.
    pub readers: u32,
    /// Entries of a ring, a power of two.
    pub ring_len: u32,
    /// Overwriting is allowed.
    pub overwrite: bool,
    /// Alignment of payloads.
    pub align: u32,
    /// Offset of the writers' entries.
    pub writers_at: usize,
    /// Offset of the first ring.
    pub rings_at: usize,
    /// Bytes from ring to ring.
    pub ring_stride: usize,
    /// The free map, lowest level first.
    pub free: [FreeLevel; FREE_LEVELS_MAX],
    /// Levels in use.
    pub free_levels: usize,
    /// Offset of the first slot.
    pub slots_at: usize,
    /// Length of the whole.
    pub total_len: usize,
}

impl SlotsGeometry {
    /// Lays a segment out.
    ///
    /// # Errors
    /// [`GeometryError`]: a count out of its limits, or the whole too large for the address space.
    pub fn new(shape: SlotsShape) -> Result<Self, GeometryError> {
        let overwrite = shape.flags & FLAG_OVERWRITE != 0;
        check(&shape, overwrite)?;
        let payload_offset = align_up(SLOT_HEADER_LEN, shape.align as usize).ok_or(GeometryError::TotalOverflow)?;
        let slot_align = LINE.max(shape.align as usize);
        let slot = payload_offset.checked_add(shape.capacity as usize).ok_or(GeometryError::TotalOverflow)?;
        let stride = align_up(slot, slot_align).ok_or(GeometryError::TotalOverflow)?;
        let stride32 = u32::try_from(stride)
            .map_err(|_| GeometryError::CapacityOverflow { capacity: u64::from(shape.capacity), max: CAPACITY_MAX })?;
        let ring_len = shape.slots.next_power_of_two().max(2);
        let writers_at = READERS_AT + shape.readers as usize * LINE;
        let rings_at = writers_at + shape.writers as usize * LINE;
        let ring_stride = (ring_len as usize * 8).next_multiple_of(LINE);
        let mut end = ring_stride
            .checked_mul(shape.writers as usize)
            .and_then(|len| len.checked_add(rings_at))
            .ok_or(GeometryError::TotalOverflow)?;
        let mut free = [FreeLevel::default(); FREE_LEVELS_MAX];
        let mut free_levels = 0;
        let mut below = shape.slots;
        while free_levels == 0 || below > 1 {
            let words = below.div_ceil(32);
            free[free_levels] = FreeLevel { at: end, words };
            end = end.checked_add((words as usize * 4).next_multiple_of(LINE)).ok_or(GeometryError::TotalOverflow)?;
            free_levels += 1;
            below = words;
        }
        let slots_at = align_up(end, slot_align).ok_or(GeometryError::TotalOverflow)?;
        let total_len =
            stride.checked_mul(shape.slots as usize).and_then(|len| len.checked_add(slots_at)).ok_or(GeometryError::TotalOverflow)?;
        if isize::try_from(total_len).is_err() {
            return Err(GeometryError::TotalOverflow);
        }
        Ok(Self {
            slots: shape.slots,
            capacity: shape.capacity,
            stride: stride32,
            payload_offset: payload_offset as u32,
            writers: shape.writers,
            readers: shape.readers,
            ring_len,
            overwrite,
            align: shape.align,
            writers_at,
            rings_at,
            ring_stride,
            free,
            free_levels,
            slots_at,
            total_len,
        })
    }

    /// The geometry that a head alleges, checked against the length really mapped: computed anew and compared.
    ///
    /// # Errors
    /// [`HeadError`]: which field cannot be.
    pub fn from_head(head: &Head, mapped: usize) -> Result<Self, HeadError> {
        if head.kind != Kind::Slots {
            return Err(HeadError::Kind { found: head.kind as u32, expected: Kind::Slots as u32 });
        }
        if head.flags & FLAG_ALWAYS_WAKE != 0 {
            return Err(HeadError::Field { name: "flags", value: u64::from(head.flags) });
        }
        let shape = SlotsShape {
            slots: head.count,
            capacity: head.capacity,
            writers: head.writers,
            readers: head.readers,
            align: head.payload_align,
            flags: head.flags,
        };
        let geometry = Self::new(shape).map_err(|error| refused(&error, head))?;
        check_computed([
            ("stride", head.stride, geometry.stride),
            ("payload offset", head.payload_offset, geometry.payload_offset),
            ("ring length", head.ring_len, geometry.ring_len),
        ])?;
        if head.total_len != geometry.total_len as u64 {
            return Err(HeadError::Field { name: "total length", value: head.total_len });
        }
        if geometry.total_len > mapped {
            return Err(HeadError::TooShort { len: mapped as u64, needed: geometry.total_len as u64 });
        }
        Ok(geometry)
    }

    /// The head that describes this geometry.
    #[must_use]
    pub fn head(&self, flags: u32, type_hash: [u8; 16], instance: [u8; 16]) -> Head {
        Head {
            kind: Kind::Slots,
            minor: VERSION_MINOR,
            total_len: self.total_len as u64,
            count: self.slots,
            capacity: self.capacity,
            stride: self.stride,
            payload_offset: self.payload_offset,
            writers: self.writers,
            readers: self.readers,
            ring_len: self.ring_len,
            flags,
            type_hash,
            instance,
            payload_align: self.align,
        }
    }
}

/// The limits of a shape.
fn check(shape: &SlotsShape, overwrite: bool) -> Result<(), GeometryError> {
    let readers_max = if overwrite { READERS_MAX - 1 } else { READERS_MAX };
    if shape.slots == 0 {
        return Err(GeometryError::ZeroSlots);
    }
    if shape.slots > SLOTS_MAX {
        return Err(GeometryError::TooManySlots { slots: u64::from(shape.slots), max: SLOTS_MAX });
    }
    if shape.capacity == 0 {
        return Err(GeometryError::ZeroCapacity);
    }
    if shape.capacity > CAPACITY_MAX {
        return Err(GeometryError::CapacityOverflow { capacity: u64::from(shape.capacity), max: CAPACITY_MAX });
    }
    if shape.writers == 0 || shape.writers > WRITERS_MAX {
        return Err(GeometryError::Writers { writers: shape.writers });
    }
    if shape.readers == 0 || shape.readers > readers_max {
        return Err(GeometryError::Readers { readers: shape.readers, max: readers_max });
    }
    if !shape.align.is_power_of_two() || shape.align > ALIGN_MAX {
        return Err(GeometryError::Align { align: shape.align });
    }
    Ok(())
}

/// Which field of a head a geometry error blames.
fn refused(error: &GeometryError, head: &Head) -> HeadError {
    let (name, value) = match error {
        GeometryError::ZeroSlots | GeometryError::TooManySlots { .. } => ("slot count", head.count),
        GeometryError::ZeroCapacity | GeometryError::CapacityOverflow { .. } => ("capacity", head.capacity),
        GeometryError::Writers { .. } => ("writer count", head.writers),
        GeometryError::Readers { .. } => ("reader count", head.readers),
        GeometryError::Align { .. } => ("payload alignment", head.payload_align),
        GeometryError::Buffers { .. } => ("buffer count", head.count),
        GeometryError::TotalOverflow => return HeadError::Field { name: "total length", value: head.total_len },
    };
    HeadError::Field { name, value: u64::from(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> SlotsShape {
        SlotsShape { slots: 100, capacity: 1000, writers: 4, readers: 32, align: 32, flags: 0 }
    }

    #[test]
    fn parts_are_aligned_in_order_and_inside() {
        for slots in [1, 2, 31, 32, 33, 1024, 1025, 65_536, SLOTS_MAX] {
            let g = SlotsGeometry::new(SlotsShape { slots, capacity: 8, ..shape() }).unwrap();
            assert_eq!(g.free[g.free_levels - 1].words, 1);
            assert!(g.rings_at + g.ring_stride * 4 <= g.free[0].at);
            for pair in g.free[..g.free_levels].windows(2) {
                assert!(pair[0].at + pair[0].words as usize * 4 <= pair[1].at);
            }
            assert_eq!(g.slots_at % 64, 0);
            assert_eq!(g.slots_at + g.stride as usize * slots as usize, g.total_len);
        }
    }

    #[test]
    fn a_greater_alignment_moves_the_payload() {
        let g = SlotsGeometry::new(SlotsShape { align: 4096, ..shape() }).unwrap();
        assert_eq!((g.payload_offset, g.stride, g.slots_at % 4096), (4096, 8192, 0));
    }

    #[test]
    fn shapes_out_of_their_limits_are_refused() {
        let bad = [
            SlotsShape { slots: 0, ..shape() },
            SlotsShape { slots: SLOTS_MAX + 1, ..shape() },
            SlotsShape { capacity: 0, ..shape() },
            SlotsShape { capacity: u32::MAX, ..shape() },
            SlotsShape { writers: 0, ..shape() },
            SlotsShape { writers: 33, ..shape() },
            SlotsShape { readers: 0, ..shape() },
            SlotsShape { readers: 33, ..shape() },
            SlotsShape { readers: 32, flags: FLAG_OVERWRITE, ..shape() },
            SlotsShape { align: 48, ..shape() },
            SlotsShape { align: 8192, ..shape() },
        ];
        for shape in bad {
            assert!(SlotsGeometry::new(shape).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn a_head_that_lies_is_refused() {
        let g = SlotsGeometry::new(shape()).unwrap();
        let good = g.head(0, [0; 16], [1; 16]);
        assert_eq!(SlotsGeometry::from_head(&good, g.total_len), Ok(g));
        let lies = [
            Head { count: 1_000_000, ..good },
            Head { stride: good.stride + 64, ..good },
            Head { payload_offset: 0, ..good },
            Head { ring_len: 0, ..good },
            Head { ring_len: 4096, ..good },
            Head { total_len: 64, ..good },
            Head { total_len: u64::MAX, ..good },
            Head { kind: Kind::Snapshot, ..good },
            Head { readers: 0, ..good },
        ];
        for lie in lies {
            assert!(SlotsGeometry::from_head(&lie, usize::MAX).is_err(), "{lie:?}");
        }
        assert!(matches!(SlotsGeometry::from_head(&good, g.total_len - 1), Err(HeadError::TooShort { .. })));
    }
}
