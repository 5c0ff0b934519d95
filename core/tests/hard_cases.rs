//! Cases in which the protocol once broke a promise: each test fails without its repair. Deaths between two stores, and stale words,
//! are staged by writing the words that the dead would have left.

use core::sync::atomic::AtomicU8;
use core::time::Duration;
use std::cell::RefCell;

use seqslot_core::layout::control::{SCARCE, STATE_EVICTED, STATE_MASK};
use seqslot_core::{
    Access, AtomicU32, Bare, BareClaim, Config, CreateError, CreateFault, Created, EvictError, LoanError, Lock, Memory, ObjectSpec,
    OpenFault, Ordering::Relaxed, Os, Process, Raw, Region, Segment, SlotsOs, TakeError, Woken, Word, WriterIndex,
};

#[repr(align(4096))]
struct Page(#[allow(dead_code, reason = "reached through the slice")] [AtomicU8; 4096]);

/// A fresh zeroed region that begins `skip` bytes behind a multiple of 4096, leaked.
fn region_at(len: usize, skip: usize) -> Region<'static> {
    let pages: Vec<Page> = (0..(len + skip).div_ceil(4096)).map(|_| Page([const { AtomicU8::new(0) }; 4096])).collect();
    let pages: &'static [Page] = pages.leak();
    // SAFETY: pages are arrays of atomics without padding, one behind the other, for ever.
    let bytes = unsafe { core::slice::from_raw_parts(pages.as_ptr().cast::<AtomicU8>(), pages.len() * 4096) };
    // SAFETY: 1. and 2. each test has a region of its own, with one segment in it.
    unsafe { Region::new(&bytes[skip..]) }.unwrap()
}

fn segment(config: &Config) -> Segment<Bare<'static>> {
    Segment::create(Bare::new(region_at(config.len().unwrap(), 0)), &(), config).unwrap()
}

fn attach_again(segment: &Segment<Bare<'static>>) -> Segment<Bare<'static>> {
    Segment::adopt(*segment.os(), *segment.mapping()).unwrap()
}

fn writer(index: u32) -> WriterIndex {
    WriterIndex::new(index).unwrap()
}

/// A word that the test writes in the name of somebody dead or elsewhere.
fn poke<O: SlotsOs<Mapping = Region<'static>>>(segment: &Segment<O>, word: Word<'_, Raw>) -> &'static AtomicU32 {
    let raw = segment.mapping().raw();
    // SAFETY: the region lives for ever; the offset is that of one of its words.
    let address = core::ptr::from_ref(unsafe { raw.futex(word.at()) });
    // SAFETY: as above.
    unsafe { &*address }
}

#[test]
fn a_region_in_use_is_not_laid_out_anew() {
    let config = Config::slots(4, 64).writers(1);
    let region = region_at(config.len().unwrap(), 0);
    let first = Segment::create(Bare::new(region), &(), &config).unwrap();
    let again = Segment::create(Bare::new(region), &(), &Config::slots(1, 16).writers(1).readers(1));
    assert_eq!(again.err(), Some(CreateError::AlreadyExists { pid: 0 }));
    assert!(first.writer().unwrap().loan().is_ok());
}

#[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, Clone, Copy)]
#[repr(C, align(1024))]
struct Wide([u64; 128]);

#[test]
fn payloads_are_aligned_or_the_region_is_refused() {
    let config = Config::typed::<Wide>(2);
    let crooked = Segment::create(Bare::new(region_at(config.len().unwrap(), 64)), &(), &config);
    assert_eq!(crooked.err(), Some(CreateError::Misaligned));
    let straight = Segment::create(Bare::new(region_at(config.len().unwrap(), 0)), &(), &config).unwrap();
    let writer = straight.writer_of::<Wide>().unwrap();
    assert_eq!(core::ptr::from_ref(&*writer.loan().unwrap()).addr() % 1024, 0);
}

#[test]
fn a_handle_of_somebody_declared_dead_touches_nothing_of_its_successor() {
    let segment = segment(&Config::slots(2, 8).writers(1));
    let reader = segment.reader().unwrap();
    let stale = segment.writer().unwrap();
    dead(&segment, Lock::writer(0)).unwrap();
    let successor = segment.writer().unwrap();
    let loan = successor.loan().unwrap();
    drop(stale);
    assert!(segment.writer().is_err(), "the successor's lock was freed");
    loan.commit_len(1).unwrap();
    assert!(reader.take().unwrap().is_some());
    assert!(reader.take().unwrap().is_none(), "the successor's stream was closed");
}

/// Sends until one more committed sample would have position `head` (as the head word counts): as 2^32 commits would.
fn run_writer_on_to(segment: &Segment<Bare<'static>>, head: u32) {
    let ring_len = segment.geometry().ring_len;
    let last = head.wrapping_sub(1).wrapping_add(ring_len);
    let ring = segment.view().ring(writer(0)).unwrap();
    // What the ring would hold: the last lap.
    for back in 0..ring_len {
        let position = last.wrapping_sub(back);
        poke(segment, ring.index(position)).store(u32::MAX, Relaxed);
        poke(segment, ring.tag(position)).store(position, Relaxed);
    }
    poke(segment, segment.view().writer_entry(writer(0)).unwrap().head()).store(head, Relaxed);
}

thread_local! {
    static AT_WAKE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// `Bare`, with something that somebody else does at the next wake.
#[derive(Clone)]
struct Hooked(Bare<'static>);

// SAFETY: 1. passed on.
unsafe impl Os for Hooked {
    type Name = ();
    type Mapping = Region<'static>;
    fn create(&self, name: &(), spec: ObjectSpec) -> Result<Created<Region<'static>, BareClaim<'static>>, CreateFault> {
        self.0.create(name, spec)
    }
    fn open(&self, name: &(), access: Access) -> Result<Region<'static>, OpenFault> {
        self.0.open(name, access)
    }
    fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
        self.0.wait(word, expected, mask, timeout)
    }
    fn wake(&self, _word: &AtomicU32, _mask: u32) {
        if let Some(act) = AT_WAKE.with(|hook| hook.borrow_mut().take()) {
            act();
        }
    }
    fn sleep(&self, time: Duration) {
        self.0.sleep(time);
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn process(&self) -> Process {
        Process::default()
    }
}

#[test]
fn a_mark_lost_between_two_levels_is_found_again() {
    let segment = segment(&Config::slots(65, 8).writers(2));
    let (one, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    let mut held = Vec::new();
    for _ in 0..65 {
        one.send(b"x").unwrap();
        held.push(reader.take().unwrap().unwrap());
    }
    assert_eq!(one.try_loan().err(), Some(LoanError::NoFreeSlot));
    assert_eq!(segment.view().flags().load(Relaxed) & SCARCE, SCARCE);
    // A releaser that was killed in `mark`: its bit at the lowest level is there, the one above not yet.
    let freed = held.remove(40);
    assert_eq!(freed.slot(), 40);
    poke(&segment, segment.view().free_word(0, 1).unwrap()).fetch_or(1 << 8, Relaxed);
    drop(freed);
    let _ = segment.recover();
    assert!(one.loan_timeout(Duration::from_millis(300)).is_ok(), "slot 40 is free, and nobody finds it");
}

#[test]
fn a_new_writer_is_heard_beside_a_busy_one() {
    let segment = segment(&Config::slots(8, 8));
    let busy = segment.writer().unwrap();
    let reader = segment.reader().unwrap();
    busy.send(b"b").unwrap();
    let late = segment.writer().unwrap();
    late.send(b"late").unwrap();
    for _ in 0..10_000 {
        busy.send(b"b").unwrap();
        if reader.take().unwrap().unwrap().writer() == late.index() {
            return;
        }
    }
    panic!("ten thousand samples later the other writer's first is still unread");
}

#[test]
fn an_eviction_that_died_half_way_is_finished_by_the_next() {
    let segment = segment(&Config::slots(1, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"x").unwrap();
    // The evictor's first store, then it was killed.
    let entry = segment.view().reader_entry(reader.index()).unwrap();
    poke(&segment, entry.state()).fetch_or(STATE_EVICTED, Relaxed);
    let again = evict(&segment, reader.id());
    assert_ne!(again, Err(EvictError::Gone), "the reader hangs there and counts; nobody can evict it any more");
    assert!(writer.loan().is_ok());
}

#[test]
fn a_reader_that_dies_after_half_an_eviction_holds_nothing() {
    let segment = segment(&Config::slots(1, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"x").unwrap();
    let entry = segment.view().reader_entry(reader.index()).unwrap();
    poke(&segment, entry.state()).fetch_or(STATE_EVICTED, Relaxed);
    assert_eq!(entry.state().load(Relaxed) & STATE_MASK, STATE_EVICTED);
    core::mem::forget(reader);
    dead(&segment, Lock::reader(0)).unwrap();
    assert!(writer.loan().is_ok(), "the only slot is owed to a dead reader for ever");
}

#[test]
fn a_dead_evicted_reader_has_no_pin_left() {
    let segment = segment(&Config::slots(1, 8).overwrite());
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"x").unwrap();
    evict(&segment, reader.id()).unwrap();
    // It was inside `take`, past the look at the quarantine: its pin comes after the sweep. Then it is killed.
    poke(&segment, segment.view().slot(0).unwrap().pins()).fetch_or(reader.index().bit(), Relaxed);
    core::mem::forget(reader);
    dead(&segment, Lock::reader(0)).unwrap();
    assert!(writer.loan().is_ok(), "pinned by a dead reader for ever");
}

#[test]
fn whoever_waits_for_a_first_writer_goes_on_waiting_while_the_creator_lives() {
    let segment = segment(&Config::slots(2, 8));
    let other = attach_again(&segment);
    let reader = other.reader().unwrap();
    assert_eq!(reader.take_timeout(Duration::from_secs(3)).err(), Some(TakeError::TimedOut));
}

#[test]
fn a_panic_in_a_batch_still_tells_of_what_was_published() {
    let segment = segment(&Config::slots(4, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    poke(&segment, segment.view().reader_waiters()).fetch_or(reader.index().bit(), Relaxed);
    let before = segment.view().reader_generation().load(Relaxed);
    let loans = writer.loan_batch::<2>().unwrap();
    let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        writer.commit_batch(loans, |index| if index == 0 { 1 } else { panic!("on purpose") })
    }));
    assert!(outcome.is_err());
    assert!(reader.take().unwrap().is_some(), "the first was published");
    assert_ne!(segment.view().reader_generation().load(Relaxed), before, "and nobody was told");
}

#[test]
fn a_sample_held_for_a_whole_circle_is_not_taken_again() {
    let segment = segment(&Config::slots(1, 8).writers(1));
    let reader = segment.reader().unwrap();
    let writer = segment.writer().unwrap();
    writer.send(b"held").unwrap();
    let held = reader.take().unwrap().unwrap();
    assert_eq!(held.sequence(), 0);
    // The writer runs on in other slots, which the reader reads: a whole circle, in steps that the reader follows.
    for step in 1..=8_u32 {
        run_writer_on_to(&segment, step.wrapping_mul(1 << 29));
        for _ in 0..3 {
            assert!(reader.take().unwrap().is_none(), "the sample still held was taken again, at step {step}");
        }
    }
    assert!(reader.take().unwrap().is_none(), "nothing was committed, yet the sample still held was taken again");
}

#[test]
fn a_reader_overtaken_by_half_a_circle_is_not_deaf() {
    let segment = segment(&Config::slots(2, 8).writers(1).overwrite());
    let reader = segment.reader().unwrap();
    let first = segment.writer().unwrap();
    first.send(b"old").unwrap();
    drop(first);
    run_writer_on_to(&segment, (1 << 31) + 100);
    let writer = segment.writer().unwrap();
    for _ in 0..4 {
        writer.send(b"new").unwrap();
    }
    let got = reader.take().unwrap().expect("two samples are there");
    assert_eq!(&*got, b"new");
}

#[test]
fn an_eviction_of_the_dead_does_not_hit_who_joins_meanwhile() {
    let config = Config::slots(2, 8).readers(1);
    let region = region_at(config.len().unwrap(), 0);
    let segment: &'static Segment<Hooked> = Box::leak(Box::new(Segment::create(Hooked(Bare::new(region)), &(), &config).unwrap()));
    let doomed = segment.reader().unwrap();
    let id = doomed.id();
    let entry = segment.view().reader_entry(id.index()).unwrap();
    core::mem::forget(doomed);
    poke(segment, entry.lock()).store(0, Relaxed);
    // The evictor, who does not know of the death, comes when the successor is in the middle of its claim, at the recovery's wake.
    let answer: &'static RefCell<Option<Result<(), EvictError>>> = Box::leak(Box::new(RefCell::new(None)));
    AT_WAKE.with(|hook| {
        *hook.borrow_mut() = Some(Box::new(move || {
            // SAFETY: no sample of that reader is looked at.
            *answer.borrow_mut() = Some(unsafe { segment.evict(id) });
        }));
    });
    let successor = segment.reader().unwrap();
    assert_eq!(*answer.borrow(), Some(Err(EvictError::Busy)), "the join holds the lock of evictions");
    assert_eq!(successor.take().err(), None, "the successor was evicted in place of the dead one");
    // SAFETY: as above.
    assert_eq!(unsafe { segment.evict(id) }, Err(EvictError::Gone));
}

#[test]
fn what_nobody_took_away_is_not_missed() {
    let segment = segment(&Config::slots(4, 8));
    let reader = segment.reader().unwrap();
    core::mem::forget(segment.writer().unwrap());
    dead(&segment, Lock::writer(0)).unwrap();
    let next = segment.writer().unwrap();
    next.send(b"x").unwrap();
    assert!(reader.take().unwrap().is_some());
    assert_eq!(reader.missed(), 0, "a burnt position held no sample");
}

#[test]
fn scarcity_ends_when_slots_are_plenty() {
    let segment = segment(&Config::slots(65, 8).writers(2));
    let (one, two, reader) = (segment.writer().unwrap(), segment.writer().unwrap(), segment.reader().unwrap());
    two.send(b"x").unwrap();
    drop(reader.take().unwrap());
    let mut loans = Vec::new();
    while let Ok(loan) = one.try_loan() {
        loans.push(loan);
    }
    assert_eq!(segment.view().flags().load(Relaxed) & SCARCE, SCARCE);
    drop(loans);
    drop(one);
    for _ in 0..100_000 {
        two.send(b"x").unwrap();
        while reader.take().unwrap().is_some() {}
    }
    assert_eq!(segment.view().flags().load(Relaxed) & SCARCE, 0, "every commit and release still goes the slow way");
}

#[test]
fn readers_that_are_behind_are_no_scarcity_and_order_stays() {
    let segment = segment(&Config::slots(8, 8).writers(1).readers(1));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    for round in 0..50_u8 {
        while writer.send(&[round]).is_ok() {}
        assert_eq!(writer.try_loan().err(), Some(LoanError::NoFreeSlot));
        for step in 0..3 {
            let slot = reader.take().unwrap().map(|sample| sample.slot());
            assert_eq!(slot, Some((u32::from(round) * 3 + step) % 8), "ring order");
            writer.send(&[round]).unwrap();
            assert!(writer.try_loan().is_err(), "one was read, one was sent");
        }
    }
    assert_eq!(segment.view().flags().load(Relaxed) & SCARCE, 0);
}

#[test]
fn a_reader_that_can_read_a_sample_is_woken_for_it() {
    let segment = segment(&Config::slots(4, 8).overwrite());
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    let bit = reader.index().bit();
    // The reader joined and parked between the commit's load of `active` and its look at the waiters: the commit has the old mask.
    poke(&segment, segment.view().reader_waiters()).fetch_or(bit, Relaxed);
    let before = segment.view().reader_generation().load(Relaxed);
    poke(&segment, segment.view().active()).fetch_and(!bit, Relaxed);
    writer.send(b"x").unwrap();
    poke(&segment, segment.view().active()).fetch_or(bit, Relaxed);
    let woken = segment.view().reader_generation().load(Relaxed) != before;
    assert_eq!(woken, reader.take().unwrap().is_some(), "it sleeps, and there is a sample for it");
}

#[test]
fn a_closing_writer_that_dies_behind_its_close_has_closed() {
    let segment = segment(&Config::slots(4, 8));
    let reader = segment.reader().unwrap();
    let writer = segment.writer().unwrap();
    // Drop's first store, then it was killed.
    poke(&segment, segment.view().closed()).fetch_or(writer.index().bit(), Relaxed);
    core::mem::forget(writer);
    dead(&segment, Lock::writer(0)).unwrap();
    assert_eq!(reader.take().err(), Some(TakeError::Closed));
}

/// Tells that a party is gone whose handles the test does not use to look at payloads any more.
fn dead(segment: &Segment<Bare<'static>>, lock: Lock) -> Result<seqslot_core::Recovered, seqslot_core::OsError> {
    // SAFETY: as said.
    unsafe { segment.declare_dead(lock) }
}

/// Evicts a reader whose samples the test does not look at any more.
fn evict(segment: &Segment<Bare<'static>>, reader: seqslot_core::ReaderId) -> Result<(), EvictError> {
    // SAFETY: as said.
    unsafe { segment.evict(reader) }
}
