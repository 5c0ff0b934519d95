//! The seeds' face: who looks late, at a sample whose slot is used again, never gets another sample's bytes.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::Release;
use seqslot_core::{SlotBackend, SlotError, SlotHandle};

use super::seeds::looks_free_for;
use super::{Size, check_faces, value};
use crate::mutation::Effect::{NoFence, Relaxed};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, State, Unread};
use crate::mutation::Op::{Cas, Fence, Load, Store};
use crate::mutation::{Mutation, rule};
use crate::world::{Face, Plan, World};

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        model: LATE,
        name: "reserve without its fence",
        rules: &[rule(Kind::None, Fence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: LATE, name: "copy without its fence", rules: &[rule(Kind::None, Fence, NoFence).by("late")], expect: CaughtSoon },
    Mutation { model: LATE, name: "look at unread Relaxed", rules: &[rule(Unread, Load, Relaxed).by("late")], expect: CaughtSoon },
    Mutation { model: LATE, name: "publication Relaxed", rules: &[rule(Unread, Store, Relaxed).when(Release)], expect: CaughtSoon },
    Mutation {
        model: WRAP,
        name: "reserve without its fence",
        rules: &[rule(Kind::None, Fence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: WRAP,
        name: "claim Relaxed, no second look",
        rules: &[rule(State, Cas, Relaxed), rule(Unread, Load, Relaxed)],
        expect: CaughtSoon,
    },
    Mutation {
        model: LAST,
        name: "reserve without its fence",
        rules: &[rule(Kind::None, Fence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
];

const LATE: &str = "models::late::a_late_read_of_a_slot_used_again";
const LAST: &str = "models::late::a_late_read_of_a_slot_whose_last_mark_is_just_made";
const WRAP: &str = "models::late::a_late_read_across_the_wrap_of_generations";

/// A sample is copied by somebody who does not count, while its slot is used again.
fn read_late(world: &World) {
    let writer = world.face("writer");
    let late = world.face("late");
    let bytes = |sequence: u32| value(0, sequence);
    assert_eq!(writer.commit_slot(writer.reserve_slot(0).expect("free"), &bytes(0)), Ok(0));
    let handle = writer.next_unread_slot(0).expect("an index").expect("committed");
    let reading = thread::spawn(move || {
        let mut copy = [0; 4];
        match late.read_slot_into(handle, &mut copy) {
            Ok(header) => assert_eq!((copy, header.sequence_number, header.sample_size), (bytes(0), 0, 4), "another sample's bytes"),
            Err(error) => assert_eq!(error, SlotError::StaleHandle),
        }
        late
    });
    assert_eq!(writer.commit_slot(writer.reserve_slot(0).expect("nobody counts"), &bytes(1)), Ok(1));
    let late = reading.join().expect("no panic");
    assert_eq!(late.read_slot_into(handle, &mut [0; 4]), Err(SlotError::StaleHandle));
    assert_eq!(writer.commit_slot(handle, &bytes(2)), Err(SlotError::StaleHandle));
}

#[test]
fn a_late_read_of_a_slot_used_again() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a late read of a slot used again", 3, Size::Small, move || read_late(&plan.world()));
}

/// The sample at the handle, copied; another one's bytes are never taken for it.
fn copy_late(late: &Face, handle: SlotHandle) {
    let mut copy = [0; 4];
    match late.read_slot_into(handle, &mut copy) {
        Ok(_) => assert_eq!(copy, value(0, 0), "another sample's bytes"),
        Err(error) => assert_eq!(error, SlotError::StaleHandle),
    }
}

#[test]
fn a_late_read_of_a_slot_whose_last_mark_is_just_made() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[Unread]));
    check_faces("a late read of a slot whose last mark is just made", 2, Size::Small, move || {
        let world = plan.world();
        let (writer, marker, late) = (world.face("writer"), world.face("marker"), world.face("late"));
        assert_eq!(writer.commit_slot(writer.reserve_slot(0).expect("free"), &value(0, 0)), Ok(0));
        let handle = marker.next_unread_slot(0).expect("an index").expect("committed");
        // As if there were 32 readers, of whom all but one have marked it.
        world.set_unread(0, 1);
        let marking = thread::spawn(move || {
            marker.mark_read(handle, 0).expect("nobody else had the slot");
            marker
        });
        let reading = thread::spawn(move || {
            copy_late(&late, handle);
            late
        });
        if looks_free_for(&writer, 1) {
            writer.commit_slot(writer.reserve_slot(1).expect("free"), &value(0, 1)).expect("on loan");
        }
        drop(marking.join().expect("no panic"));
        drop(reading.join().expect("no panic"));
    });
}

#[test]
fn a_late_read_across_the_wrap_of_generations() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a late read across the wrap of generations", 3, Size::Small, move || {
        let world = plan.world();
        world.set_generation(0, (1 << 26) - 2);
        read_late(&world);
        assert_eq!(world.view().slot(0).expect("one").words().generation, 1);
    });
}
