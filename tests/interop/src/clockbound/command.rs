//! `seqslot clock --watch` beside a writer of clock-bound-shm in another process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clock_bound_shm::ShmWrite as _;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::child::Child;
use crate::outcome::{Outcome, ensure};

/// Lines to read.
const LINES: u64 = 100;
/// Bounds that must be seen in them: the writer makes two while the command makes one line.
const BOUNDS_MIN: u64 = 20;
/// Half of the width of the first bound's interval, in nanoseconds; each update adds one.
const FIRST: i64 = 1_000;

/// Lines of the command that told a bound of their writer, each right.
pub fn run(folder: &Path, seqslot: &Path) -> Outcome<u64> {
    let path = folder.join("watched");
    let text = path.to_string_lossy().into_owned();
    let mut daemon = Child::start(&["clock-daemon", "theirs2", &text])?;
    daemon.line()?;
    let mut command = Command::new(seqslot);
    command.args(["clock", &text, "--watch", "--json", "--interval", "0.01"]);
    let mut watching =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{} cannot be started: {error}", seqslot.display()))?;
    let told = read(BufReader::new(watching.stdout.take().ok_or("no output")?));
    let _ = watching.kill();
    watching.wait()?;
    daemon.end()?;
    told
}

fn read(output: impl std::io::BufRead) -> Outcome<u64> {
    let (mut told, mut bounds, mut last) = (0, 0, 0);
    for line in output.lines().take(LINES as usize) {
        let line = line?;
        let found: Value = serde_json::from_str(&line)?;
        let width = found["width_ns"].as_i64().unwrap_or_default();
        let is_right = found["status"] == "synchronized" && found["layout"] == 2 && width % 2 == 0 && width / 2 >= FIRST && width >= last;
        ensure(is_right, || format!("seqslot clock beside a writer of theirs, after a width of {last} ns: {line}"))?;
        told += 1;
        bounds += u64::from(width > last);
        last = width;
    }
    ensure(told == LINES && bounds >= BOUNDS_MIN, || format!("{told} lines of seqslot clock with {bounds} bounds"))?;
    Ok(told)
}

/// Is ClockBound's daemon: an update every 5 ms, until its input ends, or for a minute.
pub fn serve(path: &Path) -> Outcome<()> {
    let mut writer = clock_bound_shm::ShmWriter::new(path)?;
    let (begin, mut bound_nsec) = (Instant::now(), FIRST);
    let input = std::thread::spawn(|| std::io::stdin().lock().lines().for_each(drop));
    while !input.is_finished() && begin.elapsed() < Duration::from_secs(60) {
        let as_of = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
        let void_after = as_of + TimeSpec::new(1_000, 0);
        let status = clock_bound_shm::ClockStatus::Synchronized;
        writer.write(&clock_bound_shm::ClockErrorBound::new(as_of, void_after, bound_nsec, 0, 0, status, false));
        if bound_nsec == FIRST {
            println!("ready");
        }
        bound_nsec += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
