//! Names: who gets one, who takes it over, and what is left alone.

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::*;
use seqslot_core::layout::control::{ENTRY_PID, OWNER_AT};
use seqslot_core::{Access, CreateFault, Lock, Mapping, Memory, ObjectSpec, OpenFault, Ordering, Os};
use seqslot_os_linux::RemoveError;

fn load(mapping: &seqslot_os_linux::Mapping, at: usize) -> u32 {
    assert!(at.is_multiple_of(4) && at + 4 <= mapping.memory().len());
    // SAFETY: aligned and inside by the assertion; mapped as long as `mapping` is.
    unsafe { mapping.memory().load(at, Ordering::Relaxed) }
}

fn store(mapping: &seqslot_os_linux::Mapping, at: usize, value: u32) {
    assert!(at.is_multiple_of(4) && at + 4 <= mapping.memory().len());
    // SAFETY: as in `load`; every mapping that the tests store to was made for writing.
    unsafe { mapping.memory().store(at, value, Ordering::Relaxed) };
}

/// Owns the segment until it is killed; the owner's entry names it.
fn own() {
    let made = create(&given_path());
    store(&made.mapping, OWNER_AT + ENTRY_PID, std::process::id());
    store(&made.mapping, 0, 77);
    tell("owned");
    wait_for_parent();
}

#[test]
fn a_new_object_is_zero_exactly_as_long_as_asked_for_and_private() {
    let (_dir, path) = place();
    let made = OS.create(&path, ObjectSpec { len: 5000, reserve: true, group: false }).unwrap();
    let _gone = Unlinked(&path);
    assert_eq!(made.mapping.memory().len(), 5000);
    assert!((0..5000).step_by(4).all(|at| load(&made.mapping, at) == 0));
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let status = made.mapping.object().status().unwrap();
    assert_eq!(status.mode() & 0o7777, 0o600);
    assert!(status.blocks() * 512 >= 5000, "the memory is reserved");
    let name = std::fs::read_to_string(&path).unwrap();
    assert!(name.starts_with("/seqslot-") && name.len() == 25, "{name}");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn the_group_is_let_in_on_request_whatever_the_mask_says() {
    let (_dir, path) = place();
    let made = OS.create(&path, ObjectSpec { group: true, reserve: false, ..SPEC }).unwrap();
    let _gone = Unlinked(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
    let status = made.mapping.object().status().unwrap();
    assert_eq!((status.mode() & 0o7777, status.blocks()), (0o660, 0), "sparse, since nothing was reserved");
    OS.open(&path, Access::ReadWrite).unwrap();
}

#[test]
fn two_mappings_show_the_same_memory_and_a_read_only_one_is_read_only() {
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let (rw, ro) = (OS.open(&path, Access::ReadWrite).unwrap(), OS.open(&path, Access::ReadOnly).unwrap());
    store(&rw, 8188, 5);
    assert_eq!((load(&made.mapping, 8188), load(&ro, 8188)), (5, 5));
    let refused = ro.claim(Lock::reader(0), &WORD).unwrap_err();
    assert_eq!(refused.errno(), libc::EBADF);
    assert!(ro.is_claimed(Lock::OWNER, &WORD).unwrap());
    assert!(!ro.is_claimed(Lock::reader(0), &WORD).unwrap());
}

#[test]
fn create_over_a_living_owner_tells_its_pid_and_over_a_dead_one_takes_over() {
    if role().is_some() {
        return own();
    }
    let (_dir, path) = place();
    let mut owner = Player::start("create_over_a_living_owner_tells_its_pid_and_over_a_dead_one_takes_over", "owner", &path);
    owner.expects("owned");
    let _gone = Unlinked(&path);
    assert_eq!(OS.create(&path, SPEC).unwrap_err(), CreateFault::AlreadyExists { pid: owner.pid() });
    let attached = OS.open(&path, Access::ReadWrite).unwrap();
    assert!(attached.is_claimed(Lock::OWNER, &WORD).unwrap());
    let old_name = std::fs::read(&path).unwrap();

    owner.kill();
    assert!(!attached.is_claimed(Lock::OWNER, &WORD).unwrap());
    let made = create(&path);
    assert_ne!(std::fs::read(&path).unwrap(), old_name);
    assert_eq!(load(&made.mapping, 0), 0, "a new object");
    assert_eq!(load(&attached, 0), 77, "those attached keep the old one");
    assert!(!Path::new("/dev/shm").join(std::str::from_utf8(&old_name[1..]).unwrap()).exists());
    // The old object has no name: claims on it still work, and its unlink leaves the new name alone.
    assert!(attached.claim(Lock::reader(3), &WORD).unwrap().is_some());
    attached.unlink().unwrap();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap().memory().len(), 8192);
}

#[test]
fn create_over_an_owner_in_the_same_process_is_refused_until_its_claim_is_dropped() {
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    // What the object says is only alleged: the kernel knows better.
    for alleged in [0, 1, std::process::id()] {
        store(&made.mapping, OWNER_AT + ENTRY_PID, alleged);
        assert_eq!(OS.create(&path, SPEC).unwrap_err(), CreateFault::AlreadyExists { pid: std::process::id() });
    }
    drop(made.owner);
    create(&path);
}

#[test]
fn unlink_takes_name_and_object_away_and_can_be_repeated() {
    let (_dir, path) = place();
    let made = create(&path);
    let object = Path::new("/dev/shm").join(&std::fs::read_to_string(&path).unwrap()[1..]);
    assert!(object.exists());
    made.mapping.unlink().unwrap();
    assert!(!object.exists() && !path.exists());
    made.mapping.unlink().unwrap();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::NotFound);
    store(&made.mapping, 0, 1);

    // Somebody removed the flink by hand: the object goes all the same.
    let made = create(&path);
    let object = Path::new("/dev/shm").join(&std::fs::read_to_string(&path).unwrap()[1..]);
    std::fs::remove_file(&path).unwrap();
    made.mapping.unlink().unwrap();
    assert!(!object.exists());
}

#[test]
fn what_is_not_a_flink_is_refused_and_left_alone() {
    let (dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let files: [(&str, &[u8]); 7] = [
        ("empty", b""),
        ("words", b"hello"),
        ("newline", b"/seqslot-0123456789abcdef\n"),
        ("climbing", b"/../etc/passwd"),
        ("parent", b"/.."),
        ("binary", b"/\xff\xfe"),
        ("big", &[b'/'; 256]),
    ];
    let mut paths = vec![link.clone(), folder, pipe];
    for (name, content) in files {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        paths.push(file);
    }
    for path in paths {
        let before = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(OS.create(&path, SPEC).unwrap_err(), CreateFault::NotASegment, "{path:?}");
        assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::NotASegment, "{path:?}");
        assert_eq!(OS.remove(&path, true).unwrap_err(), RemoveError::NotASegment, "{path:?}");
        let after = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!((before.ino(), before.len(), before.mtime_nsec()), (after.ino(), after.len(), after.mtime_nsec()));
    }
    let drafts = std::fs::read_dir(dir.path()).unwrap().filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
    assert_eq!(drafts.count(), 0, "no draft is left");
    drop(made);
}

#[test]
fn a_flink_of_another_system_can_be_opened_and_is_never_taken_over() {
    let (_dir, path) = place();
    let name = format!("/shmem_{:016X}", u64::from(std::process::id()));
    std::fs::write(&path, &name).unwrap();
    let object = Path::new("/dev/shm").join(&name[1..]);
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::NotFound);
    std::fs::write(&object, b"").unwrap();
    std::fs::set_permissions(&object, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::NotFound, "no bytes yet: it is being made");
    std::fs::write(&object, b"ZDS2 and so on").unwrap();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap().memory().len(), 14);
    assert_eq!(OS.create(&path, SPEC).unwrap_err(), CreateFault::NotASegment);
    assert_eq!(OS.remove(&path, false).unwrap_err(), RemoveError::Foreign);
    assert!(object.exists());
    OS.remove(&path, true).unwrap();
    assert!(!object.exists() && !path.exists());
}

#[test]
fn an_object_that_others_may_write_or_that_is_a_strangers_is_not_trusted() {
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let object = Path::new("/dev/shm").join(&std::fs::read_to_string(&path).unwrap()[1..]);
    let set = |mode| std::fs::set_permissions(&object, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o602);
    let uid = made.mapping.object().status().unwrap().uid();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::Untrusted { uid, mode: 0o602 });
    set(0o600);
    OS.open(&path, Access::ReadOnly).unwrap();
    if !is_root() {
        println!("skipped the stranger's object: only root can give files away");
        return;
    }
    std::os::unix::fs::chown(&object, Some(54321), None).unwrap();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::Untrusted { uid: 54321, mode: 0o600 });
    assert_eq!(OS.inspect(&path).unwrap().memory().len(), 8192, "looking is allowed");
    std::os::unix::fs::chown(&object, Some(54321), Some(0)).unwrap();
    set(0o660);
    OS.open(&path, Access::ReadOnly).expect("one of our groups");
}

#[test]
fn names_that_cannot_be_are_misuse() {
    use std::os::unix::ffi::OsStrExt;
    let bad = [Path::new("/tmp/"), Path::new(""), Path::new("/tmp/x/.."), Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff"))];
    for path in bad {
        assert!(matches!(OS.create(path, SPEC), Err(CreateFault::BadName { .. })), "{path:?}");
        assert!(matches!(OS.open(path, Access::ReadOnly), Err(OpenFault::BadName { .. })), "{path:?}");
        assert!(matches!(OS.remove(path, true), Err(RemoveError::BadName { .. })), "{path:?}");
    }
}

#[test]
fn errors_name_the_call_the_path_and_the_number() {
    // Not writable for root either.
    let Err(CreateFault::Os(error)) = OS.create(Path::new("/proc/s.flink"), SPEC) else { panic!() };
    assert_eq!((error.call(), error.object()), ("open", "/proc/.s.flink.seqslot-new"));
    assert!(error.errno() == libc::ENOENT || error.errno() == libc::EACCES, "{error}");
    let (dir, path) = place();
    let Err(CreateFault::Os(error)) = OS.create(&dir.path().join("no/such/s.flink"), SPEC) else { panic!() };
    assert_eq!((error.call(), error.errno()), ("open", libc::ENOENT));
    assert_eq!(OS.open(&dir.path().join("no/such/s.flink"), Access::ReadOnly).unwrap_err(), OpenFault::NotFound);
    let before = objects_named_by(dir.path());
    let Err(CreateFault::Os(error)) = OS.create(&path, ObjectSpec { len: 0, ..SPEC }) else { panic!() };
    assert_eq!(error.errno(), libc::EINVAL);
    let Err(CreateFault::Os(error)) = OS.create(&path, ObjectSpec { len: usize::MAX, ..SPEC }) else { panic!() };
    assert_eq!(error.errno(), libc::EFBIG, "{error}");
    assert_eq!(objects_named_by(dir.path()), before, "nothing is left behind");
    if is_root() {
        println!("skipped the unwritable directory: root may write everywhere");
        return;
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let Err(CreateFault::Os(error)) = OS.create(&path, SPEC) else { panic!() };
    assert_eq!((error.call(), error.errno()), ("open", libc::EACCES));
}

fn objects_named_by(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn remove_refuses_while_anybody_holds_a_lock_and_lists_who() {
    let (_dir, path) = place();
    assert_eq!(OS.remove(&path, false).unwrap_err(), RemoveError::NotFound);
    let made = create(&path);
    let reader = made.mapping.claim(Lock::reader(7), &WORD).unwrap().unwrap();
    let writer = made.mapping.claim(Lock::writer(31), &WORD).unwrap().unwrap();
    let refused = OS.remove(&path, false).unwrap_err();
    assert_eq!(refused, RemoveError::InUse { held: vec![Lock::reader(7), Lock::writer(31), Lock::OWNER] });
    assert_eq!(refused.to_string(), "the segment is in use by reader 7, writer 31, its owner");
    assert!(path.exists());
    drop((made.owner, reader, writer));
    let object = Path::new("/dev/shm").join(&std::fs::read_to_string(&path).unwrap()[1..]);
    assert!(object.exists());
    OS.remove(&path, false).unwrap();
    assert!(!path.exists() && !object.exists());
    let _living = create(&path);
    OS.remove(&path, true).unwrap();
    assert!(!path.exists());
}

#[test]
fn an_object_of_an_unfinished_create_is_not_found_and_the_flink_is_taken_over() {
    let (_dir, path) = place();
    let _gone = Unlinked(&path);
    std::fs::write(&path, format!("/seqslot-{:016x}", std::process::id())).unwrap();
    assert_eq!(OS.open(&path, Access::ReadOnly).unwrap_err(), OpenFault::NotFound);
    // A draft that its writer left behind is no obstacle either.
    std::fs::write(path.with_file_name(".s.flink.seqslot-new"), b"/seqs").unwrap();
    create(&path);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

/// A creator that lost the path to another may die with its draft, and the path become free before anybody drafts again.
#[test]
fn a_draft_of_the_dead_goes_at_the_latest_with_the_name() {
    let (dir, path) = place();
    let draft = dir.path().join(format!(".{}.seqslot-new", path.file_name().unwrap().to_str().unwrap()));
    for by_hand in [false, true] {
        std::fs::write(&draft, "/seqslot-0123456789abcdef").unwrap();
        let made = OS.create(&path, SPEC).unwrap();
        match by_hand {
            false => made.mapping.unlink().unwrap(),
            true => OS.remove(&path, true).unwrap(),
        }
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
