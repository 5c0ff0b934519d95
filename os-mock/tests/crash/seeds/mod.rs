//! Users of the seeds' face die: a face that survives as a reader and one that writes go on, and the dead one's index is free of all it
//! owed.

mod acts;
mod check;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use seqslot_core::{Config, Exclusion, Exclusive, Segment, SlotBackend, SlotError, SlotFace, SlotHandle};
use seqslot_os_mock::{MockOs, World};

use crate::ledger::{CAPACITY, Ledger, Log, bytes};
use crate::scene::Scene as Plain;
use crate::script::{Case, Cue, Script, Second};

const NAME: &str = "frames";
/// Reader indices: of the survivor, of the victim, and of the other process.
const SURVIVOR: u8 = 0;
const VICTIM: u8 = 1;
const OTHER: u8 = 2;
const EVERYBODY: u32 = 0b111;

/// A lock that a death leaves as it is.
pub struct Guarded<T>(Mutex<T>);

impl<T> Exclusive<T> for Guarded<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub struct Mutexes;

impl Exclusion for Mutexes {
    type Of<T> = Guarded<T>;
}

type Face = SlotFace<MockOs, Mutexes>;

/// What was there before.
#[derive(Debug)]
struct State {
    name: &'static str,
    slots: u64,
    samples: u64,
    /// The survivor and the other have read them all: only the victim owes.
    is_owed_by_victim: bool,
    position: Option<u32>,
    generation: Option<u32>,
}

const fn state(name: &'static str, slots: u64, samples: u64) -> State {
    State { name, slots, samples, is_owed_by_victim: false, position: None, generation: None }
}

static STATES: [State; 7] = [
    state("seeds-empty", 3, 0),
    state("seeds-in-flight", 3, 1),
    state("seeds-full", 3, 3),
    State { is_owed_by_victim: true, ..state("seeds-owed-by-victim", 3, 3) },
    State { is_owed_by_victim: true, ..state("seeds-scarce", 36, 34) },
    State { position: Some(u32::MAX - 1), ..state("seeds-positions-wrap", 3, 1) },
    State { generation: Some(1), ..state("seeds-generations-wrap", 3, 1) },
];

type Act = fn(&Rc<Scene>, &Cue<'_>);
static OPERATIONS: [(&str, bool, Act); 14] = [
    ("seeds-attach", false, acts::attach),
    ("seeds-reserve", false, acts::reserve),
    ("seeds-commit", false, acts::commit),
    ("seeds-commit-in-place", false, acts::commit_in_place),
    ("seeds-discard", false, acts::discard),
    ("seeds-next", false, acts::next),
    ("seeds-mark", false, acts::mark),
    ("seeds-mark-all", false, acts::mark_all),
    ("seeds-disconnect", false, acts::disconnect),
    ("seeds-disconnect-other", false, acts::disconnect_other),
    ("seeds-wait", false, acts::wait),
    ("seeds-drop", false, acts::drop_face),
    ("seeds-commit-to-waiting", true, acts::commit),
    ("seeds-mark-to-waiting", true, acts::mark),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &(operation, waits, act) in &OPERATIONS {
        for state in &STATES {
            let run = Box::new(move |script: &Rc<Script>| run(state, waits, act, script));
            cases.push(Case { operation, state: state.name, seconds: &[Second::Recovers, Second::Uses], run });
        }
    }
    cases
}

/// A process with its face, its session as a writer, and what it has read.
struct Party {
    os: MockOs,
    face: RefCell<Option<Face>>,
    session: u32,
    log: Log,
}

struct Scene {
    world: World,
    ledger: Ledger,
    survivor: Party,
    victim: Party,
    other: Party,
    /// The other has been declared disconnected: it is owed nothing.
    is_other_excused: Cell<bool>,
}

impl Scene {
    fn new(state: &State) -> Rc<Self> {
        let (world, ledger) = (World::new(1), Ledger::default());
        let config = Config::slots(state.slots, CAPACITY as u64).writers(4).readers(4);
        let keeper = world.process();
        let segment = std::sync::Arc::new(Segment::create(keeper.clone(), NAME, &config).expect("a fresh name"));
        if let Some(position) = state.position {
            Plain::start_at(&segment, position);
        }
        if let Some(left) = state.generation {
            Plain::start_with_generation(&segment, left);
        }
        let party = |os: MockOs, segment| {
            let face = RefCell::new(Some(SlotFace::new(segment).expect("no overwriting")));
            Party { os, face, session: ledger.session(), log: Log::new(&ledger) }
        };
        let segment = std::sync::Arc::into_inner(segment).expect("nobody else has it");
        let survivor = party(keeper, segment);
        let [victim, other] = [(); 2].map(|()| {
            let os = world.process();
            let segment = Segment::attach(os.clone(), NAME).expect("it exists");
            party(os, segment)
        });
        let scene = Rc::new(Self { world, ledger, survivor, victim, other, is_other_excused: Cell::new(false) });
        // First uses: each has its index from here on.
        for (party, reader) in scene.readers() {
            assert_eq!(party.with(|face| face.next_unread_slot(reader)), Ok(None));
        }
        for _ in 0..state.samples {
            assert!(scene.send(&scene.other));
        }
        if state.is_owed_by_victim {
            scene.read_all(&scene.survivor, SURVIVOR);
            scene.read_all(&scene.other, OTHER);
        }
        scene
    }

    fn readers(&self) -> [(&Party, u8); 3] {
        [(&self.survivor, SURVIVOR), (&self.victim, VICTIM), (&self.other, OTHER)]
    }

    /// Reserves, fills, commits; false if nothing is free.
    fn send(&self, party: &Party) -> bool {
        party.with(|face| match face.reserve_slot(EVERYBODY) {
            Ok(handle) => {
                self.commit(party, face, handle);
                true
            }
            Err(error) => {
                assert_eq!(error, SlotError::NoFreeSlot);
                false
            }
        })
    }

    fn commit(&self, party: &Party, face: &Face, handle: SlotHandle) {
        let id = self.ledger.tries(party.session);
        face.commit_slot(handle, &bytes(id)).expect("its own loan");
        self.ledger.acknowledge(id);
    }

    /// Reads the next sample, and marks it; false if there is none.
    fn read(&self, party: &Party, reader: u8) -> bool {
        party.with(|face| {
            let Some(handle) = face.next_unread_slot(reader).expect("its own index") else { return false };
            let again = face.next_unread_slot(reader).expect("its own index");
            assert_eq!(again, Some(handle), "the same again until it is marked");
            let (header, found) = face.read_slot(handle).expect("it is there until it is marked");
            let writer = face.segment().view().slot(handle.slot_index).expect("its index").words().writer;
            party.log.receives(&found, writer, header.sequence_number);
            face.mark_read(handle, reader).expect("its own");
            true
        })
    }

    fn read_all(&self, party: &Party, reader: u8) {
        while self.read(party, reader) {}
    }

    /// Whoever lives reads all there is, and what it got is checked.
    fn drain(&self) {
        self.read_all(&self.survivor, SURVIVOR);
        self.survivor.log.check(&self.ledger, None);
        if !self.other.os.is_dead() {
            self.read_all(&self.other, OTHER);
            if !self.is_other_excused.get() {
                self.other.log.check(&self.ledger, None);
            }
        }
    }
}

impl Party {
    fn with<R>(&self, act: impl FnOnce(&Face) -> R) -> R {
        act(self.face.borrow().as_ref().expect("it has its face"))
    }
}

fn run(state: &State, waits: bool, act: Act, script: &Rc<Script>) {
    let scene = Scene::new(state);
    if waits {
        survivor_waits(&scene, act, script);
    } else {
        script.mortal(0, &scene.victim.os, |cue| act(&scene, cue));
    }
    let recovers = |turn| {
        let os = scene.world.process();
        script.mortal(turn, &os, |cue| {
            cue.go();
            let segment = Segment::attach(os.clone(), NAME).expect("it exists");
            let _ = segment.recover();
        });
    };
    match script.deaths.second {
        Some((Second::Recovers, _)) => recovers(1),
        Some((Second::Uses, _)) => script.mortal(1, &scene.other.os, |cue| {
            cue.go();
            scene.send(&scene.other);
            scene.read_all(&scene.other, OTHER);
            scene.send(&scene.other);
            scene.other.with(|face| face.wait_for_change(face.notify_generation(), Duration::from_millis(110)));
            scene.send(&scene.other);
            *scene.other.face.borrow_mut() = None;
        }),
        None => {}
    }
    if script.deaths.third.is_some() {
        recovers(2);
    }
    check::check(&scene, state);
}

/// The survivor waits for a change while the victim acts: it returns when that is told, at the latest when its slice ends.
fn survivor_waits(scene: &Rc<Scene>, act: Act, script: &Rc<Script>) {
    let (others, deaths, mut is_first) = (Rc::clone(scene), Rc::clone(script), true);
    let before = scene.survivor.with(SlotBackend::notify_generation);
    let hook = scene.world.on_wait(move |_| {
        if std::mem::take(&mut is_first) {
            deaths.mortal(0, &others.victim.os, |cue| act(&others, cue));
            return true;
        }
        false
    });
    let start = scene.world.now();
    scene.survivor.with(|face| face.wait_for_change(before, Duration::from_secs(5)));
    let slept = scene.world.now() - start;
    drop(hook);
    let moved = scene.survivor.with(SlotBackend::notify_generation) != before;
    assert!(moved, "the death itself is a change, once it is noticed");
    assert!(slept < Duration::from_millis(120), "it slept {slept:?}");
}
