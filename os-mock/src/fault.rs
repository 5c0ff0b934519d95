//! Faults by plan: which calls fail, in order or by chance.

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `create` finds no space (ENOSPC).
    Allocate,
    /// `create` or `open` cannot map (ENOMEM); a creation leaves nothing behind.
    Map,
    /// `claim` and `is_claimed` are out of descriptors (EMFILE).
    Claim,
    /// `wait` returns at once for no reason, or for a signal.
    Spurious,
    /// A wake reaches its waiters a millisecond late.
    LateWake,
    /// A wake reaches nobody: no platform may do that. It shows that a test would see a wake that is missing.
    LostWake,
    /// `fence_all` is refused.
    FenceAll,
}

const KINDS: usize = 7;

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plan {
    /// Not at all.
    #[default]
    Never,
    /// At every call.
    Always,
    /// At the next so many calls.
    Next(u32),
    /// Once, at the n-th call from now; 1 is the next.
    Nth(u32),
    /// At so many calls of a thousand, drawn from the world's seed.
    PerMille(u32),
}

/// The plans of a world.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    plans: [Plan; KINDS],
    struck: [u64; KINDS],
}

impl Faults {
    pub(crate) fn set(&mut self, fault: Fault, plan: Plan) {
        self.plans[fault as usize] = plan;
    }

    /// Whether `fault` strikes at this call; moves its plan on.
    pub(crate) fn strikes(&mut self, fault: Fault, random: &mut Random) -> bool {
        let plan = &mut self.plans[fault as usize];
        let (strikes, next) = match *plan {
            Plan::Never | Plan::Next(0) | Plan::Nth(0) => (false, Plan::Never),
            Plan::Always => (true, Plan::Always),
            Plan::Next(n) => (true, Plan::Next(n - 1)),
            Plan::Nth(n) => (n == 1, Plan::Nth(n - 1)),
            Plan::PerMille(p) => (random.below(1000) < u64::from(p), Plan::PerMille(p)),
        };
        *plan = next;
        self.struck[fault as usize] += u64::from(strikes);
        strikes
    }

    /// How often `fault` has struck.
    pub(crate) fn struck(&self, fault: Fault) -> u64 {
        self.struck[fault as usize]
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero; the bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(plan: Plan, calls: usize) -> Vec<bool> {
        let (mut faults, mut random) = (Faults::default(), Random::new(1));
        faults.set(Fault::Map, plan);
        (0..calls).map(|_| faults.strikes(Fault::Map, &mut random)).collect()
    }

    #[test]
    fn each_plan_strikes_when_it_says() {
        assert_eq!(strikes(Plan::Never, 2), [false, false]);
        assert_eq!(strikes(Plan::Always, 2), [true, true]);
        assert_eq!(strikes(Plan::Next(2), 3), [true, true, false]);
        assert_eq!(strikes(Plan::Nth(2), 4), [false, true, false, false]);
        let struck = strikes(Plan::PerMille(300), 10_000).iter().filter(|&&s| s).count();
        assert!((2_500..3_500).contains(&struck), "{struck} of 10,000 at 300 per mille");
    }

    #[test]
    fn a_seed_replays() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next()]
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
