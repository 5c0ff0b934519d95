//! A writer of the safe face waits for registered readers only, and would take away what readers of the seeds' face owe a read. So a
//! segment has writers of one kind: whichever comes second is told, and of two that come at once at least one.

use std::sync::{Arc, Mutex, mpsc};

use seqslot_core::{Config, Exclusion, Exclusive, JoinError, Os, Segment, SlotBackend, SlotError, SlotFace, Writer};
use seqslot_os_mock::{EventKind, MockOs, World};

struct Locked<T>(Mutex<T>);

impl<T> Exclusive<T> for Locked<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().expect("no panic"))
    }
}

struct Mutexes;

impl Exclusion for Mutexes {
    type Of<T> = Locked<T>;
}

type Face = SlotFace<MockOs, Mutexes>;

fn world() -> (World, Segment<MockOs>) {
    let world = World::new(1);
    let segment = Segment::create(world.process(), "frames", &Config::slots(1, 16).writers(2)).expect("a fresh name");
    (world, segment)
}

fn attached(world: &World) -> (MockOs, Segment<MockOs>) {
    let os = world.process();
    let segment = Segment::attach(os.clone(), "frames").expect("it exists");
    (os, segment)
}

#[test]
fn a_safe_writer_is_refused_where_the_slot_face_was_opened() {
    let (world, segment) = world();
    let face = Face::new(attached(&world).1).expect("nobody writes");
    let sample = face.reserve_slot(0b1).expect("a free slot");
    face.commit_slot(sample, b"owed").expect("its own loan");
    assert_eq!(segment.writer().err(), Some(JoinError::SlotFace));
    assert_eq!(face.next_unread_slot(0), Ok(Some(sample)));
    // Neither a registered reader nor another user of that face is in anybody's way.
    let reader = segment.reader().expect("a free entry");
    let other = Face::new(attached(&world).1).expect("that face is open already");
    assert_eq!(other.reserve_slot(0b1), Err(SlotError::NoFreeSlot), "owed to reader 0");
    face.mark_read(sample, 0).expect("it was shown");
    let sample = other.reserve_slot(0b1).expect("read by all");
    other.commit_slot(sample, b"to both").expect("its own loan");
    assert_eq!(*reader.take().expect("a living writer").expect("committed"), *b"to both");
}

#[test]
fn the_slot_face_is_refused_while_a_safe_writer_lives_and_changes_nothing() {
    let (world, segment) = world();
    let writer = segment.writer().expect("a free entry");
    assert_eq!(Face::new(attached(&world).1).err(), Some(SlotError::SafeWriter { index: 0 }));
    drop(writer);
    let (doomed, theirs) = attached(&world);
    let dead = theirs.writer().expect("the refusal left no trace");
    // Attached before the death: an attach would recover the dead.
    let (_, others) = attached(&world);
    doomed.kill();
    assert!(Face::new(others).is_ok(), "the dead write no more");
    drop(dead);
}

/// Calls `act` before the `nth` event of `process`.
fn at_event(world: &World, process: &MockOs, nth: u32, act: impl FnOnce() + Send + 'static) {
    let (pid, next) = (process.process().pid, Mutex::new((0, Some(act))));
    world.on_event(Some(Arc::new(move |event| {
        let mut next = next.lock().expect("no panic");
        next.0 += u32::from(event.pid == pid);
        let act = if next.0 > nth { next.1.take() } else { None };
        // Not held while it runs: it makes events of its own.
        drop(next);
        if let Some(act) = act {
            act();
        }
    })));
}

#[test]
fn the_slot_face_opened_at_any_point_of_a_safe_writers_join_does_not_get_in_beside_it() {
    for nth in 0.. {
        let (world, _segment) = world();
        let ((joins, theirs), (_, others)) = (attached(&world), attached(&world));
        let opened = Arc::new(Mutex::new(None));
        let place = Arc::clone(&opened);
        at_event(&world, &joins, nth, move || *place.lock().expect("no panic") = Some(Face::new(others)));
        let writer = theirs.writer();
        world.on_event(None);
        let Some(opened) = opened.lock().expect("no panic").take() else {
            assert!(nth > 10, "a join has more events");
            break;
        };
        assert!(writer.is_err() || opened.is_err(), "{nth}: a safe writer and the slot face in one segment");
        assert!(writer.is_ok() || opened.is_ok(), "{nth}: nobody was let in");
    }
}

#[test]
fn a_safe_writer_that_joins_at_any_point_while_the_slot_face_is_opened_does_not_get_in_beside_it() {
    for nth in 0.. {
        let (world, segment) = world();
        let segment = Arc::new(segment);
        let (opens, theirs) = attached(&world);
        let writer = Arc::new(Mutex::new(None));
        let (place, other) = (Arc::clone(&writer), Arc::clone(&segment));
        at_event(&world, &opens, nth, move || *place.lock().expect("no panic") = Some(Writer::<_>::join(other)));
        let opened = Face::new(theirs);
        world.on_event(None);
        let Some(writer) = writer.lock().expect("no panic").take() else {
            assert!(nth > 3, "there are at least the looks and the flag");
            break;
        };
        assert!(writer.is_err() || opened.is_err(), "{nth}: a safe writer and the slot face in one segment");
        assert!(writer.is_ok() || opened.is_ok(), "{nth}: nobody was let in");
    }
}

#[test]
fn the_slot_face_is_not_refused_for_a_dead_writer_that_somebody_is_recovering() {
    let (world, segment) = world();
    let (doomed, theirs) = attached(&world);
    // Attached before the death: an attach would recover the dead.
    let ((recovers, recovering), (opens, others)) = (attached(&world), attached(&world));
    let _dead = theirs.writer().expect("a free entry");
    doomed.kill();
    // The recoverer stops before its first store, with the dead one's lock in hand, until whoever opens the face sleeps, or is done.
    let (is_holding, holding) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let (is_over, over) = mpsc::channel();
    let pids = (recovers.process().pid, opens.process().pid);
    let (stop, sleep) = (Mutex::new(Some((is_holding, goes_on))), Mutex::new(Some((go_on.clone(), over))));
    world.on_event(Some(Arc::new(move |event| {
        if event.pid == pids.0
            && event.kind == EventKind::Store
            && let Some((is_holding, goes_on)) = stop.lock().expect("no panic").take()
        {
            is_holding.send(()).expect("somebody waits");
            goes_on.recv().expect("somebody goes on");
        }
        if event.pid == pids.1
            && event.kind == EventKind::Sleep
            && let Some((go_on, over)) = sleep.lock().expect("no panic").take()
        {
            go_on.send(()).expect("it stopped");
            over.recv().expect("it ends");
        }
    })));
    let opened = std::thread::scope(|scope| {
        scope.spawn(move || {
            assert_eq!(recovering.recover().expect("no fault is planned").writers, 0b1);
            let _ = is_over.send(());
        });
        holding.recv().expect("it recovers");
        let opened = Face::new(others);
        // Should nobody have slept.
        let _ = go_on.send(());
        opened
    });
    world.on_event(None);
    assert_eq!(opened.err(), None);
    drop(segment);
}

#[test]
fn a_child_cannot_open_the_slot_face_on_its_parents_segment_nor_mark_it() {
    let (world, segment) = world();
    let (parent, theirs) = attached(&world);
    let refused = parent.fork().run(|| Face::new(theirs).err()).expect("it lives");
    assert_eq!(refused, Some(SlotError::Forked));
    assert!(segment.writer().is_ok(), "no face was opened");
}
