//! The slots protocol over the mock: a writer dies at every point of a stream, and no slot and no acknowledged sample is lost.

use seqslot_core::{Config, Segment};
use seqslot_os_mock::{MockOs, crash_points};

const SLOTS: usize = 3;
const SAMPLES: u8 = 8;

/// What the reader, which lives, has seen; and what the writer knows to be published.
#[derive(Default)]
struct Seen {
    read: Vec<u8>,
    acknowledged: u8,
    free: usize,
}

#[test]
fn a_writer_that_dies_anywhere_loses_no_slot_and_no_sample() {
    let config = Config::slots(SLOTS as u64, 16);
    let mut seen = Vec::new();
    let mut points = crash_points(
        1,
        |world, doomed| (world.process(), doomed.clone()),
        |_, (keeper, doomed): &mut (MockOs, MockOs)| {
            let segment = Segment::create(keeper.clone(), "frames", &config).expect("a fresh name");
            let reader = segment.reader().expect("a free entry");
            let mut this = Seen::default();
            // The doomed process has a run of its own inside, so that the reader here outlives it.
            let _death = doomed.run(|| {
                let theirs = Segment::attach(doomed.clone(), "frames").expect("it exists");
                let writer = theirs.writer().expect("a free entry");
                for number in 0..SAMPLES {
                    let mut loan = writer.loan().expect("a free slot");
                    loan[0] = number;
                    loan.commit_len(1).expect("its own loan");
                    this.acknowledged = number + 1;
                    // Every other sample stays unread for a while.
                    if number % 2 == 1 {
                        while let Some(sample) = reader.take().expect("the writer lives") {
                            this.read.push(sample[0]);
                        }
                    }
                }
            });
            while let Ok(Some(sample)) = reader.take() {
                this.read.push(sample[0]);
            }
            let writer = segment.writer().expect("an entry is free, or its dead holder's");
            let loans: Vec<_> = (0..SLOTS).filter_map(|_| writer.loan().ok()).collect();
            this.free = loans.len();
            seen.push(this);
        },
    );
    points.by_ref().for_each(drop);
    let found = points.found().expect("the iterator ended");
    assert!(found > 10 * u64::from(SAMPLES), "{found} points");
    assert_eq!(seen.len() as u64, found + 1);
    for (point, seen) in (1..).zip(seen) {
        let all: Vec<u8> = (0..SAMPLES).collect();
        assert_eq!(seen.read, all[..seen.read.len()], "point {point}: in order, each once");
        assert!(seen.read.len() >= seen.acknowledged.into(), "point {point}: {} of {} came", seen.read.len(), seen.acknowledged);
        assert_eq!(seen.free, SLOTS, "point {point}: slots that can be loaned again");
    }
}
