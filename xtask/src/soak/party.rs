//! The processes of a round: what each does until it is told to finish, or killed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use seqslot::{AttachError, Config, JoinError, LoanError, Segment, TakeError};

use super::board::{Board, Order, Party};
use super::plan::{Policy, Role};
use super::sample::{CAPACITY, Seen, encode};
use super::{HANG, SLOTS};
use crate::run::Outcome;

#[derive(clap::Args)]
pub struct PartyArgs {
    segment: PathBuf,
    board: PathBuf,
    #[arg(value_parser = Role::parse)]
    role: Role,
    #[arg(value_parser = Policy::parse)]
    policy: Policy,
    number: usize,
    round: u32,
    /// The process that started this one
    director: u32,
}

/// A run that is killed takes its processes with it.
fn end_with_parent(parent: u32) -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(target_os = "linux")]
    // SAFETY: a command that takes a number.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)
    };
    if std::os::unix::process::parent_id() == parent { Ok(()) } else { Err("the run was killed".into()) }
}

pub fn run(args: &PartyArgs) -> Outcome {
    end_with_parent(args.director)?;
    let board = Board::open(&args.board)?;
    let party = board.party(args.number);
    let outcome = match args.role {
        Role::Writer => write(args, party),
        Role::Reader => read(args, &board, party),
        Role::Recoverer => recover(args, party),
        Role::Owner => own(args, party),
    };
    match outcome {
        Ok(_) => party.done(),
        // The owner ended, and took the path with it, before this one came. Where that may not be, the director misses this one.
        Err(error) if error.downcast_ref() == Some(&AttachError::NotFound) => {}
        Err(error) => return Err(error),
    }
    Ok(String::new())
}

/// Joins as soon as there is room: the entry of a dead one may just be under recovery.
fn join<T>(join: impl Fn() -> Result<T, JoinError>) -> Result<T, JoinError> {
    let start = Instant::now();
    loop {
        match join() {
            Err(JoinError::Full { .. }) if start.elapsed() < HANG => std::thread::sleep(Duration::from_millis(1)),
            answer => return answer,
        }
    }
}

fn write(args: &PartyArgs, party: Party<'_>) -> Outcome {
    let segment = seqslot::attach(&args.segment)?;
    let writer = join(|| segment.writer())?;
    party.ready(writer.index().get());
    let mut number = 0;
    for turn in 0_u32.. {
        if party.order() != Order::GoOn {
            break;
        }
        let loan = match args.policy {
            Policy::Block => writer.loan_timeout(Duration::from_millis(200)),
            _ => writer.loan(),
        };
        let mut loan = match loan {
            Ok(loan) => loan,
            Err(LoanError::TimedOut) if args.policy == Policy::Block => continue,
            // All pinned, or on loan.
            Err(LoanError::NoFreeSlot) => {
                std::thread::yield_now();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if turn % 16 == 5 {
            // A loan that comes to nothing.
            drop(loan);
            continue;
        }
        let len = encode(&mut loan, args.round, party.number, number);
        dwell(number);
        number += 1;
        party.begin(number);
        loan.commit_len(len)?;
        party.returned(number);
    }
    Ok(String::new())
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

fn read(args: &PartyArgs, board: &Board, party: Party<'_>) -> Outcome {
    let segment = seqslot::attach(&args.segment)?;
    let reader = join(|| segment.reader())?;
    let mut seen = Seen::from_now_on(args.round, args.policy, board);
    party.ready(reader.index().get());
    loop {
        let order = party.order();
        if order == Order::Leave {
            break;
        }
        let is_last = order == Order::Finish;
        match reader.take_timeout(Duration::from_millis(5)) {
            Ok(sample) => {
                seen.accept(&sample)?;
                let copy = sample.to_vec();
                dwell(sample.sequence());
                // The same bytes to the end: nobody writes into a sample that is held.
                if *copy != *sample {
                    return Err("a sample changed while it was held".into());
                }
            }
            // Writers come and go; it is over when it was said before this look.
            Err(TakeError::TimedOut | TakeError::Closed | TakeError::WriterDied) if is_last => break,
            Err(TakeError::TimedOut) => {}
            Err(TakeError::Closed | TakeError::WriterDied) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    seen.post(party, reader.missed());
    Ok(String::new())
}

fn recover(args: &PartyArgs, party: Party<'_>) -> Outcome {
    let segment = seqslot::attach(&args.segment)?;
    party.ready(0);
    for turn in 0_u32.. {
        match party.order() {
            Order::Finish | Order::Leave => break,
            Order::Hurry => {}
            Order::GoOn => std::thread::sleep(Duration::from_micros(300)),
        }
        party.inside(true);
        segment.recover()?;
        if turn % 8 == 7 {
            // An attach recovers, too.
            drop(seqslot::attach(&args.segment)?);
        }
        party.inside(false);
    }
    Ok(String::new())
}

/// Makes a segment, writes into it, and keeps it until it is told to finish.
fn own(args: &PartyArgs, party: Party<'_>) -> Outcome {
    let segment: Segment = seqslot::create(&args.segment, &Config::slots(SLOTS.into(), CAPACITY as u64).writers(4).readers(4))?;
    let writer = segment.writer()?;
    party.ready(writer.index().get());
    let mut number = 0;
    while party.order() == Order::GoOn {
        match writer.loan_timeout(Duration::from_millis(20)) {
            Ok(mut loan) => {
                let len = encode(&mut loan, args.round, party.number, number);
                number += 1;
                party.begin(number);
                loan.commit_len(len)?;
                party.returned(number);
            }
            Err(LoanError::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(String::new())
}
