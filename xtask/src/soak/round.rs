//! One round over a segment that outlives all rounds: parties come, are struck, and go; then everything is counted.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use seqslot::layout::control::{STATE_CLEAN, STATE_MASK};
use seqslot::{Config, OwnedReader, OwnedWriter, ReaderIndex, Segment, TakeError, WriterIndex};

use super::board::{Board, Order, WRITERS};
use super::cast::Cast;
use super::plan::{Blow, Fate, Plan, Policy, Role};
use super::sample::{CAPACITY, Seen, encode, settle_party};
use super::totals::Totals;
use super::{HANG, SLOTS};

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

/// A segment, and this process's reader of it, that live through all rounds.
pub struct Arena {
    path: PathBuf,
    segment: Arc<Segment>,
    reader: OwnedReader,
}

impl Arena {
    pub fn create(path: PathBuf, policy: Policy) -> Fallible<Self> {
        let config = Config::slots(SLOTS.into(), CAPACITY as u64).writers(8).readers(policy.readers());
        let config = if policy == Policy::Overwrite { config.overwrite() } else { config };
        let segment = Arc::new(seqslot::create(&path, &config)?);
        let reader = OwnedReader::join(segment.clone())?;
        Ok(Self { path, segment, reader })
    }
}

/// What this process reads in a round.
pub struct Audience<'a> {
    reader: &'a OwnedReader,
    pub seen: Seen,
    missed_before: u32,
}

impl<'a> Audience<'a> {
    pub fn new(reader: &'a OwnedReader, seen: Seen) -> Self {
        Self { reader, seen, missed_before: reader.missed() }
    }

    /// Reads for at most `time`, at least what is there now.
    pub fn read_for(&mut self, time: Duration) -> Fallible {
        let start = Instant::now();
        loop {
            let left = time.saturating_sub(start.elapsed());
            match self.reader.take_timeout(left.min(Duration::from_micros(200))) {
                Ok(sample) => self.seen.accept(&sample)?,
                Err(TakeError::TimedOut) => {}
                Err(TakeError::Closed | TakeError::WriterDied) => std::thread::sleep(left.min(Duration::from_micros(100))),
                Err(error) => return Err(error.into()),
            }
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Reads what there is; nobody writes any more.
    pub fn drain(&mut self) -> Fallible {
        loop {
            match self.reader.take_timeout(Duration::from_micros(200)) {
                Ok(sample) => self.seen.accept(&sample)?,
                Err(TakeError::TimedOut | TakeError::Closed | TakeError::WriterDied) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub fn settle(&self, board: &Board, killed: u32) -> Fallible {
        self.seen.settle(board, self.reader.missed().wrapping_sub(self.missed_before), killed)
    }
}

pub struct Round<'a> {
    arena: &'a Arena,
    policy: Policy,
    number: u32,
    cast: Cast<'a>,
    audience: Audience<'a>,
    totals: &'a mut Totals,
    /// Writers killed in this round: each may have burnt a position.
    killed_writers: u32,
}

/// Plays one round.
pub fn play(arena: &Arena, plan: &Plan, number: u32, files: (&Board, &Path), totals: &mut Totals) -> Fallible {
    let (board, board_file) = files;
    let audience = Audience::new(&arena.reader, Seen::from_now_on(number, plan.policy, board));
    let cast = Cast::new(board, board_file, &arena.path, plan.policy, number);
    let mut round = Round { arena, policy: plan.policy, number, cast, audience, totals, killed_writers: 0 };
    round.open(plan)?;
    for blow in &plan.blows {
        round.read_for(blow.after)?;
        round.strike(blow)?;
    }
    round.see_progress()?;
    round.close()
}

impl Round<'_> {
    fn read_for(&mut self, time: Duration) -> Fallible {
        let start = Instant::now();
        loop {
            let left = time.saturating_sub(start.elapsed());
            self.audience.read_for(left.min(Duration::from_millis(2)))?;
            self.cast.check()?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Starts so many and waits until they are ready.
    fn enter(&mut self, role: Role, count: u32) -> Fallible {
        let these = (0..count).map(|_| self.cast.start(role)).collect::<Result<Vec<_>, _>>()?;
        let start = Instant::now();
        while !these.iter().all(|&at| self.cast.party(at).is_ready()) {
            if start.elapsed() > HANG {
                return Err(format!("a {} is not ready after {} s", role.name(), HANG.as_secs()).into());
            }
            self.read_for(Duration::from_micros(200))?;
        }
        Ok(())
    }

    fn open(&mut self, plan: &Plan) -> Fallible {
        self.enter(Role::Reader, plan.readers)?;
        self.enter(Role::Writer, plan.writers)?;
        self.enter(Role::Recoverer, plan.recoverers)?;
        if let Some((role, after)) = plan.early {
            // Killed anywhere between its start and its first samples: within attach or join, with luck.
            let at = self.cast.start(role)?;
            self.audience.read_for(after)?;
            self.kill(at)?;
            self.cast.reap(at)?;
        }
        Ok(())
    }

    fn kill(&mut self, at: usize) -> Fallible {
        let role = self.cast.actors[at].role;
        self.killed_writers += u32::from(role == Role::Writer);
        self.totals.killed(role);
        self.cast.kill(at)
    }

    fn strike(&mut self, blow: &Blow) -> Fallible {
        let victims = self.cast.living(blow.role);
        let Some(&victim) = victims.get(blow.which as usize % victims.len().max(1)) else { return Ok(()) };
        match blow.fate {
            Fate::Kill => self.kill_as_planned(victim, blow),
            Fate::Stop(time) => {
                self.pause(victim, time)?;
                self.cast.go_on(victim)
            }
            Fate::StopAndKill(time) => {
                self.pause(victim, time)?;
                self.kill_as_planned(victim, blow)
            }
            Fate::Restart => {
                let (cast, audience) = (&mut self.cast, &mut self.audience);
                cast.end(&[victim], Order::Leave, || audience.read_for(Duration::from_micros(200)))?;
                self.totals.restarts += 1;
                self.enter(blow.role, 1)
            }
        }
    }

    /// Kills the victim, with it a second one, and a recoverer a moment later.
    fn kill_as_planned(&mut self, victim: usize, blow: &Blow) -> Fallible {
        let mut dead = vec![victim];
        dead.extend(blow.second.and_then(|role| self.cast.living(role).into_iter().find(|&other| other != victim)));
        let recoverer = blow.recoverer_after.and_then(|after| Some((self.cast.living(Role::Recoverer).pop()?, after)));
        if let Some((at, _)) = recoverer {
            self.cast.party(at).tell(Order::Hurry);
        }
        for &at in &dead {
            self.kill(at)?;
        }
        self.totals.pairs += u32::from(dead.len() == 2);
        if let Some((at, after)) = recoverer {
            // Reading goes on, so that who is not dead is not held up.
            self.audience.read_for(after)?;
            self.kill(at)?;
            self.totals.inside += u32::from(self.cast.party(at).is_inside());
            dead.push(at);
        }
        for &at in &dead {
            self.cast.reap(at)?;
        }
        if blow.is_replaced {
            for at in dead {
                self.totals.restarts += 1;
                self.enter(self.cast.actors[at].role, 1)?;
            }
        }
        Ok(())
    }

    /// Stops it for so long: it is not to be taken for dead.
    fn pause(&mut self, at: usize, time: Duration) -> Fallible {
        self.cast.stop(at)?;
        self.totals.stops += 1;
        self.read_for(time)?;
        let found = self.arena.segment.recover()?;
        let bit = self.cast.party(at).index().map_or(0, |index| 1_u32 << index);
        let taken_for_dead = match self.cast.actors[at].role {
            Role::Reader => found.readers & bit != 0 || self.arena.segment.active_readers() & bit == 0,
            Role::Writer => found.writers & bit != 0,
            _ => false,
        };
        if taken_for_dead {
            return Err(
                format!("{} {} was stopped and taken for dead", self.cast.actors[at].role.name(), self.cast.actors[at].number).into()
            );
        }
        Ok(())
    }

    /// After all deaths the living go on, and find by themselves what the dead held: this process does not recover for them.
    fn see_progress(&mut self) -> Fallible {
        let writers = self.cast.living(Role::Writer);
        let goals: Vec<_> = writers.iter().map(|&at| self.cast.party(at).commits().1 + 2 * SLOTS).collect();
        let start = Instant::now();
        while writers.iter().zip(&goals).any(|(&at, &goal)| self.cast.party(at).commits().1 < goal) {
            if start.elapsed() > HANG {
                return Err("a writer does not go on after the deaths of others".into());
            }
            self.read_for(Duration::from_micros(500))?;
        }
        if writers.is_empty() { self.write_here() } else { Ok(()) }
    }

    /// Every slot twice, by a writer of this process.
    fn write_here(&mut self) -> Fallible {
        let writer = OwnedWriter::<[u8]>::join(self.arena.segment.clone())?;
        let party = self.cast.board.party(WRITERS - 1);
        let start = Instant::now();
        let mut count = 0;
        while count < 2 * SLOTS {
            match writer.loan_timeout(Duration::from_millis(10)) {
                Ok(mut loan) => {
                    let len = encode(&mut loan, self.number, party.number, count);
                    count += 1;
                    party.begin(count);
                    loan.commit_len(len)?;
                    party.returned(count);
                }
                Err(error) if start.elapsed() > HANG => return Err(format!("after the deaths of all writers: {error}").into()),
                Err(_) => {}
            }
            self.audience.read_for(Duration::ZERO)?;
            self.cast.check()?;
        }
        Ok(())
    }

    /// Everybody ends; then nothing may be missing, held, or left.
    fn close(mut self) -> Fallible {
        let segment = &self.arena.segment;
        let (cast, audience) = (&mut self.cast, &mut self.audience);
        let mut meanwhile = || audience.read_for(Duration::from_micros(200));
        cast.end(&cast.living(Role::Writer), Order::Finish, &mut meanwhile)?;
        cast.end(&cast.living(Role::Recoverer), Order::Finish, &mut meanwhile)?;
        segment.recover()?;
        let readers = cast.living(Role::Reader);
        cast.end(&readers, Order::Finish, &mut meanwhile)?;
        audience.drain()?;
        for at in readers {
            let party = cast.party(at);
            settle_party(party, self.policy, cast.board, self.killed_writers)
                .map_err(|error| format!("reader {}: {error}", party.number))?;
            self.totals.samples += u64::from(party.counts().0);
        }
        audience.settle(cast.board, self.killed_writers).map_err(|error| format!("the director: {error}"))?;
        self.totals.samples += u64::from(audience.seen.taken);
        check_registry(segment, self.arena.reader.index())?;
        check_slots(segment)
    }
}

/// Nobody but this process's reader is in the segment any more, as far as its words say.
fn check_registry(segment: &Segment, me: ReaderIndex) -> Fallible {
    let view = segment.view();
    // ORDERING: Relaxed, all; the others are dead or gone, and were waited for.
    let in_use = |state: u32| state & STATE_MASK != STATE_CLEAN;
    for index in (0..segment.geometry().writers).filter_map(WriterIndex::new) {
        if view.writer_entry(index).is_some_and(|entry| in_use(entry.state().load(Ordering::Relaxed))) {
            return Err(format!("writer entry {} is in use after the round", index.get()).into());
        }
    }
    for index in (0..segment.geometry().readers).filter_map(ReaderIndex::new).filter(|index| *index != me) {
        if view.reader_entry(index).is_some_and(|entry| in_use(entry.state().load(Ordering::Relaxed))) {
            return Err(format!("reader entry {} is in use after the round", index.get()).into());
        }
    }
    let masks = [view.reader_waiters(), view.writer_waiters(), view.change_waiters()].map(|word| word.load(Ordering::Relaxed));
    if segment.active_readers() != me.bit() || masks != [0; 3] {
        return Err(format!("readers {:#x}, waiters {masks:x?} after the round", segment.active_readers()).into());
    }
    Ok(())
}

/// Every slot can be loaned at the same time.
fn check_slots(segment: &Segment) -> Fallible {
    let writer = segment.writer()?;
    let loans: Vec<_> = std::iter::from_fn(|| writer.loan().ok()).take(SLOTS as usize).collect();
    if loans.len() == SLOTS as usize { Ok(()) } else { Err(format!("{} of {SLOTS} slots can be loaned", loans.len()).into()) }
}
