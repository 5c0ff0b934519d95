//! Writers and readers of ClockBound segments in processes of their own, over either library.

use std::ffi::CString;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use clock_bound_shm::ShmWrite as _;
use seqslot::{ClockBoundLayout, ShmWrite as _, SnapshotStatus};
use serde::{Deserialize, Serialize};

use super::value;
use crate::outcome::{Outcome, ensure};

/// Whose writer it is, and of which layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    /// clock-bound-shm, layout 2.
    Theirs2,
    /// This library, layout 2.
    Ours2,
    /// clock-bound's client, layout 3 (its writer is private).
    Theirs3,
    /// This library, layout 3.
    Ours3,
}

impl Side {
    /// The name it has as a role.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Theirs2 => "theirs2",
            Self::Ours2 => "ours2",
            Self::Theirs3 => "theirs3",
            Self::Ours3 => "ours3",
        }
    }

    fn named(name: &str) -> Outcome<Self> {
        let all = [Self::Theirs2, Self::Ours2, Self::Theirs3, Self::Ours3];
        all.into_iter().find(|side| side.name() == name).ok_or_else(|| format!("there is no side {name}").into())
    }

    /// Its layout.
    pub const fn layout(self) -> ClockBoundLayout {
        match self {
            Self::Theirs2 | Self::Ours2 => ClockBoundLayout::V2,
            Self::Theirs3 | Self::Ours3 => ClockBoundLayout::V3,
        }
    }
}

/// A path as both readers want it.
pub fn c_path(path: &Path) -> Outcome<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// A writer of either library.
pub enum Writer {
    /// clock-bound-shm's.
    Theirs(clock_bound_shm::ShmWriter),
    /// This library's.
    Ours(seqslot::ShmWriter),
}

impl Writer {
    /// Opens the segment for writing.
    pub fn new(side: Side, path: &Path) -> Outcome<Self> {
        Ok(match side {
            Side::Theirs2 => Self::Theirs(clock_bound_shm::ShmWriter::new(path)?),
            Side::Ours2 | Side::Ours3 => Self::Ours(seqslot::ShmWriter::with_layout(path, side.layout())?),
            Side::Theirs3 => return Err("the layout-3 writer of clock-bound is private".into()),
        })
    }

    /// Writes the bound of a counter.
    pub fn write(&mut self, counter: u64) -> Outcome<()> {
        match self {
            Self::Theirs(writer) => writer.write(&value::theirs_v2(counter)),
            Self::Ours(writer) => {
                let layout = writer.layout();
                writer.write(&value::ours(counter, layout))?;
            }
        }
        Ok(())
    }
}

/// A reader of either library.
pub enum Reader {
    /// clock-bound-shm's.
    Theirs2(clock_bound_shm::ShmReader),
    /// clock-bound's client.
    Theirs3(Box<clock_bound::Client>),
    /// This library's.
    Ours(seqslot::ShmReader),
}

/// What one look showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A whole bound, of this counter; whether the reader says that it is the newest, where it can say so.
    Bound(u64, Option<bool>),
    /// All fields zero, which nobody wrote: theirs, at a first look in the midst of an update.
    Zeros,
    /// Fields of several bounds, or of none.
    Torn(String),
    /// An error.
    Refused(String),
}

impl Reader {
    /// Opens the segment for reading.
    pub fn new(side: Side, path: &Path) -> Result<Self, String> {
        let text = path.to_string_lossy().into_owned();
        let cstr = c_path(path).map_err(|error| error.to_string())?;
        match side {
            Side::Theirs2 => clock_bound_shm::ShmReader::new(&cstr).map(Self::Theirs2).map_err(|error| format!("{error:?}")),
            Side::Theirs3 => clock_bound::Client::new_with_path(&text)
                .map(|client| Self::Theirs3(Box::new(client)))
                .map_err(|error| format!("{error:?}")),
            Side::Ours2 | Side::Ours3 => seqslot::ShmReader::new(&cstr).map(Self::Ours).map_err(|error| format!("{error:?}")),
        }
    }

    /// Reads.
    pub fn look(&mut self) -> Look {
        fn of(found: &dyn std::fmt::Debug, counter: Option<u64>, is_newest: Option<bool>) -> Look {
            counter.map_or_else(|| Look::Torn(format!("{found:?}")), |counter| Look::Bound(counter, is_newest))
        }
        match self {
            Self::Theirs2(reader) => match reader.snapshot() {
                Ok(bound) if *bound == clock_bound_shm::ClockErrorBound::default() => Look::Zeros,
                Ok(bound) => of(bound, value::of_theirs_v2(bound), None),
                Err(error) => Look::Refused(format!("{error:?}")),
            },
            Self::Theirs3(client) => match client.now() {
                Ok(window) if window.earliest.tv_sec() == 0 && window.latest.tv_sec() == 0 => Look::Zeros,
                Ok(window) => of(&window, value::of_window(&window), None),
                Err(error) => Look::Refused(format!("{error:?}")),
            },
            Self::Ours(reader) => match reader.snapshot_status() {
                Ok(found) => {
                    let is_newest = matches!(found.status(), SnapshotStatus::Fresh | SnapshotStatus::Unchanged);
                    of(found.bound(), value::of_ours(found.bound()), Some(is_newest))
                }
                Err(error) => Look::Refused(format!("{error:?}")),
            },
        }
    }
}

/// What a reading process saw.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Seen {
    /// Looks.
    pub looks: u64,
    /// Bounds that were not seen before.
    pub fresh: u64,
    /// Looks that a reader said were not of the newest bound.
    pub told_old: u64,
    /// Looks before the first bound that were refused (or, on theirs, gave zeros): the writer was at work.
    pub too_early: u64,
    /// Looks refused after that.
    pub refused: u64,
    /// The last of those.
    pub refusal: Option<String>,
    /// The counter seen last.
    pub last: Option<u64>,
}

/// Looks again and again for so long. Torn bounds, and counters that go back, are errors.
fn read(mut reader: Reader, time: Duration) -> Outcome<Seen> {
    let (mut seen, begin) = (Seen::default(), Instant::now());
    while begin.elapsed() < time {
        for _ in 0..100 {
            seen.looks += 1;
            match reader.look() {
                Look::Zeros | Look::Refused(_) if seen.last.is_none() => seen.too_early += 1,
                Look::Zeros => return Err(format!("zeros after {seen:?}").into()),
                Look::Torn(found) => return Err(format!("a torn bound after {seen:?}: {found}").into()),
                Look::Refused(error) => {
                    seen.refused += 1;
                    seen.refusal = Some(error);
                }
                Look::Bound(counter, is_newest) => {
                    ensure(seen.last.is_none_or(|last| counter >= last), || format!("counter {counter} after {seen:?}"))?;
                    seen.fresh += u64::from(seen.last != Some(counter));
                    seen.told_old += u64::from(is_newest == Some(false));
                    seen.last = Some(counter);
                }
            }
        }
    }
    Ok(seen)
}

/// Is a writer or a reader. Both are told in a line what to do: a writer, the counter it begins with and how many nanoseconds it rests
/// between updates (it writes until it is killed or its input ends); a reader, for how many milliseconds it looks.
pub fn play(role: &str, side: &str, path: &Path) -> Outcome<()> {
    let side = Side::named(side)?;
    let mut lines = std::io::stdin().lock().lines();
    let mut told = || -> Outcome<Vec<u64>> {
        let line = lines.next().ok_or("not told anything")??;
        Ok(line.split(' ').map(str::parse).collect::<Result<_, _>>()?)
    };
    crate::child::stay_on(usize::from(role == "clock-read"));
    if role == "clock-read" {
        let reader = Reader::new(side, path)?;
        println!("ready");
        let time = Duration::from_millis(told()?[0]);
        println!("{}", serde_json::to_string(&read(reader, time)?)?);
        return Ok(());
    }
    let mut writer = Writer::new(side, path)?;
    let [mut counter, rest] = told()?[..] else { return Err("not told what to write".into()) };
    writer.write(counter)?;
    println!("ready");
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ends = is_over.clone();
    drop(lines);
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().for_each(drop);
        ends.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
        counter += 1;
        writer.write(counter)?;
        let begin = Instant::now();
        while rest != 0 && (begin.elapsed().as_nanos() as u64) < rest {
            std::hint::spin_loop();
        }
    }
    println!("{counter}");
    Ok(())
}
