//! Writers with nobody to read: a slot is never on loan to two, and what one wrote and threw away does not show through.

use std::thread;

use seqslot_core::{Segment, SlotsOs, Writer};

use super::{PATIENCE, Span, Tally, text};

/// Writers that loan, fill, and by turns discard and commit to nobody. Fewer slots than twice the writers make them meet.
///
/// # Panics
/// If the bytes of a loan change while it is out.
pub fn contend<'s, O>(segment: &'s Segment<O>, writers: u32) -> Tally
where
    O: SlotsOs,
    Writer<&'s Segment<O>>: Send,
{
    let span = Span::begin();
    let writers: Vec<_> = (0..writers).map(|_| segment.writer().expect("a free entry")).collect();
    thread::scope(|scope| {
        let start = |writer: Writer<&'s Segment<O>>| {
            scope.spawn(move || {
                let mut rounds = 0;
                while span.goes_on(rounds) {
                    fill(&writer, rounds);
                    rounds += 1;
                }
                u64::from(writer.position())
            })
        };
        let threads: Vec<_> = writers.into_iter().map(start).collect();
        Tally { sent: threads.into_iter().map(|thread| thread.join().expect("a writer that ended well")).sum(), taken: 0, came: 0 }
    })
}

/// One loan: filled, looked at again after a pause, then discarded or committed.
fn fill<O: SlotsOs>(writer: &Writer<&Segment<O>>, round: u32) {
    let Ok(mut loan) = writer.loan_timeout(PATIENCE) else { return };
    let capacity = loan.len();
    let len = text::write(&mut loan, writer.index().get(), round);
    if round.is_multiple_of(8) {
        thread::yield_now();
    }
    text::check(&loan[..len], writer.index().get(), round, capacity);
    if !round.is_multiple_of(3) {
        loan.commit_len(len).expect("its own loan");
    }
}
