//! What writers do.

use std::time::Duration;

use seqslot_core::LoanError;

use crate::ledger::bytes;
use crate::play::{Operation, SEGMENT, WRITER, table};
use crate::scene::{Pen, Scene};
use crate::script::{Case, Cue};
use crate::states;

const OPERATIONS: [Operation; 14] = [
    Operation { name: "claim-writer", needs: SEGMENT, act: claim },
    Operation { name: "loan", needs: WRITER, act: loan },
    Operation { name: "loan-all", needs: WRITER, act: loan_all },
    Operation { name: "loan-timeout", needs: WRITER, act: loan_timeout },
    Operation { name: "fill", needs: WRITER, act: fill },
    Operation { name: "commit", needs: WRITER, act: commit },
    Operation { name: "commit-two", needs: WRITER, act: commit_two },
    Operation { name: "send", needs: WRITER, act: send },
    Operation { name: "send-many", needs: WRITER, act: send_many },
    Operation { name: "discard", needs: WRITER, act: discard },
    Operation { name: "batch", needs: WRITER, act: batch },
    Operation { name: "close", needs: WRITER, act: close },
    Operation { name: "close-forgotten", needs: WRITER, act: close_forgotten },
    Operation { name: "claim-send-close", needs: SEGMENT, act: claim_send_close },
];

pub fn cases() -> Vec<Case> {
    let mut cases = table(&OPERATIONS, states::PLAIN.iter().chain(&states::OVERWRITING));
    // Loans that are not to be had there: nobody could die in what is done with them.
    cases.retain(|case| match case.operation {
        "fill" | "commit" => case.state != states::FULL.name,
        "commit-two" => ![&states::FULL, &states::LOANED, &states::SINGLE].iter().any(|state| state.name == case.state),
        _ => true,
    });
    cases
}

/// What the victim's writer does.
fn with_pen(scene: &Scene, act: impl FnOnce(&Pen)) {
    act(scene.victim.pen.borrow().as_ref().expect("the victim writes"));
}

fn claim(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    cue.go();
    let pen = scene.pen(&segment);
    cue.end();
    drop(pen);
}

fn loan(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        cue.go();
        let loan = pen.writer.loan();
        cue.end();
        drop(loan);
    });
}

fn loan_all(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        cue.go();
        let loans: Vec<_> = std::iter::from_fn(|| pen.writer.try_loan().ok()).collect();
        cue.end();
        drop(loans);
    });
}

fn loan_timeout(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        cue.go();
        let loan = pen.writer.loan_timeout(Duration::from_millis(150));
        cue.end();
        assert!(loan.is_ok() || loan.err() == Some(LoanError::TimedOut));
    });
}

fn fill(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        if let Ok(mut loan) = pen.writer.loan() {
            let bytes = bytes(scene.ledger.never(pen.session));
            cue.go();
            for (at, byte) in bytes.iter().enumerate() {
                loan[at] = *byte;
            }
            cue.end();
        }
    });
}

fn commit(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        if let Ok(loan) = pen.writer.loan() {
            cue.go();
            scene.commit(pen, loan);
            cue.end();
        }
    });
}

fn commit_two(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        if let (Ok(first), Ok(second)) = (pen.writer.loan(), pen.writer.loan()) {
            cue.go();
            scene.commit(pen, second);
            scene.commit(pen, first);
            cue.end();
        }
    });
}

fn send(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        cue.go();
        scene.send(pen);
        cue.end();
    });
}

fn send_many(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        cue.go();
        (0..5).for_each(|_| _ = scene.send(pen));
        cue.end();
    });
}

fn discard(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        let loan = pen.writer.loan();
        scene.ledger.never(pen.session);
        cue.go();
        drop(loan);
        cue.end();
    });
}

fn batch(scene: &Scene, cue: &Cue<'_>) {
    with_pen(scene, |pen| {
        cue.go();
        let Ok(mut loans) = pen.writer.loan_batch::<3>() else { return };
        let ids: Vec<u32> = loans.iter().map(|_| scene.ledger.tries(pen.session)).collect();
        for (loan, id) in loans.iter_mut().zip(&ids) {
            let bytes = bytes(*id);
            loan[..bytes.len()].copy_from_slice(&bytes);
        }
        let sizes: Vec<usize> = ids.iter().map(|id| bytes(*id).len()).collect();
        pen.writer.commit_batch(loans, |index| sizes[index]).expect("its own loans");
        ids.into_iter().for_each(|id| scene.ledger.acknowledge(id));
        cue.end();
    });
}

fn close(scene: &Scene, cue: &Cue<'_>) {
    let pen = scene.victim.pen.borrow_mut().take();
    cue.go();
    drop(pen);
    cue.end();
}

/// With a loan that was forgotten, and is given back with the writer.
fn close_forgotten(scene: &Scene, cue: &Cue<'_>) {
    let pen = scene.victim.pen.borrow_mut().take().expect("the victim writes");
    std::mem::forget(pen.writer.loan());
    cue.go();
    drop(pen);
    cue.end();
}

fn claim_send_close(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    cue.go();
    let pen = scene.pen(&segment);
    scene.send(&pen);
    drop(pen);
    cue.end();
}
