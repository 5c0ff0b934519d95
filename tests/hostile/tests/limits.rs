//! What a peer that forges words can do, and what it cannot: the limits that ADR 6 names.

use seqslot_core::{CommitError, Config, Exclusion, Exclusive, LoanError, Segment, SlotBackend, SlotFace, TakeError};
use seqslot_hostile::{HostileOs, Place, Spoil, Value, World};

/// Word of a slot's header: its size.
const SIZE: u8 = 1;
/// Word of a slot's header: who owns it.
const STATE: u8 = 4;

#[test]
fn a_forged_owner_has_a_slot_lent_twice_and_the_first_is_told_at_its_commit() {
    let config = Config::slots(1, 64).writers(2).readers(1);
    let world = World::new(config.len().unwrap());
    let segment = Segment::create(HostileOs::new(&world), &(), &config).unwrap();
    let (one, other) = (segment.writer().unwrap(), segment.writer().unwrap());
    let first = one.loan().unwrap();
    assert_eq!(other.loan().err(), Some(LoanError::NoFreeSlot), "nobody forges: it is lent once");
    world.plan(Vec::new(), Some(*segment.geometry()), false);
    world.spoil_now(Spoil { after: 0, place: Place::Slot(0, STATE), value: Value::Zero });
    let second = other.loan().unwrap();
    assert_eq!((first.slot(), second.slot()), (0, 0));
    assert_eq!(first.commit().err(), Some(CommitError::StaleHandle));
    assert_eq!(second.commit(), Ok(0));
}

#[test]
fn forged_hints_lend_nothing_twice() {
    let config = Config::slots(2, 64).writers(2).readers(1);
    let world = World::new(config.len().unwrap());
    let segment = Segment::create(HostileOs::new(&world), &(), &config).unwrap();
    world.plan(Vec::new(), Some(*segment.geometry()), true);
    let (one, other) = (segment.writer().unwrap(), segment.writer().unwrap());
    let _first = one.loan().unwrap();
    // Every word that the world takes for a hint, all ones: the free map says that all is free.
    let before = world.bytes();
    for word in 0..=u16::MAX {
        world.spoil_now(Spoil { after: 0, place: Place::Any(word), value: Value::Ones });
    }
    let (before, after) = (before.chunks_exact(4), world.bytes());
    let forged = before.zip(after.chunks_exact(4)).filter(|(before, after)| before != after && after == &[0xff; 4]).count();
    let map = segment.geometry().free[0].at;
    assert!(forged > 32 && after[map..map + 4] == [0xff; 4], "{forged} words forged");
    let second = other.loan().unwrap();
    assert_eq!(second.slot(), 1);
    assert_eq!(one.loan().err(), Some(LoanError::NoFreeSlot));
    assert_eq!(other.loan().err(), Some(LoanError::NoFreeSlot));
}

#[test]
fn a_forged_size_is_refused_by_both_faces() {
    let config = Config::slots(1, 64).writers(2).readers(2);
    let world = World::new(config.len().unwrap());
    let segment = Segment::create(HostileOs::new(&world), &(), &config).unwrap();
    let geometry = *segment.geometry();
    world.plan(Vec::new(), Some(geometry), false);
    let forge = |value| world.spoil_now(Spoil { after: 0, place: Place::Slot(0, SIZE), value });
    let (reader, writer) = (segment.reader().unwrap(), segment.writer().unwrap());
    writer.send(&[1; 8]).unwrap();
    forge(Value::Raw(65));
    assert_eq!(reader.take().err(), Some(TakeError::BadSize { size: 65, capacity: 64 }));
    drop((reader, writer));
    let face = SlotFace::<_, Guards>::new(segment).unwrap();
    let loan = face.reserve_slot(0).unwrap();
    face.commit_slot(loan, &[2; 8]).unwrap();
    let seen = face.next_unread_slot(1).unwrap().unwrap();
    for (value, is_good) in [(Value::Raw(65), false), (Value::Ones, false), (Value::Raw(64), true)] {
        forge(value);
        let answers = [face.slot_read_ptr(seen).is_ok(), face.read_slot(seen).is_ok(), face.read_slot_into(seen, &mut [0; 8]).is_ok()];
        assert_eq!(answers, [is_good; 3], "{value:?}");
    }
}

#[derive(Debug)]
struct Guard<T>(std::sync::Mutex<T>);

impl<T> Exclusive<T> for Guard<T> {
    fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().unwrap())
    }
}

#[derive(Debug)]
struct Guards;

impl Exclusion for Guards {
    type Of<T> = Guard<T>;
}
