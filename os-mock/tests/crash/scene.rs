//! A machine with a segment in some state: a keeper that owns it and writes, readers that survive, a victim, and one more process that is
//! there all along.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use seqslot_core::layout::slots::GENERATION_MASK;
use seqslot_core::{Config, Loan, LoanError, Ordering::Relaxed, Reader, Sample, Segment, TakeError, Writer, WriterIndex};
use seqslot_os_mock::{MockOs, World};

use crate::ledger::{CAPACITY, Ledger, Log, bytes};
use crate::poke::Poke;
use crate::script::Cue;
use crate::states::{Fill, State};

pub const NAME: &str = "frames";
pub type Shared = Arc<Segment<MockOs>>;

/// A writer, and its session in the ledger.
pub struct Pen {
    pub writer: Writer<Shared>,
    pub session: u32,
}

/// A reader, and what it has received.
pub struct Ear {
    pub reader: Reader<Shared>,
    pub log: Log,
    /// It was evicted, or may have been: nothing is owed to it.
    pub is_excused: Cell<bool>,
}

/// A process with all it may have.
pub struct Party {
    pub os: MockOs,
    pub segment: RefCell<Option<Shared>>,
    pub pen: RefCell<Option<Pen>>,
    pub ear: RefCell<Option<Ear>>,
}

impl Party {
    fn new(world: &World) -> Self {
        Self { os: world.process(), segment: RefCell::default(), pen: RefCell::default(), ear: RefCell::default() }
    }

    pub fn segment(&self) -> Shared {
        self.segment.borrow().clone().expect("the party is attached")
    }
}

/// What the victim has before its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    pub segment: bool,
    pub writer: bool,
    pub reader: bool,
}

/// The machine.
pub struct Scene {
    pub world: World,
    pub state: &'static State,
    pub ledger: Ledger,
    pub keeper: Party,
    pub survivors: Vec<Ear>,
    pub other: Party,
    pub victim: Party,
    /// A reader of the keeper's that joins after the deaths, before anybody recovers.
    pub late: RefCell<Option<Ear>>,
    /// The one that is dead before the operation begins, with what it left.
    dead: RefCell<Vec<Party>>,
}

/// What survivors hold while others die.
#[derive(Default)]
pub struct Held<'s> {
    pub samples: Vec<(Sample<'s, Shared>, u32)>,
    pub loans: Vec<Loan<'s, Shared>>,
}

impl Held<'_> {
    /// Nobody has touched what is held.
    pub fn check(&self) {
        for (sample, id) in &self.samples {
            assert_eq!(**sample, *bytes(*id), "the bytes of a sample that is held");
        }
        for loan in &self.loans {
            assert!(loan.iter().all(|byte| *byte == 0xA5), "the bytes of a loan that is out: {:?}", &loan[..]);
        }
    }

    pub fn slots(&self) -> Vec<u32> {
        self.samples.iter().map(|(sample, _)| sample.slot()).chain(self.loans.iter().map(Loan::slot)).collect()
    }
}

impl Scene {
    pub fn new(state: &'static State, needs: Needs) -> Rc<Self> {
        let world = World::new(1);
        let [keeper, other, victim] = [(); 3].map(|()| Party::new(&world));
        let writers = 3 + u32::from(state.dead);
        let readers = state.readers + 2 + u32::from(state.dead);
        let mut config = Config::slots(state.slots, CAPACITY as u64).writers(writers).readers(readers);
        if state.overwrite {
            config = config.overwrite();
        }
        let segment = Arc::new(Segment::create(keeper.os.clone(), NAME, &config).expect("a fresh name"));
        state.poke(&segment);
        *keeper.segment.borrow_mut() = Some(segment);
        let (late, dead) = (RefCell::default(), RefCell::default());
        let mut scene = Self { world, state, ledger: Ledger::default(), keeper, survivors: Vec::new(), other, victim, late, dead };
        for _ in 0..state.readers {
            let ear = scene.ear(&scene.attached(&scene.world.process()));
            scene.survivors.push(ear);
        }
        for party in [&scene.other, &scene.victim] {
            let is_needed = |need: bool| need || std::ptr::eq(party, &scene.other);
            *party.segment.borrow_mut() = is_needed(needs.segment).then(|| scene.attached(&party.os));
            *party.ear.borrow_mut() = is_needed(needs.reader).then(|| scene.ear(&party.segment()));
        }
        (0..state.burn).for_each(|number| scene.burn(number == 0));
        *scene.keeper.pen.borrow_mut() = Some(scene.pen(&scene.keeper.segment()));
        *scene.other.pen.borrow_mut() = Some(scene.pen(&scene.other.segment()));
        *scene.victim.pen.borrow_mut() = needs.writer.then(|| scene.pen(&scene.victim.segment()));
        scene.fill();
        if state.dead {
            scene.leave_dead();
        }
        Rc::new(scene)
    }

    pub fn attached(&self, os: &MockOs) -> Shared {
        Arc::new(Segment::attach(os.clone(), NAME).expect("the segment exists"))
    }

    pub fn ear(&self, segment: &Shared) -> Ear {
        let reader = Reader::join(Arc::clone(segment)).expect("a reader entry is free");
        Ear { reader, log: Log::new(&self.ledger), is_excused: Cell::new(false) }
    }

    pub fn pen(&self, segment: &Shared) -> Pen {
        let writer = Writer::join(Arc::clone(segment)).expect("a writer entry is free");
        Pen { writer, session: self.ledger.session() }
    }

    /// Sends the next sample; false if nothing is free.
    pub fn send(&self, pen: &Pen) -> bool {
        match pen.writer.loan() {
            Ok(loan) => self.commit(pen, loan),
            Err(error) => {
                assert_eq!(error, LoanError::NoFreeSlot);
                return false;
            }
        }
        true
    }

    /// Fills and commits a loan as the next sample.
    pub fn commit(&self, pen: &Pen, mut loan: Loan<'_, Shared>) {
        let id = self.ledger.tries(pen.session);
        let bytes = bytes(id);
        // In two parts, so that a process may die in the midst of it.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        loan[..first.len()].copy_from_slice(first);
        loan[first.len()..bytes.len()].copy_from_slice(second);
        loan.commit_len(bytes.len()).expect("its own loan");
        self.ledger.acknowledge(id);
    }

    /// Takes one sample; it is noted when it is there.
    pub fn take<'e>(&self, ear: &'e Ear) -> Option<(Sample<'e, Shared>, u32)> {
        // A take that only moved its cursor is not "nothing": look again. Each look gets over a whole ring.
        for _ in 0..3 {
            match ear.reader.take() {
                Ok(Some(sample)) => {
                    let id = ear.log.receives(&sample, sample.writer().get(), sample.sequence());
                    return Some((sample, id));
                }
                Ok(None) => {}
                Err(TakeError::Closed | TakeError::WriterDied) => return None,
                Err(TakeError::Evicted) if ear.is_excused.get() => return None,
                Err(error) => panic!("a take failed: {error}"),
            }
        }
        None
    }

    pub fn drain(&self, ear: &Ear) {
        while self.take(ear).is_some() {}
    }

    /// Every reader that lives takes all there is.
    pub fn drain_all(&self) {
        self.for_each_ear(|ear| self.drain(ear));
    }

    /// The survivors, the other process's if that lives, and the one that came late.
    pub fn for_each_ear(&self, act: impl FnMut(&Ear)) {
        let (other, late) = (self.other.ear.borrow(), self.late.borrow());
        let other = other.iter().filter(|_| !self.other.os.is_dead());
        self.survivors.iter().chain(other).chain(&*late).for_each(act);
    }

    /// Holds what the state says is held, by the first survivor and the keeper.
    pub fn hold<'s>(&'s self, pen: &'s Option<Pen>) -> Held<'s> {
        let mut held = Held::default();
        for _ in 0..self.state.holds {
            held.samples.extend(self.take(&self.survivors[0]));
        }
        for _ in 0..self.state.loaned {
            let mut loan = pen.as_ref().expect("the keeper writes").writer.loan().expect("a slot is free");
            loan.fill(0xA5);
            held.loans.push(loan);
        }
        assert_eq!(held.samples.len() + held.loans.len(), self.state.holds + self.state.loaned);
        held
    }

    fn fill(&self) {
        let keeper = self.keeper.pen.borrow();
        let pen = keeper.as_ref().expect("the keeper writes");
        match self.state.fill {
            Fill::Unread(samples) => (0..samples).for_each(|_| assert!(self.send(pen))),
            Fill::OwedByVictim => {
                (0..self.state.slots).for_each(|_| assert!(self.send(pen)));
                self.drain_all();
            }
            Fill::Scarce => {
                while self.send(pen) {}
                let (other, victim) = (self.other.ear.borrow(), self.victim.ear.borrow());
                for ear in self.survivors.iter().chain(&*other).chain(&*victim) {
                    (0..4).for_each(|_| drop(self.take(ear).expect("all are full")));
                }
                let flags = self.keeper.segment().view().flags().load(Relaxed);
                assert_ne!(flags & seqslot_core::layout::control::SCARCE, 0, "slots are scarce");
            }
        }
    }

    /// A writer takes index 0 and dies: a position is burnt. The first one sends a sample before.
    fn burn(&self, sends: bool) {
        let os = self.world.process();
        let pen = self.pen(&self.attached(&os));
        if sends {
            assert!(self.send(&pen));
        }
        os.kill();
        assert_eq!(pen.writer.index(), WriterIndex::new(0).expect("in range"));
    }

    /// A process that died in the midst of a commit, with another loan out and as a reader inside a sample; not recovered yet.
    fn leave_dead(&self) {
        let party = Party::new(&self.world);
        let segment = self.attached(&party.os);
        let (pen, ear) = (self.pen(&segment), self.ear(&segment));
        let died = party.os.run(|| {
            assert!(self.send(&pen));
            let _held = self.take(&ear).expect("its own");
            let _out = pen.writer.loan();
            if let Ok(loan) = pen.writer.loan() {
                // Two parts of the fill, five words of the header; it dies before it gives the slot up.
                party.os.die_before(8);
                self.commit(&pen, loan);
            }
            party.os.kill();
        });
        assert!(died.is_err());
        *party.segment.borrow_mut() = Some(segment);
        *party.pen.borrow_mut() = Some(pen);
        *party.ear.borrow_mut() = Some(ear);
        self.dead.borrow_mut().push(party);
    }

    /// What the other process does when it goes on: sends, takes, waits for a slice, joins anew, and leaves.
    pub fn uses(&self, cue: &Cue<'_>) {
        let (pen, ear) = (self.other.pen.borrow_mut().take(), self.other.ear.borrow_mut().take());
        let pen = pen.expect("the other writes");
        cue.go();
        let ear = ear.unwrap_or_else(|| self.ear(&self.other.segment()));
        self.send(&pen);
        let held = self.take(&ear);
        self.send(&pen);
        drop(held);
        self.drain(&ear);
        // As at the end of a slice.
        let _ = self.other.segment().recover();
        self.drain(&ear);
        drop(pen.writer.loan_timeout(Duration::from_millis(110)));
        drop(ear);
        drop(pen);
        let again = self.pen(&self.other.segment());
        self.send(&again);
    }

    /// Position at which the state's streams begin, if not at the ordinary one.
    pub fn start_at(segment: &Shared, position: u32) {
        let geometry = segment.geometry();
        for writer in (0..geometry.writers).filter_map(WriterIndex::new) {
            let (entry, ring) = (segment.view().writer_entry(writer), segment.view().ring(writer));
            let (Some(entry), Some(ring)) = (entry, ring) else { continue };
            entry.head().poke(position.wrapping_sub(geometry.ring_len));
            for back in 1..=geometry.ring_len {
                let before = position.wrapping_sub(back);
                ring.tag(before).poke(before);
                ring.index(before).poke(u32::MAX);
            }
        }
    }

    /// Every slot was claimed so many times that its generation is about to wrap.
    pub fn start_with_generation(segment: &Shared, left: u32) {
        for slot in segment.view().slots() {
            slot.state().poke(GENERATION_MASK - left);
        }
    }
}
