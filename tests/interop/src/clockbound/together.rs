//! `now()` back to back: theirs, ours, theirs. Time and the width of the interval only grow, so ours lies between.

use std::path::Path;
use std::time::Duration;

use seqslot::{ClockBoundLayout, ClockErrorBoundBuilder, ClockStatus, Fraction, ShmWrite as _, TimeSpec};

use super::roles::c_path;
use crate::outcome::{Outcome, ensure};

/// Times for each case.
const TIMES: u64 = 200;
/// Nanoseconds that theirs may be off by, for it computes in floating point, and cuts the ends of an interval that ours rounds outwards.
const ROUNDING: i128 = 4;
/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// An interval and a status.
#[derive(Debug, Clone, Copy)]
struct Now {
    middle: i128,
    width: i128,
    status: i32,
}

impl Now {
    fn of((earliest, latest): (i128, i128), status: i32) -> Self {
        Self { middle: earliest + (latest - earliest) / 2, width: latest - earliest, status }
    }
}

/// A case: the status that was written, how long ago, and how long from then it is void.
#[derive(Debug, Clone, Copy)]
struct Case {
    status: ClockStatus,
    age: Duration,
    void: Duration,
}

/// Every stored status at every age: as stored, past the grace period of either version, void.
fn cases() -> Vec<Case> {
    let all = [ClockStatus::Unknown, ClockStatus::Synchronized, ClockStatus::FreeRunning, ClockStatus::Disrupted];
    let ages = [(1, 1000), (20, 1000), (100, 1000), (20, 10), (100, 10)];
    let of = |status| ages.map(|(age, void)| Case { status, age: Duration::from_secs(age), void: Duration::from_secs(void) });
    all.into_iter().flat_map(of).collect()
}

/// Compares every case in both layouts; how many times.
pub fn run(folder: &Path) -> Outcome<u64> {
    let mut compared = 0;
    for (index, case) in cases().into_iter().enumerate() {
        compared += layout_2(&folder.join(format!("together-2-{index}")), case)?;
        compared += layout_3(&folder.join(format!("together-3-{index}")), case)?;
    }
    Ok(compared)
}

fn between(case: Case, layout: u32, first: Now, ours: Now, last: Now) -> Outcome<()> {
    let lies = |low: i128, found: i128, high: i128| low - ROUNDING <= found && found <= high + ROUNDING;
    let is_between = lies(first.middle, ours.middle, last.middle)
        && lies(first.width, ours.width, last.width)
        // A grace period or a validity that ends between two calls: ours is one of the two.
        && (ours.status == first.status || ours.status == last.status);
    ensure(is_between, || format!("layout {layout}, {case:?}: {ours:?} is not between {first:?} and {last:?}"))
}

/// The time of a clock, in nanoseconds.
fn clock(id: nix::time::ClockId) -> Outcome<i128> {
    let time = nix::time::clock_gettime(id)?;
    Ok(i128::from(time.tv_sec()) * SECOND + i128::from(time.tv_nsec()))
}

fn time(nanos: i128) -> Outcome<TimeSpec> {
    TimeSpec::from_nanos(nanos).ok_or_else(|| "no such time".into())
}

fn builder(case: Case, now: i128) -> Outcome<ClockErrorBoundBuilder> {
    let as_of = now - case.age.as_nanos() as i128;
    let bound = ClockErrorBoundBuilder::new().as_of(time(as_of)?).void_after(time(as_of + case.void.as_nanos() as i128)?);
    Ok(bound.bound_nsec(12_345).max_drift_ppb(50_000).clock_status(case.status))
}

fn ours(bound: &seqslot::ClockErrorBound) -> Outcome<Now> {
    let (earliest, latest, status) = bound.now()?;
    Ok(Now::of((earliest.as_nanos(), latest.as_nanos()), status as i32))
}

fn layout_2(path: &Path, case: Case) -> Outcome<u64> {
    let now = clock(nix::time::ClockId::CLOCK_MONOTONIC_COARSE)?;
    seqslot::ShmWriter::new(path)?.write(&builder(case, now)?.build(ClockBoundLayout::V2).into())?;
    let mut their_reader = clock_bound_shm::ShmReader::new(&c_path(path)?).map_err(|error| format!("{error:?}"))?;
    let mut our_reader = seqslot::ShmReader::new(&c_path(path)?)?;
    let their_bound = their_reader.snapshot().map_err(|error| format!("{error:?}"))?;
    let our_bound = our_reader.snapshot()?;
    let theirs = || -> Outcome<Now> {
        let (earliest, latest, status) = their_bound.now().map_err(|error| format!("{error:?}"))?;
        let nanos = |time: nix::sys::time::TimeSpec| i128::from(time.tv_sec()) * SECOND + i128::from(time.tv_nsec());
        Ok(Now::of((nanos(earliest), nanos(latest)), status as i32))
    };
    for _ in 0..TIMES {
        let (first, found, last) = (theirs()?, ours(our_bound)?, theirs()?);
        between(case, 2, first, found, last)?;
    }
    Ok(TIMES)
}

fn layout_3(path: &Path, case: Case) -> Outcome<u64> {
    let now = clock(nix::time::ClockId::CLOCK_REALTIME)?;
    // Half of what the counter has counted took as long as the bound is old: what its period really is makes no difference.
    let since = counter() / 2;
    let period = case.age.as_secs_f64() / since as f64;
    let bound = builder(case, now)?
        .as_of_tsc(counter() - since)
        .period(Fraction::from_f64(period).ok_or("no such period")?)
        .period_err(Fraction::from_f64(1e-6).ok_or("no such error")?);
    seqslot::ShmWriter::with_layout(path, ClockBoundLayout::V3)?.write(&bound.build(ClockBoundLayout::V3).into())?;
    let mut client = clock_bound::Client::new_with_path(&path.to_string_lossy()).map_err(|error| format!("{error:?}"))?;
    let mut our_reader = seqslot::ShmReader::new(&c_path(path)?)?;
    let our_bound = our_reader.snapshot()?;
    let mut theirs = || -> Outcome<Now> {
        let window = client.now().map_err(|error| format!("{error:?}"))?;
        let nanos = |time: &clock_bound::nix::sys::time::TimeSpec| i128::from(time.tv_sec()) * SECOND + i128::from(time.tv_nsec());
        Ok(Now::of((nanos(&window.earliest), nanos(&window.latest)), window.clock_status as i32))
    };
    for _ in 0..TIMES {
        let (first, found, last) = (theirs()?, ours(our_bound)?, theirs()?);
        between(case, 3, first, found, last)?;
    }
    Ok(TIMES)
}

/// The processor's counter.
#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; where it is forbidden, ClockBound does not work either.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The processor's counter.
#[cfg(target_arch = "aarch64")]
fn counter() -> u64 {
    let counter;
    // SAFETY: the register is readable, and reading it changes nothing.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) counter, options(nomem, nostack)) };
    counter
}
