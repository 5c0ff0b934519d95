//! Rounds of deaths, stops and restarts between real processes.
//!
//! In each round, drawn from a seed, several writers and readers and one or two recoverers work on one segment (32 parties in some rounds)
//! under one of the three policies, while this process reads along. Some are killed at random instants (within attach and join, too), two at
//! once, or while they recover others; some are stopped and go on, or are killed while stopped; some end well; others take their places.
//! Then: every living reader got every sample from its join on, once, whole, in each writer's order (overwriting: what is missing was
//! counted); no entry is in use, nobody is said to wait, and every slot can be loaned. Every eighth round an owner is killed instead, and
//! its path taken over. At the end no object is left.

mod board;
mod cast;
mod owners;
mod party;
mod pause;
mod plan;
mod round;
mod sample;
mod totals;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use party::{PartyArgs, run as party};

use crate::run::Outcome;
use board::Board;
use owners::Names;
use plan::{Draw, Plan, Policy};
use round::Arena;
use totals::Totals;

/// Slots of each segment.
const SLOTS: u32 = 8;
/// After so long something that does not come is taken for a hang.
const HANG: Duration = Duration::from_secs(60);
/// Owners are killed in one round of so many.
const OWNER_ROUNDS: u32 = 8;

#[derive(clap::Args, Clone)]
pub struct Args {
    /// Rounds; 200 if neither this nor --seconds is given
    #[arg(long)]
    rounds: Option<u32>,
    /// Go on for so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the first round. A failure prints the seed of its round: with it and --rounds 1 that round is played again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Append a line of totals to this file now and then, and go on counting, and drawing, from its last line
    #[arg(long)]
    log: Option<PathBuf>,
    /// Rounds to a line of the log
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    log_every: u32,
    /// Nothing of this: stop one reader for so many seconds (60 if not said), then see that it gets everything
    #[arg(long, num_args = 0..=1, default_missing_value = "60", conflicts_with_all = ["rounds", "seconds", "log"])]
    pause: Option<u64>,
}

impl Args {
    /// So many rounds, the rest as by default.
    pub fn rounds(rounds: u32) -> Self {
        Self { rounds: Some(rounds), seconds: None, seed: 1, log: None, log_every: 100, pause: None }
    }

    /// One reader stopped for a minute.
    pub fn pause() -> Self {
        Self { pause: Some(60), ..Self::rounds(0) }
    }
}

pub fn run(args: &Args) -> Outcome {
    // Beside the log, so that a run that goes on from it takes over what a killed one left.
    let own = || std::env::temp_dir().join(format!("seqslot-soak-{}", std::process::id()));
    let folder = args.log.as_ref().map_or_else(own, |log| log.with_extension("parts"));
    std::fs::create_dir_all(&folder)?;
    let outcome = match args.pause {
        Some(seconds) => pause::run(seconds, &folder),
        None => soak(args, &folder),
    };
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn soak(args: &Args, folder: &Path) -> Outcome {
    let resumed = args.log.as_deref().map(Totals::resume).transpose()?.flatten();
    let mut totals = match resumed {
        Some(totals) => {
            eprintln!("going on after {} rounds, seed {}", totals.rounds, totals.seed);
            totals
        }
        None => Totals { seed: args.seed, state: args.seed, ..Totals::default() },
    };
    let (rounds, seconds) = (args.rounds.or(args.seconds.is_none().then_some(200)), args.seconds);
    let (seconds_before, start) = (totals.seconds, Instant::now());
    let mut names = Names::default();
    let arenas = (Arena::create(folder.join("plain.flink"), Policy::Block)?, Arena::create(folder.join("over.flink"), Policy::Overwrite)?);
    ["plain.flink", "over.flink"].iter().for_each(|name| names.note(&folder.join(name)));
    let mut played = 0;
    while rounds.is_none_or(|rounds| played < rounds) && seconds.is_none_or(|seconds| start.elapsed().as_secs() < seconds) {
        let mut draw = Draw(totals.state);
        one(&mut draw, &arenas, folder, &mut names, &mut totals)
            .map_err(|error| format!("round {}: {error} (again: --seed {} --rounds 1)", totals.rounds, totals.state))?;
        totals.state = draw.0;
        totals.rounds += 1;
        played += 1;
        totals.seconds = seconds_before + start.elapsed().as_secs();
        if let Some(log) = args.log.as_deref().filter(|_| totals.rounds.is_multiple_of(args.log_every)) {
            totals.append(log)?;
        }
        if played.is_multiple_of(100) {
            eprintln!("{played} rounds, {:.0} s", start.elapsed().as_secs_f64());
        }
    }
    drop(arenas);
    let left: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()).filter(|name| name != "board").collect();
    if !left.is_empty() {
        return Err(format!("left behind: {left:?}").into());
    }
    names.check_gone()?;
    if let Some(log) = &args.log {
        totals.append(log)?;
    }
    Ok(totals.closing())
}

/// One round, of the one kind or the other.
fn one(
    draw: &mut Draw,
    (plain, over): &(Arena, Arena),
    folder: &Path,
    names: &mut Names,
    totals: &mut Totals,
) -> Result<(), Box<dyn std::error::Error>> {
    let board_file = folder.join("board");
    let board = Board::create(&board_file)?;
    let (number, files) = (totals.rounds, (&board, board_file.as_path()));
    if draw.below(OWNER_ROUNDS) == 0 {
        return owners::play(&folder.join("owned.flink"), draw, number, files, names, totals);
    }
    let plan = Plan::draw(draw);
    let arena = if plan.policy == Policy::Overwrite { over } else { plain };
    round::play(arena, &plan, number, files, totals).map_err(|error| format!("{error}; {plan:?}").into())
}
