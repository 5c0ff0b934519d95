//! Samples between processes, one of which runs the crate and the other this library, on one "ZDS2" segment: at full speed, with either
//! side killed on the way.

pub mod lies;
pub mod locators;
pub mod sample;

use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::twins;
use crate::child::Child;
use crate::outcome::{Outcome, ensure};
use crate::random::Random;
use crate::scratch::object_of;

/// The reader index of the taking side.
pub const READER: u8 = 3;
/// Slots of the segment.
const SLOTS: usize = 16;
/// The taking side tells how far it is every so many samples.
pub const PROGRESS: u64 = 64;

/// What the sending side did.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Sent {
    /// Samples committed.
    pub count: u64,
    /// Times that no slot was free.
    pub waits: u64,
}

/// What the taking side did.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Taken {
    /// Samples, each once and whole.
    pub count: u64,
    /// The lowest number.
    pub first: u64,
    /// The highest number.
    pub last: Option<u64>,
    /// Samples that came after one of a higher number.
    pub out_of_order: u64,
    /// The one that says that it is the last came.
    pub is_ended: bool,
    /// None is missing between the first and the last.
    pub is_whole: bool,
    /// Times that there was nothing.
    pub waits: u64,
}

impl Taken {
    /// Notes a sample.
    pub fn note(&mut self, said: sample::Said) {
        self.out_of_order += u64::from(self.last.is_some_and(|last| said.number < last));
        self.first = if self.count == 0 { said.number } else { self.first.min(said.number) };
        self.last = self.last.max(Some(said.number));
        self.is_ended |= said.is_last;
        self.count += 1;
    }
}

/// A file that says how far the taking side is, for those who outlive it.
pub struct Progress(std::fs::File);

impl Progress {
    fn beside(path: &Path) -> Outcome<Self> {
        Ok(Self(std::fs::File::create(path.with_extension("progress"))?))
    }

    /// Tells it.
    pub fn tell(&self, count: u64) -> std::io::Result<()> {
        self.0.write_all_at(&count.to_le_bytes(), 0)
    }

    fn told(path: &Path) -> u64 {
        let bytes = std::fs::read(path.with_extension("progress")).unwrap_or_default();
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }
}

/// Whose end comes on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    Nobody,
    Taker,
    Sender,
}

/// Samples taken by this library of the crate's owner, and by the crate of this library's owner.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Tally {
    /// Theirs sends, ours takes.
    pub from_theirs: u64,
    /// Ours sends, theirs takes.
    pub from_ours: u64,
    /// Of those, samples that the crate showed after a later one.
    pub out_of_order_in_theirs: u64,
    /// Processes killed on the way.
    pub killed: u64,
    /// Times that a side slept until the other woke it, or found that it need not.
    pub waits: u64,
    /// Forged geometries and sizes that were refused.
    pub lies: u64,
    /// Locators that both encode and decode alike.
    pub locators: u64,
}

/// Exchanges both ways for about so long.
pub fn run(folder: &Path, seed: u64, time: Duration) -> Outcome<Tally> {
    let mut tally = Tally { lies: lies::refused(folder)?, locators: locators::compare(seed)?, ..Tally::default() };
    let mut random = Random::new(seed);
    let rounds = [Killed::Nobody, Killed::Taker, Killed::Sender];
    // A long round of each way, and short ones with deaths.
    let long = time / 4;
    for from_theirs in [true, false] {
        round(folder, from_theirs, Killed::Nobody, long, &mut random, &mut tally)?;
        let begin = std::time::Instant::now();
        while begin.elapsed() < long {
            for killed in rounds {
                round(folder, from_theirs, killed, Duration::from_millis(100 + random.below(200)), &mut random, &mut tally)?;
            }
        }
    }
    ensure(tally.waits > 0, || "nobody ever waited".into())?;
    Ok(tally)
}

fn names(from_theirs: bool) -> [&'static str; 2] {
    if from_theirs { ["theirs", "ours"] } else { ["ours", "theirs"] }
}

fn start(role: &str, side: &str, path: &Path) -> Outcome<Child> {
    let mut child = Child::start(&[role, side, &path.to_string_lossy()])?;
    let line = child.line()?;
    ensure(line == "ready", || format!("{role} over {side} said {line}"))?;
    Ok(child)
}

/// One segment, from its creation to the last sample or a death.
fn round(folder: &Path, from_theirs: bool, killed: Killed, time: Duration, random: &mut Random, tally: &mut Tally) -> Outcome<()> {
    let [sends, takes] = names(from_theirs);
    let path = folder.join(format!("exchange-{sends}.flink"));
    let stop = path.with_extension("stop");
    let _ = std::fs::remove_file(&stop);
    let (mut sender, mut taker) = (start("send", sends, &path)?, start("take", takes, &path)?);
    sender.say(&time.as_millis().to_string())?;
    let moment = Duration::from_millis(random.below(time.as_millis() as u64 * 3 / 4));
    let taken: Taken = match killed {
        Killed::Nobody => serde_json::from_str(&taker.line()?)?,
        Killed::Taker => {
            std::thread::sleep(moment);
            taker.kill()?;
            let before = Progress::told(&path);
            taker = start("take", takes, &path)?;
            let taken: Taken = serde_json::from_str(&taker.line()?)?;
            // What the first marked is not shown again; it was killed before it told of all, and between finding one and marking it.
            let sent = taken.last.map_or(0, |last| last + 1);
            let gone = sent - taken.count;
            ensure(gone >= before && gone <= before + PROGRESS + 1, || format!("{sent} sent, {before} taken before a death: {taken:?}"))?;
            ensure(!from_theirs || taken.is_whole && taken.first == gone, || format!("ours: one is missing after a death: {taken:?}"))?;
            tally.killed += 1;
            Taken { is_whole: true, count: taken.count + before, ..taken }
        }
        Killed::Sender => {
            std::thread::sleep(moment);
            sender.kill()?;
            std::fs::write(&stop, "")?;
            tally.killed += 1;
            let taken: Taken = serde_json::from_str(&taker.line()?)?;
            // The next owner of ours takes over at the same path; over one of theirs nobody can, so it is cleared away.
            if from_theirs {
                object_of(&path).map(std::fs::remove_file).transpose()?;
                std::fs::remove_file(&path)?;
            }
            Taken { is_ended: true, ..taken }
        }
    };
    let is_all = taken.is_ended && (taken.is_whole && (killed == Killed::Taker || taken.first == 0) || taken.count == 0);
    ensure(is_all, || format!("{sends} to {takes}, killed {killed:?}: not every sample came: {taken:?}"))?;
    ensure(!from_theirs || taken.out_of_order == 0, || format!("ours: out of order: {taken:?}"))?;
    if killed == Killed::Nobody {
        let sent: Sent = serde_json::from_str(&sender.line()?)?;
        ensure(sent.count == taken.count, || format!("{sent:?}, but {taken:?}"))?;
        tally.waits += sent.waits;
    }
    tally.waits += taken.waits;
    let sum = if from_theirs { &mut tally.from_theirs } else { &mut tally.from_ours };
    *sum += taken.count;
    tally.out_of_order_in_theirs += if from_theirs { 0 } else { taken.out_of_order };
    // Nobody ends before the samples are counted: an owner that goes takes the name away.
    if killed != Killed::Sender {
        sender.end()?;
    }
    Ok(())
}

/// Is a sending or a taking side.
pub fn play(role: &str, side: &str, path: PathBuf) -> Outcome<()> {
    let stop = path.with_extension("stop");
    crate::child::stay_on(usize::from(role == "take"));
    if role == "send" {
        return match side {
            "theirs" => {
                let slots = zerodds_flatdata::PosixSlotAllocator::create(&path, SLOTS, sample::CAPACITY)?;
                sender(|time| twins::theirs::lane::send(&slots, time, &stop))
            }
            _ => {
                let slots = seqslot::PosixSlotAllocator::create_zds2(&path, SLOTS, sample::CAPACITY)?;
                sender(|time| twins::ours::lane::send(&slots, time, &stop))
            }
        };
    }
    let progress = Progress::beside(&path)?;
    let taken = match side {
        "theirs" => {
            let slots = zerodds_flatdata::PosixSlotAllocator::attach(&path)?;
            println!("ready");
            twins::theirs::lane::take(&slots, &stop, &progress)?
        }
        _ => {
            let slots = seqslot::PosixSlotAllocator::attach(&path)?;
            ensure(slots.is_zds2(), || "the segment is of another layout".into())?;
            println!("ready");
            twins::ours::lane::take(&slots, &stop, &progress)?
        }
    };
    println!("{}", serde_json::to_string(&taken)?);
    Ok(())
}

/// Says that it is there, sends for as long as it is told, and stays until its input ends.
fn sender(send: impl FnOnce(Duration) -> Outcome<Sent>) -> Outcome<()> {
    println!("ready");
    let mut lines = std::io::stdin().lock().lines();
    let millis: u64 = lines.next().ok_or("not told how long")??.parse()?;
    println!("{}", serde_json::to_string(&send(Duration::from_millis(millis))?)?);
    lines.for_each(drop);
    Ok(())
}
