//! The parent: what happens when.
//!
//! | when | what |
//! |---|---|
//! | start | writer, two readers, the victim; the writer begins when all three count |
//! | the victim is inside a sample, halfway | it stays there, so the writer soon finds no free slot; the joiner is started |
//! | the joiner counts | the victim is killed; the writer recovers it at the end of a wait slice and goes on |
//! | everybody is done | the slots are looked at, then the writer may go |
//!
//! Each step waits for what a child tells, none for time.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use super::event::{Event, ReadReport, WriteReport};
use super::family::{Family, Id, Told};
use super::progress::Progress;
use super::report::{Killed, Leftovers, Outcome};
use super::stream::Stream;
use super::{Args, Role, RoleArgs};
use crate::fail::{self, Failure, Kind};
use crate::inspect::look;
use crate::inspect::picture::Picture;
use crate::signals;

/// How often the bar is drawn, at least.
const TICK: Duration = Duration::from_millis(50);

/// Who is who.
struct Cast {
    writer: Id,
    readers: [Id; 2],
    victim: Id,
    joiner: Option<Id>,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    written: Option<WriteReport>,
    reads: [Option<ReadReport>; 2],
    joined: Option<ReadReport>,
    killed: Option<Killed>,
    stopped_at: u64,
}

/// Plays it.
///
/// # Errors
/// A child failed, the system refused, or Ctrl-C.
pub fn direct(args: &Args, stream: &Stream) -> Result<Outcome, Failure> {
    let file = std::path::absolute(&stream.path).map_err(|error| Failure::io("the current directory", &error))?;
    let role_args = RoleArgs {
        role: Role::Writer,
        dir: std::path::PathBuf::new(),
        file,
        total: stream.total,
        sample: args.sample,
        slots: args.slots,
        parent: std::process::id(),
    };
    let mut family = Family::new(role_args)?;
    let mut cast = Cast {
        writer: family.spawn(Role::Writer)?,
        readers: [family.spawn(Role::Reader)?, family.spawn(Role::Reader)?],
        victim: family.spawn(Role::Victim)?,
        joiner: None,
    };
    let mut progress = Progress::new(stream.total);
    let mut known = Known::default();
    while known.written.is_none() || known.joined.is_none() || known.reads.iter().any(Option::is_none) {
        let told = family.listen(TICK);
        if signals::requested() {
            return Err(Failure::interrupted());
        }
        progress.look(&family.args().progress_path());
        if let Some(told) = told {
            follow(told, &mut family, &mut cast, &mut known, &progress)?;
        }
    }
    let leftovers = leftovers(&family)?;
    family.release(cast.writer);
    let ends = [Some(cast.writer), Some(cast.readers[0]), Some(cast.readers[1]), cast.joiner];
    for id in ends.into_iter().flatten() {
        let status = family.wait(id)?;
        if !status.success() {
            return Err(Failure::new(Kind::Verification, format!("a process of the demo ended with {status}")));
        }
    }
    drop(progress);
    drop(family);
    Outcome::verify(args, stream, (known.written, known.reads, known.joined, known.killed), leftovers)
}

/// Acts on what a child told.
fn follow((id, event): Told, family: &mut Family, cast: &mut Cast, known: &mut Known, progress: &Progress) -> Result<(), Failure> {
    match event {
        Some(Event::Stopped { offset }) if id == cast.victim => {
            known.stopped_at = offset;
            cast.joiner = Some(family.spawn(Role::Reader)?);
        }
        Some(Event::Joined) if Some(id) == cast.joiner => {
            let killed = kill(family, cast.victim, known.stopped_at)?;
            progress.tell(&format!(
                "reader {} (pid {}) was killed inside the sample at byte {}, owing {} slots; another reader has joined",
                cast.victim, killed.pid, killed.inside_at, killed.owed
            ));
            known.killed = Some(killed);
        }
        Some(Event::Written(report)) if id == cast.writer => known.written = Some(report),
        Some(Event::Read(report)) if Some(id) == cast.joiner => known.joined = Some(report),
        Some(Event::Read(report)) => {
            if let Some(place) = cast.readers.iter().position(|reader| *reader == id) {
                known.reads[place] = Some(report);
            }
        }
        Some(Event::Joined | Event::Stopped { .. } | Event::Written(_)) => {}
        None => return ended(id, family, cast, known),
    }
    Ok(())
}

/// The output of a child has ended: as it should, or the demo has failed.
fn ended(id: Id, family: &mut Family, cast: &Cast, known: &Known) -> Result<(), Failure> {
    let is_done = match id {
        _ if id == cast.writer => known.written.is_some(),
        _ if id == cast.victim => known.killed.is_some(),
        _ if Some(id) == cast.joiner => known.joined.is_some(),
        _ => cast.readers.iter().position(|reader| *reader == id).is_some_and(|place| known.reads[place].is_some()),
    };
    if is_done {
        return Ok(());
    }
    let status = family.wait(id)?;
    let kinds = [Kind::Misuse, Kind::Corruption, Kind::Contention, Kind::Os, Kind::Interrupted];
    let kind = kinds.into_iter().find(|kind| status.code() == Some(*kind as i32)).unwrap_or(Kind::Verification);
    Err(Failure::new(kind, format!("a process of the demo ended before its time, with {status}")).next("what it said is above"))
}

/// Kills the victim, and tells what it held at that moment.
fn kill(family: &mut Family, victim: Id, inside_at: u64) -> Result<Killed, Failure> {
    let pid = family.pid(victim);
    let readers = picture(family)?.readers;
    let owed = readers.iter().find(|reader| reader.party.pid == pid).map_or(0, |reader| reader.owed);
    let status = family.kill(victim)?;
    if status.signal() != Some(libc::SIGKILL) {
        return Err(Failure::new(Kind::Verification, format!("the reader to be killed ended with {status}")));
    }
    Ok(Killed { pid, inside_at, owed })
}

/// What the readers have left in the slots.
fn leftovers(family: &Family) -> Result<Leftovers, Failure> {
    let picture = picture(family)?;
    Ok(Leftovers { slots: picture.slots, free: picture.states.free, readers: picture.readers.len() })
}

/// The segment as `inspect` sees it.
fn picture(family: &Family) -> Result<Picture, Failure> {
    let path = family.args().slots_path();
    let look = look::open(&path)?;
    Picture::take(&look.mapping, false).map_err(|error| fail::attach(&path, &error.into()))
}
