//! What a reader does: joins, takes, holds, checks, lets go, forgets, leaves; and at the end takes all that is left.

use core::time::Duration;

use seqslot_core::{JoinError, Os, Reader, ReaderIndex, Sample, Segment, TakeError};
use seqslot_os_mock::{MockOs, bounded};

use crate::env::{Env, LONG, SHORT};
use crate::model::{Parked, SampleRef, Taken, byte};
use crate::plan::SLOTS;

type Handle<'s> = &'s Segment<MockOs>;

/// A sample in hand, and what it should be; `None` if nothing is promised.
struct Held<'r, 's> {
    sample: Sample<'r, Handle<'s>>,
    is: Option<SampleRef>,
}

/// The whole life of a reader's process.
pub(crate) fn live(env: &Env) {
    while let Some(segment) = env.attach(SLOTS) {
        for _ in 0..1 + env.below(4) {
            if env.stops() {
                break;
            }
            let began = env.model().tick();
            match bounded("join", SHORT, || join(env, &segment)) {
                Ok(reader) => session(env, reader, began),
                Err(error) => env.not_joined(error),
            }
        }
    }
}

fn join<'s>(env: &Env, segment: &'s Segment<MockOs>) -> Result<Reader<Handle<'s>>, JoinError> {
    match ReaderIndex::new(env.below(u64::from(env.plan().reader_entries)) as u32) {
        Some(index) if env.chance(30) => Reader::join_as(segment, index),
        _ => segment.reader(),
    }
}

fn session(env: &Env, reader: Reader<Handle<'_>>, began: u64) {
    let key = env.model().joined(env.pid, reader.index().get(), Some(reader.id()), began);
    {
        let follower = Follower { env, reader: &reader, key };
        let mut held = Vec::new();
        for _ in 0..env.session() {
            if env.stops() {
                break;
            }
            if !follower.act(&mut held) {
                break;
            }
        }
        if env.stops() {
            follower.drain(&mut held);
        }
        for held in held {
            // What is forgotten goes with the reader.
            if env.chance(10) { core::mem::forget(held.sample) } else { follower.release(held) }
        }
    }
    env.model().leaves(key);
    bounded("leave", SHORT, || drop(reader));
}

struct Follower<'e, 'r, 's> {
    env: &'e Env,
    reader: &'r Reader<Handle<'s>>,
    key: usize,
}

impl<'r, 's> Follower<'_, 'r, 's> {
    /// One thing; false if this reader is over.
    fn act(&self, held: &mut Vec<Held<'r, 's>>) -> bool {
        let env = self.env;
        let full = held.len() >= env.plan().hold as usize;
        let takes_both = env.does(8) && env.does(9);
        match env.below(8) {
            0 | 1 if !full && env.does(8) => return self.take(held),
            2 | 3 if !full && env.does(9) => return self.take_timeout(held),
            // One way of taking there is always.
            1 | 4 if !full && !takes_both => return self.take(held),
            4 if !full && env.does(10) => return self.take_batch(held),
            5 if env.does(11) => env.idle(),
            6 if env.does(12) => held.iter().for_each(|held| self.check(held)),
            6 if env.does(13) && env.chance(5) => {
                if let Some(held) = held.pop() {
                    core::mem::forget(held.sample);
                }
            }
            _ if !held.is_empty() => {
                let at = env.below(held.len() as u64) as usize;
                self.release(held.swap_remove(at));
            }
            _ if full => env.idle(),
            _ => {}
        }
        true
    }

    fn take(&self, held: &mut Vec<Held<'r, 's>>) -> bool {
        let began = self.env.model().tick();
        match bounded("take", SHORT, || self.reader.take()) {
            Ok(Some(sample)) => self.took(sample, held),
            Ok(None) => {
                self.env.model().nothing(self.key, began);
                self.env.idle();
            }
            Err(error) => return self.over(error, began),
        }
        true
    }

    fn take_timeout(&self, held: &mut Vec<Held<'r, 's>>) -> bool {
        let timeout = self.env.some_time(Duration::from_secs(4));
        let began = self.env.model().tick();
        self.env.model().parked.insert(self.env.pid, Parked::Sample(self.key));
        let answer = bounded("take_timeout", LONG, || self.reader.take_timeout(timeout));
        self.env.model().parked.remove(&self.env.pid);
        match answer {
            Ok(sample) => self.took(sample, held),
            Err(TakeError::TimedOut) => {}
            Err(error) => return self.over(error, began),
        }
        true
    }

    fn take_batch(&self, held: &mut Vec<Held<'r, 's>>) -> bool {
        let began = self.env.model().tick();
        match bounded("take_batch", SHORT, || self.reader.take_batch::<3>()) {
            Ok(batch) => batch.into_iter().for_each(|sample| self.took(sample, held)),
            Err(error) => return self.over(error, began),
        }
        true
    }

    fn took(&self, sample: Sample<'r, Handle<'s>>, held: &mut Vec<Held<'r, 's>>) {
        let taken = Taken { writer: sample.writer().get(), sequence: sample.sequence(), slot: sample.slot(), len: sample.len_bytes() };
        let is = self.env.model().took(self.key, taken);
        let taken = Held { sample, is };
        self.check(&taken);
        if self.env.chance(if self.env.does(14) { 20 } else { 80 }) { held.push(taken) } else { self.release(taken) }
    }

    /// The bytes are those of the sample, and stay so.
    fn check(&self, held: &Held<'_, '_>) {
        let Some(is) = held.is else { return };
        let half = is.len / 2;
        let mut bytes = [0; 256];
        // In two goes, so that others run in between.
        bytes[..half].copy_from_slice(&held.sample[..half]);
        if self.env.chance(50) {
            held.sample.copy_to(&mut bytes[..is.len]);
        } else {
            bytes[half..is.len].copy_from_slice(&held.sample[half..]);
        }
        let wrong = (0..is.len).find(|&at| bytes[at] != byte(is.id, at));
        if let Some(at) = wrong.filter(|_| !self.env.model().is_evicted(self.key)) {
            panic!("byte {at} of {is:?}, held by reader {}, is {:#x}, not {:#x}", self.key, bytes[at], byte(is.id, at));
        }
    }

    fn release(&self, held: Held<'_, '_>) {
        self.check(&held);
        if let Some(is) = held.is {
            self.env.model().releases(self.key, is.slot);
        }
        bounded("release", SHORT, || drop(held.sample));
    }

    /// The stream is said to be over; false if this reader is.
    fn over(&self, error: TakeError, began: u64) -> bool {
        match error {
            TakeError::Closed | TakeError::WriterDied => self.env.model().nothing_is_left(self.key, began),
            TakeError::PeersGone => {}
            TakeError::Evicted => {
                assert!(self.env.model().is_evicted(self.key), "reader {} is told that it was evicted", self.key);
                return false;
            }
            // What an evicted reader still finds may change under it.
            TakeError::BadSize { .. } if self.env.model().is_evicted(self.key) => {}
            error => panic!("take: {error}"),
        }
        self.env.idle();
        true
    }

    /// Takes all that is left, once nobody writes any more.
    fn drain(&self, held: &mut Vec<Held<'r, 's>>) {
        let mut nothing = 0;
        while nothing < 8 {
            held.drain(..).for_each(|held| self.release(held));
            let is_last = self.env.shared.writing.get() == 0;
            let began = self.env.model().tick();
            match bounded("take", SHORT, || self.reader.take()) {
                Ok(Some(sample)) => self.took(sample, held),
                Ok(None) => {
                    self.env.model().nothing(self.key, began);
                    nothing += u32::from(is_last);
                    if is_last { self.env.idle() } else { self.env.os.sleep(Duration::from_millis(20)) }
                }
                Err(TakeError::Closed | TakeError::WriterDied) if is_last => break,
                Err(error) => {
                    if !self.over(error, began) {
                        return;
                    }
                    nothing += u32::from(is_last);
                    self.env.os.sleep(Duration::from_millis(5));
                }
            }
        }
        let now = self.env.model().tick();
        self.env.model().nothing_is_left(self.key, now);
        self.count_missed();
    }

    /// What was missed is counted, neither more nor less.
    fn count_missed(&self) {
        let model = self.env.model();
        let missed = u64::from(self.reader.missed());
        if !self.env.plan().overwrites() {
            assert_eq!(missed, 0, "missed, where nothing is overwritten");
        } else if model.tally.deaths == 0
            && let Some((least, most)) = model.missed(self.key)
        {
            assert!((least..=most).contains(&missed), "reader {} says that it missed {missed}; it was {least} to {most}", self.key);
        }
    }
}
