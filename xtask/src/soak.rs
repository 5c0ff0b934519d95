//! Kill -9 rounds between real processes.
//!
//! Each round a writer or a reader (in turn) is killed at a random instant, while this process reads everything that is written
//! and, in the reader's rounds, writes itself. After each death:
//! every sample that the dead writer saw committed was delivered here, once and in order; and every slot can be loaned.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memmap2::MmapRaw;
use seqslot::{Config, LoanError, Reader, Segment, TakeError, Writer};

use crate::run::Outcome;

#[derive(clap::Args)]
pub struct Args {
    /// Deaths
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Slots of the segment
    #[arg(long, default_value_t = 8)]
    slots: u32,
    /// Seed of the instants
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Args {
    /// So many rounds, the rest as by default.
    pub fn rounds(rounds: u32) -> Self {
        Self { rounds, slots: 8, seed: 1 }
    }
}

#[derive(clap::Args)]
pub struct VictimArgs {
    path: PathBuf,
    journal: PathBuf,
    #[arg(long)]
    reader: bool,
    /// Which incarnation this is
    round: u32,
}

/// Longest life of a victim after it is ready, in microseconds.
const LIFE_US: u64 = 4_000;

/// What a victim tells of itself outside the segment: a file of words that outlives it.
struct Journal(MmapRaw);

impl Journal {
    fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(4096)?;
        Ok(Self(MmapRaw::map_raw(&file)?))
    }

    /// Word 0: ready. Word 1: commits begun. Word 2: commits that returned.
    fn word(&self, index: usize) -> &std::sync::atomic::AtomicU32 {
        assert!(index < 1024);
        // SAFETY: inside the mapping of 4,096 bytes.
        let word = unsafe { self.0.as_mut_ptr().cast::<std::sync::atomic::AtomicU32>().add(index) };
        // SAFETY: mapped as long as `self`, aligned to 4, only ever accessed as this atomic, by both processes.
        unsafe { &*word }
    }

    fn get(&self, index: usize) -> u32 {
        self.word(index).load(std::sync::atomic::Ordering::Acquire)
    }

    fn set(&self, index: usize, value: u32) {
        self.word(index).store(value, std::sync::atomic::Ordering::Release);
    }
}

/// A sample of the soak: whose, which, and a word that depends on both.
fn encode(round: u32, number: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&round.to_ne_bytes());
    bytes[4..8].copy_from_slice(&number.to_ne_bytes());
    bytes[8..].copy_from_slice(&(round.wrapping_mul(0x9E37_79B9) ^ number.wrapping_mul(0x85EB_CA6B)).to_ne_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<(u32, u32), Box<dyn Error>> {
    let word = |at: usize| bytes.get(at..at + 4).map(|part| u32::from_ne_bytes([part[0], part[1], part[2], part[3]]));
    let (Some(round), Some(number)) = (word(0), word(4)) else { return Err(format!("a sample of {} bytes", bytes.len()).into()) };
    if bytes == encode(round, number) { Ok((round, number)) } else { Err(format!("torn sample: {bytes:?}").into()) }
}

pub fn victim(args: &VictimArgs) -> Outcome {
    let journal = Journal::open(&args.journal)?;
    let segment = seqslot::attach(&args.path)?;
    if args.reader {
        let reader = segment.reader()?;
        journal.set(0, 1);
        loop {
            let held = reader.take_timeout(Duration::from_millis(5));
            if let Ok(sample) = &held {
                decode(sample)?;
                dwell(sample.sequence());
            }
        }
    }
    let writer = segment.writer()?;
    journal.set(0, 1);
    for number in 0.. {
        let mut loan = loop {
            match writer.loan_timeout(Duration::from_millis(200)) {
                Ok(loan) => break loan,
                Err(LoanError::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        };
        loan[..12].copy_from_slice(&encode(args.round, number));
        dwell(number);
        journal.set(1, number + 1);
        loan.commit_len(12)?;
        journal.set(2, number + 1);
    }
    Ok("never ends".into())
}

/// Stays inside a loan or a sample now and then, so that deaths there are not rare.
fn dwell(number: u32) {
    if number.is_multiple_of(4) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(30) {
            std::hint::spin_loop();
        }
    }
}

/// What this process has seen of the stream of one incarnation.
#[derive(Default)]
struct Seen {
    round: u32,
    next: u32,
}

impl Seen {
    fn accept(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let (round, number) = decode(bytes)?;
        if round != self.round {
            return Err(format!("a sample of round {round} in round {}", self.round).into());
        }
        if number != self.next {
            return Err(format!(
                "round {round}: sample {number} came where {} was due: {}",
                self.next,
                if number < self.next { "doubled" } else { "lost" }
            )
            .into());
        }
        self.next += 1;
        Ok(())
    }
}

struct Bench<'s> {
    segment: &'s Segment,
    reader: Reader<'s>,
    writer: Writer<'s>,
    slots: u32,
    folder: &'s Path,
}

impl Bench<'_> {
    fn start(&self, round: u32, is_reader: bool) -> Result<(Child, Journal), Box<dyn Error>> {
        let file = self.folder.join("journal");
        let _ = std::fs::remove_file(&file);
        let journal = Journal::open(&file)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("soak-victim").arg(self.folder.join("segment.flink")).arg(&file).arg(round.to_string());
        if is_reader {
            command.arg("--reader");
        }
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let start = Instant::now();
        while journal.get(0) == 0 {
            if let Some(status) = child.try_wait()? {
                return Err(format!("round {round}: the victim ended by itself with {status}").into());
            }
            if start.elapsed() > Duration::from_secs(30) {
                return Err(format!("round {round}: the victim is not ready after 30 s").into());
            }
            std::thread::yield_now();
        }
        Ok((child, journal))
    }

    /// Takes whatever is there.
    fn drain(&self, seen: &mut Seen) -> Result<(), Box<dyn Error>> {
        loop {
            match self.reader.take() {
                Ok(Some(sample)) => seen.accept(&sample)?,
                Ok(None) | Err(TakeError::WriterDied) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn kill_writer(&self, round: u32, life: Duration) -> Result<u32, Box<dyn Error>> {
        let (mut child, journal) = self.start(round, false)?;
        let mut seen = Seen { round, next: 0 };
        let start = Instant::now();
        while start.elapsed() < life {
            self.drain(&mut seen)?;
        }
        child.kill()?;
        child.wait()?;
        self.segment.recover()?;
        self.drain(&mut seen)?;
        let (begun, returned) = (journal.get(1), journal.get(2));
        if seen.next < returned || seen.next > begun {
            return Err(format!("round {round}: {} samples came of {returned} committed and {begun} begun", seen.next).into());
        }
        Ok(seen.next)
    }

    fn kill_reader(&self, round: u32, life: Duration) -> Result<u32, Box<dyn Error>> {
        let (mut child, _journal) = self.start(round, true)?;
        let mut seen = Seen { round, next: 0 };
        let start = Instant::now();
        let mut number = 0;
        let mut killed = false;
        // A little on behind the death: the writer must find by itself that the slots of the dead are free.
        let mut after = 4 * self.slots;
        while after > 0 {
            if !killed && start.elapsed() >= life {
                child.kill()?;
                child.wait()?;
                killed = true;
            }
            after -= u32::from(killed);
            match self.writer.loan_timeout(Duration::from_millis(500)) {
                Ok(mut loan) => {
                    loan[..12].copy_from_slice(&encode(round, number));
                    loan.commit_len(12)?;
                    number += 1;
                }
                Err(error) if killed => return Err(format!("round {round}: after the reader's death: {error}").into()),
                Err(LoanError::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
            self.drain(&mut seen)?;
        }
        if seen.next != number {
            return Err(format!("round {round}: {} samples came of {number}", seen.next).into());
        }
        Ok(number)
    }

    /// Every slot can be loaned at the same time.
    fn check_slots(&self, round: u32) -> Result<(), Box<dyn Error>> {
        let loans: Vec<_> = std::iter::from_fn(|| self.writer.loan().ok()).take(self.slots as usize).collect();
        if loans.len() == self.slots as usize {
            Ok(())
        } else {
            Err(format!("round {round}: {} of {} slots can be loaned", loans.len(), self.slots).into())
        }
    }
}

pub fn run(args: &Args) -> Outcome {
    let folder = std::env::temp_dir().join(format!("seqslot-soak-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = rounds(args, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome.map_err(|error| format!("{error} (seed {})", args.seed).into())
}

fn rounds(args: &Args, folder: &Path) -> Outcome {
    let segment = seqslot::create(folder.join("segment.flink"), &Config::slots(u64::from(args.slots), 64).writers(2).readers(2))?;
    let bench = Bench { segment: &segment, reader: segment.reader()?, writer: segment.writer()?, slots: args.slots, folder };
    let mut state = args.seed;
    let (mut writers, mut readers, mut samples) = (0, 0, 0_u64);
    let start = Instant::now();
    for round in 0..args.rounds {
        // Knuth's MMIX generator; the high bits count.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_micros((state >> 33) % LIFE_US);
        samples += u64::from(if round % 2 == 0 {
            writers += 1;
            bench.kill_writer(round, life)?
        } else {
            readers += 1;
            bench.kill_reader(round, life)?
        });
        bench.check_slots(round)?;
        if round % 100 == 99 {
            eprintln!("{} of {} rounds, {:.0} s", round + 1, args.rounds, start.elapsed().as_secs_f64());
        }
    }
    let stats = segment.stats();
    if stats.recovered_writers != writers || stats.recovered_readers < readers {
        return Err(format!(
            "{writers} writers and {readers} readers were killed, {} and {} recovered",
            stats.recovered_writers, stats.recovered_readers
        )
        .into());
    }
    Ok(format!(
        "{} rounds: {writers} writers and {readers} readers killed, {samples} samples, none lost or doubled, {} loans taken back, every slot usable after each",
        args.rounds, stats.recovered_slots
    ))
}
