//! A sample whose every byte follows from its number.

/// Most bytes of one.
pub const CAPACITY: usize = 256;
/// Bytes beside the body: number, flags and length, checksum.
const FRAME: usize = 24;
/// The flag of the last one.
const LAST: u32 = 1;

/// What a whole sample says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Its number.
    pub number: u64,
    /// None comes after it.
    pub is_last: bool,
}

/// Writes the sample of a number; its length.
pub fn write(number: u64, is_last: bool, into: &mut [u8; CAPACITY]) -> usize {
    let len = FRAME + (number % (CAPACITY - FRAME + 1) as u64) as usize;
    into[..8].copy_from_slice(&number.to_le_bytes());
    into[8..12].copy_from_slice(&u32::from(is_last).to_le_bytes());
    into[12..16].copy_from_slice(&(len as u32).to_le_bytes());
    into[16..len - 8].fill((number ^ (number >> 8)) as u8);
    let sum = sum(&into[..len - 8]);
    into[len - 8..len].copy_from_slice(&sum.to_le_bytes());
    len
}

/// Reads one; `None` if any byte is not as it was written.
pub fn read(bytes: &[u8]) -> Option<Said> {
    let (body, told) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    let number = u64::from_le_bytes(body.get(..8)?.try_into().ok()?);
    let flags = u32::from_le_bytes(body.get(8..12)?.try_into().ok()?);
    let len = u32::from_le_bytes(body.get(12..16)?.try_into().ok()?);
    (len as usize == bytes.len() && told == sum(body).to_le_bytes()).then_some(Said { number, is_last: flags == LAST })
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum: u64, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_seen() {
        let mut bytes = [0; CAPACITY];
        for number in [0, 1, 231, 232, 233, 1 << 40] {
            let len = write(number, number == 1, &mut bytes);
            assert_eq!(read(&bytes[..len]), Some(Said { number, is_last: number == 1 }));
            for at in 0..len {
                bytes[at] ^= 1;
                assert_eq!(read(&bytes[..len]), None);
                bytes[at] ^= 1;
            }
            assert_eq!(read(&bytes[..len - 1]), None);
        }
    }
}
