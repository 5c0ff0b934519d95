//! Where a writer's segment is, as discovery tells other processes: the value of the RTPS parameter `PID_SHM_LOCATOR`, little-endian.
//!
//! | offset | width | what |
//! |---|---|---|
//! | 0 | 4 | FNV-1a (32 bits) of the host's name |
//! | 4 | 4 | user id of the writer |
//! | 8 | 4 | slots |
//! | 12 | 4 | bytes of a slot: header, data, padding |
//! | 16 | 4 | length of the path and its NUL |
//! | 20 | n | path, UTF-8, at most 256 bytes |
//! | 20 + n | 1 | NUL |
//! | 21 + n | 0 to 3 | padding to a multiple of 4, written as zeroes |

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::Cause;

/// The parameter that a locator is the value of.
pub const PID_SHM_LOCATOR: u16 = 0x8001;

/// Bytes of a path at most.
const MAX_PATH_LEN: usize = 256;
/// Where the path begins.
const PATH_AT: usize = 20;

/// What a reader on the same host needs to find a writer's segment.
///
/// ```
/// use seqslot_core::{LocatorError, ShmLocator, fnv1a_32, is_same_host};
/// let told = ShmLocator {
///     hostname_hash: fnv1a_32(b"node1.local"),
///     uid: 1000,
///     slot_count: 16,
///     slot_size: 128,
///     segment_path: "/run/app/poses".into(),
/// };
/// let bytes = told.to_bytes_le()?; // travels by discovery
/// let heard = ShmLocator::from_bytes_le(&bytes)?;
/// assert_eq!(heard, told);
/// assert!(is_same_host("node1.local", 1000, &heard) && !is_same_host("node2.local", 1000, &heard));
/// assert_eq!(ShmLocator::from_bytes_le(&bytes[..30]), Err(LocatorError::TruncatedString));
/// # Ok::<(), LocatorError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShmLocator {
    /// [`fnv1a_32`] of the host's name.
    pub hostname_hash: u32,
    /// User id of the writer.
    pub uid: u32,
    /// Number of slots.
    pub slot_count: u32,
    /// Bytes of a slot: header, data and padding.
    pub slot_size: u32,
    /// What names the segment: here the path of its flink file.
    pub segment_path: String,
}

/// Why a locator was not encoded, or its bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LocatorError {
    /// Fewer than 20 bytes: the numbers are not all there.
    TruncatedHeader,
    /// The path's length is beyond the bytes.
    TruncatedString,
    /// The path is not UTF-8.
    InvalidUtf8,
    /// The path is longer than 256 bytes.
    PathTooLong,
    /// The path does not end in a NUL.
    MissingNul,
    /// There is a NUL inside the path.
    InteriorNul,
    /// There are bytes behind the padding.
    TrailingBytes,
}

impl LocatorError {
    /// What kind of error this is: of a value to encode, or of bytes that a peer sent.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::PathTooLong | Self::InteriorNul => Cause::Misuse,
            _ => Cause::Corruption,
        }
    }
}

impl fmt::Display for LocatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TruncatedHeader => "a locator has 20 bytes before its path, these are fewer",
            Self::TruncatedString => "the path of the locator is longer than what is left of its bytes",
            Self::InvalidUtf8 => "the path of the locator is not UTF-8",
            Self::PathTooLong => "the path of the locator has more than 256 bytes; use a shorter one",
            Self::MissingNul => "the path of the locator does not end in a NUL",
            Self::InteriorNul => "there is a NUL inside the path of the locator",
            Self::TrailingBytes => "there are bytes behind the locator's padding",
        })
    }
}

impl core::error::Error for LocatorError {}

impl ShmLocator {
    /// The bytes that discovery carries.
    ///
    /// # Errors
    /// [`LocatorError::PathTooLong`], [`LocatorError::InteriorNul`].
    pub fn to_bytes_le(&self) -> Result<Vec<u8>, LocatorError> {
        let path = self.segment_path.as_bytes();
        if path.len() > MAX_PATH_LEN {
            return Err(LocatorError::PathTooLong);
        }
        if path.contains(&0) {
            return Err(LocatorError::InteriorNul);
        }
        // At most 257, so it fits.
        let len = path.len() as u32 + 1;
        let mut bytes = Vec::with_capacity(PATH_AT + padded(len as usize));
        for number in [self.hostname_hash, self.uid, self.slot_count, self.slot_size, len] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(path);
        bytes.resize(PATH_AT + padded(len as usize), 0);
        Ok(bytes)
    }

    /// Reads what [`to_bytes_le`](Self::to_bytes_le) wrote, here or in ZeroDDS. The bytes are alleged: each length is checked before it is used.
    /// What the padding holds does not matter, nor whether it is there.
    ///
    /// # Errors
    /// [`LocatorError`]: cut short, a path too long, not UTF-8, without its NUL or with one inside, or something behind it all.
    pub fn from_bytes_le(bytes: &[u8]) -> Result<Self, LocatorError> {
        let (numbers, rest) = bytes.split_at_checked(PATH_AT).ok_or(LocatorError::TruncatedHeader)?;
        let number = |index: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&numbers[index * 4..index * 4 + 4]);
            u32::from_le_bytes(word)
        };
        let len = number(4) as usize;
        if len > MAX_PATH_LEN + 1 {
            return Err(LocatorError::PathTooLong);
        }
        let (string, behind) = rest.split_at_checked(len).ok_or(LocatorError::TruncatedString)?;
        let (&nul, path) = string.split_last().ok_or(LocatorError::MissingNul)?;
        if nul != 0 {
            return Err(LocatorError::MissingNul);
        }
        if path.contains(&0) {
            return Err(LocatorError::InteriorNul);
        }
        if behind.len() > padded(len) - len {
            return Err(LocatorError::TrailingBytes);
        }
        let path = core::str::from_utf8(path).map_err(|_| LocatorError::InvalidUtf8)?;
        Ok(Self { hostname_hash: number(0), uid: number(1), slot_count: number(2), slot_size: number(3), segment_path: path.into() })
    }
}

const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// The 32-bit FNV-1a hash, of a host's name for a locator.
///
/// ```
/// assert_eq!(seqslot_core::fnv1a_32(b"foobar"), 0xBF9C_F968); // a vector of its authors
/// ```
#[must_use]
pub fn fnv1a_32(bytes: &[u8]) -> u32 {
    const OFFSET_BASIS: u32 = 0x811C_9DC5;
    const PRIME: u32 = 0x0100_0193;
    bytes.iter().fold(OFFSET_BASIS, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

/// Whether `locator` was made on the host of this name, by this user: then its segment can be attached to.
///
/// Names that are not alike may have the same hash, and hosts the same name: the attach decides.
#[must_use]
pub fn is_same_host(local_hostname: &str, local_uid: u32, locator: &ShmLocator) -> bool {
    fnv1a_32(local_hostname.as_bytes()) == locator.hostname_hash && local_uid == locator.uid
}
