//! Random sequences of slot operations against a plain model: queues and a count.

use std::collections::VecDeque;

use proptest::prelude::*;
use seqslot_core::{Config, Loan, Reader, Sample, Segment, TakeError, Writer};
use seqslot_os_mock::{MockOs, World};

const SLOTS: usize = 4;
const WRITERS: usize = 2;
const READERS: usize = 3;

#[derive(Debug, Clone)]
enum Op {
    Loan(usize),
    Commit(usize),
    Discard(usize),
    Take(usize),
    Release(usize),
    Join(usize),
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..WRITERS).prop_map(Op::Loan),
        5 => (0..SLOTS).prop_map(Op::Commit),
        1 => (0..SLOTS).prop_map(Op::Discard),
        6 => (0..READERS).prop_map(Op::Take),
        6 => (0..SLOTS * READERS).prop_map(Op::Release),
        1 => (0..READERS).prop_map(Op::Join),
        1 => (0..READERS).prop_map(Op::Leave),
    ]
}

type Handle<'s> = &'s Segment<MockOs>;

/// What the model knows of a reader: what it has yet to take from each writer.
#[derive(Default)]
struct Queue {
    due: [VecDeque<u32>; WRITERS],
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn sequences_agree_with_queues_and_a_count(ops in proptest::collection::vec(op(), 1..300)) {
        let world = World::new(1);
        let config = Config::slots(SLOTS as u64, 8).writers(WRITERS as u32).readers(READERS as u32);
        let segment = Segment::create(world.process(), "model", &config).unwrap();
        run(&segment, &ops)?;
    }
}

/// A sample committed: who owes it a read still, taken or not.
struct Live {
    number: u32,
    owed: usize,
}

fn run(segment: &Segment<MockOs>, ops: &[Op]) -> Result<(), TestCaseError> {
    let writers: [Writer<Handle<'_>>; WRITERS] = core::array::from_fn(|_| segment.writer().unwrap());
    // Readers are leaked, so that their samples can live in one list; `leave` takes one back.
    let mut readers: [Option<(&Reader<Handle<'_>>, Queue)>; READERS] = [const { None }; READERS];
    let mut loans: Vec<(usize, Loan<'_, Handle<'_>>)> = Vec::new();
    let mut held: Vec<(usize, u32, Sample<'_, Handle<'_>>)> = Vec::new();
    let mut live: Vec<Live> = Vec::new();
    let mut next = 0_u32;
    for op in ops {
        match *op {
            Op::Loan(writer) => {
                let free = SLOTS - loans.len() - live.len();
                match writers[writer].loan() {
                    Ok(loan) => {
                        prop_assert!(free > 0, "a slot in use was given out");
                        prop_assert!(loans.iter().all(|(_, other)| other.slot() != loan.slot()), "given out twice");
                        loans.push((writer, loan));
                    }
                    Err(error) => prop_assert_eq!(free, 0, "{}", error),
                }
            }
            Op::Commit(which) if !loans.is_empty() => {
                let (writer, mut loan) = loans.swap_remove(which % loans.len());
                loan[..4].copy_from_slice(&next.to_ne_bytes());
                loan.commit_len(4).unwrap();
                let mut owed = 0;
                for (_, queue) in readers.iter_mut().flatten() {
                    queue.due[writer].push_back(next);
                    owed += 1;
                }
                if owed > 0 {
                    live.push(Live { number: next, owed });
                }
                next += 1;
            }
            Op::Discard(which) if !loans.is_empty() => drop(loans.swap_remove(which % loans.len())),
            Op::Take(which) => {
                let Some((reader, queue)) = &mut readers[which] else { continue };
                match reader.take() {
                    Ok(Some(sample)) => {
                        let number = u32::from_ne_bytes(sample[..].try_into().unwrap());
                        prop_assert_eq!(
                            queue.due[sample.writer().get() as usize].pop_front(),
                            Some(number),
                            "out of order, lost or doubled"
                        );
                        held.push((which, number, sample));
                    }
                    Ok(None) => prop_assert!(queue.due.iter().all(VecDeque::is_empty), "a sample is not delivered"),
                    Err(error) => prop_assert_eq!(error, TakeError::Closed),
                }
            }
            Op::Release(which) if !held.is_empty() => {
                let (_, number, sample) = held.swap_remove(which % held.len());
                prop_assert_eq!(&sample[..], &number.to_ne_bytes()[..], "a held sample changed");
                drop(sample);
                pay(&mut live, number);
            }
            Op::Join(which) if readers[which].is_none() => {
                readers[which] = Some((Box::leak(Box::new(segment.reader().unwrap())), Queue::default()));
            }
            Op::Leave(which) => {
                let Some((reader, queue)) = readers[which].take() else { continue };
                // Held samples are forgotten: their slots go with the reader.
                let (mine, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|entry| entry.0 == which);
                held = others;
                let forgotten = mine.into_iter().map(|(_, number, sample)| {
                    core::mem::forget(sample);
                    number
                });
                let forgotten: Vec<u32> = forgotten.collect();
                leave(reader);
                forgotten.into_iter().chain(queue.due.into_iter().flatten()).for_each(|number| pay(&mut live, number));
            }
            _ => {}
        }
    }
    Ok(())
}

/// One reader less owes `number`.
fn pay(live: &mut Vec<Live>, number: u32) {
    let at = live.iter().position(|sample| sample.number == number).unwrap();
    live[at].owed -= 1;
    if live[at].owed == 0 {
        live.swap_remove(at);
    }
}

/// Drops a reader that was leaked.
#[allow(unsafe_code, reason = "takes a leaked box back")]
fn leave(reader: &Reader<Handle<'_>>) {
    // SAFETY: every reader comes from `Box::leak`, is given here once, and its samples were forgotten before.
    drop(unsafe { Box::from_raw(core::ptr::from_ref(reader).cast_mut()) });
}
