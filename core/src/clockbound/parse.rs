//! Bytes of a segment to checked values, and back. Nothing here touches shared memory.

use super::bound::{ClockErrorBound, Counter};
use super::error::ShmError;
use super::fraction::Fraction;
use super::layout::{HEADER_LEN, Layout, MAGIC_0, MAGIC_1, PAYLOAD_LEN_MAX, SEGMENT_SIZE_AT, VERSION_GENERATION_AT, v2, v3};
use super::rules::ClockStatus;
use super::time::TimeSpec;

/// Version and generation out of the word that holds both: each a half in the machine's byte order, the version first.
pub(super) fn split(word: u32) -> (u16, u16) {
    let [a, b, c, d] = word.to_ne_bytes();
    (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]))
}

/// The word that holds both.
pub(super) fn join(version: u16, generation: u16) -> u32 {
    let ([a, b], [c, d]) = (version.to_ne_bytes(), generation.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// What the header of a segment says, checked against what is there.
///
/// ```
/// use seqslot_core::clockbound::{Layout, SegmentHeader, ShmError};
/// let mut bytes = [0; 80];
/// bytes[0..4].copy_from_slice(&0x414D_5A4E_u32.to_ne_bytes());
/// bytes[4..8].copy_from_slice(&0x4342_0200_u32.to_ne_bytes());
/// bytes[8..12].copy_from_slice(&80_u32.to_ne_bytes());
/// bytes[12..14].copy_from_slice(&2_u16.to_ne_bytes());
/// bytes[14..16].copy_from_slice(&10_u16.to_ne_bytes());
/// let header = SegmentHeader::of_bytes(&bytes, 80)?;
/// assert_eq!((header.layout, header.generation), (Layout::V2, 10));
/// assert_eq!(SegmentHeader::of_bytes(&bytes[..79], 79), Err(ShmError::SegmentMalformed));
/// assert_eq!(SegmentHeader::of_bytes(&bytes[..8], 8), Err(ShmError::SegmentNotInitialized)); // its writer has just begun
/// # Ok::<(), ShmError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which layout follows.
    pub layout: Layout,
    /// Never 0; odd while somebody writes.
    pub generation: u16,
}

impl SegmentHeader {
    /// Checks the first bytes of a segment that is `size` bytes long in all.
    ///
    /// # Errors
    /// [`ShmError`]: not initialised (empty, zeroed, cut off in a header that is good so far, version or generation 0), another version,
    /// or malformed: not a segment, shorter than its layout, shorter than it says.
    pub fn of_bytes(bytes: &[u8], size: u64) -> Result<Self, ShmError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(if is_begun(bytes) { ShmError::SegmentNotInitialized } else { ShmError::SegmentMalformed });
        };
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let header = Self::of_words([word(0), word(4), word(SEGMENT_SIZE_AT), word(VERSION_GENERATION_AT)], size)?;
        if bytes.len() < header.layout.segment_len() { Err(ShmError::SegmentMalformed) } else { Ok(header) }
    }

    /// As [`of_bytes`](Self::of_bytes), for the header's four words.
    ///
    /// # Errors
    /// As [`of_bytes`](Self::of_bytes).
    pub(super) fn of_words([magic_0, magic_1, alleged, version_generation]: [u32; 4], size: u64) -> Result<Self, ShmError> {
        if (magic_0, magic_1) == (0, 0) {
            return Err(ShmError::SegmentNotInitialized);
        }
        if (magic_0, magic_1) != (MAGIC_0, MAGIC_1) {
            return Err(ShmError::SegmentMalformed);
        }
        let header = Self::of_version(version_generation)?;
        let is_short = (alleged as usize) < header.layout.segment_len() || u64::from(alleged) > size;
        if is_short { Err(ShmError::SegmentMalformed) } else { Ok(header) }
    }

    /// Checks the word that holds version and generation.
    pub(super) fn of_version(word: u32) -> Result<Self, ShmError> {
        match split(word) {
            (0, _) | (_, 0) => Err(ShmError::SegmentNotInitialized),
            (version, generation) => match Layout::of_version(version) {
                Some(layout) => Ok(Self { layout, generation }),
                None => Err(ShmError::SegmentVersionNotSupported),
            },
        }
    }

    /// Whether a file that begins so is a segment or may become one: its first 8 bytes, or as many as there are, are zeros, the magic numbers,
    /// or a beginning of them before zeros. A writer leaves anything else as it is.
    ///
    /// ```
    /// use seqslot_core::clockbound::SegmentHeader;
    /// assert!(SegmentHeader::is_begun(b"") && SegmentHeader::is_begun(&[0; 80]));
    /// assert!(SegmentHeader::is_begun(&0x414D_5A4E_u32.to_ne_bytes()));
    /// assert!(!SegmentHeader::is_begun(b"a letter"));
    /// ```
    #[must_use]
    pub fn is_begun(bytes: &[u8]) -> bool {
        let magic = magic();
        let first = &bytes[..bytes.len().min(magic.len())];
        let begun = first.iter().zip(&magic).take_while(|(byte, good)| byte == good).count();
        // What a number has in common with zeros may be counted as either.
        first[begun..].iter().all(|byte| *byte == 0)
    }

    /// Whether a writer was at it.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        !self.generation.is_multiple_of(2)
    }
}

/// Whether a piece of a header is what a writer leaves that has just begun: nothing, zeros, or as much of the magic as there is.
fn is_begun(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0) || bytes.iter().zip(&magic()).all(|(byte, good)| byte == good)
}

/// The magic numbers as they are in memory.
fn magic() -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (MAGIC_0.to_ne_bytes(), MAGIC_1.to_ne_bytes());
    [a, b, c, d, e, f, g, h]
}

impl ClockErrorBound {
    /// Reads a payload of this layout: the bytes behind the header, of a finished update.
    ///
    /// # Errors
    /// [`ShmError::SegmentMalformed`]: fewer bytes than the layout has, or a value that no daemon writes: nanoseconds of a second or more,
    /// a negative bound, a status or a truth value that there is not.
    pub fn of_payload(layout: Layout, payload: &[u8]) -> Result<Self, ShmError> {
        if payload.len() < layout.payload_len() {
            return Err(ShmError::SegmentMalformed);
        }
        let fields = Fields(payload);
        let bound = match layout {
            Layout::V2 => Self {
                as_of: fields.time(v2::AS_OF)?,
                void_after: fields.time(v2::VOID_AFTER)?,
                bound_nsec: i64::from_ne_bytes(fields.get(v2::BOUND)),
                disruption_marker: u64::from_ne_bytes(fields.get(v2::DISRUPTION_MARKER)),
                max_drift_ppb: u32::from_ne_bytes(fields.get(v2::MAX_DRIFT)),
                clock_status: fields.status(v2::CLOCK_STATUS)?,
                disruption_support: fields.truth(v2::DISRUPTION_SUPPORT)?,
                counter: None,
            },
            Layout::V3 => Self {
                as_of: fields.time(v3::AS_OF)?,
                void_after: fields.time(v3::VOID_AFTER)?,
                bound_nsec: i64::from_ne_bytes(fields.get(v3::BOUND)),
                disruption_marker: u64::from_ne_bytes(fields.get(v3::DISRUPTION_MARKER)),
                max_drift_ppb: u32::from_ne_bytes(fields.get(v3::MAX_DRIFT)),
                clock_status: fields.status(v3::CLOCK_STATUS)?,
                disruption_support: fields.truth(v3::DISRUPTION_SUPPORT)?,
                counter: Some(Counter {
                    as_of: u64::from_ne_bytes(fields.get(v3::AS_OF_TSC)),
                    period: fields.fraction(v3::PERIOD, v3::PERIOD_SHIFT),
                    period_error: fields.fraction(v3::PERIOD_ERROR, v3::PERIOD_ERROR_SHIFT),
                }),
            },
        };
        if bound.bound_nsec < 0 { Err(ShmError::SegmentMalformed) } else { Ok(bound) }
    }

    /// Its bytes behind the header, the padding zero: as many as its layout has, then zeros.
    #[must_use]
    pub fn to_payload(&self) -> [u8; PAYLOAD_LEN_MAX] {
        let mut bytes = [0; PAYLOAD_LEN_MAX];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let status = (self.clock_status as i32).to_ne_bytes();
        let support = [u8::from(self.disruption_support)];
        match &self.counter {
            None => {
                put_time(&mut put, v2::AS_OF, self.as_of);
                put_time(&mut put, v2::VOID_AFTER, self.void_after);
                put(v2::BOUND, &self.bound_nsec.to_ne_bytes());
                put(v2::DISRUPTION_MARKER, &self.disruption_marker.to_ne_bytes());
                put(v2::MAX_DRIFT, &self.max_drift_ppb.to_ne_bytes());
                put(v2::CLOCK_STATUS, &status);
                put(v2::DISRUPTION_SUPPORT, &support);
            }
            Some(counter) => {
                put(v3::AS_OF_TSC, &counter.as_of.to_ne_bytes());
                put_time(&mut put, v3::AS_OF, self.as_of);
                put_time(&mut put, v3::VOID_AFTER, self.void_after);
                put(v3::PERIOD, &counter.period.numerator().to_ne_bytes());
                put(v3::PERIOD_ERROR, &counter.period_error.numerator().to_ne_bytes());
                put(v3::BOUND, &self.bound_nsec.to_ne_bytes());
                put(v3::DISRUPTION_MARKER, &self.disruption_marker.to_ne_bytes());
                put(v3::MAX_DRIFT, &self.max_drift_ppb.to_ne_bytes());
                put(v3::CLOCK_STATUS, &status);
                put(v3::DISRUPTION_SUPPORT, &support);
                put(v3::PERIOD_SHIFT, &[counter.period.shift()]);
                put(v3::PERIOD_ERROR_SHIFT, &[counter.period_error.shift()]);
            }
        }
        bytes
    }
}

fn put_time(put: &mut impl FnMut(usize, &[u8]), at: usize, time: TimeSpec) {
    put(at, &time.tv_sec().to_ne_bytes());
    put(at + 8, &time.tv_nsec().to_ne_bytes());
}

/// A payload, whose length was compared with its layout's.
struct Fields<'p>(&'p [u8]);

impl Fields<'_> {
    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[at..at + N]);
        bytes
    }

    fn time(&self, at: usize) -> Result<TimeSpec, ShmError> {
        let (seconds, nanoseconds) = (i64::from_ne_bytes(self.get(at)), i64::from_ne_bytes(self.get(at + 8)));
        TimeSpec::new(seconds, nanoseconds).ok_or(ShmError::SegmentMalformed)
    }

    fn status(&self, at: usize) -> Result<ClockStatus, ShmError> {
        ClockStatus::from_number(i32::from_ne_bytes(self.get(at))).ok_or(ShmError::SegmentMalformed)
    }

    fn truth(&self, at: usize) -> Result<bool, ShmError> {
        match self.0[at] {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ShmError::SegmentMalformed),
        }
    }

    fn fraction(&self, at: usize, shift_at: usize) -> Fraction {
        Fraction::new(u64::from_ne_bytes(self.get(at)), self.0[shift_at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(layout: Layout) -> [u8; PAYLOAD_LEN_MAX] {
        let mut payload = [0; PAYLOAD_LEN_MAX];
        let (as_of, status) = if layout == Layout::V2 { (v2::AS_OF, v2::CLOCK_STATUS) } else { (v3::AS_OF, v3::CLOCK_STATUS) };
        payload[as_of..][..8].copy_from_slice(&10_i64.to_ne_bytes());
        payload[status..][..4].copy_from_slice(&1_i32.to_ne_bytes());
        payload
    }

    #[test]
    fn values_that_the_daemon_never_writes_are_malformed() {
        for layout in [Layout::V2, Layout::V3] {
            let parse = |at: usize, change: &[u8]| {
                let mut payload = good(layout);
                payload[at..at + change.len()].copy_from_slice(change);
                ClockErrorBound::of_payload(layout, &payload)
            };
            assert!(parse(0, &[]).is_ok());
            let (status, support, as_of, void_after, bound) = match layout {
                Layout::V2 => (v2::CLOCK_STATUS, v2::DISRUPTION_SUPPORT, v2::AS_OF, v2::VOID_AFTER, v2::BOUND),
                Layout::V3 => (v3::CLOCK_STATUS, v3::DISRUPTION_SUPPORT, v3::AS_OF, v3::VOID_AFTER, v3::BOUND),
            };
            for bad in [4, -1, i32::MAX, i32::MIN] {
                assert_eq!(parse(status, &bad.to_ne_bytes()), Err(ShmError::SegmentMalformed), "{layout:?}: status {bad}");
            }
            for bad in [2, 7, 255] {
                assert_eq!(parse(support, &[bad]), Err(ShmError::SegmentMalformed), "{layout:?}: support {bad}");
            }
            for bad in [1_000_000_000_i64, -1, i64::MAX, i64::MIN] {
                assert_eq!(parse(as_of + 8, &bad.to_ne_bytes()), Err(ShmError::SegmentMalformed), "{layout:?}: {bad} ns");
                assert_eq!(parse(void_after + 8, &bad.to_ne_bytes()), Err(ShmError::SegmentMalformed), "{layout:?}: {bad} ns");
            }
            assert_eq!(parse(bound, &(-1_i64).to_ne_bytes()), Err(ShmError::SegmentMalformed));
            let short = &good(layout)[..layout.payload_len() - 1];
            assert_eq!(ClockErrorBound::of_payload(layout, short), Err(ShmError::SegmentMalformed));
        }
    }

    #[test]
    fn the_header_is_checked_against_what_is_there() {
        let header = |size: u32, version: u16, generation: u16| {
            SegmentHeader::of_words([MAGIC_0, MAGIC_1, size, join(version, generation)], 4096).map(|header| header.layout)
        };
        assert_eq!(header(80, 2, 2), Ok(Layout::V2));
        assert_eq!(header(80, 2, 3), Ok(Layout::V2));
        assert_eq!(header(104, 0x0303, 2), Ok(Layout::V3));
        assert_eq!(header(80, 0, 2), Err(ShmError::SegmentNotInitialized));
        assert_eq!(header(80, 2, 0), Err(ShmError::SegmentNotInitialized));
        for version in [1, 3, 4, 0x0202, 0x0203, 0x0302, 0x0304, 0x0404, 0x0300, u16::MAX] {
            assert_eq!(header(104, version, 2), Err(ShmError::SegmentVersionNotSupported), "{version:#06x}");
        }
        for (size, version) in [(79, 2), (1 << 30, 2), (4097, 2), (0, 2), (103, 0x0303), (80, 0x0303), (u32::MAX, 0x0303)] {
            assert_eq!(header(size, version, 2), Err(ShmError::SegmentMalformed), "{size}, {version:#06x}");
        }
        assert_eq!(SegmentHeader::of_words([0; 4], 4096), Err(ShmError::SegmentNotInitialized));
        assert_eq!(SegmentHeader::of_words([MAGIC_0, MAGIC_1 + 1, 80, join(2, 2)], 4096), Err(ShmError::SegmentMalformed));
    }

    #[test]
    fn a_piece_of_a_header_is_a_beginning_or_not_a_segment() {
        let mut whole = [0; 12];
        whole[..4].copy_from_slice(&MAGIC_0.to_ne_bytes());
        whole[4..8].copy_from_slice(&MAGIC_1.to_ne_bytes());
        for len in 0..12 {
            assert_eq!(SegmentHeader::of_bytes(&whole[..len], len as u64), Err(ShmError::SegmentNotInitialized), "{len}");
            assert_eq!(SegmentHeader::of_bytes(&[0; 12][..len], len as u64), Err(ShmError::SegmentNotInitialized), "{len}");
        }
        for good in 0..=8 {
            let zeros_after = [&whole[..good], &[0; 12][good..]].concat();
            assert!((0..12).all(|len| SegmentHeader::is_begun(&zeros_after[..len])), "{good}");
        }
        let mut other = whole;
        other[8..].fill(0xFF);
        assert!(SegmentHeader::is_begun(&other), "whatever follows the magic numbers");
        for (at, byte) in [(0, 1), (4, 7), (7, 0x44), (5, 0)] {
            let mut other = whole;
            other[at] = byte;
            assert!(!SegmentHeader::is_begun(&other), "{at}");
        }
        assert!(!SegmentHeader::is_begun(&[0, 0, 0, 0, 0, 0, 0, 1]) && !SegmentHeader::is_begun(b"x"));
        whole[5] ^= 1;
        assert_eq!(SegmentHeader::of_bytes(&whole[..6], 6), Err(ShmError::SegmentMalformed));
        assert_eq!(SegmentHeader::of_bytes(b"foobarbaz", 9), Err(ShmError::SegmentMalformed));
    }
}
