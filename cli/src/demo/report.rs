//! What it came to: verified against the file, as a table, as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::Args;
use super::event::{ReadReport, WriteReport};
use super::stream::Stream;
use crate::fail::{Failure, Kind};
use crate::size;

/// Everything that is known at the end.
#[derive(Debug, Serialize)]
pub struct Outcome {
    verified: bool,
    /// What is not as it must be.
    mismatches: Vec<String>,
    file: String,
    file_bytes: u64,
    repeated: u64,
    /// Of the whole stream, computed from the file.
    sha256: String,
    sample_bytes: u64,
    written: WriteReport,
    /// The two readers that saw it all.
    readers: [ReadReport; 2],
    /// The reader that joined halfway.
    joined: ReadReport,
    killed: Killed,
    leftovers: Leftovers,
}

/// The reader that was killed.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Killed {
    pub pid: u32,
    /// Offset of the sample that it was inside of.
    pub inside_at: u64,
    /// Slots that it owed a read when it was killed.
    pub owed: u32,
}

/// The slots when everybody was done.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    pub slots: u32,
    pub free: u32,
    pub readers: usize,
}

/// What the children told.
type Told = (Option<WriteReport>, [Option<ReadReport>; 2], Option<ReadReport>, Option<Killed>);

impl Outcome {
    /// Compares what the children saw with the file.
    ///
    /// # Errors
    /// The file could not be read again.
    pub fn verify(args: &Args, stream: &Stream, told: Told, leftovers: Leftovers) -> Result<Self, Failure> {
        let (written, readers, joined, killed) = told;
        let failed = |error| Failure::io("reading the file again", &error);
        let sha256 = stream.sha256(0, stream.total).map_err(failed)?;
        let mut outcome = Self {
            verified: false,
            mismatches: Vec::new(),
            file: stream.path.display().to_string(),
            file_bytes: stream.len,
            repeated: stream.total / stream.len,
            sha256,
            sample_bytes: args.sample,
            written: written.unwrap_or_default(),
            readers: readers.map(Option::unwrap_or_default),
            joined: joined.unwrap_or_default(),
            killed: killed.unwrap_or_default(),
            leftovers,
        };
        let from_file = stream.sha256(outcome.joined.from, outcome.joined.to).map_err(failed)?;
        outcome.mismatches = outcome.compare(stream.total, &from_file);
        outcome.verified = outcome.mismatches.is_empty();
        Ok(outcome)
    }

    /// What is not as it must be.
    fn compare(&self, total: u64, joined_sha256: &str) -> Vec<String> {
        let samples = total.div_ceil(self.sample_bytes);
        let mut wrong = Vec::new();
        let mut must = |holds: bool, text: &dyn Fn() -> String| {
            if !holds {
                wrong.push(text());
            }
        };
        must(self.written.bytes == total && self.written.samples == samples, &|| {
            format!("the writer published {} bytes in {} samples, not {total} in {samples}", self.written.bytes, self.written.samples)
        });
        for (number, read) in self.readers.iter().enumerate() {
            must(read.sha256 == self.sha256, &|| format!("reader {number} saw sha256 {}, the file has {}", read.sha256, self.sha256));
            must(read.bytes == total && read.samples == samples, &|| {
                format!("reader {number} saw {} bytes in {} samples, not {total} in {samples}", read.bytes, read.samples)
            });
        }
        let joined = &self.joined;
        must(joined.sha256 == joined_sha256, &|| {
            format!("the reader that joined saw sha256 {}, the file has {joined_sha256} from byte {} on", joined.sha256, joined.from)
        });
        must(joined.samples != 0 && joined.from != 0 && joined.to == total && joined.bytes == total - joined.from, &|| {
            format!("the reader that joined saw {} bytes from {} to {} of {total}", joined.bytes, joined.from, joined.to)
        });
        for (name, read) in [("reader 0", &self.readers[0]), ("reader 1", &self.readers[1]), ("the reader that joined", joined)] {
            must(read.gaps == 0 && read.missed == 0, &|| format!("{name} met {} gaps and missed {} samples", read.gaps, read.missed));
        }
        must(self.killed.owed != 0, &|| "the killed reader owed nothing, so that nothing was recovered".to_owned());
        must(self.written.recovered_readers == 1, &|| format!("{} readers were recovered, not 1", self.written.recovered_readers));
        must(self.leftovers.free == self.leftovers.slots && self.leftovers.readers == 0, &|| {
            format!(
                "{} of {} slots are free at the end, {} readers left",
                self.leftovers.free, self.leftovers.slots, self.leftovers.readers
            )
        });
        wrong
    }

    /// Success, or what is wrong.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub fn verdict(&self) -> Result<(), Failure> {
        if self.verified {
            return Ok(());
        }
        let text = format!("not verified: {}", self.mismatches.join("; "));
        Err(Failure::new(Kind::Verification, text).next("this must never be: please report it with the table above"))
    }
}

/// The table, and the line that counts.
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail; so too below.
    let _ = writeln!(text, "{} ({}), {} times", outcome.file, size::text(outcome.file_bytes), outcome.repeated);
    let _ = writeln!(
        text,
        "\n{:<10} {:>9} {:>14} {:>7} {:>10} {:>10} {:>10} {:>8} {:>7}",
        "", "samples", "bytes", "GB/s", "p50", "p99", "p99.9", "waits", "missed"
    );
    let w = &outcome.written;
    let _ = writeln!(
        text,
        "{:<10} {:>9} {:>14} {:>7} {:>10} {:>10} {:>10} {:>8} {:>7}",
        "writer",
        w.samples,
        w.bytes,
        rate(w.bytes, w.seconds),
        "",
        "",
        "",
        w.waits,
        ""
    );
    for (name, read) in [("reader 0", &outcome.readers[0]), ("reader 1", &outcome.readers[1]), ("joined", &outcome.joined)] {
        let l = read.latency;
        let _ = writeln!(
            text,
            "{name:<10} {:>9} {:>14} {:>7} {:>10} {:>10} {:>10} {:>8} {:>7}",
            read.samples,
            read.bytes,
            rate(read.bytes, read.seconds),
            time(l.p50_ns),
            time(l.p99_ns),
            time(l.p999_ns),
            read.waits,
            read.missed
        );
    }
    let k = &outcome.killed;
    let l = &outcome.leftovers;
    let _ = writeln!(text, "\nkilled     pid {} inside the sample at byte {}; it owed {} slots", k.pid, k.inside_at, k.owed);
    let _ = writeln!(
        text,
        "recovered  readers {}, slots {} (loans {}); the writer's longest wait was {:.1} ms; {} of {} slots free at the end",
        w.recovered_readers, k.owed, w.recovered_slots, w.longest_wait_ms, l.free, l.slots
    );
    let _ = writeln!(text, "retries    {}", w.retries);
    let j = &outcome.joined;
    if outcome.verified {
        let _ =
            writeln!(text, "joined     verified: {} samples, {} bytes from byte {} on, sha256 {}", j.samples, j.bytes, j.from, j.sha256);
        let _ = writeln!(text, "verified: {} samples, {} bytes, 2 readers, sha256 {}", w.samples, w.bytes, outcome.sha256);
    }
    text
}

/// GB (10^9 bytes) in a second.
fn rate(bytes: u64, seconds: f64) -> String {
    if seconds > 0.0 { format!("{:.2}", bytes as f64 / seconds / 1e9) } else { "-".to_owned() }
}

fn time(ns: u64) -> String {
    match ns {
        0..1000 => format!("{ns} ns"),
        1000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        _ => format!("{:.2} ms", ns as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        let whole = ReadReport { to: 100, samples: 10, bytes: 100, sha256: "aa".into(), ..ReadReport::default() };
        Outcome {
            verified: false,
            mismatches: Vec::new(),
            file: "f".into(),
            file_bytes: 50,
            repeated: 2,
            sha256: "aa".into(),
            sample_bytes: 10,
            written: WriteReport { samples: 10, bytes: 100, recovered_readers: 1, ..WriteReport::default() },
            readers: [whole.clone(), whole],
            joined: ReadReport { from: 60, to: 100, samples: 4, bytes: 40, sha256: "bb".into(), ..ReadReport::default() },
            killed: Killed { pid: 1, inside_at: 50, owed: 2 },
            leftovers: Leftovers { slots: 4, free: 4, readers: 0 },
        }
    }

    #[test]
    fn what_is_right_is_verified() {
        assert_eq!(good().compare(100, "bb"), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_is_wrong_is_told() {
        let spoils: [fn(&mut Outcome); 10] = [
            |o| o.readers[0].sha256 = "ab".into(),
            |o| o.readers[1].sha256 = "ab".into(),
            |o| o.readers[1].samples = 9,
            |o| o.written.bytes = 99,
            |o| o.joined.sha256 = "bc".into(),
            |o| o.joined.to = 90,
            |o| o.joined.gaps = 1,
            |o| o.killed.owed = 0,
            |o| o.written.recovered_readers = 0,
            |o| o.leftovers.free = 3,
        ];
        for (number, spoil) in spoils.into_iter().enumerate() {
            let mut outcome = good();
            spoil(&mut outcome);
            assert_eq!(outcome.compare(100, "bb").len(), 1, "{number}");
        }
        assert_eq!(good().compare(100, "cc").len(), 1);
        assert_eq!(good().verdict().unwrap_err().cause, Kind::Verification);
    }
}
