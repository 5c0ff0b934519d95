//! What a writer does: loans, fills, commits, discards, forgets, in batches or one by one, and leaves.

use core::time::Duration;

use seqslot_core::{Loan, LoanError, Segment, SendError, Writer};
use seqslot_os_mock::{MockOs, bounded};

use crate::env::{Env, LONG, SHORT};
use crate::model::{Parked, byte};
use crate::plan::{Policy, SLOTS};

type Handle<'s> = &'s Segment<MockOs>;

/// The whole life of a writer's process.
pub(crate) fn live(env: &Env) {
    while let Some(segment) = env.attach(SLOTS) {
        for _ in 0..1 + env.below(3) {
            if env.stops() {
                break;
            }
            match bounded("writer", SHORT, || segment.writer()) {
                Ok(writer) => session(env, writer),
                Err(error) => env.not_joined(error),
            }
        }
    }
}

fn session(env: &Env, writer: Writer<Handle<'_>>) {
    let index = writer.index().get();
    env.model().writer_joined(env.pid, index);
    {
        let mut loans = Vec::new();
        for _ in 0..env.session() {
            if env.stops() {
                break;
            }
            act(env, &writer, &mut loans);
        }
        for loan in loans {
            end(env, &writer, loan, true);
        }
    }
    env.model().writer_leaves(env.pid, index);
    bounded("close", SHORT, || drop(writer));
}

fn act<'w, 's>(env: &Env, writer: &'w Writer<Handle<'s>>, loans: &mut Vec<Loan<'w, Handle<'s>>>) {
    let act = env.below(8);
    match act {
        // Always: a system without commits shows little.
        0..3 => match loan(env, writer) {
            Some(mut loan) => {
                env.model().loaned(env.pid, loan.slot());
                if env.does(act) {
                    commit(env, writer, loan);
                } else {
                    loan[0] = 0xff;
                    loans.push(loan);
                }
            }
            None if loans.is_empty() => env.idle(),
            None => end(env, writer, loans.swap_remove(0), true),
        },
        3 if !loans.is_empty() => {
            let at = env.below(loans.len() as u64) as usize;
            let loan = loans.swap_remove(at);
            end(env, writer, loan, env.chance(60));
        }
        4 if env.does(4) => send(env, writer),
        5 if env.does(5) => batch(env, writer),
        6 if env.does(6) && env.chance(5) => core::mem::forget(loans.pop()),
        7 if env.does(7) => env.idle(),
        _ => {}
    }
}

fn loan<'w, 's>(env: &Env, writer: &'w Writer<Handle<'s>>) -> Option<Loan<'w, Handle<'s>>> {
    let answer = match (env.plan().policy, env.below(4)) {
        (_, 0) => bounded("try_loan", SHORT, || writer.try_loan()),
        (Policy::Fail, _) | (_, 1) => bounded("loan", SHORT, || writer.loan()),
        _ => {
            let timeout = env.some_time(Duration::from_secs(2));
            env.model().parked.insert(env.pid, Parked::Slot);
            let answer = bounded("loan_timeout", LONG, || writer.loan_timeout(timeout));
            env.model().parked.remove(&env.pid);
            answer
        }
    };
    match answer {
        Ok(loan) => Some(loan),
        Err(LoanError::NoFreeSlot | LoanError::TimedOut) => None,
        Err(error) => panic!("loan: {error}"),
    }
}

/// Fills what is on loan with the bytes of sample `id`, in two goes, so that others run in between; then looks whether they stayed.
fn fill(loan: &mut Loan<'_, Handle<'_>>, id: u64, len: usize) {
    let half = len / 2;
    loan[..half].iter_mut().enumerate().for_each(|(at, to)| *to = byte(id, at));
    loan[half..len].iter_mut().enumerate().for_each(|(at, to)| *to = byte(id, half + at));
    for (at, found) in loan[..len].iter().enumerate() {
        assert_eq!(*found, byte(id, at), "somebody else wrote to slot {} while it was on loan", loan.slot());
    }
}

fn commit(env: &Env, writer: &Writer<Handle<'_>>, mut loan: Loan<'_, Handle<'_>>) {
    let id = env.model().next_id();
    let len = env.below(u64::from(env.plan().capacity) + 1) as usize;
    fill(&mut loan, id, len);
    let (index, sequence) = (writer.index().get(), writer.position());
    env.model().ends_loan(env.pid, loan.slot());
    env.model().begins_commit(env.pid, index, sequence, id, len);
    let told = bounded("commit", SHORT, || loan.commit_len(len));
    assert_eq!(told, Ok(sequence), "commit");
    env.model().committed(index, sequence);
}

fn end(env: &Env, writer: &Writer<Handle<'_>>, loan: Loan<'_, Handle<'_>>, publishes: bool) {
    if publishes {
        commit(env, writer, loan);
    } else {
        env.model().ends_loan(env.pid, loan.slot());
        bounded("discard", SHORT, || drop(loan));
    }
}

/// `send`: its loan is not seen from outside, so neither is its slot.
fn send(env: &Env, writer: &Writer<Handle<'_>>) {
    let id = env.model().next_id();
    let len = env.below(u64::from(env.plan().capacity) + 1) as usize;
    let bytes: Vec<u8> = (0..len).map(|at| byte(id, at)).collect();
    let (index, sequence) = (writer.index().get(), writer.position());
    env.model().begins_commit(env.pid, index, sequence, id, len);
    match bounded("send", SHORT, || writer.send(&bytes)) {
        Ok(told) => {
            assert_eq!(told, sequence, "send");
            env.model().committed(index, sequence);
        }
        Err(SendError::Loan(LoanError::NoFreeSlot)) => env.model().did_not_commit(index, sequence),
        Err(error) => panic!("send: {error}"),
    }
}

fn batch(env: &Env, writer: &Writer<Handle<'_>>) {
    let Ok(mut loans) = bounded("loan_batch", SHORT, || writer.loan_batch::<3>()) else { return };
    let (index, first) = (writer.index().get(), writer.position());
    for loan in loans.iter() {
        env.model().loaned(env.pid, loan.slot());
    }
    let mut lens = Vec::new();
    for (at, loan) in loans.iter_mut().enumerate() {
        let id = env.model().next_id();
        let len = env.below(u64::from(env.plan().capacity) + 1) as usize;
        fill(loan, id, len);
        lens.push((id, len, first.wrapping_add(at as u32)));
    }
    for (loan, &(id, len, sequence)) in loans.iter().zip(&lens) {
        env.model().ends_loan(env.pid, loan.slot());
        env.model().begins_commit(env.pid, index, sequence, id, len);
    }
    let told = bounded("commit_batch", SHORT, || writer.commit_batch(loans, |at| lens[at].1));
    assert_eq!(told, Ok(lens.len() as u32), "commit_batch");
    for (_, _, sequence) in lens {
        env.model().committed(index, sequence);
    }
}
