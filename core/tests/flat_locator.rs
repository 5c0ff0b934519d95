//! Locators and slot headers, spelled out as bytes: what is written, what is read, and what is refused.
#![cfg(feature = "alloc")]
#![allow(missing_docs)]

use proptest::prelude::*;
use seqslot_core::{Cause, LocatorError, PID_SHM_LOCATOR, SLOT_HEADER_SIZE, ShmLocator, SlotHeader, fnv1a_32};

/// As ZeroDDS writes it: hash of "node1", user 1000, 16 slots of 128 bytes, path "/zdds".
const GOLDEN: [u8; 28] =
    [0x74, 0x28, 0x4E, 0x0F, 0xE8, 3, 0, 0, 16, 0, 0, 0, 128, 0, 0, 0, 6, 0, 0, 0, b'/', b'z', b'd', b'd', b's', 0, 0, 0];

fn golden() -> ShmLocator {
    ShmLocator { hostname_hash: 0x0F4E_2874, uid: 1000, slot_count: 16, slot_size: 128, segment_path: "/zdds".into() }
}

#[test]
fn a_locator_is_these_bytes() {
    assert_eq!(PID_SHM_LOCATOR, 0x8001);
    assert_eq!(golden().to_bytes_le().unwrap(), GOLDEN);
    assert_eq!(ShmLocator::from_bytes_le(&GOLDEN), Ok(golden()));
    assert_eq!(fnv1a_32(b"node1"), golden().hostname_hash);
    assert_eq!((fnv1a_32(b""), fnv1a_32(b"a")), (0x811C_9DC5, 0xE40C_292C), "the authors' vectors");
}

#[test]
fn padding_says_nothing_and_may_be_missing() {
    assert_eq!(ShmLocator::from_bytes_le(&GOLDEN[..26]), Ok(golden()));
    let mut dirty = GOLDEN;
    dirty[26..].fill(0xFF);
    assert_eq!(ShmLocator::from_bytes_le(&dirty), Ok(golden()));
    assert_eq!(ShmLocator::from_bytes_le(&[&GOLDEN[..], &[0]].concat()), Err(LocatorError::TrailingBytes));
    // A string that ends at a multiple of 4 has no padding.
    let full = ShmLocator { segment_path: "/z3".into(), ..golden() };
    let bytes = full.to_bytes_le().unwrap();
    assert_eq!((bytes.len(), ShmLocator::from_bytes_le(&bytes)), (24, Ok(full)));
}

#[test]
fn lengths_that_lie_are_refused() {
    let with_len = |len: u32| {
        let mut bytes = GOLDEN;
        bytes[16..20].copy_from_slice(&len.to_le_bytes());
        ShmLocator::from_bytes_le(&bytes)
    };
    assert_eq!(with_len(0), Err(LocatorError::MissingNul), "not even a NUL");
    assert_eq!(with_len(5), Err(LocatorError::MissingNul));
    assert_eq!(with_len(7), Err(LocatorError::InteriorNul));
    assert_eq!(with_len(9), Err(LocatorError::TruncatedString));
    assert_eq!(with_len(257), Err(LocatorError::TruncatedString));
    assert_eq!(with_len(258), Err(LocatorError::PathTooLong));
    assert_eq!(with_len(u32::MAX), Err(LocatorError::PathTooLong));
    let mut not_text = GOLDEN;
    not_text[21] = 0xFF;
    assert_eq!(ShmLocator::from_bytes_le(&not_text), Err(LocatorError::InvalidUtf8));
}

#[test]
fn every_prefix_is_too_short_and_says_of_what() {
    for len in 0..26 {
        let expected = if len < 20 { LocatorError::TruncatedHeader } else { LocatorError::TruncatedString };
        assert_eq!(ShmLocator::from_bytes_le(&GOLDEN[..len]), Err(expected), "{len} bytes");
    }
}

#[test]
fn what_would_be_refused_is_not_written() {
    let with_path = |path: String| ShmLocator { segment_path: path, ..golden() }.to_bytes_le();
    assert_eq!(with_path("x".repeat(257)), Err(LocatorError::PathTooLong));
    assert_eq!(with_path("/a\0b".into()), Err(LocatorError::InteriorNul));
    let longest = with_path("x".repeat(256)).unwrap();
    assert_eq!(longest.len(), 280);
    assert_eq!(ShmLocator::from_bytes_le(&longest).unwrap().segment_path.len(), 256);
    assert_eq!((LocatorError::PathTooLong.cause(), LocatorError::MissingNul.cause()), (Cause::Misuse, Cause::Corruption));
}

#[test]
fn a_header_is_these_bytes() {
    let header = SlotHeader { sequence_number: 0xAABB_CCDD, sample_size: 24, reader_mask: 0xF000_0001, _reserved: 0 };
    let bytes = [0xDD, 0xCC, 0xBB, 0xAA, 24, 0, 0, 0, 1, 0, 0, 0xF0, 0, 0, 0, 0];
    assert_eq!((header.to_bytes_le(), SLOT_HEADER_SIZE), (bytes, 16));
    assert_eq!(SlotHeader::from_bytes_le(&bytes), Some(header));
    assert_eq!(SlotHeader::from_bytes_le(&[&bytes[..], b"payload"].concat()), Some(header));
    assert_eq!(SlotHeader::from_bytes_le(&bytes[..15]), None);
}

#[test]
fn a_reader_beyond_the_mask_is_refused_and_marks_nobody() {
    let mut header = SlotHeader::new(0, 8);
    for index in [32, 33, 64, 255] {
        assert!(header.mark_read(index).is_err(), "{index}");
    }
    assert_eq!(header.reader_mask, 0);
    header.mark_read(31).unwrap();
    assert_eq!(header.reader_mask, 1 << 31);
    assert!(header.all_read(0) && header.all_read(1 << 31) && !header.all_read(3 << 30));
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_anything_else_is_an_answer(
        hash: u32, uid: u32, slots: u32, size: u32, path in "[^\0]{0,64}", at in 0_usize..96, byte: u8,
    ) {
        let locator = ShmLocator { hostname_hash: hash, uid, slot_count: slots, slot_size: size, segment_path: path };
        let mut bytes = locator.to_bytes_le().unwrap();
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(ShmLocator::from_bytes_le(&bytes), Ok(locator));
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        if let Ok(read) = ShmLocator::from_bytes_le(&bytes) {
            // Whatever was read can be written, and is as long.
            prop_assert_eq!(read.to_bytes_le().unwrap().len(), bytes.len());
        }
    }
}
