//! One process writes a segment, others read it: at full speed, through restarts of the writer and through a wipe.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::Tally;
use super::roles::{Look, Reader, Seen, Side, Writer};
use crate::child::Child;
use crate::outcome::{Outcome, ensure};
use crate::random::Random;

/// Where the generation is, and the marker, which is the counter, in either layout.
const GENERATION_AT: u64 = 14;
const MARKER_AT: [u64; 2] = [16 + 40, 16 + 64];
/// A rest between updates that lets a reader by `pread` find one finished.
const REST_NS: u64 = 5_000;
/// The first counter of a segment; and each writer begins so much higher than the last one ended.
const STEP: u64 = 1000;

/// Who writes and who reads.
pub const PAIRS: [(Side, Side); 3] = [(Side::Theirs2, Side::Ours2), (Side::Ours2, Side::Theirs2), (Side::Ours3, Side::Theirs3)];

fn write(side: Side, path: &Path, counter: u64, rest: u64) -> Outcome<Child> {
    let mut child = Child::start(&["clock-write", side.name(), &path.to_string_lossy()])?;
    child.say(&format!("{counter} {rest}"))?;
    ensure(child.line()? == "ready", || format!("no writer of {side:?}"))?;
    Ok(child)
}

fn read(side: Side, path: &Path, time: Duration) -> Outcome<Child> {
    let mut child = Child::start(&["clock-read", side.name(), &path.to_string_lossy()])?;
    let line = child.line().map_err(|_| format!("no reader of {side:?}"))?;
    ensure(line == "ready", || format!("a reader of {side:?} said {line}"))?;
    child.say(&time.as_millis().to_string())?;
    Ok(child)
}

fn seen(child: &mut Child, what: &str) -> Outcome<Seen> {
    let line = child.line().map_err(|_| format!("{what}: the reader failed"))?;
    Ok(serde_json::from_str(&line)?)
}

fn generation(path: &Path) -> Outcome<u16> {
    let mut bytes = [0; 2];
    std::fs::File::open(path)?.read_exact_at(&mut bytes, GENERATION_AT)?;
    Ok(u16::from_ne_bytes(bytes))
}

/// A counter that is above whatever was written: of an update that was cut short the marker is the old or the new one.
fn above(path: &Path, side: Side) -> Outcome<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open(path)?.read_exact_at(&mut bytes, MARKER_AT[usize::from(side.layout() == Side::Ours3.layout())])?;
    Ok(u64::from_ne_bytes(bytes) + STEP)
}

/// All of it, for about so long.
pub fn run(folder: &Path, random: &mut Random, time: Duration, tally: &mut Tally) -> Outcome<()> {
    let share = time / (3 * PAIRS.len() as u32);
    for (writes, reads) in PAIRS {
        let path = folder.join(format!("stream-{}-{}", writes.name(), reads.name()));
        cold(&path, writes, reads)?;
        for rest in [0, REST_NS] {
            full_speed(&path, (writes, reads), rest, share / 2, tally)?;
        }
        restarts(&path, reads, random, share, tally)?;
    }
    // A writer of theirs that wipes cuts the file, and mapped readers die of it: theirs is not asked to.
    for (writes, reads) in
        [(Side::Theirs2, Side::Ours2), (Side::Ours2, Side::Theirs2), (Side::Ours2, Side::Ours2), (Side::Ours3, Side::Theirs3)]
    {
        wipe(&folder.join(format!("wipe-{}-{}", writes.name(), reads.name())), writes, reads, share / 2, tally)?;
    }
    Ok(())
}

/// No file, then a file without a bound, then one.
fn cold(path: &Path, writes: Side, reads: Side) -> Outcome<()> {
    let refused = |what: &str| match Reader::new(reads, path) {
        Ok(_) => Err(format!("{reads:?} opens {what}")),
        Err(error) => Ok(error),
    };
    refused("a file that is not there")?;
    let mut writer = Writer::new(writes, path)?;
    let error = refused("a segment without a bound")?;
    ensure(error.contains("SegmentNotInitialized"), || format!("{reads:?} of a segment without a bound: {error}"))?;
    writer.write(7)?;
    let look = Reader::new(reads, path)?.look();
    ensure(matches!(look, Look::Bound(7, _)), || format!("{reads:?} after a cold start: {look:?}"))
}

fn full_speed(path: &Path, (writes, reads): (Side, Side), rest: u64, time: Duration, tally: &mut Tally) -> Outcome<()> {
    let mut writer = write(writes, path, STEP, rest)?;
    let mut reader = read(reads, path, time)?;
    let what = format!("{writes:?} to {reads:?}, {rest} ns between updates");
    let seen = seen(&mut reader, &what)?;
    writer.end()?;
    let written: u64 = writer.line()?.parse()?;
    // A first look may meet a writer at work: an error of ours, which has nothing to answer yet.
    ensure(seen.last.is_none_or(|last| last <= written), || format!("{what}: {seen:?}, but {written} was the last"))?;
    ensure(rest == 0 || seen.fresh > 0, || format!("{what}: nothing came: {seen:?}"))?;
    tally.add(writes, &seen);
    if rest == 0 {
        tally.full_speed.push((format!("{writes:?} to {reads:?}"), written - STEP, seen));
    }
    Ok(())
}

/// The writer is killed wherever it is, by turns one of either library that knows the layout follows, and the reader is there all the time.
fn restarts(path: &Path, reads: Side, random: &mut Random, time: Duration, tally: &mut Tally) -> Outcome<()> {
    let writers: &[Side] = if reads.layout() == Side::Ours3.layout() { &[Side::Ours3] } else { &[Side::Theirs2, Side::Ours2] };
    let mut counter = above(path, reads)?;
    // There is something to read before the reader comes.
    Writer::new(writers[0], path)?.write(counter)?;
    let mut reader = read(reads, path, time)?;
    let begin = std::time::Instant::now();
    let mut last = writers[0];
    while begin.elapsed() + Duration::from_millis(100) < time {
        for &side in writers {
            let mut writer = write(side, path, counter + STEP, random.one(&[0, 0, REST_NS]))?;
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            writer.kill()?;
            let before = generation(path)?;
            tally.killed += 1;
            tally.killed_in_an_update += u64::from(before % 2 == 1);
            // The next one goes on from there: to the next even generation, over 0.
            counter = above(path, reads)?;
            last = random.one(writers);
            Writer::new(last, path)?.write(counter)?;
            let wanted = match before.wrapping_add(2 - before % 2) {
                0 => 2,
                even => even,
            };
            let after = generation(path)?;
            ensure(after == wanted, || format!("{last:?} went from generation {before} to {after} after {side:?} was killed"))?;
        }
    }
    let what = format!("{reads:?} through restarts");
    let seen = seen(&mut reader, &what)?;
    // Theirs, in the midst of a look as the writer dies in an update, tries a million times and gives up, although it has a bound.
    let may_give_up = matches!(reads, Side::Theirs2 | Side::Theirs3);
    ensure((may_give_up || seen.refused == 0) && seen.fresh > 0, || format!("{what}: {seen:?}"))?;
    tally.gave_up_in_theirs += seen.refused;
    // The last update is finished and nobody writes any more.
    let look = Reader::new(reads, path)?.look();
    ensure(matches!(look, Look::Bound(found, _) if found == counter), || format!("{what}, at the end: {look:?}, not {counter}"))?;
    tally.add(last, &seen);
    Ok(())
}

/// The file is damaged under a reader; the next writer makes it anew, and the reader sees what it writes.
fn wipe(path: &Path, writes: Side, reads: Side, time: Duration, tally: &mut Tally) -> Outcome<()> {
    let mut writer = write(writes, path, STEP, REST_NS)?;
    let mut reader = read(reads, path, time)?;
    std::thread::sleep(time / 4);
    writer.kill()?;
    let begin = above(path, writes)?;
    std::fs::OpenOptions::new().write(true).open(path)?.write_all_at(&[0; 8], 0)?;
    std::thread::sleep(time / 8);
    let mut writer = write(writes, path, begin, REST_NS)?;
    let what = format!("{reads:?} through a wipe by {writes:?}");
    let seen = seen(&mut reader, &what)?;
    writer.kill()?;
    ensure(seen.last.is_some_and(|last| last >= begin), || format!("{what}: {seen:?}"))?;
    tally.wipes += 1;
    if writes.name()[..4] != reads.name()[..4] {
        tally.add(writes, &seen);
    }
    Ok(())
}
