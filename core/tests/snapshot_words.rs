//! Generations near their wrap, and control words that a peer has damaged.

mod snapshot_support;

use proptest::prelude::*;
use seqslot_core::layout::snapshot::{BUFFER_HIGH, BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT};
use seqslot_core::{HeadError, Observer, Publisher, SnapshotConfig, SnapshotError};
use snapshot_support::{attach, format, load, region, set_generation, store};

#[test]
fn an_update_that_brings_the_low_word_back_is_seen() {
    let region = region::<1024>();
    let geometry = *format(region, 2, 16).geometry();
    set_generation(region, &geometry, 8);
    let mut observer = Observer::<[u32; 4]>::attach(region).unwrap();
    assert!(observer.snapshot().unwrap().is_fresh());
    // 2^32 - 2 publications later the low word is the same.
    set_generation(region, &geometry, (1 << 32) + 8);
    let seen = observer.snapshot().unwrap();
    assert_eq!((seen.is_fresh(), seen.generation()), (true, (1 << 32) + 8));
}

#[test]
fn publications_across_the_wrap_are_all_seen() {
    for buffers in [2, 8] {
        let region = region::<2048>();
        let view = format(region, buffers, 16);
        set_generation(region, view.geometry(), u64::from(u32::MAX) - 20);
        let mut publisher = Publisher::<[u32; 4]>::resume(region).unwrap();
        assert_eq!(publisher.generation(), u64::from(u32::MAX) - 20);
        let mut observer = Observer::<[u32; 4]>::attach(region).unwrap();
        let mut last = observer.snapshot().unwrap().generation();
        for round in 0..100 {
            let generation = publisher.publish(&[round; 4]).unwrap();
            let seen = observer.snapshot().unwrap();
            assert_eq!((*seen, seen.is_fresh(), seen.generation()), ([round; 4], true, generation));
            assert!(generation > last && generation as u32 != 0);
            last = generation;
            assert!(!observer.snapshot().unwrap().is_fresh());
        }
        assert_eq!(last >> 32, 1);
    }
}

#[test]
fn nothing_published_is_empty_and_never_zeros() {
    let region = region::<1024>();
    let _publisher = Publisher::<[u32; 4]>::format(region, SnapshotConfig::of::<[u32; 4]>()).unwrap();
    let mut observer = Observer::<[u32; 4]>::attach(region).unwrap();
    assert_eq!(observer.snapshot().map(|seen| *seen), Err(SnapshotError::Empty));
    assert!(observer.cached().is_none());
}

#[test]
fn a_failed_read_leaves_the_last_good_value() {
    let region = region::<1024>();
    let mut publisher = Publisher::<[u32; 4]>::format(region, SnapshotConfig::of::<[u32; 4]>()).unwrap();
    let mut observer = Observer::<[u32; 4]>::attach(region).unwrap();
    publisher.publish(&[5; 4]).unwrap();
    assert_eq!(*observer.snapshot().unwrap(), [5; 4]);
    // Somebody scribbles on `latest`.
    store(region, LATEST_LOW_AT, 77);
    assert_eq!(observer.snapshot().map(|seen| *seen), Err(SnapshotError::Damaged));
    assert_eq!(observer.cached().map(|seen| *seen), Some([5; 4]));
}

#[test]
fn each_contradiction_is_called_damage() {
    let busy_under_latest = |region| store(region, 704 + BUFFER_LOW, 0);
    let newer_without_latest = |region| store(region, 704 + BUFFER_LOW, 10);
    let another_buffers = |region| store(region, 704 + BUFFER_LOW, 9);
    let zero_with_a_lap = |region| {
        store(region, LATEST_HIGH_AT, 1);
        store(region, LATEST_LOW_AT, 0);
    };
    let damages: [fn(seqslot_core::Region<'static>); 4] = [busy_under_latest, newer_without_latest, another_buffers, zero_with_a_lap];
    for (index, damage) in damages.into_iter().enumerate() {
        let region = region::<1024>();
        let geometry = *format(region, 2, 16).geometry();
        set_generation(region, &geometry, 8);
        damage(region);
        let mut observer = Observer::<[u32; 4]>::attach(region).unwrap();
        assert_eq!(observer.snapshot().map(|seen| *seen), Err(SnapshotError::Damaged), "damage {index}");
        // The next writer mends it.
        let mut publisher = Publisher::<[u32; 4]>::resume(region).unwrap();
        publisher.publish(&[3; 4]).unwrap();
        assert_eq!(*observer.snapshot().unwrap(), [3; 4], "damage {index}");
    }
}

#[test]
fn another_size_is_another_type() {
    let region = region::<1024>();
    assert!(matches!(Publisher::<[u32; 4]>::format(region, SnapshotConfig::bytes(17)), Err(seqslot_core::CreateError::TypeMismatch)));
    let mut publisher = Publisher::<[u8]>::format(region, SnapshotConfig::bytes(17)).unwrap();
    assert!(matches!(Observer::<[u32; 4]>::attach(region), Err(HeadError::TypeMismatch)));
    let observer = Observer::<[u8]>::attach(region).unwrap();
    assert!(matches!(publisher.publish(&[0; 16]), Err(seqslot_core::PublishError::SizeMismatch { len: 16, expected: 17 })));
    publisher.publish(&[9; 17]).unwrap();
    let mut into = [0; 17];
    assert_eq!(observer.read_into(&mut into), Ok(1));
    assert_eq!(into, [9; 17]);
    assert_eq!(observer.read_into(&mut into[..16]), Err(SnapshotError::TypeMismatch));
}

#[test]
fn a_region_that_is_too_short_is_refused_with_the_length_it_needs() {
    let region = region::<768>();
    assert!(matches!(
        Publisher::<[u8]>::format(region, SnapshotConfig::bytes(10)),
        Err(seqslot_core::CreateError::RegionTooShort { len: 768, needed: 832 })
    ));
    assert_eq!(load(region, 0), 0, "nothing was written");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the control words are: an answer, within the stated tries, and the next writer makes it whole again.
    #[test]
    fn forged_words_end_in_an_answer(words in proptest::collection::vec(word(), 6)) {
        let region = region::<1024>();
        format(region, 2, 16);
        let at = [LATEST_HIGH_AT, LATEST_LOW_AT, 704 + BUFFER_HIGH, 704 + BUFFER_LOW, 768 + BUFFER_HIGH, 768 + BUFFER_LOW];
        for (at, word) in at.into_iter().zip(words) {
            store(region, at, word);
        }
        let view = attach(region.raw());
        let mut into = [0; 16];
        let first = view.read(0, &mut into);
        // Nobody writes, so nobody can be overtaken.
        prop_assert!(!matches!(first, Err(SnapshotError::Contended { .. })), "{:?}", first);
        let resumed = view.resume();
        let generation = view.publish(resumed.latest, &[1; 16]).unwrap();
        prop_assert_eq!(view.read(0, &mut into), Ok(seqslot_core::SnapshotRead::Fresh(generation)));
        prop_assert_eq!(into, [1; 16]);
    }
}

fn word() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), 0..8_u32, any::<u32>()]
}
