//! The rows, what each is to reach, and whether it does.

use crate::figure::{Figure, Unit};

/// What our figure is held against. Times, sizes and shares are to be at most so much, rates at least.
pub enum Target {
    /// So many times the limit of the row, and so much more.
    Limit(f64, f64),
    /// So many times the best peer's best way.
    Peer(f64),
    /// So many times the best way of the peer of this name, which need not be the best one.
    PeerNamed(&'static str, f64),
    /// So many times our own figure in another row.
    Own(&'static str, f64),
    /// So much, whatever others do.
    Value(f64),
    /// So much for our worst way, where the row has several.
    Worst(f64),
    /// So much at the 99.9th percentile.
    P999(f64),
}

/// A row of the table.
pub struct Row {
    /// As in [`Figure::row`].
    pub key: &'static str,
    /// What is measured, in words.
    pub what: &'static str,
    /// All are to be reached.
    pub targets: &'static [Target],
}

const fn row(key: &'static str, what: &'static str, targets: &'static [Target]) -> Row {
    Row { key, what, targets }
}

/// All rows, in the table's order.
pub const ROWS: [Row; 24] = [
    row("one-way-32", "one way between processes, 32 B", &[Target::Limit(1.15, 0.0), Target::Peer(0.6)]),
    row("one-way-64", "one way between processes, 64 B", &[Target::Limit(1.45, 0.0), Target::Peer(0.6)]),
    row("cycle-64", "reserve, fill, commit, take, release, 64 B", &[Target::Peer(0.35)]),
    row("held-1024", "the same, all but one of 1,024 slots held", &[Target::Own("cycle-64", 1.2)]),
    row("held-16384", "the same, all but one of 16,384 held", &[Target::Own("cycle-64", 1.2)]),
    row("poll-4", "empty poll, 4 slots", &[Target::Value(2.0)]),
    row("poll-1024", "empty poll, 1,024 slots", &[Target::Value(2.0)]),
    row("fan-16", "publish, and all 16 readers take", &[Target::PeerNamed("iceoryx2", 0.08), Target::Peer(1.0)]),
    row("stream-64", "stream of 64 B, lossless, 64 slots", &[Target::Peer(8.0)]),
    row("stream-64k", "stream of 64 KiB, filled and read", &[Target::Peer(1.5)]),
    row("stream-1m", "stream of 1 MiB, filled and read", &[Target::Peer(1.05)]),
    row("snap-unchanged", "snapshot, unchanged", &[Target::Value(1.0)]),
    row("snap-read-64", "snapshot, fresh read of 64 B", &[Target::Limit(1.3, 3.0)]),
    row("snap-read-1k", "snapshot, fresh read of 1 KiB", &[Target::Limit(1.3, 3.0)]),
    row("snap-read-4k", "snapshot, fresh read of 4 KiB", &[Target::Limit(1.3, 3.0)]),
    row("snap-write-64", "snapshot, write of 64 B", &[Target::Limit(1.3, 3.0)]),
    row("snap-write-1k", "snapshot, write of 1 KiB", &[Target::Limit(1.3, 3.0)]),
    row("snap-contended", "snapshot read while the writer never rests", &[Target::Value(60.0), Target::P999(2000.0)]),
    row("wake", "wake of a parked reader", &[Target::Limit(1.1, 0.0)]),
    row("create-64", "create 64 x 1 KiB, reserved", &[Target::Peer(0.5)]),
    row("create-16384", "create 16,384 x 1 KiB, reserved", &[Target::Peer(0.5)]),
    row("create-sparse", "create sparse, 64 to 262,144 x 1 KiB", &[Target::Worst(60_000.0)]),
    row("attach", "attach", &[Target::Peer(1.2)]),
    row("overhead", "bytes beyond the payload, 1 KiB, one writer", &[Target::Value(8.0)]),
];

/// Our name in [`Figure::system`].
pub const OURS: &str = "seqslot";
/// What is no system.
const LIMIT: &str = "limit";
/// Of a way that does not go between processes.
const INSIDE: &str = "one process only";
/// What is told beside a row, and judged nowhere.
const PARTS: &str = "parts";

/// The figures of one row.
pub struct Line<'f> {
    /// What they are the figures of.
    pub row: &'static Row,
    figures: &'f [Figure],
}

impl<'f> Line<'f> {
    /// The line of a row.
    pub fn of(row: &'static Row, figures: &'f [Figure]) -> Self {
        Self { row, figures }
    }

    fn all(&self, is_it: impl Fn(&Figure) -> bool) -> impl Iterator<Item = &'f Figure> {
        self.figures.iter().filter(move |figure| figure.row == self.row.key && is_it(figure))
    }

    fn best(&self, is_it: impl Fn(&Figure) -> bool) -> Option<&'f Figure> {
        self.all(is_it).min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// Ours: the best way, or the worst where that is what is judged.
    pub fn ours(&self) -> Option<&'f Figure> {
        let is_ours = |figure: &Figure| figure.name() == OURS;
        if self.row.targets.iter().any(|target| matches!(target, Target::Worst(_))) {
            self.all(is_ours).max_by(|a, b| cost(a).total_cmp(&cost(b)))
        } else {
            self.best(is_ours)
        }
    }

    /// The best way of the best peer that goes between processes.
    pub fn peer(&self) -> Option<&'f Figure> {
        self.best(|figure| ![OURS, LIMIT, PARTS].contains(&figure.name()) && !figure.system.ends_with(INSIDE))
    }

    /// The best of those that work in one process only.
    pub fn inside(&self) -> Option<&'f Figure> {
        self.best(|figure| figure.system.ends_with(INSIDE))
    }

    /// What the machine allows.
    pub fn limit(&self) -> Option<&'f Figure> {
        self.best(|figure| figure.name() == LIMIT)
    }

    /// What is told beside the row.
    pub fn parts(&self) -> impl Iterator<Item = &'f Figure> {
        self.all(|figure| figure.name() == PARTS)
    }

    /// Whether every target is reached; `None` where something was not measured.
    pub fn is_met(&self) -> Option<bool> {
        let ours = self.ours()?;
        let reached = |target: &Target| {
            let (mine, bound) = match *target {
                Target::Limit(times, more) => (ours.median, self.limit()?.median * times + more),
                Target::Peer(times) => (ours.median, self.peer()?.median * times),
                Target::PeerNamed(name, times) => (ours.median, self.best(|figure| figure.name() == name)?.median * times),
                Target::Own(key, times) => {
                    let other = Line::of(ROWS.iter().find(|row| row.key == key)?, self.figures);
                    (ours.median, other.ours()?.median * times)
                }
                Target::Value(value) | Target::Worst(value) => (ours.median, value),
                Target::P999(value) => (ours.p999?, value),
            };
            Some(if ours.unit.is_rate() { mine >= bound } else { mine <= bound })
        };
        self.row.targets.iter().try_fold(true, |met, target| Some(met & reached(target)?))
    }

    /// How many times better ours is than the best peer: above 1 is better.
    pub fn times_better(&self) -> Option<f64> {
        Some(cost(self.peer()?) / cost(self.ours()?))
    }

    /// How many times better the limit is than the best peer.
    pub fn limit_times_better(&self) -> Option<f64> {
        Some(cost(self.peer()?) / cost(self.limit()?))
    }
}

/// Less is better.
fn cost(figure: &Figure) -> f64 {
    if figure.unit.is_rate() { 1.0 / figure.median } else { figure.median }
}

impl Row {
    /// The targets in words.
    pub fn target(&self) -> String {
        let is_rate = self.key.starts_with("stream");
        let sign = if is_rate { ">=" } else { "<=" };
        let unit = if self.key == "overhead" { Unit::Percent } else { Unit::Nanoseconds };
        let words = |target: &Target| match *target {
            Target::Limit(times, 0.0) => format!("{sign} {times} x limit"),
            Target::Limit(times, more) => format!("{sign} {times} x limit + {more} ns"),
            Target::Peer(times) => format!("{sign} {times} x peer"),
            Target::PeerNamed(name, times) => format!("{sign} {times} x {name}"),
            Target::Own(key, times) => format!("{sign} {times} x our {key}"),
            Target::Value(value) => format!("{sign} {}", amount(value, unit)),
            Target::Worst(value) => format!("{sign} {}, any size", amount(value, unit)),
            Target::P999(value) => format!("p99.9 {sign} {}", amount(value, unit)),
        };
        self.targets.iter().map(words).collect::<Vec<_>>().join(", ")
    }
}

/// A value with its unit, three digits of it.
pub fn amount(value: f64, unit: Unit) -> String {
    let (value, unit) = match unit {
        Unit::Nanoseconds if value >= 1e6 => (value / 1e6, " ms"),
        Unit::Nanoseconds if value >= 1e3 => (value / 1e3, " us"),
        Unit::Nanoseconds => (value, " ns"),
        Unit::MillionPerSecond => (value, " M/s"),
        Unit::GigabytesPerSecond => (value, " GB/s"),
        Unit::Bytes => (value, " B"),
        Unit::Percent => (value, " %"),
    };
    let digits = if value >= 100.0 || value.fract() == 0.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'f>(key: &str, figures: &'f [Figure]) -> Line<'f> {
        Line::of(ROWS.iter().find(|row| row.key == key).expect("a row"), figures)
    }

    #[test]
    fn the_best_way_of_the_best_peer_is_what_counts() {
        let figures = [
            ("seqslot", 20.0),
            ("zerodds, in place", 60.0),
            ("zerodds, by copy", 50.0),
            ("iceoryx2", 170.0),
            ("rtrb, one process only", 4.0),
        ]
        .map(|(system, value)| Figure::exact("cycle-64", system, Unit::Nanoseconds, value));
        let line = line("cycle-64", &figures);
        assert_eq!(line.peer().map(|figure| &*figure.system), Some("zerodds, by copy"));
        assert_eq!((line.is_met(), line.times_better()), (Some(false), Some(2.5)));
        assert_eq!(line.inside().map(|figure| figure.name()), Some("rtrb"));
    }

    #[test]
    fn a_target_may_name_a_peer_that_is_not_the_best() {
        let figures = [("seqslot", 120.0), ("zerodds", 286.0), ("iceoryx2", 1500.0)]
            .map(|(system, value)| Figure::exact("fan-16", system, Unit::Nanoseconds, value));
        assert_eq!(line("fan-16", &figures).is_met(), Some(true));
        assert_eq!(line("fan-16", &figures[..2]).is_met(), None);
        assert_eq!(line("fan-16", &[figures[0].clone(), figures[2].clone()]).is_met(), Some(true));
        let behind = [figures[0].clone(), Figure { median: 119.0, ..figures[1].clone() }, figures[2].clone()];
        assert_eq!(line("fan-16", &behind).is_met(), Some(false), "the best one is not to be ahead of us either");
    }

    #[test]
    fn a_rate_is_to_be_at_least_and_a_time_at_most() {
        let rates = [("seqslot", 30.0), ("iceoryx2, 8 slots", 21.0), ("iceoryx2, 64 slots", 20.0)]
            .map(|(system, value)| Figure::exact("stream-64k", system, Unit::GigabytesPerSecond, value));
        assert_eq!(line("stream-64k", &rates).is_met(), Some(false));
        assert_eq!(line("stream-64k", &rates[..1]).is_met(), None, "no peer to be held against");
        let faster = [Figure::exact("stream-64k", "seqslot", Unit::GigabytesPerSecond, 31.5), rates[1].clone()];
        assert_eq!(line("stream-64k", &faster).is_met(), Some(true));
        let wakes =
            [("seqslot", 5.4), ("limit, raw futex", 5.0)].map(|(system, value)| Figure::exact("wake", system, Unit::Nanoseconds, value));
        assert_eq!(line("wake", &wakes).is_met(), Some(true));
    }

    #[test]
    fn every_target_counts_and_the_worst_way_where_it_says_so() {
        let mut figure = Figure::exact("snap-contended", "seqslot", Unit::Nanoseconds, 50.0);
        assert_eq!(line("snap-contended", std::slice::from_ref(&figure)).is_met(), None, "the percentile is missing");
        figure.p999 = Some(2001.0);
        assert_eq!(line("snap-contended", &[figure]).is_met(), Some(false));
        let sparse = [("seqslot, 64 slots", 20_000.0), ("seqslot, 262144 slots", 61_000.0)]
            .map(|(system, value)| Figure::exact("create-sparse", system, Unit::Nanoseconds, value));
        assert_eq!(line("create-sparse", &sparse).is_met(), Some(false));
        assert_eq!(line("create-sparse", &sparse[..1]).is_met(), Some(true));
    }

    #[test]
    fn our_own_rows_are_held_against_each_other() {
        let figures = [("cycle-64", 20.0), ("held-1024", 24.1), ("held-16384", 24.0)]
            .map(|(row, value)| Figure::exact(row, "seqslot", Unit::Nanoseconds, value));
        assert_eq!(["held-1024", "held-16384"].map(|key| line(key, &figures).is_met()), [Some(false), Some(true)]);
    }

    #[test]
    fn amounts_have_three_digits_and_targets_are_told_in_words() {
        assert_eq!(
            [0.443, 23.44, 640.2, 2300.0, 1_206_135.0].map(|value| amount(value, Unit::Nanoseconds)),
            ["0.44 ns", "23.4 ns", "640 ns", "2.30 us", "1.21 ms"]
        );
        assert_eq!(line("one-way-64", &[]).row.target(), "<= 1.45 x limit, <= 0.6 x peer");
        assert_eq!(line("snap-contended", &[]).row.target(), "<= 60 ns, p99.9 <= 2 us");
        assert_eq!(line("stream-64", &[]).row.target(), ">= 8 x peer");
    }
}
