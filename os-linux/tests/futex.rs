//! Wait and wake between real processes (clauses 5 to 7), with signals.

mod common;

use core::time::Duration;
use std::sync::atomic::{AtomicU32 as StdAtomicU32, Ordering as StdOrdering};

use common::*;
use seqslot_core::{Access, AtomicU32, Mapping as _, Memory, Ordering, Os, Woken};
use seqslot_os_linux::Mapping;

const LONG: Duration = Duration::from_secs(3600);

fn word(mapping: &Mapping) -> &AtomicU32 {
    // SAFETY: offset 64 is aligned and inside every segment of these tests; the reference lives as long as the mapping.
    unsafe { mapping_word(mapping, 64) }
}

/// # Safety
/// As for `Memory::futex`; the reference is bound to the mapping.
unsafe fn mapping_word(mapping: &Mapping, at: usize) -> &AtomicU32 {
    let memory = mapping.memory();
    // SAFETY: the caller's duty.
    let word = unsafe { memory.futex(at) };
    // SAFETY: the memory is the mapping's, which the reference borrows.
    unsafe { &*core::ptr::from_ref(word) }
}

/// Waits until a thread of `pid` sleeps in a futex call.
fn until_asleep(pid: u32) {
    let sleeps = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.flatten().any(|task| {
            let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            call.split(' ').next() == Some(&libc::SYS_futex.to_string()) && call.split(' ').nth(2) == Some("0x9")
        })
    };
    while !sleeps() {
        std::thread::yield_now();
    }
}

#[test]
fn a_word_that_differs_is_not_waited_for() {
    let word = AtomicU32::new(1);
    assert_eq!(OS.wait(&word, 0, 1, LONG), Woken::Perhaps);
    assert_eq!(OS.wait(&word, 0, 1, Duration::ZERO), Woken::Perhaps);
}

#[test]
fn zero_does_not_sleep_and_a_timeout_is_kept() {
    let word = AtomicU32::new(1);
    assert_eq!(OS.wait(&word, 1, 1, Duration::ZERO), Woken::TimedOut);
    let before = OS.now();
    assert_eq!(OS.wait(&word, 1, 1, Duration::from_millis(30)), Woken::TimedOut);
    assert!(OS.now() - before >= Duration::from_millis(30));
}

#[test]
fn a_wake_reaches_other_processes_by_mask_for_ever_long_timeouts_and_read_only_words() {
    if let Some(role) = role() {
        let access = if role == "reads" { Access::ReadOnly } else { Access::ReadWrite };
        let mapping = OS.open(&given_path(), access).unwrap();
        let mask = if role == "any" { 0 } else { 0b10 };
        tell("waits");
        while OS.wait(word(&mapping), 0, mask, Duration::MAX) != Woken::Perhaps || word(&mapping).load(Ordering::Acquire) == 0 {}
        return tell("woken");
    }
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let test = "a_wake_reaches_other_processes_by_mask_for_ever_long_timeouts_and_read_only_words";
    for (roles, masks) in [(["writes", "reads"], [0b01, 0b110]), (["any", "reads"], [0b100, 0])] {
        word(&made.mapping).store(0, Ordering::Release);
        let mut players = roles.map(|role| Player::start(test, role, &path));
        for player in &mut players {
            player.expects("waits");
            until_asleep(player.pid());
        }
        word(&made.mapping).store(1, Ordering::Release);
        // The first wake concerns nobody but "any"; the second, everybody else.
        OS.wake(word(&made.mapping), masks[0]);
        let [mut first, mut second] = players;
        if roles[0] == "any" {
            first.expects("woken");
        } else {
            until_asleep(first.pid());
        }
        until_asleep(second.pid());
        OS.wake(word(&made.mapping), masks[1]);
        if roles[0] != "any" {
            first.expects("woken");
        }
        second.expects("woken");
        first.ends();
        second.ends();
    }
}

static SIGNALS: StdAtomicU32 = StdAtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    SIGNALS.fetch_add(1, StdOrdering::Relaxed);
}

/// Has `signal` counted; system calls are interrupted by it, or with `flags` started anew.
fn install(signal: libc::c_int, flags: libc::c_int) {
    // SAFETY: a plain C struct for which zero is valid.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = flags;
    // SAFETY: a handler that touches one atomic, and a value to read from.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) }, 0);
}

#[test]
fn signals_neither_stretch_nor_cut_a_wait() {
    for (signal, flags) in [(libc::SIGUSR1, 0), (libc::SIGUSR2, libc::SA_RESTART)] {
        install(signal, flags);
        let word = AtomicU32::new(0);
        // SAFETY: takes nothing, cannot fail.
        let waiter = unsafe { libc::pthread_self() } as usize;
        let done = StdAtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Until the wait is over: one that starts its time anew at each signal never is.
                while done.load(StdOrdering::Relaxed) == 0 {
                    // SAFETY: the thread waits for this one to end before it does.
                    unsafe { libc::pthread_kill(waiter as libc::pthread_t, signal) };
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let wait = || {
                let (begun, signals) = (OS.now(), SIGNALS.load(StdOrdering::Relaxed));
                let woken = OS.wait(&word, 0, 0, Duration::from_millis(60));
                (woken, OS.now() - begun, SIGNALS.load(StdOrdering::Relaxed) != signals)
            };
            // A wait without a signal shows nothing: on a busy machine the other thread may not run so soon.
            let (woken, passed, came) = (0..100).map(|_| wait()).find(|wait| wait.2).unwrap_or_else(wait);
            // Before anything can fail: the scope waits for the other thread.
            done.store(1, StdOrdering::Relaxed);
            assert_eq!(woken, Woken::TimedOut);
            assert!(passed >= Duration::from_millis(60));
            assert!(came, "no signal came");
        });
    }
}

#[test]
fn sleep_and_clock_agree() {
    let before = OS.now();
    OS.sleep(Duration::from_millis(5));
    assert!(OS.now() - before >= Duration::from_millis(5));
}
