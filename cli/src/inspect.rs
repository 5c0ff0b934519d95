//! `inspect`: looks into a segment, or into whatever a path is, and changes nothing.
//!
//! [`look`] finds the bytes, [`picture`] and [`snapshot`] read them into plain values ([`parties`]: who is in it), [`text`] draws those.

pub mod look;
pub mod parties;
pub mod picture;
mod snapshot;
mod text;
#[allow(unsafe_code, reason = "plain copies of mapped words")]
mod words;

use std::path::PathBuf;

use seqslot::layout::head::{Head, Kind};
use seqslot_core::{HeadError, Mapping as _};
use serde::Serialize;

use crate::fail::{self, Failure};
use look::Look;

const AFTER: &str = "\
PATH is what the writer was given, or the shared memory object itself (/dev/shm/seqslot-...). The memory is mapped read-only; nothing is
joined, locked, or recovered. What is shown is a picture of words that others go on changing.

Whatever else the path is, inspect says what (exit code 3, or 4 if it is not there).

Slots, one character each:
  .  free              1-9 +  so many living readers still owe a read (in overwriting segments: are inside)
  w  on loan           x      on loan by a dead writer            d  owed by dead readers only
  o  holds a sample that may be overwritten                       ?  damaged
Many slots share a character; it shows the one of them that is furthest down this list.

Examples:
  seqslot inspect /tmp/numbers
  seqslot inspect /tmp/numbers --json | jq .readers
  seqslot inspect /dev/shm/seqslot-0123456789abcdef --slots";

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Path of the segment, or of the object
    path: PathBuf,
    /// List every slot (or buffer)
    #[arg(long)]
    slots: bool,
    /// Result and errors as JSON
    #[arg(long)]
    pub json: bool,
}

/// What a segment is, whatever its kind.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    /// Name of the shared memory object that the path names; none if the path is the object.
    object: Option<String>,
    layout: String,
    instance: String,
    /// None for bytes.
    type_hash: Option<String>,
    mapped_bytes: usize,
    #[serde(flatten)]
    body: Body,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Body {
    Slots(Box<picture::Picture>),
    Snapshot(snapshot::Picture),
}

/// Runs it.
///
/// # Errors
/// There is nothing at the path, or it is not a segment.
pub fn run(args: &Args) -> Result<(), Failure> {
    let look = look::open(&args.path)?;
    let report = report(args, &look)?;
    if args.json { fail::print_json(&report) } else { fail::print(&text::draw(&report, args.slots)) }
}

fn report(args: &Args, look: &Look) -> Result<Report, Failure> {
    let head = Head::of(&look.mapping).map_err(|error| refused(look, &error))?;
    let body = match head.kind {
        Kind::Slots => Body::Slots(Box::new(picture::Picture::take(&look.mapping, args.slots).map_err(|error| refused(look, &error))?)),
        Kind::Snapshot => Body::Snapshot(snapshot::Picture::take(&look.mapping, &head).map_err(|error| refused(look, &error))?),
    };
    Ok(Report {
        path: args.path.display().to_string(),
        object: look.object.clone(),
        layout: format!("{}.{}", seqslot::layout::VERSION_MAJOR, head.minor),
        instance: hex(&head.instance),
        type_hash: (head.type_hash != [0; 16]).then(|| hex(&head.type_hash)),
        mapped_bytes: seqslot_core::Memory::len(&look.mapping.memory()),
        body,
    })
}

/// What the bytes are, if they are not a segment that this version reads.
fn refused(look: &Look, error: &HeadError) -> Failure {
    let start = words::start(&look.mapping.memory());
    if let Some(other) = look::identify(&start) {
        return Failure::new(fail::Kind::Corruption, format!("{}: not a seqslot segment: {}", look.label, other.what)).next(other.next);
    }
    let failure = Failure::of(error.cause(), &look.label, error);
    match error {
        HeadError::Magic { .. } => failure.next("give the path that the writer was given"),
        HeadError::NotReady => failure.next("try again; if it stays so its creator died: `seqslot rm PATH`"),
        HeadError::Version { .. } => failure.next("use the seqslot command of the version that made it"),
        HeadError::ByteOrder => failure.next("look at it on a machine of the byte order that made it"),
        _ => failure.next("it is damaged: stop who uses it, `seqslot rm PATH --force`, and start its writer again"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
