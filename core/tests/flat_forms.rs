//! The typed layer's accessors, printed forms and error texts; masks that change; clock rules and states that nothing else asks for.
#![cfg(feature = "alloc")]
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;
use std::collections::BTreeSet;

use seeds_support::face;
use seqslot_core::clockbound::{ClockErrorBoundBuilder, Layout, Rules, VMCLOCK_LEN, VmClock, VmClockError, VmClockStatus};
use seqslot_core::{FlatReader, FlatStruct, FlatWriter, LocatorError, ShmLocator, SlotBackend, SlotError, fnv1a_32, is_same_host};

#[derive(Debug, Clone, Copy, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C)]
struct Reading(u32);

impl FlatStruct for Reading {
    const TYPE_HASH: [u8; 16] = [3; 16];
}

#[test]
fn a_mask_that_changes_counts_from_the_next_write_on() {
    let slots = face(1, 4);
    let mut writer = FlatWriter::<Reading, _>::new(&slots, 0b10).unwrap();
    assert_eq!((writer.active_readers(), writer.backend().slot_count()), (0b10, Ok(1)));
    writer.write(&Reading(1)).unwrap();
    assert_eq!(writer.write(&Reading(2)), Err(SlotError::NoFreeSlot), "reader 1 owes a read");
    writer.set_active_readers(0b1);
    assert_eq!(writer.active_readers(), 0b1);
    assert_eq!(writer.write(&Reading(2)), Err(SlotError::NoFreeSlot), "and so does reader 0");
    let mut reader = FlatReader::<Reading, _>::new(&slots, 0).unwrap();
    assert_eq!((reader.read(), reader.backend().slot_count()), (Ok(Some(Reading(1))), Ok(1)));
    assert!(writer.write(&Reading(2)).is_ok(), "reader 1 counts no more");
    assert_eq!(reader.read(), Ok(Some(Reading(2))));
}

#[test]
fn values_and_handles_print_what_they_are() {
    let slots = face(2, 4);
    let writer = FlatWriter::<Reading, _>::new(&slots, 0b101).unwrap();
    assert!(format!("{writer:?}").contains("0b101"), "{writer:?}");
    let loan = writer.loan_slot().unwrap();
    assert!(format!("{loan:?}").contains("slot_index"), "{loan:?}");
    drop(loan);
    writer.write(&Reading(77)).unwrap();
    let mut reader = FlatReader::<Reading, _>::new(&slots, 2).unwrap();
    assert!(format!("{reader:?}").contains("index: 2"), "{reader:?}");
    let held = reader.read_ref().unwrap().unwrap();
    assert!(format!("{held:?}").contains("77"), "{held:?}");
    assert_eq!((Reading::from_bytes(&[1, 0, 0]), Reading::from_bytes(&77_u32.to_ne_bytes())), (None, Some(Reading(77))));
}

#[test]
fn every_locator_error_says_something_of_its_own() {
    use LocatorError::{InteriorNul, InvalidUtf8, MissingNul, PathTooLong, TrailingBytes, TruncatedHeader, TruncatedString};
    let all = [TruncatedHeader, TruncatedString, InvalidUtf8, PathTooLong, MissingNul, InteriorNul, TrailingBytes];
    let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert!(texts.len() == all.len() && texts.iter().all(|text| text.len() > 20), "{texts:?}");
}

#[test]
fn a_locator_is_of_this_host_if_name_and_user_are() {
    let hostname_hash = fnv1a_32(b"node1.local");
    let locator = ShmLocator { hostname_hash, uid: 1000, slot_count: 4, slot_size: 128, segment_path: "/tmp/frames.flink".into() };
    assert!(is_same_host("node1.local", 1000, &locator));
    assert!(!is_same_host("node2.local", 1000, &locator) && !is_same_host("node1.local", 0, &locator));
}

#[test]
fn rules_tell_their_grace_and_a_builder_begins_with_nothing_known() {
    assert_eq!((Rules::V2.grace(), Rules::V3.grace()), (Duration::from_secs(5), Duration::from_secs(60)));
    for grace in [Duration::ZERO, Duration::from_nanos(1_500_000_001), Duration::MAX] {
        assert_eq!(Rules::V3.with_grace(grace).grace(), grace);
    }
    for layout in [Layout::V2, Layout::V3] {
        assert_eq!(ClockErrorBoundBuilder::default().build(layout), ClockErrorBoundBuilder::new().build(layout));
    }
}

#[test]
fn every_status_of_a_vmclock_page_has_its_name() {
    use VmClockStatus::{FreeRunning, Initializing, Synchronized, Unknown, Unreliable};
    let page = |status: u8| {
        let mut page = [0; VMCLOCK_LEN];
        page[..4].copy_from_slice(b"VCLK");
        page[4] = VMCLOCK_LEN as u8;
        (page[8], page[0x22]) = (1, status);
        VmClock::of_bytes(&page, Some(VMCLOCK_LEN as u64)).map(|page| page.clock_status())
    };
    assert_eq!([0, 1, 2, 3, 4].map(page), [Unknown, Initializing, Synchronized, FreeRunning, Unreliable].map(Ok));
    assert_eq!(page(5), Err(VmClockError::Malformed));
}
