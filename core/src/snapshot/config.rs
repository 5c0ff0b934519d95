//! What a snapshot segment is asked to be.

use super::value::SnapshotValue;
use crate::error::GeometryError;
use crate::layout::LINE;
use crate::layout::head::FLAG_ALWAYS_WAKE;
use crate::layout::snapshot::{BUFFER_HEADER_LEN, BUFFERS_MIN, SnapshotShape};

/// The properties of a new snapshot segment; they are fixed when it is made.
///
/// ```
/// use seqslot_core::{CreateError, GeometryError, Publisher, SnapshotConfig};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// let pose = SnapshotConfig::of::<[f64; 7]>().buffers(4);
/// assert!(Publisher::<[f64; 7]>::format(region, pose).is_ok());
/// assert_eq!(Publisher::<u32>::format(region, pose).err(), Some(CreateError::TypeMismatch));
/// let three = Publisher::<[f64; 7]>::format(region, pose.buffers(3));
/// assert_eq!(three.err(), Some(CreateError::Geometry(GeometryError::Buffers { buffers: 3 })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct SnapshotConfig {
    capacity: usize,
    buffers: u32,
    align: usize,
    type_hash: [u8; 16],
    pub(super) instance: [u8; 16],
    pub(super) group: bool,
    pub(super) sparse: bool,
    always_wake: bool,
}

impl SnapshotConfig {
    /// For values of type `T`.
    pub fn of<T: SnapshotValue>() -> Self {
        Self { align: T::align(), ..Self::bytes(size_of::<T>()) }
    }

    /// For values of `len` bytes.
    pub fn bytes(len: usize) -> Self {
        Self {
            capacity: len,
            buffers: BUFFERS_MIN,
            align: 1,
            type_hash: [0; 16],
            instance: [0; 16],
            group: false,
            sparse: false,
            always_wake: false,
        }
    }

    /// How many buffers: a power of two from 2 (the default) to 64. More make it rarer that a fast writer overtakes a slow reader.
    pub fn buffers(self, buffers: u32) -> Self {
        Self { buffers, ..self }
    }

    /// Alignment of the values in the segment: a power of two up to 4096. 16 at least is used, and 64, a cache line, for values of 1 KiB and
    /// more, and for others where it takes no more memory: copies are quicker so.
    pub fn align(self, align: usize) -> Self {
        Self { align, ..self }
    }

    /// Identity of the values' type, which readers can ask to be the same; all zero (the default) stands for none.
    pub fn type_hash(self, type_hash: [u8; 16]) -> Self {
        Self { type_hash, ..self }
    }

    /// Identity of the segment itself, where there is no operating system to make one up.
    pub fn instance(self, instance: [u8; 16]) -> Self {
        Self { instance, ..self }
    }

    /// Let the creator's group in as well.
    pub fn group(self, group: bool) -> Self {
        Self { group, ..self }
    }

    /// Do not reserve the memory: a full system is then a fault at first use, not an error at create.
    pub fn sparse(self, sparse: bool) -> Self {
        Self { sparse, ..self }
    }

    /// Let the writer wake waiting readers at every publication (one system call each), so that
    /// [`wait_newer`](super::SnapshotReader::wait_newer) sleeps on the segment. Readers map it read-only and cannot tell that they wait;
    /// without this they look in growing steps.
    pub fn always_wake(self, always_wake: bool) -> Self {
        Self { always_wake, ..self }
    }

    /// The type hash asked for.
    pub(super) fn hash(&self) -> [u8; 16] {
        self.type_hash
    }

    /// The shape asked for.
    pub(super) fn shape(&self) -> Result<SnapshotShape, GeometryError> {
        let capacity = u32::try_from(self.capacity)
            .map_err(|_| GeometryError::CapacityOverflow { capacity: self.capacity as u64, max: crate::layout::slots::CAPACITY_MAX })?;
        let align = u32::try_from(self.align).map_err(|_| GeometryError::Align { align: u32::MAX })?;
        let align = if align.is_power_of_two() { align.max(least_align(self.capacity)) } else { align };
        let flags = if self.always_wake { FLAG_ALWAYS_WAKE } else { 0 };
        Ok(SnapshotShape { buffers: self.buffers, capacity, align, flags })
    }
}

/// Bytes from which a value starts a line of its own, whatever is left of the one before it.
const LINE_FROM: usize = 1024;

/// What values of `capacity` bytes are aligned to at least: a line, if they are long or take as many lines so as behind their generation,
/// else what the least payload offset serves.
fn least_align(capacity: usize) -> u32 {
    let beside = capacity % LINE;
    let is_free = beside == 0 || beside > LINE - BUFFER_HEADER_LEN;
    (if capacity >= LINE_FROM || is_free { LINE } else { BUFFER_HEADER_LEN }) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::snapshot::SnapshotGeometry;

    #[test]
    fn a_value_starts_a_line_where_it_is_long_or_takes_no_more_lines_so() {
        let stride = |shape| SnapshotGeometry::new(shape).unwrap().stride;
        for capacity in 1..2048 {
            let shape = SnapshotConfig::bytes(capacity).shape().unwrap();
            let [close, apart] = [16, 64].map(|align| stride(SnapshotShape { align, ..shape }));
            let starts_a_line = capacity >= LINE_FROM || close == apart;
            assert_eq!(shape.align, if starts_a_line { 64 } else { 16 }, "{capacity} bytes");
            assert!(apart - close <= 64, "{capacity} bytes");
        }
    }

    #[test]
    fn what_is_asked_for_beyond_a_line_is_kept_and_what_cannot_be_is_refused() {
        assert_eq!(SnapshotConfig::bytes(4096).align(4096).shape().unwrap().align, 4096);
        assert_eq!(SnapshotConfig::bytes(8).align(32).shape().unwrap().align, 32);
        assert_eq!(SnapshotConfig::bytes(4096).align(48).shape().unwrap().align, 48, "the geometry refuses it");
    }
}
