//! Whole systems of simulated processes, seed after seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use seqslot_sim::{Failure, Options, Tally};

use crate::run::Outcome;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct Args {
    /// How long to go from seed to seed
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The first seed; by default one that was never used before
    #[arg(long)]
    seed: Option<u64>,
    /// Run this one seed, and tell of it
    #[arg(long)]
    replay: Option<u64>,
    /// Threads, each with seeds of its own
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Let the n-th wake of every system reach nobody, to see that it is found
    #[arg(long)]
    lose_wake: Option<u32>,
}

impl Args {
    /// For so many seconds, with fresh seeds.
    pub fn seconds(seconds: u64) -> Self {
        Self { seconds, seed: None, replay: None, threads: 2, lose_wake: None }
    }
}

pub fn run(args: &Args) -> Outcome {
    let options = args.lose_wake.map_or_else(Options::default, Options::losing_wake);
    if let Some(seed) = args.replay {
        let tally = seqslot_sim::run(seed, &options)?;
        return Ok(format!("sim: seed {seed}, {} steps, {tally}; no failure", tally.steps));
    }
    let fresh = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs() << 20);
    let first = args.seed.unwrap_or_else(fresh);
    println!("sim: seeds from {first} on");
    let all = Seeds { next: AtomicU64::new(first), stop: AtomicBool::new(false), total: Mutex::default(), failure: Mutex::new(None) };
    let start = Instant::now();
    let end = start + Duration::from_secs(args.seconds);
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| all.work(end, &options));
        }
        let mut told = start;
        while Instant::now() < end && !all.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                println!("sim: {} steps in {} s", total(&all).steps, start.elapsed().as_secs());
            }
        }
    });
    let (total, seconds) = (total(&all), start.elapsed().as_secs_f64());
    if let Some(failure) = all.failure.lock().map_or(None, |mut failure| failure.take()) {
        let lost = args.lose_wake.map_or_else(String::new, |n| format!(" --lose-wake {n}"));
        return Err(format!("after {seconds:.1} s and {} systems: {failure}{lost}", total.systems).into());
    }
    if total.systems == 0 {
        return Err("no system ran to its end in this time".into());
    }
    let rate = (total.steps as f64 / seconds * 60.0) as u64;
    Ok(format!("sim: {} steps in {seconds:.0} s ({rate} a minute), {total}; no failure", total.steps))
}

/// The seeds yet to run, and what came of the others.
struct Seeds {
    next: AtomicU64,
    stop: AtomicBool,
    total: Mutex<Tally>,
    failure: Mutex<Option<Box<Failure>>>,
}

fn total(seeds: &Seeds) -> Tally {
    seeds.total.lock().map_or_else(|poisoned| *poisoned.into_inner(), |total| *total)
}

impl Seeds {
    /// Runs seeds until time is over or one fails.
    fn work(&self, end: Instant, options: &Options) {
        while Instant::now() < end && !self.stop.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            match seqslot_sim::run(seed, options) {
                Ok(tally) => {
                    if let Ok(mut total) = self.total.lock() {
                        total.add(&tally);
                    }
                }
                Err(failure) => {
                    self.stop.store(true, Ordering::Relaxed);
                    if let Ok(mut first) = self.failure.lock() {
                        first.get_or_insert(failure);
                    }
                }
            }
        }
    }
}
