//! A look when nothing is there.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use seqslot::Config;
use zerodds_flatdata::SlotBackend;

use super::contest::Contest;
use crate::figure::Figure;
use crate::peers::iceoryx2_node;
use crate::plan::{Outcome, Plan};

/// Empty polls of segments of so many slots, beside one load.
///
/// # Errors
/// If a system finds something, or fails.
pub fn of_slots<const SLOTS: usize>(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let segment = seqslot::create(plan.scratch().join("poll"), &Config::slots(SLOTS as u64, 64).writers(1).readers(1))?;
    let (_writer, reader) = (segment.writer()?, segment.reader()?);
    let zerodds = zerodds_flatdata::PosixSlotAllocator::create(plan.scratch().join("poll-zerodds"), SLOTS, 64)?;
    let node = iceoryx2_node(plan.scratch())?;
    let service = node.service_builder(&"poll".try_into()?).publish_subscribe::<[u64; 8]>().create()?;
    let (subscriber, _publisher) = (service.subscriber_builder().create()?, service.publisher_builder().create()?);
    let word = AtomicU32::new(0);

    let mut contest = Contest::new(row, 1024, 300);
    contest.system("limit, one load", |count| {
        // ORDERING: Acquire, as a poll needs; it carries nothing here.
        let found = (0..count).filter(|_| black_box(&word).load(Ordering::Acquire) != 0).count();
        nothing(found)
    });
    contest.system("seqslot", |count| {
        let mut found = 0;
        for _ in 0..count {
            found += usize::from(black_box(&reader).take()?.is_some());
        }
        nothing(found)
    });
    contest.system("zerodds", |count| {
        let mut found = 0;
        for _ in 0..count {
            found += usize::from(black_box(&zerodds).next_unread_slot(0)?.is_some());
        }
        nothing(found)
    });
    contest.system("iceoryx2, receive", |count| {
        let mut found = 0;
        for _ in 0..count {
            found += usize::from(black_box(&subscriber).receive()?.is_some());
        }
        nothing(found)
    });
    contest.system("iceoryx2, has_samples", |count| {
        let mut found = 0;
        for _ in 0..count {
            found += usize::from(black_box(&subscriber).has_samples()?);
        }
        nothing(found)
    });
    contest.run(plan, out)
}

/// Nothing was sent, so nothing is to be found.
fn nothing(found: usize) -> Outcome {
    if found == 0 { Ok(()) } else { Err(format!("{found} samples that nobody sent").into()) }
}
