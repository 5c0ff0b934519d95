//! The bytes of a snapshot segment, spelled out: the layout is an ABI.

mod snapshot_support;

use seqslot_core::{Publisher, SnapshotConfig};
use snapshot_support::{load, region};

const CONFIG_HASH: [u8; 16] = *b"0123456789abcdef";
const INSTANCE: [u8; 16] = *b"fedcba9876543210";

fn word(bytes: &[u8; 4]) -> u32 {
    u32::from_ne_bytes(*bytes)
}

#[test]
fn two_publications_give_exactly_these_words() {
    let region = region::<1024>();
    let config = SnapshotConfig::bytes(10).type_hash(CONFIG_HASH).instance(INSTANCE).always_wake(true);
    let mut publisher = Publisher::<[u8]>::format(region, config).unwrap();
    publisher.publish(b"firstvalue").unwrap();
    publisher.publish(b"other bits").unwrap();

    let mut expected = [0_u32; 1024 / 4];
    let mut set = |at: usize, value: u32| expected[at / 4] = value;
    set(0, word(b"SEQS"));
    set(4, word(b"LOT1"));
    set(8, 0x0102_0304); // byte order
    set(12, 0x0001_0000); // version 1.0
    set(16, 128); // head length
    set(20, 2); // kind: snapshot
    set(24, 832); // total length
    set(32, 2); // buffers
    set(36, 10); // capacity
    set(40, 64); // stride
    set(44, 16); // payload offset
    set(48, 1); // writers
    set(60, 2); // flags: always wake
    for part in 0..4 {
        set(64 + 4 * part, word(CONFIG_HASH[4 * part..][..4].try_into().unwrap()));
        set(80 + 4 * part, word(INSTANCE[4 * part..][..4].try_into().unwrap()));
    }
    set(96, 16); // payload alignment
    set(124, 0x5245_4144); // ready
    set(644, 2); // latest, low word
    // Buffer 0 holds generation 2, buffer 1 generation 1; the last word is filled up with zeros.
    for (at, generation, text) in [(704, 2, b"other bits\0\0"), (768, 1, b"firstvalue\0\0")] {
        set(at + 4, generation);
        for part in 0..3 {
            set(at + 16 + 4 * part, word(text[4 * part..][..4].try_into().unwrap()));
        }
    }
    for (index, &value) in expected.iter().enumerate() {
        assert_eq!(load(region, index * 4), value, "the word at {}", index * 4);
    }
}
