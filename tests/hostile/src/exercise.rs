//! One of everything, over a segment that was attached whatever stood in it.

use std::time::Duration;

use seqslot_core::layout::slots::SlotsGeometry;
use seqslot_core::{LagWatch, LoanError, Observer, Publisher, Reader, Region, Segment, SlotBackend, SlotFace, SlotsOs, Writer};

use crate::party::{Guards, sum};

/// How long the waits of these tests are: a few looks at the clock.
pub const BRIEF: Duration = Duration::from_micros(300);

/// Most accesses of one operation while `spoils` words are forged under it: so many for each slot and entry of the registry, and as many
/// again for each forgery, which may send it round once more. Waits look several hundred times.
pub fn bound(g: &SlotsGeometry, spoils: usize, waits: bool) -> u64 {
    let parties = u64::from(g.writers + g.readers);
    let once = ACCESSES * (u64::from(g.slots) + 4) * (parties + 2) + 16 * u64::from(g.ring_len) + LOOKS;
    once * (spoils as u64 + 1) * if waits { 300 } else { 1 }
}

/// Most looks at an index that is just changing hands, whatever the segment's size, each a claim and a load.
const LOOKS: u64 = 2 * 1000;

/// Accesses for each slot and entry.
const ACCESSES: u64 = 24;

/// Whether `at` and `len` lie inside the payload of one slot of a region at `base`.
pub fn check_span(g: &SlotsGeometry, base: usize, (at, len): crate::party::Span) {
    let offset = at.checked_sub(base + g.slots_at).unwrap_or_else(|| panic!("lent at {at:#x}, below the slots"));
    let (slot, within) = (offset / g.stride as usize, offset % g.stride as usize);
    assert!(slot < g.slots as usize, "lent behind the slots");
    assert_eq!(within, g.payload_offset as usize, "lent at no payload's start");
    assert!(len <= g.capacity as usize, "{len} bytes lent of {}", g.capacity);
}

/// Uses the safe face and the seeds' face; `begin` is told before each operation, and whether it waits.
pub fn segment<O: SlotsOs>(attach: &dyn Fn() -> Option<Segment<O>>, base: usize, begin: &dyn Fn(&'static str, bool))
where
    SlotFace<O, Guards>: SlotBackend,
{
    let Some(segment) = attach() else { return };
    let g = *segment.geometry();
    begin("recover", false);
    let _ = segment.recover();
    begin("lag", false);
    LagWatch::default().look(&segment, |lag, idle| drop(format!("{lag:?} {idle:?}")));
    begin("stats", false);
    std::hint::black_box((segment.stats(), segment.owner_lives().is_ok(), segment.active_readers()));
    begin("join", false);
    let reader = segment.reader();
    begin("join", false);
    let writer = segment.writer();
    if let Ok(writer) = &writer {
        loans(writer, &g, base, begin);
    }
    if let Ok(reader) = &reader {
        takes(reader, &g, base, begin);
    }
    typed(&segment, begin);
    begin("drop", false);
    drop(reader);
    begin("drop", false);
    drop(writer);
    begin("attach", false);
    if let Some(again) = attach() {
        begin("face", false);
        if let Ok(face) = SlotFace::<O, Guards>::new(again) {
            seeds(&face, &g, base, begin);
            begin("drop a face", false);
        }
    }
}

fn loans<O: SlotsOs>(writer: &Writer<&Segment<O>>, g: &SlotsGeometry, base: usize, begin: &dyn Fn(&'static str, bool)) {
    let mut held = Vec::new();
    for turn in 0..3 {
        begin("loan", turn == 2);
        let loan = if turn == 2 { writer.loan_timeout(BRIEF) } else { writer.loan() };
        if let Ok(mut loan) = loan {
            loan[..].fill(turn);
            check_span(g, base, (loan.as_ptr().addr(), loan.len()));
            held.push(loan);
        }
    }
    for (turn, loan) in held.into_iter().enumerate() {
        begin("commit", false);
        let _ = if turn == 0 { loan.commit() } else { loan.commit_len(turn) };
    }
    begin("batch", false);
    let batch: Result<_, LoanError> = writer.loan_batch::<2>();
    if let Ok(batch) = batch {
        begin("commit a batch", false);
        let _ = writer.commit_batch(batch, |_| 1);
    }
    begin("send", false);
    let _ = writer.send(&[7; 3][..(g.capacity as usize).min(3)]);
}

fn takes<O: SlotsOs>(reader: &Reader<&Segment<O>>, g: &SlotsGeometry, base: usize, begin: &dyn Fn(&'static str, bool)) {
    let mut held = Vec::new();
    let mut into = [0; 40];
    for turn in 0..6 {
        begin("take", turn == 5);
        let sample = if turn == 5 { reader.take_timeout(BRIEF).map(Some) } else { reader.take() };
        if let Ok(Some(sample)) = sample {
            check_span(g, base, (sample.as_ptr().addr(), sample.len()));
            begin("read", false);
            std::hint::black_box((sum(&sample), sample.copy_to(&mut into)));
            held.push(sample);
        }
    }
    for sample in held {
        begin("release", false);
        drop(sample);
    }
    begin("take a batch", true);
    if let Ok(batch) = reader.take_batch::<4>() {
        std::hint::black_box(batch.iter().map(|sample| sum(sample)).sum::<u64>());
        begin("release", false);
    }
}

/// Values of a type: their size and alignment are checked at the join, the sizes that samples allege at the take.
fn typed<O: SlotsOs>(segment: &Segment<O>, begin: &dyn Fn(&'static str, bool)) {
    begin("typed", true);
    if let (Ok(writer), Ok(reader)) = (segment.writer_of::<[u32; 2]>(), segment.reader_of::<[u32; 2]>()) {
        let _ = writer.send(&[1, 2]);
        for _ in 0..3 {
            if let Ok(Some(value)) = reader.take() {
                std::hint::black_box(value[0].wrapping_add(value[1]));
            }
        }
    }
}

fn seeds<O: SlotsOs>(face: &SlotFace<O, Guards>, g: &SlotsGeometry, base: usize, begin: &dyn Fn(&'static str, bool))
where
    SlotFace<O, Guards>: SlotBackend,
{
    let mut into = [0; 24];
    for turn in 0..3_u8 {
        begin("reserve", false);
        let Ok(loan) = face.reserve_slot(u32::MAX) else { continue };
        begin("commit a face's", false);
        let _ = match turn {
            0 => face.commit_slot(loan, &[1; 9][..(g.capacity as usize).min(9)]),
            1 => face.commit_in_place(loan, g.capacity as usize),
            _ => face.discard_slot(loan).map(|()| 0),
        };
    }
    for reader in [0, 1, 31] {
        for _ in 0..2 {
            begin("next", false);
            let Ok(Some(seen)) = face.next_unread_slot(reader) else { break };
            if let Ok((at, len)) = face.slot_read_ptr(seen) {
                check_span(g, base, (at.addr(), len));
            }
            begin("read a face's", false);
            std::hint::black_box((face.read_slot(seen).map(|(_, bytes)| sum(&bytes)).ok(), face.read_slot_into(seen, &mut into).is_ok()));
            begin("mark", false);
            let _ = face.mark_read(seen, reader);
        }
    }
    begin("disconnect", false);
    let _ = face.mark_reader_disconnected(1);
    begin("wait for change", true);
    face.wait_for_change(face.notify_generation(), BRIEF);
}

/// Snapshots over a plain region: observe, publish, observe.
pub fn observe(region: Region<'_>) {
    let mut into = vec![0; region.len()];
    if let Ok(mut observer) = Observer::<[u8]>::attach(region) {
        let len = observer.snapshot().map_or(1, |value| value.len());
        std::hint::black_box((observer.latest(), observer.read_into(&mut into[..len.min(region.len())]).is_ok()));
        if let Ok(mut publisher) = Publisher::<[u8]>::resume(region) {
            let _ = publisher.publish_bytes(&into[..len.min(region.len())]);
            std::hint::black_box((publisher.generation(), observer.snapshot().map(|value| sum(&value)).ok()));
        }
    }
    if let Ok(mut observer) = Observer::<[u32; 4]>::attach(region) {
        std::hint::black_box(observer.snapshot().map(|value| value[0]).ok());
    }
}
