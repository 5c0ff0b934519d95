//! "ZDS2" segments: who sleeps, who wakes, and what a forked child leaves alone.
#![cfg(feature = "alloc")]
#![allow(missing_docs, clippy::result_large_err)]

#[allow(dead_code, clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks, reason = "shared")]
mod hooked;

use std::sync::mpsc::channel;
use std::time::Duration;

use hooked::{HOOK, HookOs, MAPPED, Mx, arm, region};
use seqslot_core::zerodds::Zds2Face;
use seqslot_core::zerodds::layout::HEAD_LEN;
use seqslot_core::{Access, AttachError, Bare, Memory, Ordering, Region, SlotBackend, SlotError};

type Face = Zds2Face<HookOs, Mx>;

const WAITERS_AT: usize = 0x14;
/// Nobody sleeps longer without a look.
const SLICE_MS: usize = 100;

fn owner() -> (&'static Face, HookOs, Region<'static>) {
    let region = region(HEAD_LEN + 64);
    let os = HookOs(Bare::new(region), region);
    (Box::leak(Box::new(Face::create(os.clone(), &(), 1, 8).unwrap())), os, region)
}

fn waiters(region: &Region<'_>) -> u32 {
    // SAFETY: a word of the region.
    unsafe { region.raw().load(WAITERS_AT, Ordering::SeqCst) }
}

fn set_waiters(region: &Region<'_>, value: u32) {
    // SAFETY: a word of the region, which is writable.
    unsafe { region.raw().store(WAITERS_AT, value, Ordering::SeqCst) }
}

fn send(face: &Face) {
    face.commit_slot(face.reserve_slot(0).unwrap(), b"x").unwrap();
}

/// A peer takes the count of waiters away, so that nobody is woken: the next look is a slice later.
#[test]
fn who_is_not_woken_looks_after_a_slice() {
    let (owner, _, region) = owner();
    let (sleep, slept) = channel();
    arm("wait", SLICE_MS, 0, move || {
        sleep.send(waiters(&region)).unwrap();
        set_waiters(&region, 0);
        arm("wake", 0, 0, || panic!("nobody is counted"));
        send(owner);
    });
    owner.wait_for_change(owner.notify_generation(), Duration::from_secs(3600));
    assert_eq!(slept.try_iter().collect::<Vec<_>>(), [1], "one sleep, counted, a slice long");
    HOOK.take();
    // A long wait is slices: here three of them, as no clock runs and nothing changes.
    set_waiters(&region, 0);
    let (sleep, slept) = channel();
    arm("wait", 50, 0, move || sleep.send(()).unwrap());
    owner.wait_for_change(owner.notify_generation(), Duration::from_millis(250));
    assert_eq!((slept.try_iter().count(), waiters(&region)), (1, 0));
}

#[test]
fn a_change_wakes_only_where_somebody_waits() {
    let (owner, _, region) = owner();
    let (woke, woken) = channel();
    for (count, wakes) in [(0, 0), (1, 1), (u32::MAX, 1)] {
        set_waiters(&region, count);
        let woke = woke.clone();
        arm("wake", 0, 0, move || woke.send(()).unwrap());
        send(owner);
        assert_eq!(woken.try_iter().count(), wakes, "{count}");
    }
}

/// What a child inherited is its parent's.
#[test]
fn a_forked_child_waits_and_is_not_counted() {
    let (owner, _, region) = owner();
    let handle = owner.reserve_slot(0).unwrap();
    MAPPED.set((false, Access::ReadWrite));
    let (sleep, slept) = channel();
    arm("sleep", 0, 0, move || sleep.send(waiters(&region)).unwrap());
    owner.wait_for_change(owner.notify_generation(), Duration::from_millis(1));
    assert_eq!((slept.try_iter().collect::<Vec<_>>(), waiters(&region)), (vec![0], 0));
    assert_eq!(owner.evict_sample(handle, 1), Err(SlotError::Forked));
    assert_eq!(owner.mark_reader_disconnected(0), Err(SlotError::Forked));
    MAPPED.set((true, Access::ReadWrite));
}

#[test]
fn a_read_only_mapping_is_not_for_slots() {
    let (_, os, _) = owner();
    MAPPED.set((true, Access::ReadOnly));
    assert_eq!(Face::attach(os.clone(), &()).err(), Some(AttachError::ReadOnly));
    MAPPED.set((true, Access::ReadWrite));
    assert!(Face::attach(os, &()).is_ok());
}
