//! Descriptors run out: a test of its own, for the limit is the whole process's.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "resource limits: the calls read and write one plain struct"
)]

use std::path::PathBuf;

use seqslot_core::{Config, Segment};
use seqslot_os_linux::Linux;

fn dir(tag: &str) -> PathBuf {
    let d = std::env::temp_dir().join(format!("seqslot-names-{tag}-{}", std::process::id()));
    std::fs::create_dir_all(&d).unwrap();
    d
}
fn limit(n: u64) -> u64 {
    let mut l: libc::rlimit = unsafe { core::mem::zeroed() };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut l) };
    let was = l.rlim_cur;
    l.rlim_cur = n;
    assert_eq!(0, unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &l) });
    was
}

#[test]
fn a_create_without_descriptors_leaves_nothing() {
    let d = dir("fd");
    let mut bad = vec![];
    drop(Segment::create(Linux::new(), &d.join("warm"), &Config::slots(4, 64)).unwrap());
    let next = std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").unwrap()) as u64;
    for extra in 0..10 {
        let path = d.join(format!("s{extra}"));
        let was = limit(next + extra);
        let made = Segment::create(Linux::new(), &path, &Config::slots(4, 64));
        limit(was);
        // Taking the name away needs a descriptor: the owner goes when there are some.
        let made = made.map(drop);
        let left: Vec<_> = std::fs::read_dir(&d).unwrap().map(|e| e.unwrap().file_name()).collect();
        if !left.is_empty() {
            bad.push((extra, format!("{made:?}").chars().take(120).collect::<String>(), left.clone()));
        }
        for f in left {
            std::fs::remove_file(d.join(f)).unwrap();
        }
    }
    std::fs::remove_dir_all(&d).unwrap();
    assert!(bad.is_empty(), "left behind: {bad:#?}");
}
