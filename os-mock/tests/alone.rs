//! A process that finds itself alone, or with less than it needs, is told so.

use core::time::Duration;

use seqslot_core::{Access, AttachError, Config, Os, Segment, TakeError};
use seqslot_os_mock::World;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_reader_of_a_segment_that_no_writer_can_ever_come_to_is_told() {
    let world = World::new(5);
    let (creator, follower) = (world.process(), world.process());
    let made = Segment::create(creator.clone(), "frames", &Config::slots(4, 8)).expect("a fresh name");
    let seen = Segment::attach(follower, "frames").expect("it exists");
    let reader = seen.reader().expect("a free entry");
    assert_eq!(reader.take_timeout(Duration::from_secs(3)).err(), Some(TakeError::TimedOut), "the creator lives: one may come");
    creator.kill();
    assert_eq!(reader.take_timeout(LONG).err(), Some(TakeError::PeersGone));
    // A writer that is there all the same is somebody to wait for.
    let writer = seen.writer().expect("a free entry");
    assert_eq!(reader.take_timeout(Duration::from_secs(3)).err(), Some(TakeError::TimedOut));
    drop(writer);
    drop(made);
}

#[test]
fn a_mapping_for_reading_only_is_none_for_slots() {
    let world = World::new(5);
    let os = world.process();
    let _made = Segment::create(os.clone(), "frames", &Config::slots(4, 8)).expect("a fresh name");
    let mapping = os.open("frames", Access::ReadOnly).expect("it exists");
    assert_eq!(Segment::adopt(os, mapping).err(), Some(AttachError::ReadOnly));
}
