//! What a measurement gives: one distribution for one system in one row.

use serde::{Deserialize, Serialize};

/// What a figure counts. Rates are better when they are larger, everything else when it is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Time of one operation.
    Nanoseconds,
    /// Million samples a second.
    MillionPerSecond,
    /// 10^9 bytes a second.
    GigabytesPerSecond,
    /// Bytes.
    Bytes,
    /// Hundredths of something that the row names.
    Percent,
}

impl Unit {
    /// True where more is better.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::MillionPerSecond | Self::GigabytesPerSecond)
    }
}

/// One measured distribution: a row of the table for one system.
///
/// `system` is the system's name, where it can be set up in several ways followed by a comma and the way ("zerodds, 8 slots"):
/// the best way counts. What is no system but a bound of the machine is called "limit", or "limit, memcpy".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Key of the row, as "one-way-32".
    pub row: String,
    /// Who was measured.
    pub system: String,
    /// What is counted.
    pub unit: Unit,
    /// First percentile.
    pub p1: Option<f64>,
    /// Tenth percentile.
    pub p10: Option<f64>,
    /// Median.
    pub median: f64,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// 99.9th percentile.
    pub p999: Option<f64>,
    /// Rounds whose percentiles these are the medians of.
    pub rounds: usize,
}

impl Figure {
    /// The figure of several rounds: the median over the rounds of each round's own percentiles. Rounds are taken as they come,
    /// unsorted samples each; a percentile is given only where every round has samples enough to have one.
    ///
    /// # Panics
    /// If there is no round, or one without a sample.
    pub fn of_rounds(row: &str, system: &str, unit: Unit, rounds: &mut [Vec<f64>]) -> Self {
        assert!(rounds.iter().all(|round| !round.is_empty()), "{row}, {system}: a round without a sample");
        rounds.iter_mut().for_each(|round| round.sort_by(f64::total_cmp));
        let at = |per_mille: usize| {
            let mut of_each: Vec<f64> = rounds.iter().map(|round| percentile(round, per_mille)).collect();
            median(&mut of_each)
        };
        let fewest = rounds.iter().map(Vec::len).min().unwrap_or(0);
        let tail = |per_mille: usize, need: usize| (fewest >= need).then(|| at(per_mille));
        Self {
            row: row.into(),
            system: system.into(),
            unit,
            p1: tail(10, 100),
            p10: tail(100, 10),
            median: at(500),
            p90: tail(900, 10),
            p99: tail(990, 100),
            p999: tail(999, 1000),
            rounds: rounds.len(),
        }
    }

    /// A figure that does not vary, as a size.
    pub fn exact(row: &str, system: &str, unit: Unit, value: f64) -> Self {
        Self {
            row: row.into(),
            system: system.into(),
            unit,
            p1: None,
            p10: None,
            median: value,
            p90: None,
            p99: None,
            p999: None,
            rounds: 1,
        }
    }

    /// The system without the way it was set up in.
    pub fn name(&self) -> &str {
        self.system.split(',').next().unwrap_or_default()
    }
}

/// The value below which `per_mille` thousandths of sorted samples lie.
fn percentile(sorted: &[f64], per_mille: usize) -> f64 {
    sorted[(sorted.len() * per_mille / 1000).min(sorted.len() - 1)]
}

/// The middle of the samples, which are sorted for it.
fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    percentile(samples, 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_percentile_is_the_median_of_the_rounds_own() {
        let mut rounds: Vec<Vec<f64>> = [0.0, 5.0, 1000.0].map(|add| (0..100).rev().map(|at| f64::from(at) + add).collect()).into();
        let figure = Figure::of_rounds("poll-4", "seqslot", Unit::Nanoseconds, &mut rounds);
        assert_eq!((figure.p1, figure.p10, figure.median), (Some(6.0), Some(15.0), 55.0));
        assert_eq!((figure.p90, figure.p99, figure.p999, figure.rounds), (Some(95.0), Some(104.0), None, 3));
    }

    #[test]
    fn few_samples_have_a_median_and_no_tails() {
        let figure = Figure::of_rounds("create-64", "zerodds, 8 slots", Unit::Nanoseconds, &mut [vec![3.0, 1.0, 2.0]]);
        assert_eq!((figure.median, figure.p10, figure.p99), (2.0, None, None));
        assert_eq!(figure.name(), "zerodds");
    }
}
