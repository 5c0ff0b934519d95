//! `recover`: puts right what the dead left in a segment.

use std::path::PathBuf;

use seqslot::layout::head::{Head, Kind};
use serde::Serialize;

use crate::fail::{self, Failure};
use crate::inspect::look;
use crate::inspect::parties::Party;
use crate::inspect::picture::Picture;

const AFTER: &str = "\
Looks for readers and writers that died without leaving, frees the slots that they held, and wakes whoever waits. The living are
not touched, and nothing they publish or are owed is lost. It may be repeated. Writers and readers do the same by themselves when they
wait, so this is for when nobody does.

A snapshot needs no recovery: its next writer goes on where the last one died.

Example:
  seqslot recover /tmp/numbers --json";

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Path that the writer was given
    path: PathBuf,
    /// Result and errors as JSON
    #[arg(long)]
    pub json: bool,
}

/// What was found and put right.
#[derive(Debug, Default, Serialize)]
struct Report {
    writers: Vec<Dead>,
    readers: Vec<Dead>,
    /// Loans of dead writers taken back.
    loans: u32,
    /// Slots that only dead readers owed a read.
    slots_owed: u32,
    /// Who still cannot be recovered: evicted readers, until somebody joins.
    left: Vec<Dead>,
    owner_alive: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Dead {
    index: u32,
    pid: u32,
}

/// Runs it.
///
/// # Errors
/// It is not a segment, or the system refused.
pub fn run(args: &Args) -> Result<(), Failure> {
    let Some(before) = picture(args)? else {
        let report = Report::default();
        return if args.json { fail::print_json(&report) } else { fail::print("a snapshot needs no recovery: its next writer goes on") };
    };
    // Attaching recovers already; calling it again tells of what attaching could not do.
    let segment = seqslot::attach(&args.path).map_err(|error| fail::attach(&args.path, &error))?;
    segment.recover().map_err(|error| Failure::of(error.cause(), "recovering", &error).next(fail::os_advice(&error)))?;
    let Some(after) = picture(args)? else {
        let failure = Failure::new(fail::Kind::Contention, format!("{}: replaced by another segment meanwhile", args.path.display()));
        return Err(failure.next("look at it (`seqslot inspect PATH`), and try again"));
    };
    let gone = |dead: &Dead, left: &[Dead]| !left.contains(dead);
    let (writers_left, readers_left) = (dead_writers(&after), dead_readers(&after));
    let report = Report {
        writers: dead_writers(&before).into_iter().filter(|dead| gone(dead, &writers_left)).collect(),
        readers: dead_readers(&before).into_iter().filter(|dead| gone(dead, &readers_left)).collect(),
        loans: after.counters.recovered_slots.wrapping_sub(before.counters.recovered_slots),
        slots_owed: before.states.owed_to_the_dead,
        left: [writers_left, readers_left].concat(),
        owner_alive: after.owner.alive,
    };
    if args.json { fail::print_json(&report) } else { fail::print(&text(&report)) }
}

/// What the segment looks like now; `None` for a snapshot.
fn picture(args: &Args) -> Result<Option<Picture>, Failure> {
    let look = look::open(&args.path)?;
    let refused = |error: seqslot::HeadError| fail::attach(&args.path, &error.into());
    let head = Head::of(&look.mapping).map_err(refused)?;
    match head.kind {
        Kind::Slots => Picture::take(&look.mapping, false).map(Some).map_err(refused),
        Kind::Snapshot => Ok(None),
    }
}

fn dead_writers(picture: &Picture) -> Vec<Dead> {
    dead(picture.writers.iter().map(|writer| (writer.index, &writer.party)))
}

fn dead_readers(picture: &Picture) -> Vec<Dead> {
    dead(picture.readers.iter().map(|reader| (reader.index, &reader.party)))
}

fn dead<'p>(parties: impl Iterator<Item = (u32, &'p Party)>) -> Vec<Dead> {
    parties.filter(|(_, party)| party.is_dead()).map(|(index, party)| Dead { index, pid: party.pid }).collect()
}

fn text(report: &Report) -> String {
    let list = |name: &str, dead: &[Dead]| {
        dead.iter().map(|dead| format!("recovered {name} {} (pid {})\n", dead.index, dead.pid)).collect::<String>()
    };
    let mut text = list("writer", &report.writers) + &list("reader", &report.readers);
    if text.is_empty() {
        text.push_str("nobody was dead: nothing to recover\n");
    } else {
        text.push_str(&format!("{} loans taken back, {} slots no longer owed\n", report.loans, report.slots_owed));
    }
    for dead in &report.left {
        text.push_str(&format!("entry {} (pid {}) is put right when somebody joins\n", dead.index, dead.pid));
    }
    if report.owner_alive == Some(false) {
        text.push_str("the segment's owner is dead: a new writer takes the path over, or `seqslot rm PATH` removes it\n");
    }
    text
}
