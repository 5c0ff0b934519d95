//! One publishes, sixteen take: all by the same thread.

use seqslot::Config;
use zerodds_flatdata::PosixSlotAllocator;

use super::contest::Contest;
use super::cycle::{Ledger, Line, zerodds_publish, zerodds_take};
use crate::figure::Figure;
use crate::peers::{Made, iceoryx2_node};
use crate::plan::{Outcome, Plan};

const READERS: u32 = 16;

/// Publishes 64 bytes, and every reader takes, sums and releases them.
///
/// # Errors
/// If a system fails, or a sum is wrong.
pub fn out(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let segment = seqslot::create(plan.scratch().join("fan"), &Config::typed::<Line>(64).writers(1).readers(READERS))?;
    let writer = segment.writer_of::<Line>()?;
    let readers = (0..READERS).map(|_| -> Made<_> { Ok(segment.reader_of::<Line>()?) }).collect::<Made<Vec<_>>>()?;
    let zerodds = PosixSlotAllocator::create(plan.scratch().join("fan-zerodds"), 4, size_of::<Line>())?;
    let node = iceoryx2_node(plan.scratch())?;
    let service = node.service_builder(&"fan".try_into()?).publish_subscribe::<Line>().max_subscribers(READERS as usize).create()?;
    let subscribers = (0..READERS).map(|_| service.subscriber_builder().create()).collect::<Result<Vec<_>, _>>()?;
    let publisher = service.publisher_builder().create()?;

    let mut contest = Contest::new(row, 64, 200);
    contest.system("seqslot", |count| {
        let mut ledger = Ledger::default();
        for _ in 0..count {
            let mut loan = writer.try_loan()?;
            *loan = ledger.fill();
            loan.commit()?;
            for reader in &readers {
                ledger.read(&*reader.take()?.ok_or("no sample")?);
            }
        }
        ledger.check(READERS.into())
    });
    contest.system("zerodds", |count| {
        let mut ledger = Ledger::default();
        for _ in 0..count {
            zerodds_publish(&zerodds, (1 << READERS) - 1, ledger.fill())?;
            for reader in 0..READERS as u8 {
                zerodds_take(&zerodds, reader, &mut ledger)?;
            }
        }
        ledger.check(READERS.into())
    });
    contest.system("iceoryx2", |count| {
        let mut ledger = Ledger::default();
        for _ in 0..count {
            publisher.loan_uninit()?.write_payload(ledger.fill()).send()?;
            for subscriber in &subscribers {
                ledger.read(&*subscriber.receive()?.ok_or("no sample")?);
            }
        }
        ledger.check(READERS.into())
    });
    contest.run(plan, out)
}
