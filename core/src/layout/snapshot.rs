//! Geometry of a snapshot segment: control lines, the `latest` line, and the buffers.
//!
//! The control lines stand at the offsets of [`control`](super::control) where they mean the same; what a snapshot has no use for
//! stays zero. Offsets are from the start of the segment:
//!
//! | offset | word | who writes | who reads |
//! |---|---|---|---|
//! | 0 | head, 128 bytes: kind 2, count = buffers, capacity = bytes of a value | the creator, once | everybody, once |
//! | 128 .. 212 | reserved: active, waiters, disconnected, quarantined (readers map read-only and register nowhere) | nobody | nobody |
//! | 212 | closed: bit 0 once the writer has left | the writer | readers, in `freshness` |
//! | 216 .. 512 | reserved: generations, totals | nobody | nobody |
//! | 512 | owner's entry | the owner | people |
//! | 576 | the writer's entry | the writer | people, readers in `freshness` |
//! | 640 | latest: high word | the writer | every snapshot |
//! | 644 | latest: low word (futex word where the segment always wakes) | the writer | every snapshot |
//! | 648 .. 704 | reserved | nobody | nobody |
//! | from 704 | buffers x stride, the first at a multiple of 64 and of the payloads' alignment | the writer | readers |
//!
//! A buffer:
//!
//! | offset | word | who writes | who reads |
//! |---|---|---|---|
//! | +0 | generation: high word | the writer | readers |
//! | +4 | generation: low word; 0 is BUSY: being written, or never written | the writer | readers |
//! | +8 .. payload offset | reserved | nobody | nobody |
//! | payload offset | the value, in 32-bit words, the last one filled up with zeros | the writer | readers |

use crate::error::{GeometryError, HeadError};
use crate::layout::control::READERS_AT;
use crate::layout::head::{FLAG_ALWAYS_WAKE, Head, Kind, check_computed};
use crate::layout::slots::{ALIGN_MAX, CAPACITY_MAX};
use crate::layout::{LINE, VERSION_MINOR, align_up};

/// The writer's entry of the registry.
pub const SNAPSHOT_WRITER_AT: usize = READERS_AT;
/// The newest generation, high word.
pub const LATEST_HIGH_AT: usize = SNAPSHOT_WRITER_AT + LINE;
/// The newest generation, low word.
pub const LATEST_LOW_AT: usize = LATEST_HIGH_AT + 4;
/// End of the control lines: the buffers follow, aligned.
pub const SNAPSHOT_CONTROL_END: usize = LATEST_HIGH_AT + LINE;

/// Buffer: generation, high word.
pub const BUFFER_HIGH: usize = 0;
/// Buffer: generation, low word.
pub const BUFFER_LOW: usize = 4;
/// Buffer: the least payload offset.
pub const BUFFER_HEADER_LEN: usize = 16;

/// Fewest buffers: the last good value stays while the next one is written.
pub const BUFFERS_MIN: u32 = 2;
/// Most buffers.
pub const BUFFERS_MAX: u32 = 64;

const _: () = assert!(SNAPSHOT_WRITER_AT == 576 && LATEST_HIGH_AT == 640 && SNAPSHOT_CONTROL_END == 704);
const _: () = assert!(LATEST_HIGH_AT.is_multiple_of(LINE) && BUFFER_LOW + 4 <= BUFFER_HEADER_LEN);

/// What a snapshot segment is asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotShape {
    /// Buffers: a power of two from 2 to 64.
    pub buffers: u32,
    /// Bytes of a value.
    pub capacity: u32,
    /// Alignment of payloads: a power of two up to 4096.
    pub align: u32,
    /// `FLAG_*` of the head: only [`FLAG_ALWAYS_WAKE`] has a meaning here.
    pub flags: u32,
}

/// Where everything is; every offset was computed with checked arithmetic and lies inside `total_len`.
///
/// ```
/// use seqslot_core::layout::snapshot::{SnapshotGeometry, SnapshotShape};
/// let shape = SnapshotShape { buffers: 2, capacity: 100, align: 16, flags: 0 };
/// let geometry = SnapshotGeometry::new(shape)?;
/// assert_eq!((geometry.payload_offset, geometry.stride, geometry.buffers_at), (16, 128, 704));
/// let head = geometry.head([0; 16], [0; 16]);
/// assert_eq!(SnapshotGeometry::from_head(&head, geometry.total_len), Ok(geometry));
/// assert!(SnapshotGeometry::from_head(&head, geometry.total_len - 1).is_err(), "cut short");
/// # Ok::<(), seqslot_core::GeometryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotGeometry {
    /// Buffers, a power of two.
    pub buffers: u32,
    /// Bytes of a value.
    pub capacity: u32,
    /// Bytes from buffer to buffer.
    pub stride: u32,
    /// From the start of a buffer to its payload.
    pub payload_offset: u32,
    /// Alignment of payloads.
    pub align: u32,
    /// The writer wakes at every publication, because waiters cannot register.
    pub always_wake: bool,
    /// Offset of the first buffer.
    pub buffers_at: usize,
    /// Length of the whole.
    pub total_len: usize,
}

impl SnapshotGeometry {
    /// Lays a segment out.
    ///
    /// # Errors
    /// [`GeometryError`]: a count out of its limits, or the whole too large for the address space.
    pub fn new(shape: SnapshotShape) -> Result<Self, GeometryError> {
        if !shape.buffers.is_power_of_two() || shape.buffers < BUFFERS_MIN || shape.buffers > BUFFERS_MAX {
            return Err(GeometryError::Buffers { buffers: shape.buffers });
        }
        if shape.capacity == 0 {
            return Err(GeometryError::ZeroCapacity);
        }
        if shape.capacity > CAPACITY_MAX {
            return Err(GeometryError::CapacityOverflow { capacity: u64::from(shape.capacity), max: CAPACITY_MAX });
        }
        if !shape.align.is_power_of_two() || shape.align > ALIGN_MAX {
            return Err(GeometryError::Align { align: shape.align });
        }
        let align = shape.align as usize;
        let payload_offset = BUFFER_HEADER_LEN.max(align);
        let buffer_align = LINE.max(align);
        let buffer = payload_offset.checked_add(shape.capacity as usize).ok_or(GeometryError::TotalOverflow)?;
        let stride = align_up(buffer, buffer_align).ok_or(GeometryError::TotalOverflow)?;
        let stride32 = u32::try_from(stride)
            .map_err(|_| GeometryError::CapacityOverflow { capacity: u64::from(shape.capacity), max: CAPACITY_MAX })?;
        let buffers_at = align_up(SNAPSHOT_CONTROL_END, buffer_align).ok_or(GeometryError::TotalOverflow)?;
        let total_len =
            stride.checked_mul(shape.buffers as usize).and_then(|len| len.checked_add(buffers_at)).ok_or(GeometryError::TotalOverflow)?;
        if isize::try_from(total_len).is_err() {
            return Err(GeometryError::TotalOverflow);
        }
        Ok(Self {
            buffers: shape.buffers,
            capacity: shape.capacity,
            stride: stride32,
            payload_offset: payload_offset as u32,
            align: shape.align,
            always_wake: shape.flags & FLAG_ALWAYS_WAKE != 0,
            buffers_at,
            total_len,
        })
    }

    /// The geometry that a head alleges, checked against the length really mapped: computed anew and compared.
    ///
    /// # Errors
    /// [`HeadError`]: which field cannot be.
    pub fn from_head(head: &Head, mapped: usize) -> Result<Self, HeadError> {
        if head.kind != Kind::Snapshot {
            return Err(HeadError::Kind { found: head.kind as u32, expected: Kind::Snapshot as u32 });
        }
        let shape = SnapshotShape { buffers: head.count, capacity: head.capacity, align: head.payload_align, flags: head.flags };
        let geometry = Self::new(shape).map_err(|error| refused(&error, head))?;
        check_computed([
            ("stride", head.stride, geometry.stride),
            ("payload offset", head.payload_offset, geometry.payload_offset),
            ("writer count", head.writers, 1),
            ("reader count", head.readers, 0),
            ("ring length", head.ring_len, 0),
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
    pub fn head(&self, type_hash: [u8; 16], instance: [u8; 16]) -> Head {
        Head {
            kind: Kind::Snapshot,
            minor: VERSION_MINOR,
            total_len: self.total_len as u64,
            count: self.buffers,
            capacity: self.capacity,
            stride: self.stride,
            payload_offset: self.payload_offset,
            writers: 1,
            readers: 0,
            ring_len: 0,
            flags: if self.always_wake { FLAG_ALWAYS_WAKE } else { 0 },
            type_hash,
            instance,
            payload_align: self.align,
        }
    }

    /// Offset of the buffer that a generation with this low word goes to; inside the segment for every value.
    #[inline(always)]
    #[must_use]
    pub const fn buffer_at(&self, low: u32) -> usize {
        self.buffers_at + (low & (self.buffers - 1)) as usize * self.stride as usize
    }
}

/// Which field of a head a geometry error blames.
fn refused(error: &GeometryError, head: &Head) -> HeadError {
    let (name, value) = match error {
        GeometryError::Buffers { .. } => ("buffer count", u64::from(head.count)),
        GeometryError::Align { .. } => ("payload alignment", u64::from(head.payload_align)),
        GeometryError::TotalOverflow => ("total length", head.total_len),
        _ => ("capacity", u64::from(head.capacity)),
    };
    HeadError::Field { name, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> SnapshotShape {
        SnapshotShape { buffers: 2, capacity: 100, align: 16, flags: 0 }
    }

    #[test]
    fn buffers_are_aligned_and_inside() {
        for buffers in [2, 4, 64] {
            for align in [1, 16, 32, 64, 4096] {
                for capacity in [1, 47, 48, 49, 4096] {
                    let g = SnapshotGeometry::new(SnapshotShape { buffers, capacity, align, flags: 0 }).unwrap();
                    assert_eq!(g.buffers_at % 64.max(align as usize), 0);
                    assert!(g.payload_offset as usize >= BUFFER_HEADER_LEN && g.payload_offset.is_multiple_of(align));
                    assert!(g.payload_offset + capacity.next_multiple_of(4) <= g.stride);
                    assert_eq!(g.buffer_at(buffers - 1) + g.stride as usize, g.total_len);
                    assert_eq!(g.buffer_at(u32::MAX), g.buffer_at(buffers - 1));
                }
            }
        }
    }

    #[test]
    fn a_value_of_48_bytes_shares_one_line_with_its_generation() {
        let g = SnapshotGeometry::new(SnapshotShape { capacity: 48, ..shape() }).unwrap();
        assert_eq!((g.payload_offset, g.stride, g.buffers_at, g.total_len), (16, 64, 704, 832));
    }

    #[test]
    fn shapes_out_of_their_limits_are_refused() {
        for buffers in [0, 1, 3, 65, 128, u32::MAX] {
            assert_eq!(SnapshotGeometry::new(SnapshotShape { buffers, ..shape() }), Err(GeometryError::Buffers { buffers }));
        }
        for align in [0, 3, 8192] {
            assert_eq!(SnapshotGeometry::new(SnapshotShape { align, ..shape() }), Err(GeometryError::Align { align }));
        }
        assert_eq!(SnapshotGeometry::new(SnapshotShape { capacity: 0, ..shape() }), Err(GeometryError::ZeroCapacity));
        assert!(matches!(
            SnapshotGeometry::new(SnapshotShape { capacity: u32::MAX, ..shape() }),
            Err(GeometryError::CapacityOverflow { .. })
        ));
        #[cfg(target_pointer_width = "32")]
        assert_eq!(SnapshotGeometry::new(SnapshotShape { capacity: 1 << 31, ..shape() }), Err(GeometryError::TotalOverflow));
    }

    #[test]
    fn a_head_that_lies_is_refused() {
        let g = SnapshotGeometry::new(SnapshotShape { flags: FLAG_ALWAYS_WAKE, ..shape() }).unwrap();
        let good = g.head([0; 16], [1; 16]);
        assert_eq!(SnapshotGeometry::from_head(&good, g.total_len), Ok(g));
        let lies = [
            Head { count: 0, ..good },
            Head { count: 3, ..good },
            Head { count: 64, ..good },
            Head { capacity: 0, ..good },
            Head { capacity: u32::MAX, ..good },
            Head { stride: good.stride + 64, ..good },
            Head { payload_offset: 0, ..good },
            Head { payload_align: 0, ..good },
            Head { writers: 2, ..good },
            Head { readers: 1, ..good },
            Head { ring_len: 4, ..good },
            Head { total_len: 64, ..good },
            Head { total_len: u64::MAX, ..good },
            Head { kind: Kind::Slots, ..good },
        ];
        for lie in lies {
            assert!(SnapshotGeometry::from_head(&lie, usize::MAX).is_err(), "{lie:?}");
        }
        assert!(matches!(SnapshotGeometry::from_head(&good, g.total_len - 1), Err(HeadError::TooShort { .. })));
    }
}
