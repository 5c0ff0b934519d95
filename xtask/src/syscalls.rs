//! A polling writer and reader make no system call per sample, counted by strace.

use std::error::Error;
use std::process::{Command, Stdio};

use seqslot::{Config, TakeError};

use crate::run::{Outcome, capture, need};

#[derive(clap::Args)]
pub struct Args {
    /// Samples of the long run
    #[arg(long, default_value_t = 100_000)]
    samples: u64,
}

#[derive(clap::Args)]
pub struct PairArgs {
    path: std::path::PathBuf,
    samples: u64,
    #[arg(long)]
    reader: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { samples: 100_000 }
    }
}

/// Samples of the short run that is subtracted.
const FEW: u64 = 100;
/// Calls by which two runs may differ for other reasons (the loader, a signal).
const SLACK: u64 = 50;

pub fn run(args: &Args) -> Outcome {
    need("strace", "strace")?;
    let few = count(FEW)?;
    let many = count(FEW + args.samples)?;
    let more = many.saturating_sub(few);
    let line = format!(
        "{} more samples between two polling processes: {more} more system calls ({few} for {FEW} samples, set-up included)",
        args.samples
    );
    if more <= SLACK { Ok(line) } else { Err(line.into()) }
}

/// All system calls of a writer and a reader process over so many samples.
fn count(samples: u64) -> Result<u64, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("seqslot-syscalls-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let table = folder.join("strace.txt");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&table).arg(std::env::current_exe()?);
    command.arg("syscalls-pair").arg(folder.join("segment.flink")).arg(samples.to_string());
    capture(&mut command)?;
    let text = std::fs::read_to_string(&table)?;
    std::fs::remove_dir_all(&folder)?;
    // The last line: per cent, seconds, usecs/call, calls, errors, "total".
    let total = text.lines().rev().find(|line| line.ends_with("total")).ok_or_else(|| format!("no total in strace's table:\n{text}"))?;
    let calls = total.split_whitespace().nth(3).ok_or("no calls in strace's total")?;
    Ok(calls.parse()?)
}

/// The writer, which starts the reader as a process of its own.
pub fn pair(args: &PairArgs) -> Outcome {
    if args.reader {
        return read(args);
    }
    let segment = seqslot::create(&args.path, &Config::slots(64, 64).writers(1))?;
    let writer = segment.writer()?;
    let mut reader = Command::new(std::env::current_exe()?)
        .arg("syscalls-pair")
        .arg(&args.path)
        .arg(args.samples.to_string())
        .arg("--reader")
        .stdin(Stdio::null())
        .spawn()?;
    while segment.active_readers() == 0 {
        std::hint::spin_loop();
    }
    for number in 0..args.samples {
        let mut loan = loop {
            match writer.try_loan() {
                Ok(loan) => break loan,
                Err(_) => std::hint::spin_loop(),
            }
        };
        loan[..8].copy_from_slice(&number.to_ne_bytes());
        loan.commit_len(8)?;
    }
    writer.close();
    let status = reader.wait()?;
    if status.success() { Ok("written".into()) } else { Err(format!("the reader ended with {status}").into()) }
}

fn read(args: &PairArgs) -> Outcome {
    let segment = seqslot::attach(&args.path)?;
    let reader = segment.reader()?;
    let mut expected = 0_u64;
    loop {
        match reader.take() {
            Ok(Some(sample)) => {
                if *sample != expected.to_ne_bytes() {
                    return Err(format!("sample {expected} is {:?}", &sample[..]).into());
                }
                expected += 1;
            }
            Ok(None) => std::hint::spin_loop(),
            Err(TakeError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    if expected == args.samples { Ok("read".into()) } else { Err(format!("{expected} of {} samples", args.samples).into()) }
}
