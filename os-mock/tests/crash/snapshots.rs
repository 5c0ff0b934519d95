//! Writers of snapshots die: the last good value stays, and the next writer goes on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use seqslot_core::layout::snapshot::{BUFFER_HIGH, BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT};
use seqslot_core::{
    Access, AttachError, CreateError, Mapping, Memory, Ordering::Relaxed, Os, SnapshotConfig, SnapshotError, SnapshotReader, SnapshotView,
    SnapshotWriter, WriterLife,
};
use seqslot_os_mock::{MockOs, World};

use crate::script::{Case, Cue, Script, Second};

const NAME: &str = "pose";
type Value = [u32; 6];
type Writer = SnapshotWriter<MockOs, Value>;
type Reader = SnapshotReader<MockOs, Value>;

/// What was there before.
#[derive(Debug)]
struct State {
    name: &'static str,
    /// Values published before, the last of them under this generation, if it matters.
    values: u32,
    generation: Option<u64>,
    buffers: u32,
    always_wake: bool,
    /// How the writer of those values went.
    left: Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It is the victim.
    Stays,
    Leaves,
    /// It died before its so manieth event of another publication.
    Dies(u64),
}

const fn state(name: &'static str, values: u32, generation: Option<u64>) -> State {
    State { name, values, generation, buffers: 2, always_wake: false, left: Left::Stays }
}

static STATES: [State; 11] = [
    state("empty", 0, None),
    state("one-value", 1, None),
    state("many-values", 5, None),
    state("low-word-wraps", 2, Some(u32::MAX as u64)),
    State { buffers: 4, ..state("four-buffers-wrap", 2, Some((3 << 32) + u32::MAX as u64)) },
    State { always_wake: true, ..state("wakes-always", 2, None) },
    State { left: Left::Leaves, ..state("writer-left", 2, None) },
    State { left: Left::Dies(2), ..state("writer-died-busy", 2, None) },
    State { left: Left::Dies(5), ..state("writer-died-whole", 2, None) },
    State { left: Left::Dies(6), ..state("writer-died-announcing", 2, Some(u32::MAX as u64)) },
    State { left: Left::Dies(3), ..state("first-writer-died", 0, None) },
];

type Act = fn(&Scene, &Cue<'_>);
static OPERATIONS: [(&str, bool, Act); 6] = [
    ("publish", true, publish),
    ("publish-three", true, publish_three),
    ("drop-snapshot-writer", true, drop_writer),
    ("leave-snapshot", true, leave),
    ("take-over", false, take_over),
    ("take-over-publish", false, take_over_publish),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &(operation, stays, act) in &OPERATIONS {
        for state in STATES.iter().filter(|state| stays == (state.left == Left::Stays)) {
            let run = Box::new(move |script: &Rc<Script>| run(state, act, script));
            cases.push(Case { operation, state: state.name, seconds: &[Second::Recovers], run });
        }
    }
    cases
}

struct Scene {
    world: World,
    victim: MockOs,
    writer: RefCell<Option<Writer>>,
    reader: RefCell<Reader>,
    /// How many values were tried, which was acknowledged last, and what was seen under which generation.
    tried: Cell<u32>,
    acknowledged: Cell<u32>,
    seen: RefCell<BTreeMap<u64, u32>>,
}

/// Value number `id`, from 1.
fn value(id: u32) -> Value {
    std::array::from_fn(|at| id.wrapping_mul(0x9E37_79B9).rotate_left(at as u32 * 5) ^ at as u32)
}

impl Scene {
    fn new(state: &State) -> Self {
        let world = World::new(1);
        let (first, victim) = (world.process(), world.process());
        let config = SnapshotConfig::of::<Value>().buffers(state.buffers).always_wake(state.always_wake);
        let os = if state.left == Left::Stays { &victim } else { &first };
        let mut writer = Writer::create(os.clone(), NAME, config).expect("a fresh name");
        if let Some(generation) = state.generation {
            writer.leave();
            start_at(os, generation - u64::from(state.values));
            writer = Writer::attach(os.clone(), NAME).expect("its writer has left");
        }
        let reader = RefCell::new(Reader::attach(world.process(), NAME).expect("it exists"));
        let (tried, acknowledged, seen) = (Cell::new(0), Cell::new(0), RefCell::default());
        let scene = Self { world, victim, writer: RefCell::default(), reader, tried, acknowledged, seen };
        for _ in 0..state.values {
            scene.publish(&mut writer);
            scene.look(&mut scene.reader.borrow_mut());
        }
        match state.left {
            Left::Stays => *scene.writer.borrow_mut() = Some(writer),
            Left::Leaves => writer.leave(),
            Left::Dies(before) => {
                first.die_before(before);
                assert!(first.run(|| scene.publish(&mut writer)).is_err());
            }
        }
        scene
    }

    fn publish(&self, writer: &mut Writer) {
        let id = self.tried.get() + 1;
        self.tried.set(id);
        let generation = writer.publish(&value(id)).expect("its own");
        self.acknowledged.set(id);
        self.sees(generation, id);
    }

    /// Nobody ever sees two values under one generation, nor an older value under a newer one.
    fn sees(&self, generation: u64, id: u32) {
        let mut seen = self.seen.borrow_mut();
        assert!(*seen.entry(generation).or_insert(id) == id, "generation {generation} was {} and is {id}", seen[&generation]);
        let ids: Vec<u32> = seen.values().copied().collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{seen:?}");
    }

    /// What the reader sees: the value acknowledged last, or one tried since.
    fn look(&self, reader: &mut Reader) {
        match reader.snapshot() {
            Ok(found) => {
                let id = (1..=self.tried.get()).find(|id| value(*id) == *found).unwrap_or_else(|| panic!("{:x?} is torn", *found));
                assert!(id >= self.acknowledged.get(), "value {id}, but {} was acknowledged", self.acknowledged.get());
                self.sees(found.generation(), id);
            }
            Err(error) => {
                assert_eq!(error, SnapshotError::Empty);
                assert_eq!(self.acknowledged.get(), 0, "a value was acknowledged, and none is there");
            }
        }
    }

    /// The next writer: by the name if that is there, else of a new segment.
    fn next_writer(&self, os: &MockOs) -> Writer {
        match Writer::attach(os.clone(), NAME) {
            Ok(writer) => writer,
            Err(error) => {
                assert!(matches!(error, AttachError::NotFound | AttachError::Head(_)), "{error}");
                // The values so far were those of another segment.
                self.forget();
                Writer::create(os.clone(), NAME, SnapshotConfig::of::<Value>()).expect("nobody alive has the name")
            }
        }
    }

    fn forget(&self) {
        self.acknowledged.set(0);
        self.tried.set(self.tried.get() + 100);
        self.seen.borrow_mut().clear();
    }
}

/// The segment's newest generation is made `generation`, of a value that nobody looks at.
fn start_at(os: &MockOs, generation: u64) {
    let mapping = os.open(NAME, Access::ReadWrite).expect("it exists");
    // SAFETY: 1. mapped, and the mapping outlives the view. 2. mappings start at a page. 3. nothing is published through it.
    let (view, _) = unsafe { SnapshotView::attach(mapping.memory()) }.expect("a segment");
    let at = view.geometry().buffer_at(generation as u32);
    let (low, high) = (generation as u32, (generation >> 32) as u32);
    for (at, word) in [(at + BUFFER_HIGH, high), (at + BUFFER_LOW, low), (LATEST_HIGH_AT, high), (LATEST_LOW_AT, low)] {
        // SAFETY: offsets of words of the segment, mapped writable; nobody else uses it yet.
        unsafe { mapping.memory().store(at, word, Relaxed) };
    }
}

fn publish(scene: &Scene, cue: &Cue<'_>) {
    let mut writer = scene.writer.borrow_mut();
    cue.go();
    scene.publish(writer.as_mut().expect("the victim writes"));
    cue.end();
}

fn publish_three(scene: &Scene, cue: &Cue<'_>) {
    let mut writer = scene.writer.borrow_mut();
    cue.go();
    (0..3).for_each(|_| scene.publish(writer.as_mut().expect("the victim writes")));
    cue.end();
}

fn drop_writer(scene: &Scene, cue: &Cue<'_>) {
    let writer = scene.writer.borrow_mut().take();
    cue.go();
    drop(writer);
    cue.end();
}

fn leave(scene: &Scene, cue: &Cue<'_>) {
    let writer = scene.writer.borrow_mut().take().expect("the victim writes");
    cue.go();
    writer.leave();
    cue.end();
}

fn take_over(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    let writer = Writer::attach(scene.victim.clone(), NAME).expect("its writer is gone");
    cue.end();
    drop(writer);
}

fn take_over_publish(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    let mut writer = Writer::attach(scene.victim.clone(), NAME).expect("its writer is gone");
    scene.publish(&mut writer);
    cue.end();
}

fn run(state: &State, act: Act, script: &Script) {
    let scene = Scene::new(state);
    script.mortal(0, &scene.victim, |cue| act(&scene, cue));
    for (turn, planned) in [(1, script.deaths.second.is_some()), (2, script.deaths.third.is_some())] {
        let os = scene.world.process();
        scene.look(&mut scene.reader.borrow_mut());
        if planned && scene.world.exists(NAME) {
            script.mortal(turn, &os, |cue| {
                cue.go();
                let mut writer = scene.next_writer(&os);
                scene.publish(&mut writer);
                writer.leave();
            });
        } else if planned {
            // Its name is gone, and with it what could be taken over.
            script.nobody(turn);
        }
    }
    check(&scene);
}

fn check(scene: &Scene) {
    let mut reader = scene.reader.borrow_mut();
    scene.look(&mut reader);
    let freshness = reader.freshness();
    assert!(matches!(freshness.writer, WriterLife::Dead | WriterLife::Left), "{freshness:?}");
    let was_there = scene.world.exists(NAME);
    if was_there {
        scene.look(&mut Reader::attach(scene.world.process(), NAME).expect("it exists"));
    }
    let os = scene.world.process();
    let mut writer = scene.next_writer(&os);
    assert!(writer.is_owner(), "nobody else is left");
    if was_there {
        // Taking over may announce what was whole, and changes nothing else.
        scene.look(&mut reader);
        let found = reader.snapshot().ok().map(|found| found.generation());
        assert_eq!(writer.generation(), found.unwrap_or(0));
        assert_eq!(reader.freshness().writer, WriterLife::Alive);
    } else {
        *reader = Reader::attach(scene.world.process(), NAME).expect("made anew");
    }
    let refused = Writer::attach(scene.world.process(), NAME).map(drop).expect_err("its writer lives");
    assert!(matches!(refused, AttachError::Taken { .. }), "{refused}");
    let refused = Writer::create(scene.world.process(), NAME, SnapshotConfig::of::<Value>()).map(drop).expect_err("its owner lives");
    assert!(matches!(refused, CreateError::AlreadyExists { .. }), "{refused}");
    let mut fresh = Reader::attach(scene.world.process(), NAME).expect("it exists");
    for _ in 0..5 {
        scene.publish(&mut writer);
        assert!(fresh.wait_newer(Duration::from_secs(1)));
        for reader in [&mut *reader, &mut fresh] {
            scene.look(reader);
            assert_eq!(reader.cached().map(|found| *found), Some(value(scene.acknowledged.get())), "the newest");
        }
    }
    assert_eq!(scene.world.locks_held(), 2, "the owner's and the writer's");
    drop(writer);
    assert!(!scene.world.exists(NAME));
    assert_eq!(scene.world.locks_held(), 0);
}
