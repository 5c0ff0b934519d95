//! "ZDS2" segments: words that a peer forged, and memory that is a little too short.
#![cfg(feature = "alloc")]
#![allow(missing_docs, clippy::result_large_err)]

mod seeds_support;

use seeds_support::{Mutexes, region};
use seqslot_core::zerodds::Zds2Face;
use seqslot_core::zerodds::layout::{HEAD_LEN, MAGIC};
use seqslot_core::{AttachError, Bare, HeadError, Memory, Ordering, Region, SlotBackend, SlotError};

type Face = Zds2Face<Bare<'static>, Mutexes>;

const SEQUENCE_AT: usize = HEAD_LEN;
const SIZE_AT: usize = HEAD_LEN + 4;
const MASK_AT: usize = HEAD_LEN + 8;

fn put(region: &Region<'_>, at: usize, value: u32) {
    // SAFETY: a word of the region, which is writable.
    unsafe { region.raw().store(at, value, Ordering::SeqCst) }
}

/// One slot, and its memory.
fn owner() -> (Face, Region<'static>) {
    let region = region(HEAD_LEN + 64);
    (Face::create(Bare::new(region), &(), 1, 8).unwrap(), region)
}

/// The first `len` bytes of a region.
fn part(len: usize) -> Region<'static> {
    let bytes: &'static [core::sync::atomic::AtomicU8] = (0..len.next_multiple_of(64) + 64).map(|_| 0.into()).collect::<Vec<_>>().leak();
    let start = bytes.as_ptr().align_offset(64);
    // SAFETY: 1. and 2. each test has regions of its own, with one segment in each.
    unsafe { Region::new(&bytes[start..start + len]) }.unwrap()
}

#[test]
fn a_discarded_slot_is_free_whatever_its_mask_says() {
    let (owner, region) = owner();
    for mask in [0, u32::MAX] {
        let loan = owner.reserve_slot(1).unwrap();
        owner.discard_slot(loan).unwrap();
        put(&region, MASK_AT, mask);
    }
    assert!(owner.reserve_slot(1).is_ok());
}

/// A peer makes a slot on loan look like a sample whose number is the loan's.
#[test]
fn a_samples_handle_is_no_loans() {
    let (owner, region) = owner();
    owner.discard_slot(owner.reserve_slot(0).unwrap()).unwrap();
    let loan = owner.reserve_slot(0).unwrap();
    for (at, value) in [(SEQUENCE_AT, 1), (SIZE_AT, 5), (MASK_AT, 0)] {
        put(&region, at, value);
    }
    let sample = owner.next_unread_slot(0).unwrap().expect("as the peer has it");
    let slot = |handle: seqslot_core::SlotHandle| format!("{handle:?}").replace(&handle.segment_id.to_string(), "");
    assert_eq!(slot(sample), slot(loan), "they differ in nothing else");
    assert_eq!(owner.commit_slot(sample, b"x"), Err(SlotError::StaleHandle));
    assert_eq!(owner.commit_in_place(sample, 1), Err(SlotError::StaleHandle));
    assert_eq!(owner.slot_data_ptr(sample).err(), Some(SlotError::StaleHandle));
    assert_eq!(owner.discard_slot(sample), Err(SlotError::StaleHandle));
    assert_eq!(owner.evict_sample(sample, 1), Err(SlotError::StaleHandle), "on loan");
    assert_eq!(owner.commit_slot(loan, b"x"), Ok(0));
}

#[test]
fn memory_that_is_a_word_too_short_is_refused() {
    let attach = |len: usize| {
        let region = part(len);
        for (at, value) in [(0, MAGIC), (4, 2), (8, 64)].into_iter().filter(|(at, _)| *at < len) {
            put(&region, at, value);
        }
        Face::attach(Bare::new(region), &()).err()
    };
    let needed = HEAD_LEN + 2 * 64;
    assert_eq!(attach(needed), None);
    let short = |len: usize, needed: usize| Some(AttachError::Head(HeadError::TooShort { len: len as u64, needed: needed as u64 }));
    for (len, needed) in [(needed - 4, needed), (HEAD_LEN, needed), (HEAD_LEN - 4, HEAD_LEN), (12, HEAD_LEN)] {
        assert_eq!(attach(len), short(len, needed), "{len}");
    }
}

/// The crate stores its magic first, in an object that is as long as it will be: zeros may be one that is being made.
#[test]
fn what_may_be_a_segment_of_the_crate_is_told_by_its_magic_or_its_length() {
    let begins_so = |len: usize, magic: u32| {
        let region = part(len);
        put(&region, 0, magic);
        Face::recognises(&region)
    };
    // One slot is all that is shorter than any other segment's head.
    let longest = seqslot_core::layout::head::HEAD_LEN;
    for (len, magic, answer) in [
        (HEAD_LEN, MAGIC, true),
        (HEAD_LEN - 4, MAGIC, false),
        (HEAD_LEN + 64, 0, true),
        (longest - 4, 0, true),
        (longest, 0, false),
        (longest, MAGIC, true),
        (HEAD_LEN + 64, 1, false),
    ] {
        assert_eq!(begins_so(len, magic), answer, "{len} {magic:#x}");
    }
}
