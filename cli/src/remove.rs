//! `rm`: removes a segment.

use std::path::PathBuf;

use seqslot::layout::head::{Head, Kind};
use seqslot_core::Lock;
use seqslot_os_posix::RemoveError;
use serde::Serialize;

use crate::fail::{self, Failure};
use crate::inspect::look;
use crate::inspect::parties::Party;
use crate::inspect::picture::Picture;

const AFTER: &str = "\
Removes the file at PATH and the shared memory object that it names. Refuses (4) while anybody lives in it, and says who. With --force
it removes the names all the same: those attached keep the memory until they end, nobody else finds it.

Anything that is not a segment's name file is left alone (3).

Examples:
  seqslot rm /tmp/numbers
  seqslot rm /tmp/numbers --force";

/// Arguments of `rm`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Path that the writer was given
    path: PathBuf,
    /// Remove it even while somebody lives in it
    #[arg(long, short)]
    force: bool,
    /// Result and errors as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    removed: String,
}

/// Runs it.
///
/// # Errors
/// Somebody lives in it, it is no segment, or the system refused.
pub fn run(args: &Args) -> Result<(), Failure> {
    seqslot::platform().remove(&args.path, args.force).map_err(|error| refused(args, &error))?;
    let removed = args.path.display().to_string();
    if args.json { fail::print_json(&Report { removed }) } else { fail::print(&format!("removed {removed}")) }
}

fn refused(args: &Args, error: &RemoveError) -> Failure {
    let mut failure = fail::remove(&args.path, error);
    if let RemoveError::InUse { held } = error {
        failure.error.push_str(&pids(args, held));
    }
    failure
}

/// Process numbers of those who hold the locks, where the segment tells.
fn pids(args: &Args, held: &[Lock]) -> String {
    let Ok(look) = look::open(&args.path) else { return String::new() };
    let Ok(Head { kind: Kind::Slots, .. }) = Head::of(&look.mapping) else { return String::new() };
    let Ok(picture) = Picture::take(&look.mapping, false) else { return String::new() };
    let number = |lock: &Lock| u32::from(lock.number());
    let pid = |lock: &Lock| -> Option<u32> {
        let party: &Party = match number(lock) {
            index @ 0..32 => &picture.readers.iter().find(|reader| reader.index == index)?.party,
            index @ 32..64 => &picture.writers.iter().find(|writer| writer.index == index - 32)?.party,
            64 => &picture.owner,
            _ => return None,
        };
        Some(party.pid)
    };
    let mut pids: Vec<u32> = held.iter().filter_map(pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    if pids.is_empty() { String::new() } else { format!(" (processes {})", pids.join(", ")) }
}
