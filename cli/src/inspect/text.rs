//! A picture as text for people.

use std::fmt::Write;

use super::parties::Party;
use super::picture::{Mark, Picture};
use super::{Body, Report, snapshot};
use crate::size;

/// Characters of a row of the picture, and most rows.
const COLUMNS: usize = 64;
const ROWS: usize = 32;

/// Draws it.
pub fn draw(report: &Report, list: bool) -> String {
    let mut text = String::new();
    let object = report.object.as_ref().map_or(String::new(), |object| format!(" -> {object}"));
    let hash = report.type_hash.as_ref().map_or(String::new(), |hash| format!(", type {hash}"));
    let kind = match report.body {
        Body::Slots(_) => "slots",
        Body::Snapshot(_) => "snapshot",
    };
    // Writing to a String cannot fail; so too below.
    let _ = writeln!(text, "{}{object}", report.path);
    let _ = writeln!(
        text,
        "{kind}, layout {}, {} mapped, instance {}{hash}",
        report.layout,
        size::text(report.mapped_bytes as u64),
        report.instance
    );
    match &report.body {
        Body::Slots(picture) => slots(&mut text, picture, list),
        Body::Snapshot(picture) => cell(&mut text, picture, list),
    }
    text
}

fn slots(text: &mut String, p: &Picture, list: bool) {
    let policy = if p.overwrite { "oldest samples may be overwritten" } else { "lossless" };
    let _ = writeln!(
        text,
        "{} slots of {} bytes (stride {}, payload at {}), up to {} writers and {} readers, ring {}; {policy}\n",
        p.slots, p.capacity, p.stride, p.payload_offset, p.writer_entries, p.reader_entries, p.ring_len
    );
    let _ = writeln!(text, "owner      {}", who(&p.owner));
    for w in &p.writers {
        let how = if w.closed {
            ", closed"
        } else if w.died {
            ", died and recovered"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "writer {:<3} {}{how}; published {}, on loan {}, positions burnt {}, retries {}, overwritten {}",
            w.index,
            who(&w.party),
            w.published,
            w.on_loan,
            w.positions_burnt,
            w.retries,
            w.overwritten
        );
    }
    for r in &p.readers {
        let _ = writeln!(
            text,
            "reader {:<3} {}; behind by {} slots, taken {}, missed {}, bad sizes {}",
            r.index,
            who(&r.party),
            r.owed,
            r.taken,
            r.missed,
            r.bad_sizes
        );
    }
    let m = &p.masks;
    let _ = writeln!(text, "waiting    readers {:?}, writers {:?}, change {:?}", m.reader_waiters, m.writer_waiters, m.change_waiters);
    if !m.quarantined.is_empty() || !m.disconnected.is_empty() {
        let _ = writeln!(text, "set apart  evicted {:?}, disconnected {:?}", m.quarantined, m.disconnected);
    }
    let c = &p.counters;
    let _ = writeln!(
        text,
        "recovered  writers {}, readers {}, slots {}; evicted readers {}",
        c.recovered_writers, c.recovered_readers, c.recovered_slots, c.evicted_readers
    );
    if p.writers.iter().map(|w| &w.party).chain(p.readers.iter().map(|r| &r.party)).any(Party::is_dead) {
        let _ = writeln!(text, "           the dead are recovered by whoever waits next, or by `seqslot recover PATH`");
    }
    states(text, p);
    if list {
        lines(text, p);
    }
}

fn states(text: &mut String, p: &Picture) {
    let s = &p.states;
    let counts = [
        (". free", s.free),
        ("o samples", s.samples),
        ("1-9+ owed", s.owed),
        ("w on loan", s.on_loan),
        ("d owed by the dead", s.owed_to_the_dead),
        ("x loans of the dead", s.loans_of_the_dead),
        ("? damaged", s.damaged),
    ];
    let counts: Vec<String> = counts.iter().filter(|(_, count)| *count != 0).map(|(name, count)| format!("{name}: {count}")).collect();
    let each = marks_in_one(p.marks.len());
    let share = if each == 1 { String::new() } else { format!(" ({each} slots a character)") };
    let _ = writeln!(text, "\nslots      {}{share}", counts.join(", "));
    for (row, line) in rows(&p.marks).iter().enumerate() {
        let _ = writeln!(text, "{:>9}  {line}", row * COLUMNS * each);
    }
}

/// Slots that share a character.
fn marks_in_one(slots: usize) -> usize {
    slots.div_ceil(COLUMNS * ROWS).max(1)
}

/// The picture: the most urgent mark of each group of slots.
fn rows(marks: &[Mark]) -> Vec<String> {
    let groups = marks.chunks(marks_in_one(marks.len()));
    let signs: Vec<char> = groups.map(|group| group.iter().max().map_or(' ', |mark| sign(*mark))).collect();
    signs.chunks(COLUMNS).map(|row| row.iter().collect()).collect()
}

fn sign(mark: Mark) -> char {
    match mark {
        Mark::Free => '.',
        Mark::Sample => 'o',
        Mark::Owed(count) => char::from_digit(count, 10).unwrap_or('+'),
        Mark::OnLoan => 'w',
        Mark::OwedToTheDead => 'd',
        Mark::LoanOfTheDead => 'x',
        Mark::Damaged => '?',
    }
}

fn lines(text: &mut String, p: &Picture) {
    let _ = writeln!(text, "\n     slot  state  sequence        size  writer  owner  generation  unread by / pinned by");
    for line in &p.slot_list {
        let number = |index: Option<u32>| index.map_or("-".to_owned(), |index| index.to_string());
        let bits = if p.overwrite { &line.pins } else { &line.unread };
        let _ = writeln!(
            text,
            "{:>9}  {:<5}  {:>8}  {:>10}  {:>6}  {:>5}  {:>10}  {bits:?}",
            line.index,
            sign(line.state),
            line.sequence,
            line.size,
            number(line.writer),
            number(line.owner),
            line.generation
        );
    }
}

fn who(party: &Party) -> String {
    format!("pid {} {}", party.pid, life(party.alive, party.is_dead()))
}

fn life(alive: Option<bool>, dead: bool) -> &'static str {
    match alive {
        Some(true) => "alive",
        Some(false) if dead => "DEAD",
        Some(false) => "gone",
        None => "unknown",
    }
}

fn cell(text: &mut String, p: &snapshot::Picture, list: bool) {
    let wake = if p.always_wake { "wakes readers" } else { "readers look for themselves" };
    let _ =
        writeln!(text, "{} buffers of {} bytes (stride {}, payload at {}); {wake}\n", p.buffers, p.capacity, p.stride, p.payload_offset);
    let _ = writeln!(text, "owner      pid {} {}", p.owner.pid, life(p.owner.alive, true));
    let _ = writeln!(text, "writer     pid {} {}", p.writer.pid, life(p.writer.alive, !p.writer_left));
    let latest = if p.latest == 0 { "nothing published yet".to_owned() } else { format!("generation {}", p.latest) };
    let _ = writeln!(text, "latest     {latest}");
    if list {
        for buffer in &p.buffer_list {
            let _ = writeln!(text, "buffer {:<3} {:?}, generation {}", buffer.index, buffer.state, buffer.generation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_its_character() {
        let marks = [
            Mark::Free,
            Mark::Owed(3),
            Mark::Owed(32),
            Mark::OnLoan,
            Mark::OwedToTheDead,
            Mark::LoanOfTheDead,
            Mark::Sample,
            Mark::Damaged,
        ];
        assert_eq!(rows(&marks), [".3+wdxo?"]);
    }

    #[test]
    fn many_slots_share_a_character_and_none_is_hidden() {
        let mut marks = vec![Mark::Free; COLUMNS * ROWS * 3];
        marks[4] = Mark::LoanOfTheDead;
        let rows = rows(&marks);
        assert_eq!((rows.len(), rows[0].len()), (ROWS, COLUMNS));
        assert!(rows[0].starts_with(".x."));
    }
}
