//! The rules of slots, with the differences between the two libraries as switches.
//!
//! A model follows one side: it is told each step and the side's answer, says whether the answer is right, and notes which differences
//! made it come out as it did. Where the rules leave a choice (which free slot, which writer's sample) the answer decides.

mod reading;
mod segment;
mod writing;

use super::call::{Answer, Call, FAR, KEPT, Outcome, PARTIES, PLACES, Step};
use super::difference::Difference;
use segment::{Segment, Slot};

/// Allocators of all parties.
const ALLOCATORS: usize = PARTIES * PLACES;

/// A handle as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    segment: usize,
    slot: u32,
    generation: u32,
}

/// An open allocator.
#[derive(Debug, Clone)]
struct Open {
    segment: usize,
    is_owner: bool,
    /// It writes (ours: the index of its writer entry).
    entry: Option<usize>,
    /// Reader indices in use.
    uses: [Use; 32],
}

/// What an allocator of ours has of a reader index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Use {
    hold: Hold,
    /// The sample that was shown last and has not been marked.
    shown: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    None,
    /// It holds the index.
    Held,
    /// Another allocator does.
    Shared,
}

/// What a call came to, in terms that both sides share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing was called.
    Absent,
    /// Refused.
    Refused(String),
    /// Done.
    Done,
    /// Numbered so.
    Number(u32),
    /// Header and bytes.
    Sample { number: u32, size: u32, read_by: u32, bytes: Vec<u8> },
    /// Bytes.
    Bytes(Vec<u8>),
    /// The sample of the so-manieth step, or none.
    Next(Option<usize>),
    /// Slots, capacity, total size, a hash, the path.
    Numbers(usize, usize, usize, bool, bool),
    /// Two of them.
    Both(Box<Meaning>, Box<Meaning>),
}

/// What a step came to on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it was, comparable with the other side's.
    pub meaning: Meaning,
    /// Whether the generation moved.
    pub moved: Option<bool>,
    /// The differences that were at work.
    pub causes: Vec<Difference>,
}

/// The rules, and where they have led.
pub struct Model {
    is_theirs: bool,
    segments: Vec<Segment>,
    allocators: [Option<Open>; ALLOCATORS],
    kept: [[Option<Handle>; KEPT]; PARTIES],
    /// Steps so far: a sample is known by the step that committed it.
    steps: usize,
    causes: Vec<Difference>,
    /// Whether the generation must move; `None`: it may.
    moves: Option<bool>,
}

/// An answer that the rules do not allow.
pub type Wrong = String;

impl Model {
    /// The rules of one side, at the beginning.
    pub fn new(is_theirs: bool) -> Self {
        Self {
            is_theirs,
            segments: Vec::new(),
            allocators: [const { None }; ALLOCATORS],
            kept: [[None; KEPT]; PARTIES],
            steps: 0,
            causes: Vec::new(),
            moves: Some(false),
        }
    }

    /// Notes that a difference is at work, where the side has it; whether it has.
    fn has(&mut self, difference: Difference) -> bool {
        if self.is_theirs {
            self.causes.push(difference);
        }
        self.is_theirs
    }

    /// The same for what ours does and theirs does not.
    fn lacks(&mut self, difference: Difference) -> bool {
        if !self.is_theirs {
            self.causes.push(difference);
        }
        !self.is_theirs
    }

    /// Checks the answer to a step, and goes on from it.
    pub fn follow(&mut self, step: Step, answer: &Answer) -> Result<Event, Wrong> {
        self.causes.clear();
        self.moves = Some(false);
        let meaning = self.outcome(step, &answer.outcome)?;
        self.steps += 1;
        match (self.moves, answer.moved) {
            (Some(must), Some(did)) if must != did => {
                return Err(format!("the generation {} have moved", if must { "should" } else { "should not" }));
            }
            _ => {}
        }
        self.causes.sort_unstable();
        self.causes.dedup();
        Ok(Event { meaning, moved: answer.moved, causes: std::mem::take(&mut self.causes) })
    }

    fn outcome(&mut self, step: Step, got: &Outcome) -> Result<Meaning, Wrong> {
        let at = |place: usize| step.party * PLACES + place;
        let kept = |model: &Self, index: usize| model.kept[step.party][index];
        match step.call {
            Call::Create { place, slots, capacity } => self.create(at(place), slots, capacity, got),
            Call::Attach { place } => self.attach(at(place), got),
            Call::Drop { place } => self.drop_allocator(at(place), got),
            Call::Spoil { kept } => {
                let handle = self.kept[step.party][kept].as_mut().map(|handle| handle.slot = FAR);
                want(got, &handle.map_or(Outcome::Absent, |()| Outcome::Done(Ok(()))))
            }
            Call::Copy { from, to } => {
                let handle = self.kept[step.party][from];
                if handle.is_some() {
                    self.kept[step.party][to] = handle;
                }
                want(got, &handle.map_or(Outcome::Absent, |_| Outcome::Done(Ok(()))))
            }
            Call::Numbers { place } => self.numbers(at(place), got),
            Call::Wait { place, is_stale, .. } => self.wait(at(place), is_stale, got),
            Call::Reserve { place, active, kept } => self.reserve(step.party, at(place), active, kept, got),
            Call::Disconnect { place, reader } => self.disconnect(at(place), reader, got),
            Call::Next { place, reader, kept } => self.next(step.party, at(place), reader, kept, got),
            Call::Commit { place, kept: index, .. }
            | Call::CommitInPlace { place, kept: index, .. }
            | Call::DataPtr { place, kept: index }
            | Call::Discard { place, kept: index }
            | Call::Read { place, kept: index }
            | Call::ReadPtr { place, kept: index }
            | Call::Mark { place, kept: index, .. } => {
                let (place, Some(handle)) = (at(place), kept(self, index)) else { return want(got, &Outcome::Absent) };
                if self.allocators[place].is_none() {
                    return want(got, &Outcome::Absent);
                }
                self.by_handle(step.call, place, handle, got)
            }
        }
    }

    fn by_handle(&mut self, call: Call, place: usize, handle: Handle, got: &Outcome) -> Result<Meaning, Wrong> {
        match call {
            Call::Commit { len, fill, .. } => {
                let number = self.commit(place, handle, len, Some(fill));
                want(got, &Outcome::Number(number))
            }
            Call::CommitInPlace { len, fill, .. } => {
                let pointer = self.data_ptr(place, handle);
                if let Ok(capacity) = pointer {
                    self.fill(place, handle.slot, fill, len.min(capacity));
                }
                let number = self.commit(place, handle, len, None);
                want(got, &Outcome::InPlace { pointer, number })
            }
            Call::DataPtr { .. } => {
                let pointer = self.data_ptr(place, handle);
                want(got, &Outcome::Capacity(pointer))
            }
            Call::Discard { .. } => {
                let done = self.discard(place, handle);
                want(got, &Outcome::Done(done))
            }
            Call::Read { .. } => {
                let shown = self.read(place, handle);
                want(got, &Outcome::Sample(shown))
            }
            Call::ReadPtr { .. } => {
                let bytes = self.read(place, handle).map(|shown| shown.bytes);
                want(got, &Outcome::Bytes(bytes))
            }
            Call::Mark { reader, .. } => {
                let done = self.mark(place, handle, reader);
                want(got, &Outcome::Done(done))
            }
            _ => Err(format!("{call:?} is not by handle")),
        }
    }

    fn segment_of(&mut self, place: usize) -> Option<&mut Segment> {
        let segment = self.allocators[place].as_ref()?.segment;
        self.segments.get_mut(segment)
    }

    /// The slot that a handle means to an allocator: on theirs, the one of that index in whatever segment it is used on.
    fn slot(&mut self, place: usize, handle: Handle) -> Result<Handle, String> {
        let segment = self.allocators[place].as_ref().map_or(0, |open| open.segment);
        if handle.segment != segment && !self.has(Difference::HandleOfAnotherSegment) {
            return Err("StaleHandle".into());
        }
        if handle.slot as usize >= self.segments[segment].slots.len() {
            return Err("OutOfBounds".into());
        }
        // Of another segment it can only be the slot's index; no generation is that of its own.
        Ok(if handle.segment == segment { handle } else { Handle { segment, slot: handle.slot, generation: u32::MAX } })
    }

    fn at(&mut self, handle: Handle) -> &mut Slot {
        &mut self.segments[handle.segment].slots[handle.slot as usize]
    }
}

/// The answer that must have come, in shared terms.
fn want(got: &Outcome, wanted: &Outcome) -> Result<Meaning, Wrong> {
    if got == wanted { Ok(meaning(got)) } else { Err(format!("the answer should have been {wanted:?}")) }
}

fn meaning(outcome: &Outcome) -> Meaning {
    fn of<T>(result: &Result<T, String>, meant: impl FnOnce(&T) -> Meaning) -> Meaning {
        result.as_ref().map_or_else(|error| Meaning::Refused(error.clone()), meant)
    }
    match outcome {
        Outcome::Absent => Meaning::Absent,
        Outcome::Done(result) => of(result, |()| Meaning::Done),
        // Which slot it is means nothing.
        Outcome::Slot(result) => of(result, |_| Meaning::Done),
        Outcome::Number(result) => of(result, |number| Meaning::Number(*number)),
        Outcome::InPlace { pointer, number } => Meaning::Both(
            Box::new(of(pointer, |capacity| Meaning::Number(*capacity as u32))),
            Box::new(of(number, |number| Meaning::Number(*number))),
        ),
        Outcome::Capacity(result) => of(result, |capacity| Meaning::Number(*capacity as u32)),
        Outcome::Sample(result) => of(result, |shown| Meaning::Sample {
            number: shown.number,
            size: shown.size,
            read_by: shown.read_by,
            bytes: shown.bytes.clone(),
        }),
        Outcome::Bytes(result) => of(result, |bytes| Meaning::Bytes(bytes.clone())),
        Outcome::Next(result) => of(result, |_| Meaning::Next(None)),
        Outcome::Numbers { slots, capacity, total, has_hash, is_path_kept } => {
            of(slots, |slots| Meaning::Numbers(*slots, *capacity, *total, *has_hash, *is_path_kept))
        }
    }
}
