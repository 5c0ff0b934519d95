//! The head: the first 128 bytes of every segment, written once by its creator and never again.
//!
//! All fields are 32-bit words in the creator's byte order. Readers parse it once, into plain values, and never look again.
//!
//! | offset | width | field | value |
//! |---|---|---|---|
//! | 0 | 8 | magic | the bytes `SEQSLOT1`, the same on every machine |
//! | 8 | 4 | byte order | 0x01020304 as the creator stores it |
//! | 12 | 4 | version | major << 16 \| minor |
//! | 16 | 4 | head length | 128 |
//! | 20 | 4 | kind | 1 slots, 2 snapshot |
//! | 24 | 8 | total length | low word, high word |
//! | 32 | 4 | count | slots, or snapshot buffers |
//! | 36 | 4 | capacity | bytes of a slot's payload, or of a snapshot |
//! | 40 | 4 | stride | bytes from one slot (or buffer) to the next |
//! | 44 | 4 | payload offset | from the start of a slot (or buffer) |
//! | 48 | 4 | writers | entries for writers, 1 to 32 (1 in a snapshot) |
//! | 52 | 4 | readers | entries for readers, 1 to 32 (0 in a snapshot) |
//! | 56 | 4 | ring length | power of two, >= slots (0 in a snapshot) |
//! | 60 | 4 | flags | bit 0: overwrite allowed; bit 1: read-only waiters, always wake; bit 2: asymmetric fences |
//! | 64 | 16 | type hash | zero: bytes |
//! | 80 | 16 | instance | random, different for each segment ever made |
//! | 96 | 4 | payload align | power of two |
//! | 100 | 24 | reserved | zero |
//! | 124 | 4 | ready | 0x52454144, stored last, with Release |

use portable_atomic::Ordering;

use crate::error::HeadError;
use crate::layout::{VERSION_MAJOR, VERSION_MINOR};
use crate::memory::Memory;
use crate::os::Mapping;
use crate::region::Word;

/// Length of the head in bytes.
pub const HEAD_LEN: usize = 128;
/// Words of the head.
const WORDS: usize = HEAD_LEN / 4;
/// Offset of the ready word.
pub const READY_AT: usize = 124;
/// What the ready word holds once the head is whole.
pub const READY: u32 = 0x5245_4144;
/// Byte order mark as its writer stores it.
const BYTE_ORDER: u32 = 0x0102_0304;
/// The magic as two words of this machine, so that its bytes are the same on every machine.
const MAGIC: [u32; 2] = [u32::from_ne_bytes(*b"SEQS"), u32::from_ne_bytes(*b"LOT1")];

/// Head flag: a writer that finds nothing free may take the oldest sample away from its readers.
pub const FLAG_OVERWRITE: u32 = 1;
/// Head flag: waiters may be read-only and cannot register, so that every change is notified.
pub const FLAG_ALWAYS_WAKE: u32 = 2;
/// Head flag: who commits or releases makes a light fence, and who waits for that a heavy one ([`Os::fence_all`](crate::Os::fence_all)).
pub const FLAG_ASYMMETRIC: u32 = 4;
/// Flags this version knows.
const FLAGS_KNOWN: u32 = FLAG_OVERWRITE | FLAG_ALWAYS_WAKE | FLAG_ASYMMETRIC;

const _: () = assert!(READY_AT + 4 == HEAD_LEN && READY_AT.is_multiple_of(4) && HEAD_LEN.is_multiple_of(crate::layout::LINE));

/// Kind of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum Kind {
    /// Slots: publish and subscribe.
    Slots = 1,
    /// Snapshot: the newest state.
    Snapshot = 2,
}

/// The fields of a head, as plain values. Alleged, until a geometry has checked them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Slots or snapshot.
    pub kind: Kind,
    /// Minor layout version of the creator.
    pub minor: u16,
    /// Length of the whole segment in bytes.
    pub total_len: u64,
    /// Slots, or snapshot buffers.
    pub count: u32,
    /// Bytes of a slot's payload, or of a snapshot.
    pub capacity: u32,
    /// Bytes from one slot or buffer to the next.
    pub stride: u32,
    /// Bytes from the start of a slot or buffer to its payload.
    pub payload_offset: u32,
    /// Writer entries.
    pub writers: u32,
    /// Reader entries.
    pub readers: u32,
    /// Length of each writer's ring.
    pub ring_len: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// Identity of the payload's type; zero for bytes.
    pub type_hash: [u8; 16],
    /// Identity of the segment.
    pub instance: [u8; 16],
    /// Alignment of payloads.
    pub payload_align: u32,
}

impl Head {
    /// The words of the head, with `ready` left zero.
    pub(crate) fn to_words(self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        words[0] = MAGIC[0];
        words[1] = MAGIC[1];
        words[2] = BYTE_ORDER;
        words[3] = u32::from(VERSION_MAJOR) << 16 | u32::from(self.minor);
        words[4] = HEAD_LEN as u32;
        words[5] = self.kind as u32;
        words[6] = self.total_len as u32;
        words[7] = (self.total_len >> 32) as u32;
        words[8] = self.count;
        words[9] = self.capacity;
        words[10] = self.stride;
        words[11] = self.payload_offset;
        words[12] = self.writers;
        words[13] = self.readers;
        words[14] = self.ring_len;
        words[15] = self.flags;
        [words[16], words[17], words[18], words[19]] = zerocopy::transmute!(self.type_hash);
        [words[20], words[21], words[22], words[23]] = zerocopy::transmute!(self.instance);
        words[24] = self.payload_align;
        words
    }

    /// Parses the words of a head; what depends on the kind is left to the geometry.
    pub(crate) fn from_words(words: &[u32; WORDS]) -> Result<Self, HeadError> {
        // The creator writes the magic with the rest of the head, in any order as others see it: zeros are a part not there yet.
        let begun = |word: usize| words[word] == MAGIC[word] || (words[word] == 0 && words[READY_AT / 4] == 0);
        if !begun(0) || !begun(1) {
            return Err(HeadError::Magic { found: words[0] });
        }
        match words[2] {
            BYTE_ORDER => {}
            swapped if swapped == BYTE_ORDER.swap_bytes() => return Err(HeadError::ByteOrder),
            0 => return Err(HeadError::NotReady),
            other => return Err(HeadError::Field { name: "byte order", value: u64::from(other) }),
        }
        if words[READY_AT / 4] == 0 {
            return Err(HeadError::NotReady);
        }
        if words[READY_AT / 4] != READY {
            return Err(HeadError::Field { name: "ready word", value: u64::from(words[READY_AT / 4]) });
        }
        let (major, minor) = ((words[3] >> 16) as u16, words[3] as u16);
        if major != VERSION_MAJOR {
            return Err(HeadError::Version { major, minor });
        }
        if words[4] != HEAD_LEN as u32 {
            return Err(HeadError::Field { name: "head length", value: u64::from(words[4]) });
        }
        let kind = match words[5] {
            1 => Kind::Slots,
            2 => Kind::Snapshot,
            other => return Err(HeadError::Field { name: "kind", value: u64::from(other) }),
        };
        let is_newer = minor.checked_sub(VERSION_MINOR).is_some_and(|ahead| ahead > 0);
        if words[15] & !FLAGS_KNOWN != 0 && !is_newer {
            return Err(HeadError::Field { name: "flags", value: u64::from(words[15]) });
        }
        Ok(Self {
            kind,
            minor,
            total_len: u64::from(words[7]) << 32 | u64::from(words[6]),
            count: words[8],
            capacity: words[9],
            stride: words[10],
            payload_offset: words[11],
            writers: words[12],
            readers: words[13],
            ring_len: words[14],
            flags: words[15],
            type_hash: get::<16>(words),
            instance: get::<20>(words),
            payload_align: words[24],
        })
    }

    /// Writes the head and then, last of all, its ready word.
    pub(crate) fn write<M: Memory>(self, memory: &M) -> Result<(), HeadError> {
        check_len(memory)?;
        for (index, word) in self.to_words().into_iter().enumerate() {
            if index * 4 != READY_AT {
                // ORDERING: Relaxed; carried by the Release of the ready word.
                head_word(memory, index).store(word, Ordering::Relaxed);
            }
        }
        // ORDERING: Release, edge "ready"; pairs with the Acquire in `read`. Carries every word of the head.
        head_word(memory, READY_AT / 4).store(READY, Ordering::Release);
        Ok(())
    }

    /// Reads and parses the head of a mapped object.
    ///
    /// # Errors
    /// [`HeadError`]: what is wrong with the bytes.
    ///
    /// ```
    /// use seqslot_core::{HeadError, layout::head::{Head, Kind}};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// assert_eq!(Head::of(&region), Err(HeadError::NotReady)); // zeros: a creator may be at it
    /// let bare = seqslot_core::Bare::new(region);
    /// let segment = seqslot_core::Segment::create(bare, &(), &seqslot_core::Config::slots(4, 64))?;
    /// let head = Head::of(segment.mapping())?;
    /// assert_eq!((head.kind, head.count, head.capacity), (Kind::Slots, 4, 64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of<G: Mapping>(mapping: &G) -> Result<Self, HeadError> {
        Self::read(&mapping.memory())
    }

    /// Reads and parses the head of `memory`, which the caller knows to be mapped.
    pub(crate) fn read<M: Memory>(memory: &M) -> Result<Self, HeadError> {
        check_len(memory)?;
        let ready = head_word(memory, READY_AT / 4).load(Ordering::Relaxed);
        // ORDERING: Acquire fence after a Relaxed load (the memory may be mapped read-only), edge "ready"; pairs with the
        // Release store of the ready word in `write`. Carries every word of the head.
        memory.fence(Ordering::Acquire);
        // ORDERING: Relaxed; the fence above orders it behind the ready word.
        let words =
            core::array::from_fn(|index| if index * 4 == READY_AT { ready } else { head_word(memory, index).load(Ordering::Relaxed) });
        Self::from_words(&words)
    }
}

/// Refuses a head in which a field is not what follows from the others: `(name, alleged, computed)`, the first that differs is named.
pub(super) fn check_computed<const N: usize>(fields: [(&'static str, u32, u32); N]) -> Result<(), HeadError> {
    match fields.into_iter().find(|(_, alleged, computed)| alleged != computed) {
        Some((name, alleged, _)) => Err(HeadError::Field { name, value: u64::from(alleged) }),
        None => Ok(()),
    }
}

/// The memory is long enough for a head.
fn check_len<M: Memory>(memory: &M) -> Result<(), HeadError> {
    if memory.len() < HEAD_LEN {
        return Err(HeadError::TooShort { len: memory.len() as u64, needed: HEAD_LEN as u64 });
    }
    Ok(())
}

/// Word `index` of a head in `memory`, whose length the caller has checked.
fn head_word<M: Memory>(memory: &M, index: usize) -> Word<'_, M> {
    assert!(index < WORDS && memory.len() >= HEAD_LEN);
    // SAFETY: 1. a multiple of 4. 2. asserted above. 3. `memory` is borrowed. 4. `write` is called by creators only, who map writable.
    unsafe { Word::new(memory, index * 4) }
}

/// Sixteen bytes from the four words at `FROM`.
fn get<const FROM: usize>(words: &[u32; WORDS]) -> [u8; 16] {
    zerocopy::transmute!([words[FROM], words[FROM + 1], words[FROM + 2], words[FROM + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Head {
        Head {
            kind: Kind::Slots,
            minor: 0,
            total_len: 0x1_0000_0040,
            count: 3,
            capacity: 100,
            stride: 192,
            payload_offset: 32,
            writers: 4,
            readers: 32,
            ring_len: 4,
            flags: FLAG_OVERWRITE,
            type_hash: *b"0123456789abcdef",
            instance: *b"fedcba9876543210",
            payload_align: 32,
        }
    }

    fn ready(head: Head) -> [u32; WORDS] {
        let mut words = head.to_words();
        words[31] = READY;
        words
    }

    #[test]
    fn a_head_survives_the_way_there_and_back() {
        assert_eq!(Head::from_words(&ready(sample())), Ok(sample()));
    }

    #[test]
    fn each_forged_word_is_refused_or_read_as_it_stands() {
        let good = ready(sample());
        for index in [0, 1, 2, 3, 4, 5, 15, 31] {
            let mut words = good;
            words[index] ^= 0x8000_0100;
            assert!(Head::from_words(&words).is_err(), "word {index}");
        }
    }

    #[test]
    fn the_other_byte_order_is_named() {
        let swapped = ready(sample()).map(u32::swap_bytes);
        let mut words = swapped;
        (words[0], words[1]) = (MAGIC[0], MAGIC[1]);
        assert_eq!(Head::from_words(&words), Err(HeadError::ByteOrder));
    }

    #[test]
    fn a_newer_minor_may_have_flags_we_do_not_know() {
        let mut words = ready(sample());
        words[15] |= 1 << 20;
        assert!(Head::from_words(&words).is_err());
        words[3] += 1;
        assert!(Head::from_words(&words).is_ok());
    }
}
