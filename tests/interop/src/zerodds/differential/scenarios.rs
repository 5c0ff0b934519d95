//! A short sequence for every named difference, in which it is seen: none of them is a name for nothing.

use super::super::call::{Call, Step};
use super::super::difference::Difference;
use super::world::{Compared, World};

/// Creates a segment of so many slots in this process, and attaches once.
fn begin(slots: usize, capacity: usize) -> Vec<Call> {
    vec![Call::Create { place: 0, slots, capacity }, Call::Attach { place: 1 }]
}

const fn reserve(place: usize, active: u32, kept: usize) -> Call {
    Call::Reserve { place, active, kept }
}

const fn commit(kept: usize) -> Call {
    Call::Commit { place: 0, kept, len: 4, fill: 1 }
}

const fn next(reader: u8, kept: usize) -> Call {
    Call::Next { place: 0, reader, kept }
}

const fn mark(kept: usize, reader: u8) -> Call {
    Call::Mark { place: 0, kept, reader }
}

/// Calls after [`begin`] that bring the difference out.
#[rustfmt::skip]
fn provocation(difference: Difference) -> Vec<Call> {
    use Difference as D;
    let send = |kept| [reserve(0, 1, kept), commit(kept)];
    let then = |calls: &[Call], more: &[Call]| [calls, more].concat();
    match difference {
        D::EmptySampleLost => vec![reserve(0, 1, 0), Call::Commit { place: 0, kept: 0, len: 0, fill: 0 }, next(0, 1)],
        // Sample 0 is marked and its slot, the lowest, has sample 2 then; sample 1 is older.
        D::DeliveryBySlotIndex => [&send(0)[..], &send(1), &[mark(0, 0), reserve(0, 1, 2), reserve(0, 1, 3), reserve(0, 1, 4),
            commit(2), commit(3), commit(4), next(0, 5), mark(5, 0), next(0, 6)]].concat(),
        D::CommitWithoutLoan => then(&send(0), &[commit(0)]),
        D::DiscardWithoutLoan => then(&send(0), &[Call::Discard { place: 0, kept: 0 }]),
        D::PointerIntoAnothersLoan => vec![reserve(0, 1, 0), Call::Discard { place: 0, kept: 0 }, reserve(0, 1, 1), reserve(0, 1, 2),
            reserve(0, 1, 3), reserve(0, 1, 4), Call::DataPtr { place: 0, kept: 0 }],
        D::LateReadGetsAnother => [&send(0)[..], &[mark(0, 0)], &send(1), &send(2), &send(3), &send(4),
            &[Call::Read { place: 0, kept: 0 }]].concat(),
        D::LateMarkHidesNew => [&send(0)[..], &[mark(0, 0)], &send(1), &send(2), &send(3), &send(4), &[mark(0, 0)]].concat(),
        D::SampleStaysUnderLoan => then(&send(0), &[reserve(0, 0, 1), reserve(0, 0, 2), reserve(0, 0, 3), reserve(0, 0, 4), next(0, 5)]),
        D::LoansUnseenByOthers => vec![reserve(0, 1, 0), reserve(0, 1, 1), reserve(0, 1, 2), reserve(0, 1, 3), reserve(1, 1, 4)],
        D::ReaderIndexWraps => then(&send(0), &[mark(0, 32)]),
        D::RefusedCommitBurnsNumber => vec![reserve(0, 1, 0), Call::Copy { from: 0, to: 1 }, Call::Spoil { kept: 1 }, commit(1), commit(0)],
        D::CapacityRoundedAtAttach => vec![Call::Numbers { place: 1 }],
        D::EmptyGeometryAccepted => vec![Call::Drop { place: 1 }, Call::Drop { place: 0 }, Call::Create { place: 0, slots: 0, capacity: 8 }],
        D::HandleOfAnotherSegment => then(&send(0), &[Call::Drop { place: 0 }, Call::Create { place: 0, slots: 4, capacity: 8 },
            Call::Read { place: 0, kept: 0 }]),
        D::MovesWithoutChange => then(&send(0), &[mark(0, 0), mark(0, 0)]),
        D::NumbersPerWriter => then(&send(0), &[reserve(1, 1, 1), Call::Commit { place: 1, kept: 1, len: 1, fill: 1 }]),
        D::DisconnectedCountsAgain => [&[Call::Disconnect { place: 0, reader: 0 }][..], &send(0), &send(1), &send(2), &send(3),
            &[reserve(0, 1, 4)]].concat(),
        D::ShownWhatItMissed => [&[Call::Disconnect { place: 0, reader: 0 }][..], &send(0), &[next(0, 1)]].concat(),
        D::StaleIsOutOfBounds => then(&send(0), &[Call::DataPtr { place: 0, kept: 0 }]),
        D::SizeCheckedFirst => vec![reserve(0, 1, 0), Call::Spoil { kept: 0 }, Call::Commit { place: 0, kept: 0, len: 9, fill: 1 }],
        D::ReadByAllStays => [&send(0)[..], &std::array::from_fn::<Call, 32, _>(|reader| mark(0, reader as u8)),
            &[Call::Read { place: 0, kept: 0 }]].concat(),
        // One loan that is given back: from then on the two are in different slots.
        D::SlotChoice => [&send(0)[..], &[reserve(0, 1, 1), Call::Discard { place: 0, kept: 1 }], &send(1),
            &[reserve(0, 0, 2), reserve(0, 0, 3), commit(2), commit(3), next(0, 4)]].concat(),
        D::WritersInTurn => then(&send(0), &[reserve(1, 1, 1), Call::Commit { place: 1, kept: 1, len: 1, fill: 2 }, next(0, 2)]),
        D::SlotSize => vec![Call::Drop { place: 1 }, Call::Drop { place: 0 }, Call::Create { place: 0, slots: 4, capacity: 48 },
            Call::Numbers { place: 0 }],
    }
}

/// Sees every difference once; how many.
pub fn all(world: &mut World) -> Result<usize, String> {
    for &difference in Difference::ALL {
        let calls = [begin(4, 8), provocation(difference)].concat();
        let steps: Vec<Step> = calls.into_iter().map(|call| Step { party: 0, call }).collect();
        let (compared, outcome) = world.run(&steps);
        outcome.map_err(|error| format!("{difference:?}: {error}"))?;
        let is_seen = compared.iter().any(|what| match what {
            Compared::Same => false,
            Compared::Differs(causes) => causes.contains(&difference),
            Compared::Follows => world.has_been(difference),
        });
        if !is_seen {
            return Err(format!("{difference:?} is not seen any more: {compared:?}"));
        }
    }
    Ok(Difference::ALL.len())
}
