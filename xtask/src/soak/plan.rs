//! What happens in a round: drawn from the round's seed before it begins, so that a seed tells all but the instants.

use std::time::Duration;

/// Knuth's MMIX generator; the high bits count.
#[derive(Debug, Clone, Copy)]
pub struct Draw(pub u64);

impl Draw {
    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Less than `limit`, which is not 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.word() % limit
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn micros(&mut self, limit: u32) -> Duration {
        Duration::from_micros(self.below(limit).into())
    }
}

/// What a writer does when nothing is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Fail,
    Block,
    Overwrite,
}

impl Policy {
    pub const ALL: [Self; 3] = [Self::Fail, Self::Block, Self::Overwrite];

    /// Readers that its segment has room for.
    pub fn readers(self) -> u32 {
        if self == Self::Overwrite { 31 } else { 32 }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Block => "block",
            Self::Overwrite => "overwrite",
        }
    }

    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|policy| policy.name() == name).ok_or_else(|| format!("no policy {name}"))
    }
}

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Writer,
    Reader,
    Recoverer,
    /// Creates a segment of its own, in rounds of its own.
    Owner,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Recoverer => "recoverer",
            Self::Owner => "owner",
        }
    }

    pub fn parse(name: &str) -> Result<Self, String> {
        let all = [Self::Writer, Self::Reader, Self::Recoverer, Self::Owner];
        all.into_iter().find(|role| role.name() == name).ok_or_else(|| format!("no role {name}"))
    }
}

/// What is done to a victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kill,
    /// SIGSTOP, and SIGCONT after so long.
    Stop(Duration),
    /// SIGSTOP, and SIGKILL after so long.
    StopAndKill(Duration),
    /// It is told to end, and another takes its place.
    Restart,
}

/// One blow.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// Time from the last one, or from the round's start.
    pub after: Duration,
    pub role: Role,
    /// Which of the living of that role, modulo their number.
    pub which: u32,
    pub fate: Fate,
    /// The role of a second one, killed in the same breath.
    pub second: Option<Role>,
    /// If the dead leave something to recover: how long after a recoverer is killed that is told to hurry.
    pub recoverer_after: Option<Duration>,
    /// Whether somebody new takes the place of the dead.
    pub is_replaced: bool,
}

/// A round.
#[derive(Debug)]
pub struct Plan {
    pub policy: Policy,
    pub writers: u32,
    /// Readers beside this process, which always reads.
    pub readers: u32,
    pub recoverers: u32,
    /// Somebody is started and killed before it is ready, so much after its start.
    pub early: Option<(Role, Duration)>,
    pub blows: Vec<Blow>,
}

impl Plan {
    pub fn draw(draw: &mut Draw) -> Self {
        let policy = Policy::ALL[draw.below(3) as usize];
        let is_crowded = draw.one_in(16);
        // One entry is this process's, and one is for whoever comes before the place of a dead one is free.
        let readers = if is_crowded { policy.readers() - 2 - draw.below(4) } else { 1 + draw.below(3) };
        let life = if is_crowded { 20_000 } else { 4_000 };
        let count = 1 + draw.below(3);
        Self {
            policy,
            writers: 1 + draw.below(3),
            readers,
            recoverers: 1 + draw.below(2),
            early: draw.one_in(4).then(|| (if draw.one_in(2) { Role::Writer } else { Role::Reader }, draw.micros(4_000))),
            blows: (0..count).map(|_| Blow::draw(draw, life)).collect(),
        }
    }
}

impl Blow {
    fn draw(draw: &mut Draw, life: u32) -> Self {
        let role = match draw.below(7) {
            0..3 => Role::Writer,
            3..6 => Role::Reader,
            _ => Role::Recoverer,
        };
        // Longer than a reader's slice of a second now and then.
        let pause = if draw.one_in(24) { 1_200_000 } else { 60_000 };
        let fate = match draw.below(8) {
            0..4 => Fate::Kill,
            4..6 => Fate::Stop(draw.micros(pause)),
            6 => Fate::StopAndKill(draw.micros(pause)),
            _ => Fate::Restart,
        };
        let kills = matches!(fate, Fate::Kill | Fate::StopAndKill(_));
        Self {
            after: draw.micros(life),
            role,
            which: draw.word(),
            fate,
            second: (kills && draw.one_in(3)).then(|| if draw.one_in(2) { Role::Writer } else { Role::Reader }),
            recoverer_after: (kills && role != Role::Recoverer && draw.one_in(3)).then(|| draw.micros(400)),
            is_replaced: draw.one_in(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_policy_and_fate_is_drawn_and_a_seed_gives_the_same_plan() {
        let mut seen = std::collections::BTreeSet::new();
        let mut state = Draw(1);
        for _ in 0..2_000 {
            let plan = Plan::draw(&mut state);
            assert!(plan.readers < plan.policy.readers() - 1);
            seen.insert(format!("{:?}", plan.policy));
            for blow in plan.blows {
                seen.insert(format!("{:?}", blow.role));
                seen.insert(format!("{:?}", blow.fate).split('(').next().unwrap_or_default().to_owned());
                seen.insert(format!("second {:?}, recoverer {}", blow.second, blow.recoverer_after.is_some()));
            }
        }
        // 3 policies, 3 roles, 4 fates; a second writer, reader or nobody, with or without a recoverer's death.
        assert_eq!(seen.len(), 3 + 3 + 4 + 6, "{seen:?}");
        let twice = [Draw(5), Draw(5)].map(|mut draw| format!("{:?}", Plan::draw(&mut draw)));
        assert_eq!(twice[0], twice[1]);
    }
}
