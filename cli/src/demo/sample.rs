//! What is in a sample: where its bytes are in the stream, when it was committed, and the bytes.

/// Bytes before the data, a cache line.
pub const HEADER: usize = 64;

/// The header's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset of the data in the stream.
    pub offset: u64,
    /// When it was committed, by the platform's clock, in nanoseconds.
    pub committed_ns: u64,
}

impl Header {
    /// Writes it to the start of a sample.
    pub fn write(self, sample: &mut [u8]) {
        sample[..8].copy_from_slice(&self.offset.to_le_bytes());
        sample[8..16].copy_from_slice(&self.committed_ns.to_le_bytes());
    }

    /// Reads it, and what follows it; `None` if the sample is too short.
    pub fn split(sample: &[u8]) -> Option<(Self, &[u8])> {
        let (header, data) = sample.split_at_checked(HEADER)?;
        let number = |at: usize| header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        Some((Self { offset: number(0)?, committed_ns: number(8)? }, data))
    }
}

/// The platform's clock, the same for all processes of the demo.
pub fn now_ns() -> u64 {
    use seqslot_core::Os;
    u64::try_from(seqslot::platform().now().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_way_there_and_back() {
        let mut sample = [7; HEADER + 3];
        let header = Header { offset: u64::MAX - 1, committed_ns: 42 };
        header.write(&mut sample);
        assert_eq!(Header::split(&sample), Some((header, &[7; 3][..])));
        assert_eq!(Header::split(&sample[..HEADER - 1]), None);
    }
}
