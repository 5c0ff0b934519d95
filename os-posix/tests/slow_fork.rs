//! A claim that is made while another thread is in the midst of a fork, which takes long where there is much memory to copy.
#![allow(missing_docs)]

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use seqslot_os_posix::{Claim, Token};

static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// Runs behind the shim's own handler: handlers before a fork run in the order opposite to that of their registration.
unsafe extern "C" fn linger() {
    UNDER_WAY.store(true, Relaxed);
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_claim_waits_for_a_slow_fork() {
    // SAFETY: a function that lives as long as the process, called by the forking thread before the fork.
    assert_eq!(unsafe { libc::pthread_atfork(Some(linger), None, None) }, 0);
    assert!(Token::current().is_mine());
    let forking = std::thread::spawn(|| {
        // SAFETY: the child does nothing but end.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child, without handlers.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: waits for a child of this process; nothing is written.
        assert_eq!(unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) }, child);
    });
    while !UNDER_WAY.load(Relaxed) {
        std::thread::yield_now();
    }
    let claim = Claim::open(|| Ok(File::open("/dev/null").expect("there is one").into()), |_| {}, "null");
    assert!(claim.expect("the fork is over some time").is_mine());
    forking.join().expect("it forked");
}
