//! What deaths and forged bytes do to both: each in processes of its own, each with a name.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seqslot::SlotBackend as _;
use serde::Serialize;
use zerodds_flatdata::SlotBackend as _;

use crate::child::{Child, signal};
use crate::outcome::{Fault, Outcome, ensure};
use crate::scratch::object_of;

/// Where each keeps who waits: theirs a count, ours a bit for each waiter.
const THEIR_WAITERS: u64 = 0x14;
const OUR_WAITERS: u64 = 200;
/// A slot count that is a lie.
const FORGED: u32 = 1_000_000;
/// Bytes of our head, each word of which is forged in its turn.
const OUR_HEAD: u64 = 256;

/// A fault of theirs that takes a death or a forged byte to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Crash {
    /// Theirs: after the owner's death `create` says `LinkExists` for ever, and the object stays. Ours: the next `create` takes over,
    /// and those who are attached are told that the owner is gone.
    OwnerDiedPathIsTaken,
    /// Theirs: a slot count forged to a million is believed, and the next read is a SIGSEGV. Ours: every word of the head is checked
    /// against the object's size and the others; nothing in it leads out of the mapping.
    SlotCountForged,
    /// Theirs: a waiter that is killed is counted for ever, and every change makes a system call for it. Ours: its bit goes at recovery.
    KilledWaiterIsCounted,
    /// Theirs: at a path that is not UTF-8 a segment is made that says its path is "", so nobody can be told where it is. Ours: refused.
    PathIsNotUtf8,
}

/// Shows each of them; their names.
pub fn all(folder: &Path) -> Outcome<Vec<Fault>> {
    owner_died(folder)?;
    slot_count_forged(folder)?;
    killed_waiter(folder)?;
    not_utf8(folder)?;
    let all = [Crash::OwnerDiedPathIsTaken, Crash::SlotCountForged, Crash::KilledWaiterIsCounted, Crash::PathIsNotUtf8];
    Ok(all.iter().map(|crash| Fault::of("zerodds", crash)).collect())
}

/// The two flinks of a scenario.
fn flinks(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}-theirs.flink")), folder.join(format!("{name}-ours.flink")))
}

/// Starts a role over one side and waits until it has begun.
fn begun(role: &str, side: &str, path: &Path) -> Outcome<Child> {
    let mut child = Child::start(&[role, side, &path.to_string_lossy()])?;
    let line = child.line()?;
    ensure(line == "ready", || format!("{role} over {side} said {line}"))?;
    Ok(child)
}

fn owner_died(folder: &Path) -> Outcome<()> {
    let (theirs, ours) = flinks(folder, "owner");
    for (side, path) in [("theirs", &theirs), ("ours", &ours)] {
        let mut owner = begun("own", side, path)?;
        let attached = (side == "ours").then(|| seqslot::PosixSlotAllocator::attach(path)).transpose()?;
        owner.kill()?;
        if let Some(attached) = attached {
            ensure(attached.owner_lives() == Ok(Some(false)), || "ours: a dead owner is said to live".into())?;
        }
    }
    // Both let others attach to what the dead one left; ours says that it is dead.
    zerodds_flatdata::PosixSlotAllocator::attach(&theirs)?;
    let late = seqslot::PosixSlotAllocator::attach(&ours)?;
    ensure(late.owner_lives() == Ok(Some(false)), || "ours: nobody is told that the owner is dead".into())?;
    drop(late);
    let refused = format!("{:?}", zerodds_flatdata::PosixSlotAllocator::create(&theirs, 4, 64).err());
    ensure(refused.contains("LinkExists"), || format!("theirs: creating over a dead owner came to {refused}"))?;
    let object = object_of(&theirs).ok_or("theirs: the flink is gone")?;
    ensure(object.exists(), || "theirs: the object of a dead owner is gone".into())?;
    let old = object_of(&ours).ok_or("ours: the flink is gone")?;
    let new = seqslot::PosixSlotAllocator::create(&ours, 4, 64)?;
    ensure(!old.exists(), || "ours: the object of a dead owner stays".into())?;
    let object = object_of(&ours).ok_or("ours: no flink")?;
    drop(new);
    ensure(!object.exists() && !ours.exists(), || "ours: something is left behind".into())
}

fn slot_count_forged(folder: &Path) -> Outcome<()> {
    let (theirs, ours) = flinks(folder, "forged");
    let owner = zerodds_flatdata::PosixSlotAllocator::create(&theirs, 4, 64)?;
    let object = object_of(&theirs).ok_or("theirs: no flink")?;
    let file = std::fs::OpenOptions::new().write(true).open(object)?;
    file.write_all_at(&FORGED.to_ne_bytes(), 4)?;
    let ended = Child::start(&["believe", "theirs", &theirs.to_string_lossy()])?.end()?;
    ensure(signal(ended) == Some(libc::SIGSEGV), || format!("theirs: a forged slot count came to {ended}"))?;
    drop(owner);

    let owner = seqslot::PosixSlotAllocator::create(&ours, 4, 64)?;
    let mut child = Child::start(&["believe", "ours", &ours.to_string_lossy()])?;
    let refused = child.line().map_err(|_| "ours: forged words kill")?;
    let ended = child.end()?;
    ensure(ended.success(), || format!("ours: forged words came to {ended}"))?;
    let refused: u32 = refused.parse()?;
    ensure(refused >= 4, || format!("ours: only {refused} forged words were refused"))?;
    drop(owner);
    Ok(())
}

/// Attaches to a segment whose head lies, and uses it.
pub fn believe(side: &str, path: &Path) -> Outcome<()> {
    if side == "theirs" {
        let slots = zerodds_flatdata::PosixSlotAllocator::attach(path)?;
        for slot_index in 0..FORGED {
            let _ = slots.read_slot(zerodds_flatdata::SlotHandle { segment_id: 0, slot_index });
        }
        return Err("theirs: a million slots were there to be read".into());
    }
    let object = object_of(path).ok_or("no flink")?;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(object)?;
    let mut refused = 0;
    for at in (0..OUR_HEAD).step_by(4) {
        let mut word = [0; 4];
        file.read_exact_at(&mut word, at)?;
        file.write_all_at(&FORGED.to_ne_bytes(), at)?;
        match seqslot::PosixSlotAllocator::attach(path) {
            Err(_) => refused += 1,
            // Not a word that counts, or one that may be so: every slot can be looked at.
            Ok(slots) => {
                let _ = slots.next_unread_slot(0);
                for _ in 0..slots.slot_count()?.min(16) {
                    let _ = slots.reserve_slot(0).and_then(|handle| slots.commit_slot(handle, b"forged"));
                }
            }
        }
        file.write_all_at(&word, at)?;
    }
    println!("{refused}");
    Ok(())
}

fn killed_waiter(folder: &Path) -> Outcome<()> {
    let (theirs, ours) = flinks(folder, "waiter");
    let (their_owner, our_owner) =
        (zerodds_flatdata::PosixSlotAllocator::create(&theirs, 4, 64)?, seqslot::PosixSlotAllocator::create(&ours, 4, 64)?);
    for (side, path, at) in [("theirs", &theirs, THEIR_WAITERS), ("ours", &ours, OUR_WAITERS)] {
        let mut waiter = begun("wait", side, path)?;
        until(|| Ok(word(path, at)? != 0), "a waiter to register", || std::thread::sleep(Duration::from_millis(1)))?;
        waiter.kill()?;
    }
    let handle = their_owner.reserve_slot(0)?;
    their_owner.commit_slot(handle, b"wakes nobody")?;
    let counted = word(&theirs, THEIR_WAITERS)?;
    ensure(counted == 1, || format!("theirs: {counted} waiters are counted where one was killed"))?;
    // The end of a wait looks for the dead.
    let wait = || our_owner.wait_for_change(our_owner.notify_generation(), Duration::from_millis(20));
    until(|| Ok(word(&ours, OUR_WAITERS)? == 0), "the bit of a dead waiter to go", wait)
}

/// Does something until it is so; an error when it does not come to that.
fn until(is_so: impl Fn() -> Outcome<bool>, what: &str, act: impl Fn()) -> Outcome<()> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begin = std::time::Instant::now();
    while !is_so()? {
        ensure(begin.elapsed() < PATIENCE, || format!("waited in vain for {what}"))?;
        act();
    }
    Ok(())
}

fn word(flink: &Path, at: u64) -> Outcome<u32> {
    let mut bytes = [0; 4];
    std::fs::File::open(object_of(flink).ok_or("no flink")?)?.read_exact_at(&mut bytes, at)?;
    Ok(u32::from_ne_bytes(bytes))
}

fn not_utf8(folder: &Path) -> Outcome<()> {
    let path = folder.join(std::ffi::OsString::from_vec(b"not-utf8-\xFF.flink".to_vec()));
    let theirs = zerodds_flatdata::PosixSlotAllocator::create(&path, 4, 64)?;
    ensure(theirs.segment_path().is_empty(), || "theirs: a path that is not UTF-8 is told".into())?;
    drop(theirs);
    ensure(seqslot::PosixSlotAllocator::create(&path, 4, 64).is_err(), || "ours: a path that is not UTF-8 is taken".into())?;
    ensure(!path.exists(), || "ours: something is left behind".into())
}

/// Owns a segment, or waits on one, until it is killed.
pub fn play(role: &str, side: &str, path: &Path) -> Outcome<()> {
    const LONG: Duration = Duration::from_secs(600);
    match (role, side) {
        ("own", "theirs") => {
            let _owner = zerodds_flatdata::PosixSlotAllocator::create(path, 4, 64)?;
            println!("ready");
            std::thread::sleep(LONG);
        }
        ("own", _) => {
            let _owner = seqslot::PosixSlotAllocator::create(path, 4, 64)?;
            println!("ready");
            std::thread::sleep(LONG);
        }
        (_, "theirs") => {
            let slots = zerodds_flatdata::PosixSlotAllocator::attach(path)?;
            println!("ready");
            slots.wait_for_change(slots.notify_generation(), LONG);
        }
        _ => {
            let slots = seqslot::PosixSlotAllocator::attach(path)?;
            println!("ready");
            slots.wait_for_change(slots.notify_generation(), LONG);
        }
    }
    Err("it was not killed".into())
}
