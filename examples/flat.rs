//! A typed writer and two readers over one named segment: one gets every pose, the other the newest.
use seqslot::{FlatReader, FlatStruct, FlatWriter, PosixSlotAllocator, Reliability};
use std::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pose {
    tick: u64,
    x: f64,
    y: f64,
}

impl FlatStruct for Pose {
    // By convention the first 16 bytes of SHA-256 over name and fields; whatever both sides agree on.
    const TYPE_HASH: [u8; 16] = *b"Pose tick,x,y v1";
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("seqslot-flat-{}.flink", std::process::id()));
    let slots = PosixSlotAllocator::create_typed::<Pose>(&path, 8)?;
    // Readers 0 and 1 count: a slot is free when both have read it.
    let writer = FlatWriter::<Pose, _>::new(&slots, 0b11)?;

    std::thread::scope(|scope| {
        // As in other processes: each attaches by the path.
        let everything = scope.spawn(|| {
            let slots = PosixSlotAllocator::attach_typed::<Pose>(&path).expect("created");
            let mut reader = FlatReader::<Pose, _>::new(&slots, 0).expect("the same type");
            let mut poses = 0;
            while let Some(pose) = reader.read_next_blocking(Duration::from_secs(10)).expect("readable") {
                assert_eq!(pose.tick, poses);
                poses += 1;
                if poses == 1000 {
                    break;
                }
            }
            poses
        });
        let newest = scope.spawn(|| {
            let slots = PosixSlotAllocator::attach_typed::<Pose>(&path).expect("created");
            let mut reader = FlatReader::<Pose, _>::new(&slots, 1).expect("the same type");
            let mut poses = 0;
            while let Some(pose) = reader.read_blocking(Duration::from_secs(10)).expect("readable") {
                poses += 1;
                if pose.tick == 999 {
                    break;
                }
            }
            poses
        });
        for tick in 0..1000 {
            let angle = tick as f64 / 100.0;
            let _ = writer.write_bp(&Pose { tick, x: angle.cos(), y: angle.sin() }, Reliability::Reliable, Duration::MAX)?;
        }
        println!("one reader got {} poses, the other {}", everything.join().expect("no panic"), newest.join().expect("no panic"));
        Ok(())
    })
}
