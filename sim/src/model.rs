//! What should be: for each writer the list of its samples, for each reader where it is in those lists, for each slot who has it.
//! No shared memory, no cursors, no hints. Time is a count of what the model was told.

use std::collections::HashMap;

use seqslot_core::ReaderId;

use crate::tally::Tally;

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    Acknowledged,
    /// Its writer died in it: published to all, or to nobody; known once somebody has taken it, or has passed it.
    Died {
        published: Option<bool>,
    },
}

/// A sample, or the attempt at one.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u64,
    sequence: u32,
    len: usize,
    begun: u64,
    /// When it was acknowledged.
    ended: u64,
    fate: Fate,
    pid: u32,
    /// Since when its writer had the index.
    since: u64,
}

/// One writer index's samples in order.
#[derive(Debug, Default)]
struct Stream {
    log: Vec<Entry>,
    /// Who has the index, and since when.
    holder: Option<(u32, u64)>,
}

/// Which entry a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SampleRef {
    pub(crate) id: u64,
    pub(crate) len: usize,
    pub(crate) slot: u32,
}

/// What a take told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) writer: u32,
    pub(crate) sequence: u32,
    pub(crate) slot: u32,
    pub(crate) len: usize,
}

#[derive(Debug)]
struct ReaderModel {
    pid: u32,
    id: Option<ReaderId>,
    index: u32,
    joined: u64,
    /// By writer: which entry is next, and whether one was taken.
    next: Vec<(usize, bool)>,
    /// By writer: the first entry that may be for this reader.
    from: Vec<usize>,
    taken: u64,
    evicted: bool,
    /// Its index had another holder before, whose audience a commit under way may have seen: of the commits that overlap the join this
    /// reader may then get any, not all from some point on.
    inherits: bool,
    /// Takes in a row that found nothing, and when the first began.
    nothing: (u32, u64),
}

/// What a party is parked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    Sample(usize),
    Slot,
    Change(u64),
    Newer(u64),
}

/// So many takes in a row that find nothing are a promise that there was nothing.
const NOTHING: u32 = 4;

/// The slots as they should be.
#[derive(Debug)]
pub(crate) struct Model {
    overwrites: bool,
    now: u64,
    last_id: u64,
    streams: Vec<Stream>,
    readers: Vec<Option<ReaderModel>>,
    /// Slot: who loaned it.
    loans: HashMap<u32, u32>,
    /// Slot and reader.
    holds: Vec<(u32, usize)>,
    evictions: Vec<ReaderId>,
    /// Mask of the reader indices that were ever joined.
    used: u32,
    pub(crate) parked: HashMap<u32, Parked>,
    pub(crate) tally: Tally,
}

/// The byte at `at` of sample `id`.
pub(crate) fn byte(id: u64, at: usize) -> u8 {
    let mixed = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64 / 8).wrapping_mul(0xbf58_476d_1ce4_e5b9)).rotate_left(29);
    (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> (8 * (at % 8))) as u8
}

impl Model {
    pub(crate) fn new(overwrites: bool) -> Self {
        Self {
            overwrites,
            now: 0,
            last_id: 0,
            streams: (0..32).map(|_| Stream::default()).collect(),
            readers: Vec::new(),
            loans: HashMap::new(),
            holds: Vec::new(),
            evictions: Vec::new(),
            used: 0,
            parked: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// A moment later than all before.
    pub(crate) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// `pid` has writer index `writer`.
    pub(crate) fn writer_joined(&mut self, pid: u32, writer: u32) {
        let now = self.tick();
        let holder = &mut self.streams[writer as usize].holder;
        assert!(holder.is_none(), "writer {writer} was given to {pid}, and {holder:?} has it");
        *holder = Some((pid, now));
    }

    pub(crate) fn writer_leaves(&mut self, pid: u32, writer: u32) {
        self.streams[writer as usize].holder = None;
        // What it forgot is given back with it.
        self.loans.retain(|_, owner| *owner != pid);
    }

    /// `pid` was given `slot`.
    pub(crate) fn loaned(&mut self, pid: u32, slot: u32) {
        if let Some(other) = self.loans.insert(slot, pid) {
            panic!("slot {slot} was given to {pid}, and {other} has it on loan");
        }
        for &(held, reader) in &self.holds {
            let evicted = self.readers[reader].as_ref().is_none_or(|reader| reader.evicted);
            assert!(held != slot || evicted, "slot {slot} was given to {pid} while reader {reader} holds its sample");
        }
    }

    /// The loan of `slot` is about to end.
    pub(crate) fn ends_loan(&mut self, pid: u32, slot: u32) {
        assert_eq!(self.loans.remove(&slot), Some(pid), "the loan of slot {slot} was lost");
    }

    /// A fresh name for content.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// `writer` begins to publish sample `id` as number `sequence`.
    pub(crate) fn begins_commit(&mut self, pid: u32, writer: u32, sequence: u32, id: u64, len: usize) {
        let begun = self.tick();
        let Stream { log, holder } = &mut self.streams[writer as usize];
        let since = holder.map_or(0, |(_, since)| since);
        // Of a batch in which its writer died only the first that was not told of can have been begun: the next writer's number is that
        // of the second.
        while let [.., before, last] = log[..]
            && (last.sequence.wrapping_sub(sequence) as i32) >= 0
            && matches!(last.fate, Fate::Died { published: None | Some(false) })
            && matches!(before.fate, Fate::Died { .. })
            && before.since == last.since
        {
            log.pop();
        }
        if let Some(last) = log.last() {
            assert!((sequence.wrapping_sub(last.sequence) as i32) > 0, "writer {writer} goes from {} back to {sequence}", last.sequence);
            assert!(
                last.since != since || last.sequence.wrapping_add(1) == sequence,
                "writer {writer} goes from {} to {sequence}",
                last.sequence
            );
        }
        log.push(Entry { id, sequence, len, begun, ended: u64::MAX, fate: Fate::Pending, pid, since });
    }

    /// It was told that sample number `sequence` is published.
    pub(crate) fn committed(&mut self, writer: u32, sequence: u32) {
        let now = self.tick();
        self.tally.committed += 1;
        let entry = self.streams[writer as usize].log.iter_mut().rev().find(|entry| entry.sequence == sequence);
        let entry = entry.unwrap_or_else(|| panic!("writer {writer} was told of sample {sequence}, which it did not commit"));
        assert_eq!(entry.fate, Fate::Pending, "told twice of {entry:?}");
        (entry.fate, entry.ended) = (Fate::Acknowledged, now);
    }

    /// The commit that had begun did not come to anything: there was no slot.
    pub(crate) fn did_not_commit(&mut self, writer: u32, sequence: u32) {
        let entry = self.streams[writer as usize].log.pop();
        assert!(entry.is_some_and(|entry| entry.sequence == sequence && entry.fate == Fate::Pending), "{entry:?} is not sample {sequence}");
        // Nobody has come by it: there was nothing.
        let len = self.streams[writer as usize].log.len();
        assert!(
            self.readers.iter().flatten().all(|reader| reader.next[writer as usize].0 <= len),
            "a sample that was not committed was taken"
        );
    }

    /// A reader has joined; the join began at `began`. Its key.
    pub(crate) fn joined(&mut self, pid: u32, index: u32, id: Option<ReaderId>, began: u64) -> usize {
        let joined = self.tick();
        self.tally.joins += 1;
        let taken = self.readers.iter().flatten().find(|other| other.index == index && !other.evicted);
        assert!(taken.is_none(), "reader {index} was given to {pid}, and {} has it", taken.map_or(0, |other| other.pid));
        // What was acknowledged before is not for this reader.
        let first = |stream: &Stream| stream.log.iter().rposition(|entry| entry.ended < began).map_or(0, |at| at + 1);
        let from: Vec<usize> = self.streams.iter().map(first).collect();
        let next = from.iter().map(|&at| (at, false)).collect();
        let evicted = id.is_some_and(|id| self.evictions.contains(&id));
        let inherits = self.tally.deaths != 0 || !self.evictions.is_empty() || self.used & 1 << index != 0;
        self.used |= 1 << index;
        let reader = ReaderModel { inherits, pid, id, index, joined, next, from, taken: 0, evicted, nothing: (0, 0) };
        self.readers.push(Some(reader));
        self.readers.len() - 1
    }

    fn reader(&mut self, key: usize) -> &mut ReaderModel {
        self.readers[key].as_mut().expect("a reader that has not left")
    }

    pub(crate) fn is_evicted(&mut self, key: usize) -> bool {
        self.reader(key).evicted
    }

    /// Of reader `key` nothing is checked.
    pub(crate) fn promises_nothing(&mut self, key: usize) {
        self.reader(key).evicted = true;
    }

    /// Somebody begins to evict `id`: from here on nothing is promised to it.
    pub(crate) fn evicts(&mut self, id: ReaderId) {
        self.evictions.push(id);
        for reader in self.readers.iter_mut().flatten().filter(|reader| reader.id == Some(id)) {
            reader.evicted = true;
        }
    }

    /// Reader `key` took a sample; what it should hold. `None` if nothing is promised to it any more.
    pub(crate) fn took(&mut self, key: usize, taken: Taken) -> Option<SampleRef> {
        let overwrites = self.overwrites;
        self.tally.taken += 1;
        let reader = self.readers[key].as_mut().expect("a reader that has not left");
        if reader.evicted {
            return None;
        }
        (reader.nothing, reader.taken) = ((0, 0), reader.taken + 1);
        let stream = &mut self.streams[taken.writer as usize];
        let (next, has_taken) = reader.next[taken.writer as usize];
        let found = stream.log.iter().rposition(|entry| entry.sequence == taken.sequence);
        let at = found.unwrap_or_else(|| panic!("reader {key} took {taken:?}, which nobody committed"));
        assert!(
            at >= next,
            "reader {key} took {taken:?} a second time, out of order, or from before its join: it had come to entry {next} of {at}"
        );
        for skipped in &mut stream.log[next..at] {
            if !overwrites && (has_taken && !reader.inherits || skipped.begun > reader.joined) {
                skipped.pass(key);
            }
        }
        let entry = &mut stream.log[at];
        if let Fate::Died { published } = &mut entry.fate {
            assert_ne!(*published, Some(false), "reader {key} took {taken:?}, which another has passed: its writer died in the commit");
            *published = Some(true);
        }
        assert_eq!(entry.len, taken.len, "length of {taken:?}");
        reader.next[taken.writer as usize] = (at + 1, true);
        self.holds.push((taken.slot, key));
        if let Some(owner) = self.loans.get(&taken.slot) {
            panic!("reader {key} took {taken:?} while {owner} has its slot on loan");
        }
        Some(SampleRef { id: entry.id, len: entry.len, slot: taken.slot })
    }

    /// Reader `key` is about to let go of `slot`.
    pub(crate) fn releases(&mut self, key: usize, slot: u32) {
        let at = self.holds.iter().position(|hold| *hold == (slot, key)).expect("a sample that is held");
        self.holds.swap_remove(at);
    }

    /// A take that began at `began` found nothing.
    pub(crate) fn nothing(&mut self, key: usize, began: u64) {
        let reader = self.reader(key);
        if reader.nothing.0 == 0 {
            reader.nothing.1 = began;
        }
        reader.nothing.0 += 1;
        let (count, since) = reader.nothing;
        if count >= NOTHING {
            reader.nothing = (0, 0);
            self.nothing_is_left(key, since);
        }
    }

    /// Whether reader `key` has taken everything acknowledged before `before`.
    pub(crate) fn nothing_is_left(&self, key: usize, before: u64) {
        if let Some(what) = self.left_for(key, before).filter(|_| !self.overwrites) {
            panic!("reader {key} is told that there is nothing: {what}");
        }
    }

    /// What reader `key` should get that was acknowledged before `before`.
    pub(crate) fn left_for(&self, key: usize, before: u64) -> Option<String> {
        let reader = self.readers[key].as_ref().filter(|reader| !reader.evicted)?;
        self.streams.iter().enumerate().find_map(|(writer, stream)| {
            let waiting = stream.log[reader.next[writer].0..]
                .iter()
                .find(|entry| entry.begun > reader.joined && entry.fate == Fate::Acknowledged && entry.ended < before)?;
            Some(format!(
                "sample {} of writer {writer} was committed, and reader {key} (index {}) has not got it",
                waiting.sequence, reader.index
            ))
        })
    }

    /// Where overwriting is allowed: whether sample `sequence` of `writer` is one that reader `key` has yet to come to.
    pub(crate) fn is_ahead(&self, key: usize, writer: u32, sequence: u32) -> bool {
        let Some(reader) = self.readers[key].as_ref().filter(|reader| !reader.evicted) else { return false };
        let Some(stream) = self.streams.get(writer as usize) else { return false };
        stream.log[reader.next[writer as usize].0..]
            .iter()
            .any(|entry| entry.sequence == sequence && entry.begun > reader.joined && entry.fate == Fate::Acknowledged)
    }

    /// Where overwriting is allowed and nobody has died: at least and at most how many samples reader `key`, which has come to the
    /// end, has missed.
    pub(crate) fn missed(&self, key: usize) -> Option<(u64, u64)> {
        let reader = self.readers[key].as_ref().filter(|reader| !reader.evicted)?;
        // From the join on; a commit that overlaps the join may count or not.
        let surely = |entry: &&Entry| entry.begun > reader.joined;
        let sure = self.streams.iter().map(|stream| stream.log.iter().filter(surely).count()).sum::<usize>() as u64;
        Some((sure.saturating_sub(reader.taken), self.followed(key).saturating_sub(reader.taken)))
    }

    /// The entries that reader `key` may have come by.
    fn followed(&self, key: usize) -> u64 {
        let Some(reader) = &self.readers[key] else { return 0 };
        reader.from.iter().zip(&self.streams).map(|(from, stream)| (stream.log.len() - from) as u64).sum()
    }

    /// Reader `key` is about to leave, with whatever it holds.
    pub(crate) fn leaves(&mut self, key: usize) {
        self.readers[key] = None;
        self.holds.retain(|hold| hold.1 != key);
    }

    /// Process `pid` is dead.
    pub(crate) fn died(&mut self, pid: u32) {
        self.tick();
        self.tally.deaths += 1;
        self.parked.remove(&pid);
        self.loans.retain(|_, owner| *owner != pid);
        for key in 0..self.readers.len() {
            if self.readers[key].as_ref().is_some_and(|reader| reader.pid == pid) {
                self.leaves(key);
            }
        }
        for stream in &mut self.streams {
            if stream.holder.is_some_and(|(holder, _)| holder == pid) {
                stream.holder = None;
            }
            for entry in stream.log.iter_mut().rev().take_while(|entry| entry.fate == Fate::Pending) {
                if entry.pid == pid {
                    entry.fate = Fate::Died { published: None };
                }
            }
        }
    }

    /// Those writers and readers that were alive and well all the time since `began`: masks.
    pub(crate) fn well_since(&self, began: u64) -> (u32, u32) {
        let writers = self.streams.iter().enumerate().filter(|(_, stream)| stream.holder.is_some_and(|(_, since)| since < began));
        let readers = self.readers.iter().flatten().filter(|reader| reader.joined < began && !reader.evicted);
        (writers.fold(0, |mask, (index, _)| mask | 1 << index), readers.fold(0, |mask, reader| mask | 1 << reader.index))
    }
}

impl Entry {
    /// Reader `key`, in whose audience it must be if it was published, goes on without it.
    fn pass(&mut self, key: usize) {
        match &mut self.fate {
            Fate::Died { published } => {
                assert_ne!(
                    *published,
                    Some(true),
                    "reader {key} passes a sample that another has taken, though its writer died in the commit"
                );
                *published = Some(false);
            }
            _ => panic!("reader {key} does not get sample {} (acknowledged: {})", self.sequence, self.fate == Fate::Acknowledged),
        }
    }
}
