//! What ClockBound gets wrong, shown with the real crates, beside ours.
//!
//! Not shown, for it cannot be on every machine or is undefined behaviour in the crate: a torn read accepted under the memory model (no
//! fences; loom shows it, x86-64 hides it), and a status or a flag out of range, which the crate reads as an enum and a `bool`.

use std::os::unix::fs::FileExt;
use std::path::Path;

use clock_bound_shm::ShmWrite as _;
use seqslot::{ShmWrite as _, SnapshotStatus};
use serde::Serialize;

use super::roles::c_path;
use super::value;
use crate::child::{Child, signal};
use crate::outcome::{Fault, Outcome, ensure};

/// Where the header's words are.
const SEGSIZE_AT: u64 = 8;
const VERSION_AT: u64 = 12;
const GENERATION_AT: u64 = 14;
/// Updates after which a generation comes again.
const ROUND: u64 = 32_767;

/// A flaw of ClockBound's. Each says what theirs does, what ours does, and why ours is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Flaw {
    /// Theirs: a first look at a segment in the midst of an update (or whose writer died there) is `Ok`, with zeros. Ours: an error: zeros
    /// are no bound.
    FirstLookIsZeros,
    /// Theirs: when the segment was wiped, the last bound is answered for ever, as `Ok`. Ours: an error; `snapshot_status` gives the bound
    /// and says `Wiped`.
    WipedIsNotTold,
    /// Theirs: while the writer is at work the last bound is answered as if it were the newest. Ours: `snapshot_status` says `WriterBusy`.
    OldIsNotTold,
    /// Theirs: exactly 32,767 updates between two looks go unseen. Ours: the bytes are compared, not their 16-bit generation.
    WholeRoundIsMissed,
    /// Theirs: a file of a header only, which claims 80 bytes, is `Ok`, with zeros. Ours: malformed.
    ShortFileIsZeros,
    /// Theirs: a size of 1 GiB is believed and mapped. Ours: a file that is shorter than it says is malformed.
    SizeIsBelieved,
    /// Theirs: cutting the file under a reader kills it with SIGBUS. Ours: an error, for nothing is mapped.
    CutFileKills,
    /// Theirs: a VMClock page whose sequence count is 0 counts as unchanged, so a disruption told there is missed. Ours: it is read.
    DisruptionAtSequenceZeroIsMissed,
}

/// Shows a flaw on a file of its own.
type Show = fn(&Path) -> Outcome<()>;

impl Flaw {
    const ALL: [(Self, Show); 8] = [
        (Self::FirstLookIsZeros, first_look),
        (Self::WipedIsNotTold, wiped),
        (Self::OldIsNotTold, old),
        (Self::WholeRoundIsMissed, whole_round),
        (Self::ShortFileIsZeros, short_file),
        (Self::SizeIsBelieved, size),
        (Self::CutFileKills, cut_file),
        (Self::DisruptionAtSequenceZeroIsMissed, super::vmclock::sequence_zero),
    ];
}

/// Shows each; their names.
pub fn all(folder: &Path) -> Outcome<Vec<Fault>> {
    let show = |(flaw, show): &(Flaw, Show)| {
        show(&folder.join(format!("flaw-{flaw:?}"))).map_err(|error| format!("{flaw:?}: {error}"))?;
        Ok(Fault::of("clockbound", flaw))
    };
    Flaw::ALL.iter().map(show).collect()
}

/// Makes a segment of layout 2 with the bound of a counter, and leaves it without a writer.
fn segment(path: &Path, counter: u64) -> Outcome<()> {
    Ok(seqslot::ShmWriter::new(path)?.write(&value::ours(counter, seqslot::ClockBoundLayout::V2))?)
}

fn put(path: &Path, at: u64, bytes: &[u8]) -> Outcome<()> {
    Ok(std::fs::OpenOptions::new().write(true).open(path)?.write_all_at(bytes, at)?)
}

fn theirs(path: &Path) -> Outcome<clock_bound_shm::ShmReader> {
    clock_bound_shm::ShmReader::new(&c_path(path)?).map_err(|error| format!("theirs does not open it: {error:?}").into())
}

fn their_look(reader: &mut clock_bound_shm::ShmReader) -> Outcome<clock_bound_shm::ClockErrorBound> {
    reader.snapshot().copied().map_err(|error| format!("theirs refuses it: {error:?}").into())
}

fn ours(path: &Path) -> Outcome<seqslot::ShmReader> {
    Ok(seqslot::ShmReader::new(&c_path(path)?)?)
}

/// Ours refuses, at opening or at the first look.
fn is_refused(path: &Path) -> Outcome<()> {
    let looked = seqslot::ShmReader::new(&c_path(path)?).and_then(|mut reader| reader.snapshot().copied());
    ensure(looked.is_err(), || format!("ours answers {looked:?}"))
}

fn first_look(path: &Path) -> Outcome<()> {
    segment(path, 5)?;
    put(path, GENERATION_AT, &7_u16.to_ne_bytes())?;
    let found = their_look(&mut theirs(path)?)?;
    ensure(found == clock_bound_shm::ClockErrorBound::default(), || format!("theirs answers {found:?}"))?;
    is_refused(path)
}

fn wiped(path: &Path) -> Outcome<()> {
    segment(path, 5)?;
    let (mut their_reader, mut our_reader) = (theirs(path)?, ours(path)?);
    their_look(&mut their_reader)?;
    our_reader.snapshot()?;
    put(path, VERSION_AT, &[0; 4])?;
    let found = their_look(&mut their_reader)?;
    ensure(value::of_theirs_v2(&found) == Some(5), || format!("theirs answers {found:?}"))?;
    let looked = our_reader.snapshot().copied();
    ensure(looked.is_err(), || format!("ours answers {looked:?}"))?;
    let told = our_reader.snapshot_status()?;
    ensure(told.status() == SnapshotStatus::Wiped && value::of_ours(told.bound()) == Some(5), || format!("ours says {told:?}"))
}

fn old(path: &Path) -> Outcome<()> {
    segment(path, 5)?;
    let (mut their_reader, mut our_reader) = (theirs(path)?, ours(path)?);
    their_look(&mut their_reader)?;
    our_reader.snapshot()?;
    segment(path, 6)?;
    put(path, GENERATION_AT, &9_u16.to_ne_bytes())?;
    let found = their_look(&mut their_reader)?;
    ensure(value::of_theirs_v2(&found) == Some(5), || format!("theirs answers {found:?}"))?;
    let told = our_reader.snapshot_status()?;
    ensure(told.status() == SnapshotStatus::WriterBusy && value::of_ours(told.bound()) == Some(5), || format!("ours says {told:?}"))
}

fn whole_round(path: &Path) -> Outcome<()> {
    let mut writer = clock_bound_shm::ShmWriter::new(path)?;
    writer.write(&value::theirs_v2(0));
    let (mut their_reader, mut our_reader) = (theirs(path)?, ours(path)?);
    their_look(&mut their_reader)?;
    our_reader.snapshot()?;
    (1..=ROUND).for_each(|counter| writer.write(&value::theirs_v2(counter)));
    let found = their_look(&mut their_reader)?;
    ensure(value::of_theirs_v2(&found) == Some(0), || format!("theirs answers {found:?}"))?;
    let found = our_reader.snapshot_status()?;
    ensure(found.status() == SnapshotStatus::Fresh && value::of_ours(found.bound()) == Some(ROUND), || format!("ours says {found:?}"))
}

fn short_file(path: &Path) -> Outcome<()> {
    segment(path, 5)?;
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(16)?;
    let found = their_look(&mut theirs(path)?)?;
    ensure(found == clock_bound_shm::ClockErrorBound::default(), || format!("theirs answers {found:?}"))?;
    is_refused(path)
}

fn size(path: &Path) -> Outcome<()> {
    segment(path, 5)?;
    put(path, SEGSIZE_AT, &(1_u32 << 30).to_ne_bytes())?;
    their_look(&mut theirs(path)?)?;
    is_refused(path)
}

fn cut_file(path: &Path) -> Outcome<()> {
    for (side, killed_by) in [("theirs2", Some(libc::SIGBUS)), ("ours2", None)] {
        for len in if side == "ours2" { &[0, 1, 15, 16, 40, 79][..] } else { &[0] } {
            let path = path.with_extension(format!("{side}-{len}"));
            segment(&path, 5)?;
            let mut reader = Child::start(&["clock-cut", side, &path.to_string_lossy()])?;
            ensure(reader.line()? == "ready", || format!("{side}: no reader"))?;
            std::fs::OpenOptions::new().write(true).open(&path)?.set_len(*len)?;
            reader.say("look")?;
            let ended = reader.end()?;
            ensure(signal(ended) == killed_by && (killed_by.is_some() || ended.success()), || format!("{side}: cut to {len}: {ended}"))?;
        }
    }
    Ok(())
}

/// Opens a segment, looks, waits to be told that it was cut, and looks again: an error is what is wanted.
pub fn truncated(side: &str, path: &Path) -> Outcome<()> {
    let wait = || -> Outcome<()> {
        println!("ready");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    };
    let answer = if side == "theirs2" {
        let mut reader = theirs(path)?;
        their_look(&mut reader)?;
        wait()?;
        format!("{:?}", their_look(&mut reader))
    } else {
        let mut reader = ours(path)?;
        reader.snapshot()?;
        wait()?;
        match reader.snapshot() {
            Err(_) => return Ok(()),
            Ok(bound) => format!("{bound:?}"),
        }
    };
    Err(format!("a file that was cut is answered by {answer}").into())
}
