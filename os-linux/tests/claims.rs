//! Claims: one at a time, seen by all, gone with their process, whatever forks and passed descriptors do.

#![allow(clippy::result_large_err, reason = "the library's errors carry their path inline")]

mod common;

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::*;
use seqslot_core::{Access, CreateFault, Lock, Mapping as _, ObjectSpec, OpenFault, Os};
use seqslot_os_linux::Mapping;

/// One test at a time: a child that one forks would have copies of what another holds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open() -> Mapping {
    OS.open(&given_path(), Access::ReadWrite).unwrap()
}

fn is_claimed(mapping: &Mapping, lock: Lock) -> bool {
    mapping.is_claimed(lock, &WORD).unwrap()
}

/// Runs `child` in a forked child and returns its exit code. `child` must not panic.
fn forked(fork: impl FnOnce() -> i32, child: impl FnOnce() -> bool) -> i32 {
    let pid = fork();
    assert!(pid >= 0);
    if pid == 0 {
        let code = if child() { 0 } else { 1 };
        // SAFETY: ends the child without running what belongs to the parent's test harness.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: a child of this process and a value to write to.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status));
    libc::WEXITSTATUS(status)
}

/// With the handlers that `pthread_atfork` registered.
fn fork() -> i32 {
    // SAFETY: the child does little, and allocates only what the C library allows after fork.
    unsafe { libc::fork() }
}

/// Without them.
fn bare_clone() -> i32 {
    let flags = libc::SIGCHLD;
    // SAFETY: a plain copy of the process, without shared memory or a new stack; the child does little.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    i32::try_from(pid).unwrap()
}

#[test]
fn a_lock_has_one_claim_at_a_time_within_a_process() {
    let _alone = alone();
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let other = OS.open(&path, Access::ReadWrite).unwrap();
    let claim = made.mapping.claim(Lock::reader(0), &WORD).unwrap().unwrap();
    assert!(claim.is_mine());
    assert!(made.mapping.claim(Lock::reader(0), &WORD).unwrap().is_none());
    assert!(other.claim(Lock::reader(0), &WORD).unwrap().is_none());
    assert!(is_claimed(&made.mapping, Lock::reader(0)) && is_claimed(&other, Lock::reader(0)));
    for lock in [Lock::reader(1), Lock::reader(31), Lock::writer(0), Lock::EVICTION] {
        assert!(!is_claimed(&made.mapping, lock), "{lock:?} is another lock");
        assert!(other.claim(lock, &WORD).unwrap().is_some());
    }
    drop(claim);
    assert!(!is_claimed(&other, Lock::reader(0)));
    assert!(other.claim(Lock::reader(0), &WORD).unwrap().is_some());
    // Closing a mapping lets go of nothing.
    let kept = made.mapping.claim(Lock::reader(2), &WORD).unwrap().unwrap();
    drop(other);
    assert!(is_claimed(&made.mapping, Lock::reader(2)));
    drop(kept);
}

#[test]
fn a_claim_excludes_other_processes_and_goes_with_its_own() {
    if role().is_some() {
        let mapping = open();
        assert!(mapping.claim(Lock::OWNER, &WORD).unwrap().is_none());
        let _claim = mapping.claim(Lock::writer(5), &WORD).unwrap().unwrap();
        tell("claimed");
        return wait_for_parent();
    }
    let _alone = alone();
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let mut player = Player::start("a_claim_excludes_other_processes_and_goes_with_its_own", "claimer", &path);
    player.expects("claimed");
    assert!(is_claimed(&made.mapping, Lock::writer(5)));
    assert!(made.mapping.claim(Lock::writer(5), &WORD).unwrap().is_none());
    player.kill();
    assert!(!is_claimed(&made.mapping, Lock::writer(5)));
    assert!(made.mapping.claim(Lock::writer(5), &WORD).unwrap().is_some());
}

#[test]
fn a_forked_child_does_not_keep_a_dead_parents_lock() {
    if role().is_some() {
        let mapping = open();
        let _claim = mapping.claim(Lock::reader(0), &WORD).unwrap().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        if fork() == 0 {
            use std::io::Write;
            let _ = (&writer).write_all(b"x");
            wait_for_parent();
            // SAFETY: ends the child without running what belongs to the parent's test harness.
            unsafe { libc::_exit(0) };
        }
        // The child runs: its handlers are through.
        std::io::Read::read_exact(&mut &reader, &mut [0]).unwrap();
        tell("forked");
        return wait_for_parent();
    }
    let _alone = alone();
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let mut parent = Player::start("a_forked_child_does_not_keep_a_dead_parents_lock", "parent", &path);
    parent.expects("forked");
    assert!(is_claimed(&made.mapping, Lock::reader(0)));
    parent.kill();
    assert!(!is_claimed(&made.mapping, Lock::reader(0)), "the child lives on and must not hold it");
    assert!(made.mapping.claim(Lock::reader(0), &WORD).unwrap().is_some());
}

#[test]
fn an_inherited_claim_is_not_the_childs_and_dropping_it_frees_nothing() {
    let _alone = alone();
    let (_dir, path) = place();
    for (how, fork) in [("fork", fork as fn() -> i32), ("clone", bare_clone)] {
        let made = create(&path);
        let _gone = Unlinked(&path);
        let claim = made.mapping.claim(Lock::reader(0), &WORD).unwrap().unwrap();
        let other = OS.open(&path, Access::ReadWrite).unwrap();
        let made = std::cell::Cell::new(Some((made, claim)));
        let code = forked(fork, || {
            let (made, claim) = made.take().unwrap();
            let foreign = !claim.is_mine() && !made.mapping.is_mine() && !other.is_mine();
            let unlinked = made.mapping.unlink().is_ok();
            drop((made, claim));
            // What the child makes itself is its own.
            let own = OS.open(&path, Access::ReadWrite).unwrap();
            let refused = own.claim(Lock::reader(0), &WORD).unwrap().is_none();
            let got = own.claim(Lock::reader(1), &WORD).unwrap();
            foreign && unlinked && own.is_mine() && refused && got.is_some_and(|claim| claim.is_mine())
        });
        assert_eq!(code, 0, "{how}");
        let (made, claim) = made.take().unwrap();
        assert!(claim.is_mine() && made.mapping.is_mine(), "{how}");
        assert!(is_claimed(&other, Lock::reader(0)) && is_claimed(&other, Lock::OWNER), "{how}");
        assert!(!is_claimed(&other, Lock::reader(1)), "the child's own claim went with it");
        assert!(path.exists(), "{how}: the child's unlink must not");
    }
}

#[test]
fn claims_taken_while_another_thread_forks_are_not_kept_by_its_children() {
    const CHILDREN: usize = 100;
    if role().is_some() {
        let mapping = open();
        let (mut awake, says) = std::io::pipe().unwrap();
        let forks = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&forks);
        std::thread::spawn(move || {
            for _ in 0..CHILDREN {
                fork_sleeper(&says);
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        // Each is kept, from somewhere among the forks on; in between, one is taken and let go of all the time.
        let mut claims = Vec::new();
        for nth in 0..32 {
            while forks.load(std::sync::atomic::Ordering::Relaxed) < usize::from(nth) * 3 {
                drop(mapping.claim(Lock::writer(0), &WORD).unwrap());
            }
            claims.push(mapping.claim(Lock::reader(nth), &WORD).unwrap().unwrap());
        }
        std::io::Read::read_exact(&mut awake, &mut [0; CHILDREN]).unwrap();
        // Now every child is through its handlers.
        tell("forked");
        return wait_for_parent();
    }
    let _alone = alone();
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let test = "claims_taken_while_another_thread_forks_are_not_kept_by_its_children";
    let mut parent = Player::start(test, "forks", &path);
    parent.expects("forked");
    let held = || (0..32).filter(|&index| is_claimed(&made.mapping, Lock::reader(index))).count();
    assert_eq!(held(), 32);
    parent.kill();
    assert_eq!(held(), 0, "locks kept by the children, who live on");
}

/// A child that says by a byte when it runs, and lives until the test closes the standard input that it inherited.
fn fork_sleeper(says: &std::io::PipeWriter) {
    let pid = fork();
    assert!(pid >= 0);
    if pid == 0 {
        // Should the parent fail, the test is to see the end of its output.
        // SAFETY: the child prints nothing.
        unsafe { libc::close(1) };
        let _ = std::io::Write::write_all(&mut &*says, b"x");
        let mut byte = 0_u8;
        // SAFETY: one byte to write to. Not the library's standard input: its lock may have been held at the fork.
        unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
        // SAFETY: ends the child without running what belongs to the parent's test harness.
        unsafe { libc::_exit(0) };
    }
}

#[test]
fn more_claims_than_the_table_holds_are_an_error_that_says_so() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a value to write to.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a value to read from; only the soft limit is raised.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let _alone = alone();
    let (_dir, path) = place();
    let made = create(&path);
    let _gone = Unlinked(&path);
    let open = || Ok(std::fs::File::open("/dev/null").unwrap().into());
    let mut claims = Vec::new();
    let needed = seqslot_os_posix::fork::CLAIMS_MAX as u64 + 100;
    if limit.rlim_max < needed {
        println!("skipped: at most {} descriptors here", limit.rlim_max);
        return;
    }
    let error = loop {
        match seqslot_os_posix::Claim::open(open, |_| (), "test") {
            Ok(claim) => claims.push(claim),
            Err(error) => break error,
        }
        assert!(claims.len() <= seqslot_os_posix::fork::CLAIMS_MAX);
    };
    assert_eq!((error.call(), error.errno()), ("table of claims", libc::EMFILE));
    let names = || std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    let before = names();
    let Err(CreateFault::Os(error)) = OS.create(&path.with_file_name("other.flink"), SPEC) else {
        panic!("a claim more than the table holds")
    };
    assert_eq!((error.call(), names()), ("table of claims", before), "no draft is left");
    drop(claims);
    assert!(made.mapping.claim(Lock::reader(0), &WORD).unwrap().is_some());
}

const MEMFD: ObjectSpec = ObjectSpec { len: 8192, reserve: true, group: false };

fn send(socket: RawFd, fd: RawFd) {
    let mut message = Message::new(Some(fd));
    // SAFETY: a socket and a message whose parts live through the call.
    assert_eq!(unsafe { libc::sendmsg(socket, message.header(), 0) }, 1);
}

fn receive(socket: RawFd) -> OwnedFd {
    let mut message = Message::new(None);
    // SAFETY: as for sending.
    assert_eq!(unsafe { libc::recvmsg(socket, message.header(), libc::MSG_CMSG_CLOEXEC) }, 1);
    // SAFETY: a descriptor that the kernel has just installed for this process.
    unsafe { OwnedFd::from_raw_fd(message.control.fd) }
}

/// One byte and one descriptor.
struct Message {
    byte: u8,
    part: libc::iovec,
    control: Control,
    header: libc::msghdr,
}

#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: RawFd,
    padding: RawFd,
}

impl Message {
    fn new(fd: Option<RawFd>) -> Box<Self> {
        // SAFETY: both are plain C structs for which zero is valid.
        let (header, mut control): (libc::msghdr, Control) = unsafe { core::mem::zeroed() };
        control.header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<RawFd>()) as _;
        control.header.cmsg_level = libc::SOL_SOCKET;
        control.header.cmsg_type = libc::SCM_RIGHTS;
        control.fd = fd.unwrap_or(-1);
        let part = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 1 };
        Box::new(Self { byte: 0, part, control, header })
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.part.iov_base = (&raw mut self.byte).cast();
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        self.header.msg_control = (&raw mut self.control).cast();
        self.header.msg_controllen = size_of::<Control>() as _;
        &raw mut self.header
    }
}

#[test]
fn a_passed_descriptor_has_exclusive_claims() {
    if role().is_some() {
        // Standard input is the socket.
        let passed = receive(0);
        let mapping = OS.adopt(passed).unwrap();
        let seen = is_claimed(&mapping, Lock::reader(0)) && is_claimed(&mapping, Lock::OWNER);
        let refused = mapping.claim(Lock::reader(0), &WORD).unwrap().is_none();
        let _claim = mapping.claim(Lock::reader(1), &WORD).unwrap().unwrap();
        tell(if seen && refused { "exclusive" } else { "not exclusive" });
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        return;
    }
    let _alone = alone();
    let made = OS.memfd("test", MEMFD).unwrap();
    let claim = made.mapping.claim(Lock::reader(0), &WORD).unwrap().unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(role_args("a_passed_descriptor_has_exclusive_claims"));
    let mut player = Player::run_with_input(command, "receiver", OwnedFd::from(theirs));
    send(ours.as_raw_fd(), made.mapping.as_fd().as_raw_fd());
    player.expects("exclusive");
    assert!(is_claimed(&made.mapping, Lock::reader(1)));
    assert!(made.mapping.claim(Lock::reader(1), &WORD).unwrap().is_none());
    player.kill();
    assert!(!is_claimed(&made.mapping, Lock::reader(1)));
    drop(claim);
    assert!(!is_claimed(&made.mapping, Lock::reader(0)));
}

#[test]
fn a_peer_that_locks_through_the_passed_descriptor_is_seen() {
    let _alone = alone();
    let made = OS.memfd("test", MEMFD).unwrap();
    let passed = made.mapping.as_fd().try_clone_to_owned().unwrap();
    let request = libc::flock { l_type: libc::F_WRLCK as _, l_whence: libc::SEEK_SET as _, l_start: 9, l_len: 1, l_pid: 0 };
    // SAFETY: an open descriptor and a request.
    assert_eq!(unsafe { libc::fcntl(passed.as_raw_fd(), libc::F_OFD_SETLK, &raw const request) }, 0);
    let adopted = OS.adopt(passed).unwrap();
    assert!(is_claimed(&adopted, Lock::reader(9)));
    assert!(adopted.claim(Lock::reader(9), &WORD).unwrap().is_none());
}

#[test]
fn memory_files_are_sealed_and_unsealed_ones_are_refused() {
    let _alone = alone();
    let made = OS.memfd("test", MEMFD).unwrap();
    let fd = made.mapping.as_fd().as_raw_fd();
    for len in [0, 4096, 16384] {
        // SAFETY: an open descriptor and a number.
        assert_eq!(unsafe { libc::ftruncate(fd, len) }, -1, "cut or grown to {len}");
    }
    let unsealed = |seals: i32| {
        // SAFETY: a string that ends with NUL.
        let raw = unsafe { libc::memfd_create(c"x".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        // SAFETY: just made, nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: an open descriptor and numbers.
        assert_eq!(unsafe { libc::ftruncate(raw, 4096) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { libc::fcntl(raw, libc::F_ADD_SEALS, seals) }, 0);
        OS.adopt(fd)
    };
    let (shrink, grow, seal) = (libc::F_SEAL_SHRINK, libc::F_SEAL_GROW, libc::F_SEAL_SEAL);
    for (seals, told) in [
        (grow | seal, "memfd without F_SEAL_SHRINK"),
        (shrink | seal, "memfd without F_SEAL_GROW"),
        (shrink | grow, "memfd without F_SEAL_SEAL"),
        (0, "memfd without F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL"),
    ] {
        let Err(OpenFault::Os(error)) = unsealed(seals) else { panic!("{told}") };
        assert_eq!((error.call(), error.errno(), error.object()), ("fcntl(F_GET_SEALS)", libc::EPERM, told));
    }
    assert!(unsealed(shrink | grow | seal).is_ok());
    assert_eq!(OS.adopt(tempfile::tempfile().unwrap().into()).unwrap_err(), no_seals_on(&tempfile::tempfile().unwrap()));
}

/// What a file of the temporary directory's file system is: one without seals, or (a tmpfs) one that is sealed against seals.
fn no_seals_on(file: &std::fs::File) -> OpenFault {
    // SAFETY: an open descriptor.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) } < 0 {
        return OpenFault::NotASegment;
    }
    let missing = "memfd without F_SEAL_SHRINK and F_SEAL_GROW";
    OpenFault::Os(seqslot_core::OsError::new("fcntl(F_GET_SEALS)", libc::EPERM, missing))
}

#[test]
fn a_single_writers_memory_file_is_read_only_for_those_who_adopt_it() {
    use seqslot_core::{Memory, Ordering};
    let _alone = alone();
    let made = OS.memfd_single_writer("test", MEMFD).unwrap();
    let reader = OS.adopt(made.mapping.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!((made.mapping.access(), reader.access()), (Access::ReadWrite, Access::ReadOnly));
    // SAFETY: aligned, inside, mapped writable.
    unsafe { made.mapping.memory().store(64, 9, Ordering::Relaxed) };
    // SAFETY: aligned, inside, mapped.
    assert_eq!(unsafe { reader.memory().load(64, Ordering::Relaxed) }, 9);
    assert!(is_claimed(&reader, Lock::OWNER));
    drop(made.owner);
    assert!(!is_claimed(&reader, Lock::OWNER));
    made.mapping.unlink().expect("no name, nothing to do");
}
