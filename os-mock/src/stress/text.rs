//! What samples say: who wrote them and when, and bytes that follow from it.

/// Bytes before the body: writer and sequence number.
const PREFACE: usize = 8;

/// Bytes of sample `sequence`: from the preface alone to the whole capacity.
pub(super) fn len_of(sequence: u32, capacity: usize) -> usize {
    PREFACE + (sequence as usize).wrapping_mul(13) % (capacity - PREFACE + 1)
}

/// Writes the sample of `writer` at `sequence` and gives its length.
pub(super) fn write(bytes: &mut [u8], writer: u32, sequence: u32) -> usize {
    let len = len_of(sequence, bytes.len());
    let (preface, body) = bytes[..len].split_at_mut(PREFACE);
    preface[..4].copy_from_slice(&writer.to_ne_bytes());
    preface[4..].copy_from_slice(&sequence.to_ne_bytes());
    for (at, byte) in body.iter_mut().enumerate() {
        *byte = body_byte(writer, sequence, at);
    }
    len
}

/// Panics unless the bytes are the sample of `writer` at `sequence`.
pub(super) fn check(bytes: &[u8], writer: u32, sequence: u32, capacity: usize) {
    assert_eq!(said(bytes), (writer, sequence), "the sample of somebody else, or of another time");
    assert_eq!(bytes.len(), len_of(sequence, capacity), "sample {sequence} of writer {writer} has another length");
    for (at, &byte) in bytes[PREFACE..].iter().enumerate() {
        assert_eq!(byte, body_byte(writer, sequence, at), "sample {sequence} of writer {writer} is torn at byte {at}");
    }
}

/// Who wrote it, and when, as it says itself.
pub(super) fn said(bytes: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (word(0), word(4))
}

fn body_byte(writer: u32, sequence: u32, at: usize) -> u8 {
    let mixed = sequence.wrapping_mul(0x9E37_79B9) ^ writer.wrapping_mul(0x85EB_CA6B);
    (mixed.rotate_left(at as u32 % 32) as u8).wrapping_add(at as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_another_time_or_with_one_byte_of_it_is_seen() {
        let mut bytes = [0; 64];
        let len = write(&mut bytes, 2, 9);
        check(&bytes[..len], 2, 9, 64);
        let fails = |bytes: &[u8], sequence| std::panic::catch_unwind(|| check(bytes, 2, sequence, 64)).is_err();
        assert!(fails(&bytes[..len], 10));
        assert!(fails(&bytes[..len - 1], 9));
        for at in 0..len {
            let mut torn = bytes;
            torn[at] ^= 1;
            assert!(fails(&torn[..len], 9), "byte {at}");
        }
    }
}
