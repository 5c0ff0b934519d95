//! `demo`: the main job end to end. One writer and three readers, real processes, stream a real file through the slots of a
//! segment; halfway one reader is killed inside a sample and another one joins; every byte is verified against the file.
//!
//! | module | what it does |
//! |---|---|
//! | [`stream`] | the file, repeated: reading pieces of it, hashing ranges of it |
//! | [`sample`] | what is in a sample |
//! | [`writer`], [`reader`] | the children |
//! | [`event`] | what children tell their parent |
//! | [`family`] | starting, killing and tidying up children |
//! | [`director`] | what happens when; the parent |
//! | [`progress`] | the snapshot cell, and the bar |
//! | [`latency`] | percentiles |
//! | [`report`] | verification and the table |

mod director;
mod event;
mod family;
mod latency;
mod progress;
mod reader;
mod report;
mod sample;
mod stream;
mod writer;

use std::path::PathBuf;

use crate::fail::{self, Failure, Kind};
use crate::signals;
use stream::Stream;

const AFTER: &str = "\
One writer streams a file through the slots to three readers, processes of their own, that hash what they see in place and sleep when there is
nothing to read. Halfway one reader stops inside a sample, so that the writer runs out of free slots; another reader joins; the one that hangs is
killed with SIGKILL, and the writer recovers what it owed. Nothing is dropped: both readers that saw it all, and the one that joined, must
have seen the very bytes that the file has. At the end no slot may be lost.

Latency is from commit to take, the time spent queueing in the slots included.

Exit code 0 if everything was verified, 1 if not, 130 if interrupted; nothing is left behind.

Examples:
  seqslot demo
  seqslot demo --file big.iso --sample 1M --slots 8
  seqslot demo --bytes 64M --json";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// File to stream. Default: the Rust compiler's library if there is one, else this executable
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Stream at least so many bytes, the file whole as often as needed (and at least four times what the slots hold)
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = crate::size::parse)]
    bytes: u64,
    /// Bytes of the file in a sample
    #[arg(long, value_name = "BYTES", default_value = "64K", value_parser = crate::size::parse)]
    sample: u64,
    /// Number of slots
    #[arg(long, value_name = "N", default_value_t = 16)]
    slots: u64,
    /// Result and errors as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of a child.
#[derive(Debug, Clone, clap::Args)]
pub struct RoleArgs {
    role: Role,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    file: PathBuf,
    #[arg(long)]
    total: u64,
    #[arg(long)]
    sample: u64,
    #[arg(long)]
    slots: u64,
    /// The demo's process: children end with it.
    #[arg(long)]
    parent: u32,
}

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Streams the file.
    Writer,
    /// Hashes the stream.
    Reader,
    /// Hashes the first half of it, then stops inside a sample.
    Victim,
}

impl RoleArgs {
    /// Name file of the slots.
    fn slots_path(&self) -> PathBuf {
        self.dir.join("slots.flink")
    }

    /// Name file of the progress cell.
    fn progress_path(&self) -> PathBuf {
        self.dir.join("progress.flink")
    }
}

/// Runs it.
///
/// # Errors
/// A check failed, a child failed, the system refused, or Ctrl-C.
pub fn run(args: &Args) -> Result<(), Failure> {
    for (name, value) in [("--slots", args.slots), ("--sample", args.sample)] {
        if value == 0 {
            return Err(Failure::new(Kind::Misuse, format!("{name} 0: at least one is needed")).next("leave it out for the default"));
        }
    }
    let at_least = args.sample.checked_mul(args.slots).and_then(|held| held.checked_mul(4));
    let at_least = at_least.ok_or_else(|| Failure::new(Kind::Misuse, "--slots times --sample is more than 64 bits can count"))?;
    let stream = Stream::open(args.file.as_deref(), args.bytes.max(at_least))?;
    let result = director::direct(args, &stream)?;
    if args.json {
        fail::print_json(&result)?;
    } else {
        fail::print(&report::text(&result))?;
    }
    result.verdict()
}

/// Runs a child.
///
/// # Errors
/// What stopped it.
pub fn run_role(args: &RoleArgs) -> Result<(), Failure> {
    signals::end_with_parent(args.parent);
    let outcome = match args.role {
        Role::Writer => writer::run(args),
        Role::Reader | Role::Victim => reader::run(args),
    };
    if matches!(&outcome, Err(failure) if failure.cause == Kind::Interrupted) {
        // The parent tells it, once.
        std::process::exit(Kind::Interrupted as i32);
    }
    outcome
}
