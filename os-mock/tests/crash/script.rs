//! Which deaths a run has, and the enumeration of all of them.
//!
//! A run plays one operation in one state with a [`Script`]: the victim dies before its n-th event, then perhaps a second process, which
//! recovers or just uses the segment, before its j-th, and a third one, which recovers again, before its k-th. Each number is counted up
//! until the process lives to the end of what it does; there it is killed, too.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use seqslot_os_mock::MockOs;

/// What the second process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// Attaches anew, which recovers, and recovers again.
    Recovers,
    /// Was there all along, and goes on: sends, takes, waits, leaves.
    Uses,
}

/// The deaths of one run: before which event each of the processes dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deaths {
    pub first: u64,
    pub second: Option<(Second, u64)>,
    pub third: Option<u64>,
}

impl fmt::Display for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        match self.second {
            Some((Second::Recovers, n)) => write!(f, "+r{n}")?,
            Some((Second::Uses, n)) => write!(f, "+u{n}")?,
            None => {}
        }
        self.third.map_or(Ok(()), |n| write!(f, "+r{n}"))
    }
}

impl FromStr for Deaths {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('+');
        let first = parts.next().unwrap_or_default().parse()?;
        let second = parts.next().map(|part| {
            let what = if part.starts_with('u') { Second::Uses } else { Second::Recovers };
            part.trim_start_matches(['u', 'r']).parse().map(|n| (what, n))
        });
        let third = parts.next().map(|part| part.trim_start_matches('r').parse());
        Ok(Self { first, second: second.transpose()?, third: third.transpose()? })
    }
}

/// How a process of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Before the event it was to die at.
    Died,
    /// It came to the end of what it does.
    Lived,
    /// There was nothing for it to do: it had no part.
    Nobody,
}

/// The deaths of a run, and which of the processes lived to their end.
#[derive(Debug)]
pub struct Script {
    pub deaths: Deaths,
    lived: [Cell<bool>; 3],
    nobody: [Cell<bool>; 3],
    /// Who came to the point from which it may die.
    given: [Cell<bool>; 3],
}

/// In the hands of a mortal process: where its deaths begin, and where what it does ends.
pub struct Cue<'a> {
    os: &'a MockOs,
    before: u64,
    lived: &'a Cell<bool>,
    given: &'a Cell<bool>,
}

impl Cue<'_> {
    /// From here on the process may die.
    pub fn go(&self) {
        self.given.set(true);
        self.os.die_before(self.before);
    }

    /// The operation is over: what is dropped behind this is dropped by a dead process.
    pub fn end(&self) {
        self.lived.set(true);
        self.os.kill();
    }
}

impl Script {
    pub fn new(deaths: Deaths) -> Self {
        Self { deaths, lived: Default::default(), nobody: Default::default(), given: Default::default() }
    }

    /// Runs `body` as `os`, whose turn to die is `turn`, from 0. It is dead afterwards.
    pub fn mortal(&self, turn: usize, os: &MockOs, body: impl FnOnce(&Cue<'_>)) {
        let before = match turn {
            0 => self.deaths.first,
            1 => self.deaths.second.map_or(u64::MAX, |(_, n)| n),
            _ => self.deaths.third.unwrap_or(u64::MAX),
        };
        let cue = Cue { os, before, lived: &self.lived[turn], given: &self.given[turn] };
        if os.run(|| body(&cue)).is_ok() {
            cue.end();
        }
        // Otherwise there would be a run to count, and nobody that could have died in it.
        assert!(self.given[turn].get(), "process {turn} never came to what it was to die in");
    }

    pub fn has_lived(&self, turn: usize) -> bool {
        self.lived[turn].get()
    }

    /// There is nothing to do for the process whose turn is `turn`: no run of it is counted.
    pub fn nobody(&self, turn: usize) {
        self.nobody[turn].set(true);
    }

    fn end(&self, turn: usize) -> End {
        match (self.nobody[turn].get(), self.has_lived(turn)) {
            (true, _) => End::Nobody,
            (false, true) => End::Lived,
            (false, false) => End::Died,
        }
    }
}

/// What plays a script: one operation in one state, and the checks behind it.
pub type Play = Box<dyn Fn(&std::rc::Rc<Script>)>;

/// One operation in one state.
pub struct Case {
    pub operation: &'static str,
    pub state: &'static str,
    /// What second processes there are.
    pub seconds: &'static [Second],
    pub run: Play,
}

/// How much to run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Extent {
    /// Of the single deaths one in so many, beginning with another one in each case.
    Sparse(usize),
    /// Every single death.
    Single,
    /// Every pair of deaths of which the second is in recovery; of the others one in `uses`; and the triples of one pair in `triples`.
    Double { uses: u64, triples: u64 },
    /// One run, of one case.
    Only { case: String, deaths: Option<Deaths> },
}

impl Extent {
    /// What the environment asks for: `SEQSLOT_CRASH` is `single`, `double`, `deep`, or the name of a case or a run.
    fn asked_for() -> Self {
        match std::env::var("SEQSLOT_CRASH").as_deref() {
            Err(_) | Ok("") => Self::Sparse(4),
            Ok("single") => Self::Single,
            Ok("double") => Self::Double { uses: 5, triples: 997 },
            Ok("deep") => Self::Double { uses: 1, triples: 41 },
            Ok(name) => {
                let (case, deaths) = match name.rsplit_once('/') {
                    Some((case, last)) if case.contains('/') => (case, Some(last.parse().expect("deaths as in 12+r3"))),
                    _ => (name, None),
                };
                Self::Only { case: case.into(), deaths }
            }
        }
    }
}

/// How many deaths were played.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub single: u64,
    /// Second deaths while using, and while recovering.
    pub using: u64,
    pub recovering: u64,
    /// Third deaths, in the recovery of what the second had left.
    pub third: u64,
}

/// Plays every death of every case; prints the counts, and fails if a run failed.
pub fn enumerate(family: &str, cases: &[Case]) {
    let extent = Extent::asked_for();
    let (mut total, mut failed, mut played) = (Counts::default(), Vec::new(), Vec::new());
    for (number, case) in cases.iter().enumerate() {
        let name = format!("{}/{}", case.operation, case.state);
        let counts = match &extent {
            Extent::Only { case: only, .. } if *only != name => continue,
            Extent::Only { deaths: Some(deaths), .. } => {
                play(case, deaths.clone(), &mut failed).map(|_| Counts { single: 1, ..Counts::default() })
            }
            Extent::Sparse(step) => {
                let numbers = (1 + number as u64 % *step as u64..).step_by(*step);
                singles(case, numbers, &mut failed).map(|last| Counts { single: last.div_ceil(*step as u64), ..Counts::default() })
            }
            Extent::Single => singles(case, 1.., &mut failed).map(|single| Counts { single, ..Counts::default() }),
            Extent::Only { deaths: None, .. } => pairs(case, 1, u64::MAX, &mut failed),
            Extent::Double { uses, triples } => pairs(case, *uses, *triples, &mut failed),
        };
        played.push(case);
        let Some(counts) = counts else { continue };
        let Counts { single, using, recovering, third } = counts;
        eprintln!("{family}: {name}: {single} single, {} double, {recovering} in recovery, {third} in recovery of it", using + recovering);
        total.single += single;
        total.using += using;
        total.recovering += recovering;
        total.third += third;
    }
    let Counts { single, using, recovering, third } = total;
    let distinct = |of: fn(&Case) -> &'static str| played.iter().map(|case| of(case)).collect::<std::collections::BTreeSet<_>>();
    let join = |names: std::collections::BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(",");
    println!(
        "crash family {family}: {single} {using} {recovering} {third} [{}] [{}]",
        join(distinct(|c| c.operation)),
        join(distinct(|c| c.state))
    );
    for name in &failed {
        eprintln!("{family}: FAILED: {name}; replay: cargo xtask crash --only {name}");
    }
    assert!(failed.is_empty(), "{} runs failed", failed.len());
}

/// One run; how each process ended. `None`, and a name in `failed`, if an invariant was broken.
fn play(case: &Case, deaths: Deaths, failed: &mut Vec<String>) -> Option<[End; 3]> {
    let name = format!("{}/{}/{deaths}", case.operation, case.state);
    let script = std::rc::Rc::new(Script::new(deaths));
    match catch_unwind(AssertUnwindSafe(|| (case.run)(&script))) {
        Ok(()) => Some([0, 1, 2].map(|turn| script.end(turn))),
        Err(_) => {
            failed.push(name);
            None
        }
    }
}

/// Counts one of the deaths up until its process lives to the end; where it was counted to.
fn count_up(
    case: &Case,
    turn: usize,
    numbers: impl Iterator<Item = u64>,
    deaths: impl Fn(u64) -> Deaths,
    failed: &mut Vec<String>,
) -> Option<u64> {
    for n in numbers {
        match play(case, deaths(n), failed)?[turn] {
            End::Died => {}
            End::Lived => return Some(n),
            End::Nobody => return Some(n - 1),
        }
    }
    None
}

fn singles(case: &Case, numbers: impl Iterator<Item = u64>, failed: &mut Vec<String>) -> Option<u64> {
    count_up(case, 0, numbers, |first| Deaths { first, second: None, third: None }, failed)
}

/// All deaths of the first, and behind each those of the second (of a user one in `uses`, another one each time), and of some the third.
fn pairs(case: &Case, uses: u64, triples: u64, failed: &mut Vec<String>) -> Option<Counts> {
    let single = singles(case, 1.., failed)?;
    let mut counts = Counts { single, ..Counts::default() };
    for first in 1..=single {
        for &what in case.seconds {
            let (begin, step) = if what == Second::Uses { (1 + first % uses, uses) } else { (1, 1) };
            let numbers = (begin..).step_by(step as usize);
            let deaths = |n| Deaths { first, second: Some((what, n)), third: None };
            let last = count_up(case, 1, numbers.clone(), deaths, failed)?;
            let runs = numbers.take_while(|n| *n <= last);
            *if what == Second::Uses { &mut counts.using } else { &mut counts.recovering } += runs.clone().count() as u64;
            for second in runs.filter(|second| (first * 31 + second * 17).is_multiple_of(triples)) {
                let deaths = |third| Deaths { first, second: Some((what, second)), third: Some(third) };
                counts.third += count_up(case, 2, 1.., deaths, failed)?;
            }
        }
    }
    Some(counts)
}
