//! System calls of a message while nobody sleeps: all calls of two processes that poll, counted by strace, for few trips and for many.

use std::path::Path;
use std::process::Command;

use super::one_way;
use super::systems::LaneKind;
use crate::figure::{Figure, Unit};
use crate::plan::{CPU, Outcome, Plan, Progress, pin};

/// The systems that can both poll and sleep.
const SYSTEMS: [LaneKind; 3] = [LaneKind::SeqslotSingly, LaneKind::Zerodds, LaneKind::Iceoryx];
/// Samples of the short run, which is subtracted, and of the long one.
const SAMPLES: [usize; 2] = [10, 1260];

/// Counts; without strace there is nothing to count with.
pub fn measure(plan: &Plan, row: &str, out: &mut Vec<Figure>, progress: Progress<'_>) -> Outcome {
    if Command::new("strace").arg("-V").output().is_err() {
        progress("system calls are not counted: install strace");
        return Ok(());
    }
    for kind in SYSTEMS {
        let [few, many] = [count(plan, kind, SAMPLES[0])?, count(plan, kind, SAMPLES[1])?];
        // Two messages a trip. The loader and the like differ by a few calls between any two runs.
        let messages = (SAMPLES[1] - SAMPLES[0]) as f64 * one_way::TRIPS as f64 * 2.0;
        let share = many.saturating_sub(few) as f64 / messages * 100.0;
        let name = kind.name().split(',').next().unwrap_or_default();
        out.push(Figure::exact(row, &format!("parts, {name}: system calls in 100 messages, nobody parked"), Unit::Percent, share));
    }
    Ok(())
}

/// All system calls of both sides.
fn count(plan: &Plan, kind: LaneKind, samples: usize) -> Result<u64, Box<dyn std::error::Error>> {
    let table = plan.scratch().join(format!("calls-{}-{samples}", kind as u32));
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&table).arg(std::env::current_exe()?);
    let done = command.arg("trips").arg(serde_json::to_string(&kind)?).arg(samples.to_string()).arg(plan.scratch()).output()?;
    if !done.status.success() {
        return Err(format!("strace ended with {}: {}", done.status, String::from_utf8_lossy(&done.stderr)).into());
    }
    // The last line: per cent, seconds, usecs/call, calls, errors, "total".
    let text = std::fs::read_to_string(&table)?;
    let total = text.lines().rev().find(|line| line.ends_with("total")).ok_or_else(|| format!("no total in strace's table:\n{text}"))?;
    Ok(total.split_whitespace().nth(3).ok_or("no calls in strace's total")?.parse()?)
}

/// What is counted: trips between two processes.
///
/// # Errors
/// If there is no such system.
pub fn trips(kind: &str, samples: usize, scratch: &Path) -> Outcome {
    pin(CPU)?;
    one_way::trips(serde_json::from_str(kind)?, samples, scratch);
    Ok(())
}
