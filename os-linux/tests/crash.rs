//! Creators that are killed, that meet, and that find /dev/shm full: nothing is lost, and nothing is left.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::*;
use seqslot_core::{CreateFault, Mapping as _, Memory, ObjectSpec, Os};

#[test]
fn of_two_creators_exactly_one_wins() {
    if role().is_some() {
        tell("ready");
        wait_for_parent();
        let made = OS.create(&given_path(), SPEC);
        tell(match &made {
            Ok(_) => "won",
            Err(CreateFault::AlreadyExists { .. } | CreateFault::BeingCreated) => "lost",
            Err(_) => "failed",
        });
        if made.is_ok() {
            loop {
                std::thread::park();
            }
        }
        return;
    }
    let (_dir, path) = place();
    let _gone = Unlinked(&path);
    // The first round starts from nothing, the others from the winner that the round before killed.
    for round in 0..10 {
        let mut players: Vec<_> = (0..3).map(|_| Player::start("of_two_creators_exactly_one_wins", "creator", &path)).collect();
        players.iter_mut().for_each(|player| player.expects("ready"));
        players.iter_mut().for_each(Player::release);
        let mut ends: Vec<_> = players.iter_mut().map(Player::hears).collect();
        ends.sort();
        assert_eq!(ends, ["lost", "lost", "won"], "round {round}");
        players.iter_mut().for_each(Player::kill);
    }
}

#[test]
fn a_full_shm_is_an_error_at_create_and_leaves_nothing() {
    let test = "a_full_shm_is_an_error_at_create_and_leaves_nothing";
    if role().is_some() {
        mount_small_shm();
        let path = given_path();
        let spec = |len| ObjectSpec { len, reserve: true, group: false };
        let Err(CreateFault::Os(error)) = OS.create(&path, spec(2 << 20)) else { panic!("2 MB fit into 1 MB") };
        assert_eq!((error.call(), error.errno()), ("fallocate", libc::ENOSPC));
        assert!(objects().is_empty() && !path.exists());
        let first = OS.create(&path, spec(700 << 10)).unwrap();
        let other = path.with_file_name("other.flink");
        let Err(CreateFault::Os(error)) = OS.create(&other, spec(700 << 10)) else { panic!("1400 kB fit into 1 MB") };
        assert_eq!(error.errno(), libc::ENOSPC);
        assert_eq!((objects().len(), other.exists()), (1, false));
        // What is reserved can be written to the last byte, even though nothing else fits any more.
        let _filler = std::fs::write("/dev/shm/filler", vec![1; 1 << 20]).unwrap_err();
        for at in (0..first.mapping.memory().len()).step_by(4) {
            // SAFETY: aligned, inside, mapped writable.
            unsafe { first.mapping.memory().store(at, 1, seqslot_core::Ordering::Relaxed) };
        }
        return tell("done");
    }
    let Some(command) = in_own_mounts(test) else { return };
    let (_dir, path) = place();
    let mut player = Player::run(command, "fills", &path);
    player.expects("done");
    player.ends();
}

/// Every object is named by the one flink there may be, or nothing is left.
fn assert_no_strays(path: &Path, when: &str) {
    let named = std::fs::read_to_string(path).ok().map(|name| name[1..].to_owned());
    for object in objects() {
        assert_eq!(Some(object), named, "a stray object, {when}");
    }
}

/// Runs `body` in a forked child that is killed at its `nth` stop at a system call; false if it ended before.
fn killed_at_stop(nth: u32, body: impl FnOnce()) -> bool {
    // SAFETY: the child does what a single-threaded program does after fork; nothing else runs in this role's process.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: asks to be traced; takes no memory.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        // SAFETY: stops, so that the parent can begin.
        unsafe { libc::raise(libc::SIGSTOP) };
        body();
        // SAFETY: ends the child without running what belongs to the parent's test harness.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    for stop in 0..=nth {
        // SAFETY: a child of this process and a value to write to.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0);
            return false;
        }
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        if stop == nth {
            break;
        }
        // SAFETY: a traced child that is stopped.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0) };
    }
    // SAFETY: a child of this process that has not been waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    loop {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        if !libc::WIFSTOPPED(status) {
            return !libc::WIFEXITED(status);
        }
    }
}

#[test]
fn a_creator_killed_at_any_system_call_leaves_what_the_next_takes_over() {
    let test = "a_creator_killed_at_any_system_call_leaves_what_the_next_takes_over";
    if role().is_some() {
        mount_small_shm();
        let path = given_path();
        let dir = path.parent().unwrap();
        for over_a_dead_owner in [false, true] {
            let mut kills = 0;
            loop {
                if over_a_dead_owner {
                    drop(create(&path));
                }
                let killed = killed_at_stop(kills + 1, || drop(OS.create(&path, SPEC).unwrap()));
                let when = format!("killed at stop {kills}, over a dead owner: {over_a_dead_owner}");
                assert_no_strays(&path, &when);
                let made = OS.create(&path, SPEC).unwrap_or_else(|error| panic!("{error}, {when}"));
                assert_no_strays(&path, &when);
                assert_eq!(objects().len(), 1);
                made.mapping.unlink().unwrap();
                assert!(objects().is_empty(), "{when}");
                let rest: BTreeSet<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
                assert!(rest.is_empty(), "{rest:?}, {when}");
                if !killed {
                    break;
                }
                kills += 1;
            }
            // Each of the dozen steps of a create is at least one call, with two stops.
            tell(if kills > 30 { "killed at every stop" } else { "hardly killed" });
        }
        return;
    }
    let Some(command) = in_own_mounts(test) else { return };
    let (_dir, path) = place();
    let mut player = Player::run(command, "kills", &path);
    player.expects("killed at every stop");
    player.expects("killed at every stop");
    player.ends();
}
