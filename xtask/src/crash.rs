//! Every death of every operation on simulated machines, one after another: runs `os-mock/tests/crash` and adds its counts up.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run::{Outcome, cargo};

#[derive(clap::Args)]
pub struct Args {
    /// Single deaths only (what `cargo test` plays as well)
    #[arg(long)]
    small: bool,
    /// Every pair of deaths, and many more third ones: far longer
    #[arg(long, conflicts_with = "small")]
    deep: bool,
    /// One case, with all its pairs of deaths, or one run of it: OPERATION/STATE or OPERATION/STATE/N, where N is the event before
    /// which the victim dies; N+r3: and another before its third event of the recovery; N+u3: or of its own use; N+r3+r4: and a third
    #[arg(long, value_name = "RUN", conflicts_with_all = ["small", "deep"])]
    only: Option<String>,
}

impl Args {
    /// Every pair of deaths, if `deep`.
    pub fn all(deep: bool) -> Self {
        Self { small: false, deep, only: None }
    }

    /// What the test binary is asked for.
    fn extent(&self) -> &str {
        match &self.only {
            Some(run) => run,
            None if self.small => "single",
            None if self.deep => "deep",
            None => "double",
        }
    }
}

/// Counts of all families, and the names met.
#[derive(Default)]
struct Totals {
    counts: [u64; 4],
    operations: BTreeSet<String>,
    states: BTreeSet<String>,
}

impl Totals {
    /// Takes in the line that a family ends with.
    fn add(&mut self, line: &str) -> Option<()> {
        let (_, rest) = line.split_once("crash family ")?.1.split_once(": ")?;
        let (numbers, names) = rest.split_once('[')?;
        for (total, number) in self.counts.iter_mut().zip(numbers.split_whitespace()) {
            *total += number.parse::<u64>().ok()?;
        }
        let (operations, states) = names.split_once("] [")?;
        let split =
            |names: &str| names.trim_end_matches(']').split(',').filter(|name| !name.is_empty()).map(String::from).collect::<Vec<_>>();
        self.operations.extend(split(operations));
        self.states.extend(split(states));
        Some(())
    }
}

pub fn run(args: &Args) -> Outcome {
    let mut command = cargo();
    command.env("SEQSLOT_CRASH", args.extent()).stdout(Stdio::piped());
    command.args(["test", "--profile", "crash", "-p", "seqslot-os-mock", "--test", "crash", "--", "--nocapture", "--test-threads=2"]);
    let mut child = command.spawn()?;
    let mut totals = Totals::default();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line?;
        if totals.add(&line).is_none() {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    let [single, using, recovering, third] = totals.counts;
    if !status.success() {
        return Err(format!("a death was not recovered from; the runs above that say FAILED can be replayed ({status})").into());
    }
    if single == 0 {
        return Err(format!("there is no run {}", args.extent()).into());
    }
    Ok(format!(
        "crash points: {single} single, {} double, {recovering} of these in recovery, {third} in recovery from those, over {} operations in {} states; \
         all recovered",
        using + recovering,
        totals.operations.len(),
        totals.states.len()
    ))
}
