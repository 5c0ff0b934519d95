//! Exact interleavings of two parties in one thread: a memory that runs the second party at a chosen access of the first. Each test
//! states a promise that the code once broke.
#![cfg(feature = "alloc")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::type_complexity,
    reason = "every unsafe call passes on what `Raw` is asked, with the caller's own duties"
)]

mod hooked;

use core::time::Duration;
use hooked::*;
use seqslot_core::Ordering::Relaxed;
use seqslot_core::layout::control as at;
use seqslot_core::*;
use std::cell::RefCell;

/// dropping the handles of a party declared dead is documented harmless.
#[test]
fn a_stale_sample_of_a_declared_dead_reader_frees_its_successors_slot() {
    let s = segment(&Config::slots(1, 8).writers(1).readers(1));
    let old = s.reader().unwrap();
    let w = s.writer().unwrap();
    w.send(b"one").unwrap();
    let stale = old.take().unwrap().unwrap();
    unsafe { s.declare_dead(Lock::reader(0)) }.unwrap();
    let new = s.reader().unwrap();
    w.send(b"two").unwrap();
    let held = new.take().unwrap().unwrap();
    assert_eq!(&*held, b"two");
    drop(stale); // "Dropping its handles is harmless"
    let loan = w.try_loan();
    assert!(loan.is_err(), "the slot is loaned while the successor reads it in place");
    drop(held);
}

/// a join frees slots for seeds' writers and moves nothing.
#[test]
fn a_join_that_frees_a_slot_moves_the_generation() {
    let s = segment(&Config::slots(1, 8));
    let safe = Segment::adopt(*s.os(), *s.mapping()).unwrap();
    let face: SlotFace<_, Mx> = SlotFace::new(s).unwrap();
    let h = face.reserve_slot(1).unwrap();
    face.commit_slot(h, b"x").unwrap();
    let g = face.notify_generation();
    assert!(matches!(face.reserve_slot(1), Err(SlotError::NoFreeSlot)));
    let _reader = safe.reader_of::<[u8]>().unwrap();
    assert_eq!(_reader.index().get(), 0);
    let now = face.notify_generation();
    assert!(face.reserve_slot(1).is_ok(), "the join freed it");
    assert_ne!(g, now, "lost change: who waits on g sleeps although a slot is free");
}

/// overlapping writers, yet Closed.
#[test]
fn an_overlapping_handover_is_not_the_end() {
    let s = hooked(&Config::slots(4, 8).writers(3));
    let first = s.writer().unwrap();
    let other = s.writer().unwrap();
    let reader = s.reader().unwrap();
    arm("load", at::CLOSED_AT, 0, move || {
        let second = s.writer().unwrap();
        second.send(b"more").unwrap();
        drop(first);
        drop(other);
        core::mem::forget(second); // goes on
    });
    let mut seen = vec![];
    for _ in 0..3 {
        seen.push(match reader.take() {
            Ok(Some(_)) => "sample",
            Ok(None) => "none",
            Err(TakeError::Closed) => "CLOSED",
            Err(_) => "err",
        });
    }
    assert!(!seen.contains(&"CLOSED"), "{seen:?}");
}

/// a disconnection hits a registered reader that joined meanwhile.
#[test]
fn a_disconnection_does_not_hit_a_registered_reader() {
    let s = hooked(&Config::slots(1, 8).writers(2));
    let a: SlotFace<_, Mx> = SlotFace::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let b: SlotFace<_, Mx> = SlotFace::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    b.next_unread_slot(0).unwrap(); // b uses reader 0
    let writer = SlotFace::<_, Mx>::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let writer = &*Box::leak(Box::new(writer));
    let out: &'static RefCell<Option<_>> = Box::leak(Box::new(RefCell::new(None)));
    arm("or", at::DISCONNECTED_AT, 0, move || {
        drop(b);
        // Kept out while the disconnection is under way.
        let Ok(reader) = s.reader() else { return };
        let reader = &*Box::leak(Box::new(reader));
        assert_eq!(reader.index().get(), 0);
        writer.commit_slot(writer.reserve_slot(0).unwrap(), b"x").unwrap();
        *out.borrow_mut() = reader.take().unwrap();
    });
    a.mark_reader_disconnected(0).unwrap();
    let Some(held) = out.borrow_mut().take() else { return };
    assert_eq!(&*held, b"x");
    assert!(writer.reserve_slot(0).is_err(), "the slot of a sample held in place is on loan");
}

/// mark through a shared index clears a registered reader's bit.
#[test]
fn a_late_mark_does_not_hit_a_registered_reader() {
    let s = hooked(&Config::slots(1, 8).writers(2));
    let a: SlotFace<_, Mx> = SlotFace::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let b: SlotFace<_, Mx> = SlotFace::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    b.next_unread_slot(0).unwrap();
    let h = a.reserve_slot(1).unwrap();
    a.commit_slot(h, b"old").unwrap();
    a.next_unread_slot(0).unwrap(); // shared
    let writer = SlotFace::<_, Mx>::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let writer = &*Box::leak(Box::new(writer));
    let out: &'static RefCell<Option<_>> = Box::leak(Box::new(RefCell::new(None)));
    let unread_at = s.view().slot(0).unwrap().unread().at();
    arm("and", unread_at, 0, move || {
        drop(b);
        let reader = &*Box::leak(Box::new(s.reader().unwrap()));
        assert_ne!(reader.index().get(), 0, "an index that was shared may still be marked by somebody");
        writer.commit_slot(writer.reserve_slot(0).unwrap(), b"new").unwrap();
        *out.borrow_mut() = reader.take().unwrap();
    });
    let _ = a.mark_read(h, 0);
    let held = out.borrow_mut().take().expect("taken");
    assert_eq!(&*held, b"new");
    assert!(writer.reserve_slot(0).is_err(), "the slot of a sample held in place is on loan");
}

/// an eviction during the join is undone by it.
#[test]
fn an_eviction_within_a_join_counts() {
    let s = hooked(&Config::slots(1, 8).writers(1).readers(1));
    arm("or", at::ACTIVE_AT, 0, move || {
        let mut id = None;
        s.lag(|l| id = Some(l.reader));
        unsafe { s.evict(id.unwrap()) }.unwrap();
    });
    assert!(s.reader().is_err(), "evicted before it was in");
    assert_eq!(s.active_readers(), 0, "an evicted reader does not count");
    assert!(s.reader().is_ok(), "the index is free again");
}

/// an eviction of a seeds reader that died half-way, completed through the id that `lag` gives.
#[test]
fn a_half_done_eviction_of_a_seeds_reader_is_completed() {
    let s = segment(&Config::slots(1, 8));
    let safe = Segment::adopt(*s.os(), *s.mapping()).unwrap();
    let face: SlotFace<_, Mx> = SlotFace::new(s).unwrap();
    let h = face.reserve_slot(1).unwrap();
    face.commit_slot(h, b"x").unwrap();
    face.next_unread_slot(0).unwrap();
    // The evictor died behind its exchange.
    let e = safe.view().reader_entry(ReaderIndex::new(0).unwrap()).unwrap();
    unsafe { e.state().atomic() }.fetch_or(3, Relaxed);
    let mut id = None;
    safe.lag(|l| id = Some(l.reader));
    unsafe { safe.evict(id.unwrap()) }.unwrap();
    assert!(face.reserve_slot(1).is_ok(), "the evicted reader still holds up the writer");
}

/// A writer dies between EVICT and the header's wipe; readers of that sample's stream go on.
#[test]
fn a_death_in_the_midst_of_an_eviction_does_not_stop_the_readers() {
    use seqslot_core::layout::slots::{EVICT, OWNER_SHIFT};
    let s: &'static Segment<Bare<'static>> = Box::leak(Box::new(segment(&Config::slots(3, 8).writers(2).overwrite())));
    let (w0, w1) = (s.writer().unwrap(), s.writer().unwrap());
    let reader = s.reader().unwrap();
    for x in [b"a", b"b", b"c"] {
        w0.send(x).unwrap();
    }
    // w1: `claim_and_evict` of slot 0, killed before `writer := none`.
    let slot = s.view().slot(0).unwrap();
    unsafe { slot.state().atomic() }.store((slot.state().load(Relaxed) + 1) | (2 << OWNER_SHIFT), Relaxed);
    unsafe { slot.pins().atomic() }.store(EVICT, Relaxed);
    let lock = s.view().writer_entry(w1.index()).unwrap().lock();
    unsafe { lock.atomic() }.fetch_add(1, Relaxed); // the kernel has let go of its lock
    core::mem::forget(w1);
    let mut polls = vec![];
    for _ in 0..1000 {
        if let Ok(Some(x)) = reader.take() {
            polls.push(x[0])
        }
    }
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let got = reader.take_timeout(Duration::from_millis(2000)).map(|x| x[0]);
        let _ = tx.send(got);
    });
    let got = rx.recv_timeout(Duration::from_secs(10));
    assert!(got.is_ok(), "take_timeout(2 s) has not returned after 10 s; polls got {polls:?}");
}

#[test]
fn a_handover_to_an_index_that_was_closed_before_is_not_the_end() {
    let s = hooked(&Config::slots(4, 8).writers(2));
    let first = s.writer().unwrap();
    drop(s.writer().unwrap()); // index 1: used, and closed
    let reader = s.reader().unwrap();
    arm("load", at::DIED_AT, 0, move || {
        let second = s.writer().unwrap(); // index 1 again
        assert_eq!(second.index().get(), 1);
        second.send(b"a").unwrap();
        let i = first.index().get() as u8;
        core::mem::forget(first);
        unsafe { s.declare_dead(Lock::writer(i)) }.unwrap();
        core::mem::forget(second); // goes on
    });
    let mut seen = vec![];
    for _ in 0..4 {
        seen.push(format!("{:?}", reader.take().map(|x| x.is_some())));
    }
    // without a sample to hide it
    let s = hooked(&Config::slots(4, 8).writers(2));
    let first = s.writer().unwrap();
    drop(s.writer().unwrap());
    let reader = s.reader().unwrap();
    arm("load", at::DIED_AT, 0, move || {
        core::mem::forget(s.writer().unwrap());
        let i = first.index().get() as u8;
        core::mem::forget(first);
        unsafe { s.declare_dead(Lock::writer(i)) }.unwrap();
    });
    let got = reader.take().map(|x| x.is_some());
    assert_eq!(got, Ok(false), "a writer lives all the time");
}

/// Overwriting: a sweep may read the writer of a slot's old sample and the position of its new one. Random schedules: the second
/// writer commits into a slot between those two loads.
#[test]
fn a_header_seen_while_its_slot_changes_hands_hides_no_live_sample() {
    const SLOTS: u32 = 4;
    let mut seed = 1_u64;
    let mut random = move |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let mut fired_runs = 0;
    for _ in 0..10_000 {
        let s = hooked(&Config::slots(u64::from(SLOTS), 8).writers(2).readers(1).overwrite());
        let first = s.writer().unwrap();
        let second: &'static Writer<_, [u8]> = Box::leak(Box::new(s.writer().unwrap()));
        let reader = s.reader().unwrap();
        let mut taken: Vec<u32> = Vec::new();
        let mut take =
            || taken.extend(reader.take().unwrap().filter(|sample| sample.writer() == first.index()).map(|sample| sample.sequence()));
        for _ in 0..5 + random(16) {
            match random(5) {
                0 | 1 => drop(first.send(b"x").unwrap()),
                2 | 3 => drop(second.send(b"y").unwrap()),
                _ => take(),
            }
        }
        let at = s.view().slot(random(u64::from(SLOTS)) as u32).unwrap().sequence().at();
        let fired: &'static core::cell::Cell<bool> = Box::leak(Box::new(core::cell::Cell::new(false)));
        arm("load", at, random(8) as u32, move || {
            second.send(b"y").unwrap();
            fired.set(true);
        });
        let mut live: Option<Vec<u32>> = None;
        for _ in 0..40 {
            take();
            if fired.get() && live.is_none() {
                // From here on nothing is overwritten: what is in the slots now is to be taken.
                let of_first = |slot: &Slot<'_, HookMem>| slot.writer().load(Relaxed) == first.index().get() + 1;
                let sequence = |slot: Slot<'_, HookMem>| slot.sequence().load(Relaxed).wrapping_sub(s.geometry().ring_len);
                live = Some(s.view().slots().filter(of_first).map(sequence).collect());
            }
        }
        HOOK.with(|hook| *hook.borrow_mut() = None);
        fired_runs += u32::from(live.is_some());
        for sequence in live.into_iter().flatten() {
            assert!(taken.contains(&sequence), "sample {sequence} of the first writer was never delivered");
        }
    }
    assert!(fired_runs > 1_000, "{fired_runs} runs met the moment");
}

fn run_on(s: &Segment<HookOs>, head: u32) {
    let ring_len = s.geometry().ring_len;
    let last = head.wrapping_sub(1).wrapping_add(ring_len);
    let ring = s.view().ring(WriterIndex::new(0).unwrap()).unwrap();
    for back in 0..ring_len {
        let position = last.wrapping_sub(back);
        unsafe { ring.index(position).atomic() }.store(u32::MAX, Relaxed);
        unsafe { ring.tag(position).atomic() }.store(position, Relaxed);
    }
    unsafe { s.view().writer_entry(WriterIndex::new(0).unwrap()).unwrap().head().atomic() }.store(head, Relaxed);
}
#[test]
fn a_sample_in_the_slot_of_one_held_for_long_is_found() {
    let s = hooked(&Config::slots(1, 8).writers(1).readers(1));
    let reader = &*Box::leak(Box::new(s.reader().unwrap()));
    let w = s.writer().unwrap();
    w.send(b"a").unwrap();
    let held = reader.take().unwrap().unwrap();
    drop(w);
    for step in 1..=5u32 {
        run_on(s, step * (1 << 29));
        for _ in 0..3 {
            let _ = reader.take().map(|x| assert!(x.is_none()));
        }
    }
    // recovery burns more positions than the ring is long
    run_on(s, 5 * (1 << 29) + 100);
    let w = &*Box::leak(Box::new(s.writer().unwrap()));
    let head_at = s.view().writer_entry(w.index()).unwrap().head().at();
    arm("load", head_at, 0, move || {
        drop(held); // on another thread
        w.send(b"b").unwrap(); // into the slot it had
    });
    let mut got = vec![];
    for _ in 0..10 {
        got.push(match reader.take() {
            Ok(Some(x)) => format!("{:?}", &*x),
            o => format!("{:?}", o.map(|_| ())),
        });
    }
    eprintln!("{got:?}; loan: {:?}", w.try_loan().err());
    assert!(got.iter().any(|x| x.contains("98")), "lost");
}

/// A safe join does not get in the way of the seeds' face on an index that is theirs.
#[test]
fn a_join_that_passes_a_shared_index_by_is_not_taken_for_a_reader() {
    let s = hooked(&Config::slots(4, 8).readers(1));
    let new = || SlotFace::<_, Mx>::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let (a, b) = (new(), new());
    a.next_unread_slot(0).unwrap();
    b.next_unread_slot(0).unwrap();
    drop((a, b));
    let c = new();
    assert!(s.reader().is_err(), "the index was shared: no safe reader gets it any more");
    assert!(c.next_unread_slot(0).is_ok());
    assert!(c.mark_reader_disconnected(0).is_ok());
}

/// A dead face's writer entry: its locks go, its memory stays as it is.
fn kill(face: SlotFace<HookOs, Mx>) {
    let s = face.segment();
    let lock = (0..s.geometry().writers as u8)
        .map(Lock::writer)
        .find(|lock| s.writer_lives(WriterIndex::new(u32::from(lock.number()) - 32).unwrap()).unwrap());
    unsafe { s.declare_dead(lock.unwrap()) }.unwrap();
    std::mem::forget(face);
}
/// S3, S4: burnt positions lap the ring while a reader of the seeds' face is between an entry's tag and its index.
#[test]
fn an_entry_of_the_ring_that_is_written_anew_hides_no_owed_sample() {
    let s = hooked(&Config::slots(2, 8).writers(1).readers(1));
    let new = || SlotFace::<_, Mx>::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let (reader, writer) = (new(), new());
    assert_eq!(reader.next_unread_slot(0).unwrap(), None);
    let position = s.geometry().ring_len;
    let sample = writer.reserve_slot(1).unwrap();
    writer.commit_slot(sample, b"owed").unwrap();
    let index_at = s.view().ring(WriterIndex::new(0).unwrap()).unwrap().index(position).at();
    let second = new();
    arm("load", index_at, 0, move || {
        kill(writer);
        second.reserve_slot(1).unwrap();
        kill(second);
    });
    let _ = reader.next_unread_slot(0).unwrap();
    let found = reader.next_unread_slot(0).unwrap().expect("still owed");
    assert_eq!(found, sample);
    reader.mark_read(found, 0).unwrap();
    let third = new();
    let both = [third.reserve_slot(1), third.reserve_slot(1)];
    assert!(both.iter().all(Result::is_ok), "every slot is free again");
}
/// S3: what is committed while the slots of a lapped reader are looked over is not passed over for what was committed behind it.
#[test]
fn a_commit_behind_a_look_over_the_slots_hides_no_owed_sample() {
    let s = hooked(&Config::slots(2, 8).writers(1).readers(1));
    let new = || SlotFace::<_, Mx>::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let reader = new();
    assert_eq!(reader.next_unread_slot(0).unwrap(), None);
    for _ in 0..=s.geometry().ring_len {
        let short_lived = new();
        short_lived.discard_slot(short_lived.reserve_slot(1).unwrap()).unwrap();
        kill(short_lived);
    }
    let writer = new();
    let second_at = s.view().slot(1).unwrap().unread().at();
    let sent: &'static RefCell<Vec<SlotHandle>> = Box::leak(Box::default());
    arm("load", second_at, 0, move || {
        for bytes in [b"first", b"other"] {
            let loan = writer.reserve_slot(1).unwrap();
            writer.commit_slot(loan, bytes).unwrap();
            sent.borrow_mut().push(loan);
        }
        std::mem::forget(writer);
    });
    let mut found = Vec::new();
    for _ in 0..4 {
        if let Some(handle) = reader.next_unread_slot(0).unwrap() {
            found.push(handle);
            reader.mark_read(handle, 0).unwrap();
        }
    }
    assert_eq!((found.len(), &found), (2, &*sent.borrow()), "both, in order");
}
/// Who does not count may be copying a sample when a writer gets its slot: a byte of the next sample must not be seen before the claim
/// (on processors that reorder stores).
#[test]
fn no_byte_is_written_before_the_claim_of_its_slot_is_seen() {
    let s = hooked(&Config::slots(1, 8).writers(2).readers(1));
    let new = || SlotFace::<_, Mx>::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap();
    let (face, other) = (new(), new());
    let sample = face.reserve_slot(1).unwrap();
    face.commit_slot(sample, b"copied").unwrap();
    let claimed: &'static std::cell::Cell<Option<u32>> = Box::leak(Box::default());
    arm("release fence", 0, 0, move || claimed.set(Some(s.view().slot(0).unwrap().unread().load(Relaxed))));
    other.reserve_slot(0).unwrap();
    assert_eq!(claimed.get(), Some(0), "a Release fence between the claim and the first byte");
}

/// Positions that are burnt while a reader joins, behind the head that it has read, are not told to it as overwritten.
#[test]
fn positions_burnt_within_a_join_are_not_missed() {
    let s = hooked(&Config::slots(2, 8).writers(1).readers(1).overwrite());
    let burnt_at = s.view().writer_entry(WriterIndex::new(0).unwrap()).unwrap().burnt().at();
    arm("load", burnt_at, 0, move || {
        for _ in 0..2 {
            core::mem::forget(s.writer().unwrap());
            unsafe { s.declare_dead(Lock::writer(0)) }.unwrap();
        }
    });
    let reader = s.reader().unwrap();
    assert_eq!(s.view().writer_entry(WriterIndex::new(0).unwrap()).unwrap().burnt().load(Relaxed), 2, "in the midst of the join");
    let writer = s.writer().unwrap();
    writer.send(b"x").unwrap();
    assert_eq!(reader.take().unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!(reader.missed(), 0, "nothing was overwritten");
}
