//! What is wrong with /dev/shm itself: too small for a sparse object, not there, not writable. In mount namespaces of their own; skipped,
//! with the reason printed, where none can be made.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use common::*;
use seqslot_core::{AttachError, Config, CreateError, CreateFault, ObjectSpec, OpenFault, Os, Segment};
use seqslot_os_linux::Linux;

fn mount(what: &[&str]) {
    assert!(Command::new("mount").args(what).status().unwrap().success());
}

/// 40 slots of 64 kB: more than 1 MB.
const LARGE: Config = Config::slots(40, 64 << 10).writers(1).readers(1);

#[test]
fn what_does_not_fit_is_refused_unless_sparse_and_sparse_is_a_fault_at_first_use() {
    let test = "what_does_not_fit_is_refused_unless_sparse_and_sparse_is_a_fault_at_first_use";
    match role().as_deref() {
        Some("creates") => {
            mount_small_shm();
            let path = given_path();
            let Err(CreateError::Os(error)) = Segment::create(Linux::new(), &path, &LARGE) else { panic!("2.5 MB fit into 1 MB") };
            assert_eq!((error.call(), error.errno()), ("fallocate", libc::ENOSPC));
            assert!(objects().is_empty() && !path.exists(), "left behind");
            drop(Segment::create(Linux::new(), &path, &Config::slots(4, 64 << 10)).unwrap());
            // Sparse it is made, and as long as nobody comes to what is not there it works.
            let segment = Segment::create(Linux::new(), &path, &LARGE.sparse()).unwrap();
            let writer = segment.writer().unwrap();
            writer.send(b"small").unwrap();
            // The fault takes the process that meets it, and nobody else.
            let user =
                Command::new(std::env::current_exe().unwrap()).args(role_args(test)).env("SEQSLOT_TEST_ROLE", "fills").status().unwrap();
            assert_eq!(user.signal(), Some(libc::SIGBUS), "{user}");
            let found = segment.recover().unwrap();
            assert_eq!(found.readers.count_ones(), 1, "the one that the fault took is recovered as any dead one");
            drop(writer);
            drop(segment);
            assert!(objects().is_empty() && !path.exists(), "left behind");
            tell("done");
        }
        Some("fills") => {
            let segment = Segment::attach(Linux::new(), &given_path()).unwrap();
            let _reader = segment.reader().unwrap();
            // No core file of it.
            // SAFETY: takes numbers.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
            let memory = seqslot_core::Mapping::memory(segment.mapping());
            for at in (0..seqslot_core::Memory::len(&memory)).rev().step_by(4096) {
                // SAFETY: aligned and inside; mapped writable as long as `segment` lives. Read, changed by nothing, written: or a fault.
                unsafe { seqslot_core::Memory::store(&memory, at & !3, 0, seqslot_core::Ordering::Relaxed) };
            }
            panic!("2.5 MB fit into 1 MB");
        }
        _ => {
            let Some(command) = in_own_mounts(test) else { return };
            let (_dir, path) = place();
            let mut player = Player::run(command, "creates", &path);
            player.expects("done");
            player.ends();
        }
    }
}

#[test]
fn without_dev_shm_create_says_so_and_leaves_nothing() {
    let test = "without_dev_shm_create_says_so_and_leaves_nothing";
    if role().is_some() {
        let path = given_path();
        let made = OS.create(&path, SPEC).unwrap();
        std::fs::copy(&path, path.with_extension("copy")).unwrap();
        // An empty /dev: no shm in it.
        mount(&["-t", "tmpfs", "-o", "size=64k", "none", "/dev"]);
        let Err(CreateFault::Os(error)) = OS.create(&path.with_extension("new"), SPEC) else { panic!("made without /dev/shm") };
        assert_eq!((error.call(), error.errno()), ("shm_open", libc::ENOENT));
        assert!(error.to_string().contains("/dev/shm"), "{error}");
        assert!(!path.with_extension("new").exists(), "left behind");
        // A name whose object is not in this /dev/shm, as in a container with a /dev/shm of its own.
        assert_eq!(OS.open(&path, seqslot_core::Access::ReadWrite).err(), Some(OpenFault::NotFound));
        assert_eq!(Segment::attach(Linux::new(), &path).err(), Some(AttachError::NotFound));
        assert!(Command::new("umount").arg("/dev").status().unwrap().success());
        seqslot_core::Mapping::unlink(&made.mapping).unwrap();
        return tell("done");
    }
    let Some(command) = in_own_mounts(test) else { return };
    let (_dir, path) = place();
    let mut player = Player::run(command, "creates", &path);
    player.expects("done");
    player.ends();
}

#[test]
fn in_a_read_only_dev_shm_nothing_is_made_and_nothing_left() {
    let test = "in_a_read_only_dev_shm_nothing_is_made_and_nothing_left";
    if role().is_some() {
        let path = given_path();
        mount(&["-t", "tmpfs", "-o", "size=1m,ro", "none", "/dev/shm"]);
        let Err(CreateFault::Os(error)) = OS.create(&path, ObjectSpec { reserve: false, ..SPEC }) else {
            panic!("made in a read-only place")
        };
        assert_eq!((error.call(), error.errno()), ("shm_open", libc::EROFS));
        assert!(!path.exists(), "left behind");
        return tell("done");
    }
    let Some(command) = in_own_mounts(test) else { return };
    let (_dir, path) = place();
    let mut player = Player::run(command, "creates", &path);
    player.expects("done");
    player.ends();
}
