//! Target: a segment in use, by several parties in any order, while words are forged between and within their steps.
//!
//! Either anything is forged: then nothing may break but the data. Or only what the layout calls hints, counters and notes for people: then
//! nothing may break at all, and a model says what each reader is to get.

use std::collections::HashMap;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use seqslot_core::layout::slots::SlotsGeometry;
use seqslot_core::{Config, LagWatch, Loan, Lock, ReaderIndex, Sample, Segment, SlotBackend, SlotFace, TakeError};

use crate::exercise::{BRIEF, bound, check_span};
use crate::inspect;
use crate::party::{FaceParty, ReaderParty, Seg, Span, WriterParty, sum};
use crate::spoil::{Spoil, script};
use crate::world::{HostileOs, World};

/// A segment, and how many words are forged while it is used; those follow, and then the steps, as far as the bytes go.
#[derive(Debug, Arbitrary)]
struct Input {
    slots: u8,
    capacity: u8,
    parties: u8,
    overwrite: bool,
    /// Forge only what no promise rests on, and check every promise.
    hints_only: bool,
    forgeries: u8,
}

/// Most steps of an input.
const STEPS_MAX: usize = 256;

/// One step. Numbers choose among what is there.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    JoinWriter,
    JoinReader,
    JoinReaderAs(u8),
    Loan(u8, u8),
    Commit(u8, u8),
    CommitBatch(u8),
    Discard(u8),
    Send(u8, u8),
    Take(u8, u8),
    Look(u8, u8),
    Release(u8, u8),
    Close(u8),
    Leave(u8),
    KillWriter(u8),
    KillReader(u8),
    Recover,
    Evict(u8),
    Watch,
    Attach,
    Face,
    DropFace(u8),
    Reserve(u8, u32),
    FaceCommit(u8, u8),
    FaceDiscard(u8),
    Next(u8, u8),
    FaceRead(u8),
    Mark(u8, u8),
    Disconnect(u8, u8),
    Change(u8),
    Spoil(Spoil),
}

/// Runs the target.
pub fn operations(bytes: &[u8]) {
    let mut rest = Unstructured::new(bytes);
    let Ok(input) = Input::arbitrary(&mut rest) else { return };
    let script = script(&mut rest, input.forgeries);
    let mut stage = Stage::new(&input, script);
    // Somebody is there at first: most steps want one.
    stage.step(Op::JoinWriter);
    stage.step(Op::JoinReader);
    for _ in 0..STEPS_MAX {
        let Ok(op) = Op::arbitrary(&mut rest) else { break };
        stage.step(op);
        stage.check_lent();
        if rest.is_empty() {
            break;
        }
    }
    stage.finish();
}

/// What a sample holds: its length, and the byte it was filled with.
type Content = (usize, u8);

struct Stage {
    // Handles before the segments, segments before the world that they keep.
    writers: Vec<WriterParty>,
    readers: Vec<ReaderParty>,
    faces: Vec<FaceParty>,
    segments: Vec<Seg>,
    world: Arc<World>,
    geometry: SlotsGeometry,
    /// Every promise is to hold.
    is_strict: bool,
    /// Parties may be killed; where none is, no position is burnt, and nothing may be missing.
    are_mortal: bool,
    had_deaths: bool,
    spoils: usize,
    committed: HashMap<(u32, u32), Content>,
    /// The next position, by writer.
    next: [u32; 32],
    byte: u8,
}

/// Chooses one of `list`.
fn choose<T>(list: &mut [T], number: u8) -> Option<&mut T> {
    let len = list.len();
    if len == 0 { None } else { list.get_mut(usize::from(number) % len) }
}

/// Takes one out of `list`.
fn pull<T>(list: &mut Vec<T>, number: u8) -> Option<T> {
    let len = list.len();
    (len != 0).then(|| list.remove(usize::from(number) % len))
}

impl Stage {
    fn new(input: &Input, script: Vec<Spoil>) -> Self {
        let config = Config::slots(u64::from(input.slots % if input.slots < 128 { 40 } else { 4 }) + 1, u64::from(input.capacity) + 1)
            .writers(u32::from(input.parties % 4) + 1)
            .readers(u32::from(input.parties / 4 % 31) + 1);
        let config = if input.overwrite { config.overwrite() } else { config };
        let world = World::new(config.len().expect("a shape inside its limits"));
        let segment = Arc::new(Segment::create(HostileOs::new(&world), &(), &config).expect("a fresh region"));
        let geometry = *segment.geometry();
        let spoils = script.len() + STEPS_MAX;
        world.plan(script, Some(geometry), input.hints_only);
        Self {
            writers: Vec::new(),
            readers: Vec::new(),
            faces: Vec::new(),
            segments: vec![segment],
            world,
            geometry,
            is_strict: input.hints_only,
            are_mortal: input.parties < 128,
            had_deaths: false,
            spoils,
            committed: HashMap::new(),
            next: [0; 32],
            byte: 0,
        }
    }

    fn begin(&self, what: &'static str, waits: bool) {
        self.world.begin(what, bound(&self.geometry, self.spoils, waits));
    }

    /// The newest segment value of this process.
    fn segment(&self) -> Seg {
        Arc::clone(self.segments.last().expect("one at least"))
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::JoinWriter | Op::Loan(..) | Op::Commit(..) | Op::CommitBatch(_) | Op::Discard(_) | Op::Send(..) | Op::Close(_) => {
                self.write(op)
            }
            Op::JoinReader | Op::JoinReaderAs(_) | Op::Take(..) | Op::Look(..) | Op::Release(..) | Op::Leave(_) | Op::Evict(_) => {
                self.read(op)
            }
            Op::KillWriter(_) | Op::KillReader(_) | Op::Recover | Op::Watch | Op::Attach | Op::Spoil(_) => self.upkeep(op),
            _ => self.face(op),
        }
    }

    fn write(&mut self, op: Op) {
        match op {
            Op::JoinWriter => {
                self.begin("writer joins", false);
                self.writers.extend(WriterParty::join(&self.segment()));
            }
            Op::Loan(who, how) => {
                self.begin("loan", how % 4 == 3);
                self.byte = self.byte.wrapping_add(1);
                let (byte, Some(party)) = (self.byte, choose(&mut self.writers, who)) else { return };
                let writer = party.writer();
                let loans: Vec<_> = match how % 4 {
                    0 => writer.try_loan().into_iter().collect(),
                    1 => writer.loan().into_iter().collect(),
                    2 => writer.loan_batch::<3>().into_iter().flatten().collect(),
                    _ => writer.loan_timeout(BRIEF).into_iter().collect(),
                };
                for mut loan in loans {
                    check_span(&self.geometry, self.world.base(), span(&loan));
                    loan.fill_with(|| byte);
                    party.loans.push(loan);
                }
            }
            Op::Commit(who, len) => {
                self.begin("commit", false);
                let Some(party) = choose(&mut self.writers, who) else { return };
                let Some(loan) = pull(&mut party.loans, len) else { return };
                let content = (usize::from(len).min(loan.len()), loan[0]);
                let index = party.writer().index().get();
                let committed = loan.commit_len(usize::from(len));
                if let Ok(sequence) = committed {
                    self.note(index, sequence, content);
                }
            }
            Op::CommitBatch(who) => {
                self.begin("commit a batch", false);
                let Some(party) = choose(&mut self.writers, who) else { return };
                let (writer, loans) = (party.writer(), std::mem::take(&mut party.loans));
                let contents: Vec<_> = loans.iter().map(|loan| loan[0]).collect();
                let first = writer.position();
                let done = writer.commit_batch(loans, |_| 1).unwrap_or(0);
                for (at, byte) in contents.into_iter().take(done as usize).enumerate() {
                    self.note(writer.index().get(), first.wrapping_add(at as u32), (1, byte));
                }
            }
            Op::Discard(who) => {
                self.begin("discard", false);
                drop(choose(&mut self.writers, who).and_then(|party| party.loans.pop()));
            }
            Op::Send(who, len) => {
                self.begin("send", false);
                self.byte = self.byte.wrapping_add(1);
                let bytes = vec![self.byte; usize::from(len)];
                let Some(party) = choose(&mut self.writers, who) else { return };
                let writer = party.writer();
                if let Ok(sequence) = writer.send(&bytes) {
                    self.note(writer.index().get(), sequence, (bytes.len(), self.byte));
                }
            }
            Op::Close(who) => {
                let party = pull(&mut self.writers, who);
                self.begin("writer leaves", true);
                drop(party);
            }
            _ => {}
        }
    }

    /// Writer `index` committed `sequence`.
    fn note(&mut self, index: u32, sequence: u32, content: Content) {
        if self.is_strict {
            assert!(self.had_deaths || sequence == self.next[index as usize], "position {sequence} of writer {index} is not the next");
            self.next[index as usize] = sequence.wrapping_add(1);
            self.committed.insert((index, sequence), content);
        }
    }

    fn read(&mut self, op: Op) {
        match op {
            Op::JoinReader | Op::JoinReaderAs(_) => {
                self.begin("reader joins", false);
                let wanted = if let Op::JoinReaderAs(index) = op { ReaderIndex::new(u32::from(index % 33)) } else { None };
                if let Ok(mut party) = ReaderParty::join(&self.segment(), wanted) {
                    party.due = self.next;
                    self.readers.push(party);
                }
            }
            Op::Take(who, how) => {
                self.begin("take", how % 4 >= 2);
                let Some(at) = (self.readers.len()).checked_sub(1).map(|last| usize::from(who) % (last + 1)) else { return };
                let reader = self.readers[at].reader();
                let got: Vec<_> = match how % 4 {
                    0 | 1 => reader.take().ok().flatten().into_iter().collect(),
                    2 => reader.take_timeout(BRIEF).into_iter().collect(),
                    _ => reader.take_batch::<3>().into_iter().flatten().collect(),
                };
                for sample in got {
                    self.arrived(at, sample);
                }
            }
            Op::Look(who, which) => {
                self.begin("look", false);
                let (committed, is_strict) = (&self.committed, self.is_strict);
                let Some(sample) = choose(&mut self.readers, who).and_then(|party| choose(&mut party.samples, which)) else { return };
                let mut copy = [0; 256];
                let len = sample.copy_to(&mut copy);
                std::hint::black_box(sum(sample));
                assert!(!is_strict || copy[..len] == sample[..len], "a sample changed under its reader");
                assert!(!is_strict || is_as_committed(committed, sample), "a sample is not what was committed");
            }
            Op::Release(who, which) => {
                self.begin("release", false);
                drop(choose(&mut self.readers, who).and_then(|party| pull(&mut party.samples, which)));
            }
            Op::Leave(who) => {
                let party = pull(&mut self.readers, who);
                self.begin("reader leaves", true);
                drop(party);
            }
            Op::Evict(who) => {
                self.begin("evict", true);
                let segment = self.segment();
                if let Some(party) = choose(&mut self.readers, who) {
                    party.evict(&segment);
                }
            }
            _ => {}
        }
    }

    /// Reader `at` was given `sample`.
    fn arrived(&mut self, at: usize, sample: Sample<'static, Seg>) {
        check_span(&self.geometry, self.world.base(), (sample.as_ptr().addr(), sample.len()));
        if self.is_strict {
            let due = &mut self.readers[at].due[sample.writer().get() as usize];
            let ahead = sample.sequence().wrapping_sub(*due);
            let may_skip = self.had_deaths || self.geometry.overwrite;
            assert!(
                ahead == 0 || may_skip && ahead < 1 << 31,
                "sample {} of writer {} where {due} was due",
                sample.sequence(),
                sample.writer()
            );
            *due = sample.sequence().wrapping_add(1);
            assert!(is_as_committed(&self.committed, &sample), "a sample is not what was committed");
        }
        self.readers[at].samples.push(sample);
    }

    fn upkeep(&mut self, op: Op) {
        match op {
            Op::KillWriter(_) | Op::KillReader(_) if !self.are_mortal => {}
            Op::KillWriter(who) => {
                let Some(party) = pull(&mut self.writers, who) else { return };
                self.had_deaths = true;
                self.world.kill(Lock::writer(party.writer().index().get() as u8));
                self.begin("what a dead writer drops", false);
                drop(party);
                assert_eq!(self.world.steps(), 0, "the dead touched the segment");
            }
            Op::KillReader(who) => {
                let Some(party) = pull(&mut self.readers, who) else { return };
                self.had_deaths = true;
                self.world.kill(Lock::reader(party.reader().index().get() as u8));
                self.begin("what a dead reader drops", false);
                drop(party);
                assert_eq!(self.world.steps(), 0, "the dead touched the segment");
            }
            Op::Recover => {
                self.begin("recover", true);
                let _ = self.segment().recover();
            }
            Op::Watch => {
                self.begin("watch", true);
                let segment = self.segment();
                LagWatch::default().look(&segment, |lag, idle| drop(format!("{lag:?} {idle:?}")));
                std::hint::black_box((segment.stats(), segment.owner_lives().is_ok()));
                self.begin("inspect", true);
                let _ = inspect::draw(segment.mapping());
            }
            Op::Attach if self.segments.len() < 4 => {
                self.begin("attach", true);
                let os = HostileOs::new(&self.world);
                self.segments.extend(Segment::attach(os, &()).map(Arc::new));
            }
            Op::Spoil(spoil) => self.world.spoil_now(spoil),
            _ => {}
        }
    }

    fn face(&mut self, op: Op) {
        self.begin("face", true);
        let base = self.world.base();
        let geometry = self.geometry;
        match op {
            Op::Face if self.faces.len() < 3 => {
                let Ok(segment) = Segment::attach(HostileOs::new(&self.world), &()) else { return };
                let Ok(face) = SlotFace::new(segment) else { return };
                self.faces.push(FaceParty { face, loans: Vec::new(), seen: Vec::new() });
            }
            Op::DropFace(who) => drop(pull(&mut self.faces, who)),
            Op::Reserve(who, active) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                if let Ok(loan) = party.face.reserve_slot(active) {
                    party.scribble(loan, 0xFA).into_iter().for_each(|span| check_span(&geometry, base, span));
                    party.loans.push(loan);
                }
            }
            Op::FaceCommit(who, len) => self.face_commits(who, len),
            Op::FaceDiscard(who) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                let _ = party.loans.pop().map(|loan| party.face.discard_slot(loan));
            }
            Op::Next(who, reader) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                if let Ok(Some(seen)) = party.face.next_unread_slot(reader % 33) {
                    party.seen.push(seen);
                }
            }
            Op::FaceRead(who) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                let mut into = [0; 20];
                for seen in party.seen.iter().rev().take(2) {
                    party.read(*seen).into_iter().for_each(|span| check_span(&geometry, base, span));
                    let _ = (party.face.read_slot(*seen), party.face.read_slot_into(*seen, &mut into));
                }
            }
            Op::Mark(who, reader) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                let _ = party.seen.pop().map(|seen| party.face.mark_read(seen, reader % 33));
            }
            Op::Disconnect(who, reader) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                let _ = party.face.mark_reader_disconnected(reader % 33);
            }
            Op::Change(who) => {
                let Some(party) = choose(&mut self.faces, who) else { return };
                party.face.wait_for_change(party.face.notify_generation(), BRIEF);
            }
            _ => {}
        }
    }

    fn face_commits(&mut self, who: u8, len: u8) {
        let Some(party) = choose(&mut self.faces, who) else { return };
        let Some(loan) = party.loans.pop() else { return };
        self.byte = self.byte.wrapping_add(1);
        let content = (usize::from(len), self.byte);
        let Ok(sequence) = party.face.commit_slot(loan, &vec![self.byte; usize::from(len)]) else { return };
        // Who its writer is, the face keeps to itself; the slot tells. Nobody else has acted since.
        let writer = self.segment().view().slot(loan.slot_index).map_or(0, |slot| slot.words().writer);
        if self.is_strict {
            self.note(writer - 1, sequence, content);
        }
    }

    /// Where nothing is forged that promises rest on, nothing is lent twice: what one writes nobody else has.
    fn check_lent(&self) {
        if !self.is_strict {
            return;
        }
        let loans = self.writers.iter().flat_map(|party| party.loans.iter().map(span));
        let samples = self.readers.iter().flat_map(|party| &party.samples);
        let faces = self.faces.iter().flat_map(|party| party.loans.iter().map(|loan| loan.slot_index));
        let slot = |(at, _): Span| ((at - self.world.base() - self.geometry.slots_at) / self.geometry.stride as usize) as u32;
        let mut owned = vec![0_u32; self.geometry.slots as usize];
        loans.map(slot).chain(faces).for_each(|slot| owned[slot as usize] += 1);
        assert!(owned.iter().all(|count| *count <= 1), "one slot lent to two writers");
        for sample in samples {
            assert_eq!(owned[sample.slot() as usize], 0, "slot {} lent to a writer under its reader", sample.slot());
        }
    }

    /// Every reader gets what is left, then everybody goes.
    fn finish(mut self) {
        if self.is_strict && !self.geometry.overwrite {
            self.drain();
        }
        self.begin("everybody leaves", true);
        self.readers.clear();
        self.writers.clear();
        self.faces.clear();
        self.segments.clear();
    }

    fn drain(&mut self) {
        for at in 0..self.readers.len() {
            if self.readers[at].is_evicted {
                continue;
            }
            let mut nothing = 0;
            while nothing < 4 * self.geometry.writers + 4 {
                self.begin("drain", false);
                match self.readers[at].reader().take() {
                    Ok(Some(sample)) => {
                        self.arrived(at, sample);
                        self.readers[at].samples.clear();
                    }
                    Ok(None) => nothing += 1,
                    Err(TakeError::Closed | TakeError::WriterDied) => break,
                    // Counted, and skipped.
                    Err(error) => panic!("{error}"),
                }
            }
            let party = &self.readers[at];
            assert!(self.had_deaths || party.due == self.next, "reader {at} got {:?} of {:?}", party.due, self.next);
        }
    }
}

fn span(loan: &Loan<'_, Seg>) -> Span {
    (loan.as_ptr().addr(), loan.len())
}

fn is_as_committed(committed: &HashMap<(u32, u32), Content>, sample: &Sample<'_, Seg>) -> bool {
    let Some((len, byte)) = committed.get(&(sample.writer().get(), sample.sequence())) else { return false };
    sample.len() == *len && sample.iter().all(|found| found == byte)
}
