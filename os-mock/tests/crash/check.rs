//! Every invariant, looked at by a fresh process after the deaths: it attaches, which recovers, and then uses all there is.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use seqslot_core::{AtomicU32, JoinError, LoanError, Lock, Mapping, Reader, ReaderIndex, Writer};

use crate::membership;
use crate::scene::{Ear, Held, NAME, Pen, Scene, Shared};
use crate::words::{self, Living};

/// Attaches and recovers; a second recovery finds nothing and changes nothing.
pub fn recovers(scene: &Scene) -> Shared {
    let segment = scene.attached(&scene.world.process());
    let before = words::dump(&segment);
    let again = segment.recover().expect("no fault is planned");
    assert!(again.is_empty(), "the second recovery found {again:?}");
    let behind = words::dump(&segment);
    let differ: Vec<_> = before.iter().zip(&behind).filter(|(one, other)| one != other).collect();
    assert!(differ.is_empty(), "the second recovery changed {differ:x?}");
    segment
}

/// All there is to check. `held` is what survivors had in their hands all the time; `sleeps` tries sleepers, too, which takes longer;
/// `late` has somebody join before anybody recovers.
pub fn everything(scene: &Rc<Scene>, held: Held<'_>, sleeps: bool, late: bool) {
    // Some run so, some without: it takes the first entry that a dead reader has left, and recovers that.
    *scene.late.borrow_mut() = late.then(|| scene.ear(&scene.keeper.segment()));
    let segment = recovers(scene);
    membership::evict_again(scene, &segment);
    held.check();
    let (living, loaned) = (Living::of(scene), held.loans.len() as u32);
    words::tell_of_the_living(&segment, living, &held.slots(), loaned);
    words::ring_agrees_with_slots(&segment);
    words::free_map_shows_the_free(&segment);
    nobody_holds_more(scene, &segment, living);
    scene.drain_all();
    check_logs(scene);
    let pen = scene.pen(&segment);
    all_slots_can_be_loaned(scene, &pen, &held);
    held.check();
    drop(held);
    all_slots_can_be_loaned(scene, &pen, &Held::default());
    everybody_goes_on(scene, &pen);
    drop(pen);
    entries_can_be_claimed(scene, &segment, living);
    *scene.late.borrow_mut() = None;
    if sleeps {
        sleepers_are_woken(scene, &segment);
    }
    statistics_agree(scene, &segment);
    words::ring_agrees_with_slots(&segment);
    let living = Living::of(scene);
    words::tell_of_the_living(&segment, living, &[], 0);
    nobody_holds_more(scene, &segment, living);
    assert!(segment.owner_lives().expect("no fault is planned"), "the keeper owns it");
    assert!(scene.world.exists(NAME));
}

/// Locks are held by the living and for entries in use only.
fn nobody_holds_more(scene: &Scene, segment: &Shared, living: Living) {
    let held = |lock: Lock| segment.mapping().is_claimed(lock, &AtomicU32::new(0)).expect("no fault is planned");
    assert!(!held(Lock::EVICTION), "nobody evicts");
    let expected = 1 + (living.readers | living.evicted).count_ones() + living.writers.count_ones();
    assert_eq!(scene.world.locks_held(), expected as usize, "locks held");
}

/// The reader of each survivor, and of the other process if it lives.
fn check_logs(scene: &Scene) {
    let missed = |ear: &Ear| scene.state.overwrite.then(|| ear.reader.missed());
    scene.for_each_ear(|ear| {
        if !ear.is_excused.get() {
            ear.log.check(&scene.ledger, missed(ear));
        }
    });
}

/// Loans every slot at once but those that are held: as many as there are, each once; and fills them, which must hurt nobody.
fn all_slots_can_be_loaned(scene: &Scene, pen: &Pen, held: &Held<'_>) {
    let mut loans = Vec::new();
    let refusal = loop {
        match pen.writer.try_loan() {
            Ok(mut loan) => {
                loan.fill(0x5A);
                loans.push(loan);
            }
            Err(error) => break error,
        }
        assert!(loans.len() <= scene.state.slots as usize, "more loans than slots");
    };
    assert_eq!(refusal, LoanError::NoFreeSlot);
    let slots: BTreeSet<u32> = loans.iter().map(|loan| loan.slot()).chain(held.slots()).collect();
    assert_eq!(loans.len() + held.slots().len(), scene.state.slots as usize, "slots that can be loaned at once: {slots:?}");
    assert_eq!(slots.len(), scene.state.slots as usize, "each once");
    held.check();
    // One is committed, the others are given up.
    if let Some(loan) = loans.pop() {
        scene.commit(pen, loan);
    }
    scene.ledger.never(pen.session);
    drop(loans);
    scene.drain_all();
    check_logs(scene);
}

/// Everybody who writes goes on for more than a ring's length, and whoever reads gets it all.
fn everybody_goes_on(scene: &Scene, pen: &Pen) {
    let (keeper, other) = (scene.keeper.pen.borrow(), scene.other.pen.borrow());
    let others = other.iter().filter(|_| !scene.other.os.is_dead());
    let pens: Vec<&Pen> = keeper.iter().chain(others).chain([pen]).collect();
    for round in 0..4 {
        for pen in &pens {
            let id = scene.ledger.now();
            assert!(scene.send(pen), "round {round}: a slot is free, everything is read");
            assert!(scene.ledger.is_acknowledged(id));
            if round % 2 == 0 || scene.state.slots < 4 {
                scene.drain_all();
            }
        }
    }
    scene.drain_all();
    check_logs(scene);
}

/// Every entry that no living party has can be claimed, and works.
fn entries_can_be_claimed(scene: &Scene, segment: &Shared, living: Living) {
    let geometry = segment.geometry();
    let (mut ears, mut pens) = (Vec::new(), Vec::new());
    let free = geometry.readers - (living.readers | living.evicted).count_ones();
    for _ in 0..free {
        ears.push(scene.ear(segment));
    }
    let full = Reader::<_, [u8]>::join(Arc::clone(segment)).map(drop).expect_err("more readers than entries");
    assert_eq!(full, JoinError::Full { entries: geometry.readers });
    for _ in 0..geometry.writers - living.writers.count_ones() {
        pens.push(scene.pen(segment));
    }
    let full = Writer::<_, [u8]>::join(Arc::clone(segment)).map(drop).expect_err("more writers than entries");
    assert_eq!(full, JoinError::Full { entries: geometry.writers });
    for pen in &pens {
        assert!(scene.send(pen), "everything is read");
        ears.iter().for_each(|ear| scene.drain(ear));
        scene.drain_all();
    }
    for ear in &ears {
        ear.log.check(&scene.ledger, scene.state.overwrite.then(|| ear.reader.missed()));
    }
    check_logs(scene);
    let last = ReaderIndex::new(geometry.readers - 1).expect("in range");
    assert!(segment.reader_lives(last).expect("no fault is planned"));
}

/// A reader and a writer that park now are woken by a commit and a release, and not by the end of their slices.
fn sleepers_are_woken(scene: &Rc<Scene>, segment: &Shared) {
    const PATIENCE: Duration = Duration::from_secs(20);
    let ear = scene.ear(segment);
    let others = Rc::clone(scene);
    let hook = scene.world.on_wait(move |_| others.keeper.pen.borrow().as_ref().is_some_and(|pen| others.send(pen)));
    let before = scene.world.now();
    let sample = ear.reader.take_timeout(PATIENCE).expect("the keeper sends");
    let slept = scene.world.now() - before;
    assert!(slept < Duration::from_millis(900), "it slept {slept:?}, to the end of its slice");
    ear.log.receives(&sample, sample.writer().get(), sample.sequence());
    drop(sample);
    drop(hook);
    scene.drain_all();
    if scene.state.overwrite {
        return;
    }
    let pen = scene.pen(segment);
    while scene.send(&pen) {}
    scene.drain(&ear);
    let others = Rc::clone(scene);
    let hook = scene.world.on_wait(move |_| {
        others.drain_all();
        true
    });
    let before = scene.world.now();
    let loan = pen.writer.loan_timeout(PATIENCE).expect("the readers read");
    let slept = scene.world.now() - before;
    assert!(slept < Duration::from_millis(90), "it slept {slept:?}, to the end of its slice");
    drop((loan, hook));
    drop(pen);
    ear.log.check(&scene.ledger, None);
    check_logs(scene);
}

/// The count of published samples lies between those acknowledged and those tried.
fn statistics_agree(scene: &Scene, segment: &Shared) {
    let (acknowledged, tried) = scene.ledger.counts();
    let published = segment.stats().published;
    let published = published.wrapping_sub(scene.state.published_before(segment.geometry()));
    assert!(
        (acknowledged..=acknowledged + tried).contains(&published),
        "{published} published by the statistics; {acknowledged} were acknowledged, {tried} more tried"
    );
}
