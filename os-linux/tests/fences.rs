//! The asymmetric pair between processes: of a light fence and a heavy one, one comes first, also in a forked child that enrolled itself.
#![allow(missing_docs)]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, compiler_fence};

use seqslot_os_linux::fence;

const ROUNDS: u32 = 10_000;

/// Words on lines of their own, shared with a forked child.
#[repr(align(64))]
struct Line(AtomicU32);

#[repr(C)]
struct Shared {
    round: Line,
    done: Line,
    change: Line,
    waiter: Line,
    seen: Line,
}

fn shared() -> &'static Shared {
    let len = size_of::<Shared>();
    // SAFETY: a new mapping at an address that the kernel picks.
    let page = unsafe {
        libc::mmap(core::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: zeroed, long enough, aligned to a page, never unmapped; atomics only.
    unsafe { &*page.cast::<Shared>() }
}

/// Spins, and gives the processor away where the other has none.
fn until(is_so: impl Fn() -> bool) {
    let mut looks = 0_u32;
    while !is_so() {
        looks += 1;
        if looks.is_multiple_of(2000) {
            std::thread::yield_now();
        }
    }
}

/// The one who changes something, looks whether anybody waits, and makes a light fence in between.
fn change(shared: &Shared) {
    for round in 1..=ROUNDS {
        until(|| shared.round.0.load(Acquire) == round);
        shared.change.0.store(round, Relaxed);
        compiler_fence(core::sync::atomic::Ordering::SeqCst);
        shared.seen.0.store(u32::from(shared.waiter.0.load(Relaxed) == round), Relaxed);
        shared.done.0.store(round, Release);
    }
}

/// The one who waits; rounds in which neither saw the other.
fn wait(shared: &Shared, fence: impl Fn()) -> u32 {
    let mut missed = 0;
    for round in 1..=ROUNDS {
        shared.round.0.store(round, Release);
        for _ in 0..round * 7 % 101 {
            core::hint::spin_loop();
        }
        shared.waiter.0.store(round, Relaxed);
        fence();
        let is_seen = shared.change.0.load(Relaxed) == round;
        until(|| shared.done.0.load(Acquire) == round);
        missed += u32::from(!is_seen && shared.seen.0.load(Relaxed) == 0);
    }
    missed
}

fn missed(fence: impl Fn()) -> u32 {
    let shared = shared();
    // SAFETY: the child touches its own stack, atomics and system calls only, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1);
    if child == 0 {
        // SAFETY: should the parent fail, nobody ends the child's rounds.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let is_enrolled = fence::enroll();
        change(shared);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!is_enrolled)) };
    }
    let missed = wait(shared, fence);
    let mut status = 0;
    // SAFETY: our own child; the status is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child enrolled");
    missed
}

#[test]
fn of_a_light_and_a_heavy_fence_one_comes_first() {
    if !fence::enroll() {
        assert!(!fence::fence_all(), "a kernel that makes them registers, too");
        return;
    }
    assert_eq!(missed(|| assert!(fence::fence_all())), 0);
    println!("without a fence: {} of {ROUNDS}", missed(|| compiler_fence(core::sync::atomic::Ordering::SeqCst)));
}
