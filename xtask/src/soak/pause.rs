//! A reader that is stopped for a whole minute: it is not taken for dead, its samples stay, and when it goes on it gets them all.

use std::path::Path;
use std::time::{Duration, Instant};

use seqslot::{Config, LoanError};

use super::SLOTS;
use super::board::{Board, Order};
use super::cast::Cast;
use super::plan::{Policy, Role};
use super::sample::{CAPACITY, encode, settle_party};
use crate::run::Outcome;

pub fn run(seconds: u64, folder: &Path) -> Outcome {
    let (path, board_file) = (folder.join("pause.flink"), folder.join("board"));
    let board = Board::create(&board_file)?;
    let segment = seqslot::create(&path, &Config::slots(SLOTS.into(), CAPACITY as u64))?;
    let writer = segment.writer()?;
    let party = board.party(super::board::WRITERS - 1);
    let mut cast = Cast::new(&board, &board_file, &path, Policy::Block, 0);
    let reader = cast.start(Role::Reader)?;
    while !cast.party(reader).is_ready() {
        cast.check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut count = 0;
    let mut send = |timeout| -> Result<bool, Box<dyn std::error::Error>> {
        match writer.loan_timeout(timeout) {
            Ok(mut loan) => {
                let len = encode(&mut loan, 0, party.number, count);
                count += 1;
                party.begin(count);
                loan.commit_len(len)?;
                party.returned(count);
                Ok(true)
            }
            Err(LoanError::TimedOut) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    cast.stop(reader)?;
    let start = Instant::now();
    let (mut sent, mut refused) = (0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        if send(Duration::from_millis(950))? {
            sent += 1;
        } else {
            refused += 1;
        }
        let found = segment.recover()?;
        if !found.is_empty() || segment.active_readers().count_ones() != 1 {
            return Err(format!("stopped for {} s and taken for dead: {found:?}", start.elapsed().as_secs()).into());
        }
        if sent > SLOTS {
            return Err(format!("{sent} samples went into {SLOTS} slots that the stopped reader has not read").into());
        }
    }
    cast.go_on(reader)?;
    // It reads again: there is room for as many as there are slots, and more.
    for _ in 0..2 * SLOTS {
        if !send(super::HANG)? {
            return Err("the reader goes on, and does not read".into());
        }
    }
    cast.end(&[reader], Order::Finish, || {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    })?;
    settle_party(cast.party(reader), Policy::Block, &board, 0)?;
    Ok(format!(
        "a reader stopped for {seconds} s was not taken for dead: {sent} samples waited for it, {refused} waits of 0.95 s for a slot ended in time-outs, \
         and it got all {count} samples in order afterwards"
    ))
}
