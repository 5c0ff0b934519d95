//! Creators and owners die: the name is never lost, never taken from the living, and can always be had again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use seqslot_core::{AttachError, Config, CreateError, LoanError, Reader, Segment, SnapshotConfig, SnapshotReader, SnapshotWriter, Writer};
use seqslot_os_mock::{MockOs, World};

use crate::script::{Case, Cue, Script, Second};

const NAME: &str = "frames";
const SLOTS: u64 = 3;

/// Who had the name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nobody,
    /// An owner that is dead; others are still attached to what it made.
    Dead,
    /// As above, dead in the midst of its own creation.
    DeadCreating,
    /// An owner that lives.
    Living,
}

const STATES: [(&str, Before); 4] = [
    ("fresh-name", Before::Nobody),
    ("dead-owner", Before::Dead),
    ("dead-creator", Before::DeadCreating),
    ("living-owner", Before::Living),
];

type Act = fn(&Scene, &Cue<'_>);

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (state, before) in STATES {
        let operations: [(&'static str, Act); 4] = [
            ("create", create),
            ("create-use-remove", create_use_remove),
            ("create-snapshot", create_snapshot),
            ("attach-as-successor", attach),
        ];
        for (operation, act) in operations {
            let run = Box::new(move |script: &Rc<Script>| run(before, act, script));
            cases.push(Case { operation, state, seconds: &[Second::Recovers], run });
        }
    }
    cases
}

fn config() -> Config {
    Config::slots(SLOTS, 8).writers(2).readers(2)
}

/// Somebody attached to a segment, with a writer and a reader of its own.
struct Pair {
    reader: Reader<Arc<Segment<MockOs>>>,
    writer: Writer<Arc<Segment<MockOs>>>,
    segment: Arc<Segment<MockOs>>,
}

impl Pair {
    fn of(segment: Segment<MockOs>) -> Self {
        let segment = Arc::new(segment);
        let reader = Reader::join(Arc::clone(&segment)).expect("an entry is free");
        Self { writer: Writer::join(Arc::clone(&segment)).expect("an entry is free"), reader, segment }
    }

    /// Every slot can be loaned, and samples come through.
    fn works(&self) {
        let loans: Vec<_> = std::iter::from_fn(|| self.writer.loan().ok()).collect();
        assert_eq!(loans.len(), SLOTS as usize);
        assert_eq!(self.writer.try_loan().err(), Some(LoanError::NoFreeSlot));
        drop(loans);
        for number in 0..5_u8 {
            self.writer.send(&[number]).expect("a slot is free");
            assert_eq!(self.reader.take().expect("its writer lives").as_deref(), Some(&[number][..]));
        }
    }
}

struct Scene {
    world: World,
    victim: MockOs,
    /// Attached before.
    old: RefCell<Option<Pair>>,
    /// The living owner.
    owner: RefCell<Option<Segment<MockOs>>>,
}

impl Scene {
    fn new(before: Before) -> Self {
        let world = World::new(1);
        let (first, other, victim) = (world.process(), world.process(), world.process());
        let (mut old, mut owner) = (None, None);
        match before {
            Before::Nobody => {}
            Before::DeadCreating => {
                first.die_before(20);
                assert!(first.run(|| Segment::create(first.clone(), NAME, &config())).is_err());
                assert!(world.exists(NAME));
            }
            Before::Dead | Before::Living => {
                let segment = Segment::create(first.clone(), NAME, &config()).expect("a fresh name");
                old = Some(Pair::of(Segment::attach(other, NAME).expect("it exists")));
                if before == Before::Dead {
                    first.kill();
                } else {
                    owner = Some(segment);
                }
            }
        }
        Self { world, victim, old: RefCell::new(old), owner: RefCell::new(owner) }
    }

    fn makes(&self, os: &MockOs) -> Option<Segment<MockOs>> {
        match Segment::create(os.clone(), NAME, &config()) {
            Ok(segment) => Some(segment),
            Err(error) => {
                assert!(matches!(error, CreateError::AlreadyExists { .. }), "{error}");
                assert!(self.owner.borrow().is_some(), "nobody alive has the name");
                None
            }
        }
    }
}

fn create(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    let made = scene.makes(&scene.victim);
    cue.end();
    drop(made);
}

fn create_use_remove(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    if let Some(made) = scene.makes(&scene.victim) {
        Pair::of(made).works();
    }
    cue.end();
}

/// A name is a name: a snapshot may take it over from slots.
fn create_snapshot(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    let made = SnapshotWriter::<_, u32>::create(scene.victim.clone(), NAME, SnapshotConfig::of::<u32>());
    assert_eq!(made.is_err(), scene.owner.borrow().is_some());
    if let Ok(mut writer) = made {
        writer.publish(&7).expect("its own");
        let mut reader = SnapshotReader::<_, u32>::attach(scene.world.process(), NAME).expect("it exists");
        assert_eq!(*reader.snapshot().expect("published"), 7);
    }
    cue.end();
}

/// Attaches, if there is something, and works there.
fn attach(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    if let Ok(segment) = Segment::attach(scene.victim.clone(), NAME) {
        assert!(!segment.is_owner());
        drop(Writer::<_, [u8]>::join(&segment).expect("an entry is free"));
    }
    cue.end();
}

fn run(before: Before, act: Act, script: &Script) {
    let scene = Scene::new(before);
    script.mortal(0, &scene.victim, |cue| act(&scene, cue));
    for (turn, planned) in [(1, script.deaths.second.is_some()), (2, script.deaths.third.is_some())] {
        let os = scene.world.process();
        if planned {
            script.mortal(turn, &os, |cue| {
                cue.go();
                if let Some(made) = scene.makes(&os) {
                    Pair::of(made).works();
                }
            });
        }
    }
    check(&scene, before);
}

fn check(scene: &Scene, before: Before) {
    // Whatever is under the name now is a segment, or not ready, or not there.
    match Segment::attach(scene.world.process(), NAME) {
        Ok(segment) => assert_eq!(segment.owner_lives(), Ok(before == Before::Living)),
        Err(error) => {
            assert!(matches!(error, AttachError::NotFound | AttachError::Head(_)), "{error}");
            assert_ne!(before, Before::Living);
        }
    }
    let locks = |scene: &Scene| scene.world.locks_held();
    let of_the_old = 2 * usize::from(scene.old.borrow().is_some());
    if before == Before::Living {
        assert!(scene.makes(&scene.world.process()).is_none());
        let owner = scene.owner.borrow_mut().take().expect("it lives");
        assert_eq!(Segment::attach(scene.world.process(), NAME).expect("it exists").head(), owner.head(), "still the owner's");
        assert_eq!(locks(scene), 1 + of_the_old);
        drop(owner);
        assert!(!scene.world.exists(NAME));
    }
    let os = scene.world.process();
    let made = scene.makes(&os).expect("nobody alive has the name");
    let other = Pair::of(Segment::attach(scene.world.process(), NAME).expect("made just now"));
    assert_eq!(other.segment.head(), made.head());
    assert_eq!(other.segment.owner_lives(), Ok(true));
    other.works();
    assert_eq!(locks(scene), 3 + of_the_old);
    drop(made);
    assert!(!scene.world.exists(NAME), "its owner takes it away");
    other.works();
    assert_eq!(other.segment.owner_lives(), Ok(false));
    // Those attached to the old one keep it.
    let old = scene.old.borrow_mut().take();
    if let Some(old) = &old {
        old.works();
        assert_eq!(old.segment.owner_lives(), Ok(false));
    }
    drop((old, other));
    assert_eq!(locks(scene), 0);
}
