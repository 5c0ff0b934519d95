//! Bytes of a segment to checked values. Nothing here touches shared memory.

use super::bound::{ClockErrorBound, ClockStatus, TimeSpec};
use super::error::ShmError;
use super::layout::{
    AS_OF, BOUND, CLOCK_STATUS, DISRUPTION_MARKER, DISRUPTION_SUPPORT, MAGIC_0, MAGIC_1, MAX_DRIFT, PAYLOAD_LEN, SEGMENT_LEN, VERSION,
    VOID_AFTER,
};

/// Version and generation out of the word that holds both: each a half in the machine's byte order, the version first.
pub(super) fn split(word: u32) -> (u16, u16) {
    let [a, b, c, d] = word.to_ne_bytes();
    (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]))
}

/// Checks the words of a header against the length really mapped.
pub(super) fn check_header(words: [u32; 4], mapped: usize) -> Result<(), ShmError> {
    let [magic_0, magic_1, size, version_generation] = words;
    if (magic_0, magic_1) == (0, 0) {
        return Err(ShmError::SegmentNotInitialized);
    }
    if (magic_0, magic_1) != (MAGIC_0, MAGIC_1) {
        return Err(ShmError::SegmentMalformed);
    }
    check_version(version_generation)?;
    let size = size as usize;
    if size < SEGMENT_LEN || size > mapped { Err(ShmError::SegmentMalformed) } else { Ok(()) }
}

/// Checks version and generation, and returns the generation.
pub(super) fn check_version(word: u32) -> Result<u16, ShmError> {
    match split(word) {
        (0, _) | (_, 0) => Err(ShmError::SegmentNotInitialized),
        (VERSION, generation) => Ok(generation),
        _ => Err(ShmError::SegmentVersionNotSupported),
    }
}

/// Checks a payload.
pub(super) fn parse(payload: &[u8; PAYLOAD_LEN]) -> Result<ClockErrorBound, ShmError> {
    let bound_nsec = i64::from_ne_bytes(field(payload, BOUND));
    let disruption_support = match payload[DISRUPTION_SUPPORT] {
        0 => false,
        1 => true,
        _ => return Err(ShmError::SegmentMalformed),
    };
    if bound_nsec < 0 {
        return Err(ShmError::SegmentMalformed);
    }
    Ok(ClockErrorBound {
        as_of: time(payload, AS_OF)?,
        void_after: time(payload, VOID_AFTER)?,
        bound_nsec,
        disruption_marker: u64::from_ne_bytes(field(payload, DISRUPTION_MARKER)),
        max_drift_ppb: u32::from_ne_bytes(field(payload, MAX_DRIFT)),
        clock_status: ClockStatus::from_number(i32::from_ne_bytes(field(payload, CLOCK_STATUS))).ok_or(ShmError::SegmentMalformed)?,
        disruption_support,
    })
}

fn time(payload: &[u8; PAYLOAD_LEN], at: usize) -> Result<TimeSpec, ShmError> {
    let seconds = i64::from_ne_bytes(field(payload, at));
    let nanoseconds = i64::from_ne_bytes(field(payload, at + 8));
    TimeSpec::new(seconds, nanoseconds).ok_or(ShmError::SegmentMalformed)
}

fn field<const N: usize>(payload: &[u8; PAYLOAD_LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&payload[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> [u8; PAYLOAD_LEN] {
        let mut payload = [0; PAYLOAD_LEN];
        payload[AS_OF..][..8].copy_from_slice(&10_i64.to_ne_bytes());
        payload[CLOCK_STATUS..][..4].copy_from_slice(&1_i32.to_ne_bytes());
        payload
    }

    #[test]
    fn values_that_the_daemon_never_writes_are_malformed() {
        assert!(parse(&good()).is_ok());
        let mut bad = [good(); 5];
        bad[0][CLOCK_STATUS..][..4].copy_from_slice(&4_i32.to_ne_bytes());
        bad[1][CLOCK_STATUS..][..4].copy_from_slice(&(-1_i32).to_ne_bytes());
        bad[2][DISRUPTION_SUPPORT] = 2;
        bad[3][AS_OF + 8..][..8].copy_from_slice(&1_000_000_000_i64.to_ne_bytes());
        bad[4][BOUND..][..8].copy_from_slice(&(-1_i64).to_ne_bytes());
        for (index, payload) in bad.iter().enumerate() {
            assert_eq!(parse(payload), Err(ShmError::SegmentMalformed), "{index}");
        }
    }

    #[test]
    fn the_header_is_checked_against_what_is_mapped() {
        let version = |version: u16, generation: u16| {
            let ([a, b], [c, d]) = (version.to_ne_bytes(), generation.to_ne_bytes());
            u32::from_ne_bytes([a, b, c, d])
        };
        let header = |size: u32, word: u32| check_header([MAGIC_0, MAGIC_1, size, word], 4096);
        assert_eq!(header(80, version(2, 2)), Ok(()));
        assert_eq!(header(80, version(2, 3)), Ok(()));
        assert_eq!(header(80, version(0, 2)), Err(ShmError::SegmentNotInitialized));
        assert_eq!(header(80, version(2, 0)), Err(ShmError::SegmentNotInitialized));
        assert_eq!(header(80, version(3, 2)), Err(ShmError::SegmentVersionNotSupported));
        assert_eq!(header(80, version(0x0303, 2)), Err(ShmError::SegmentVersionNotSupported));
        assert_eq!(header(79, version(2, 2)), Err(ShmError::SegmentMalformed));
        assert_eq!(header(1 << 30, version(2, 2)), Err(ShmError::SegmentMalformed));
        assert_eq!(check_header([0; 4], 4096), Err(ShmError::SegmentNotInitialized));
        assert_eq!(check_header([MAGIC_0, MAGIC_1 + 1, 80, version(2, 2)], 4096), Err(ShmError::SegmentMalformed));
    }
}
