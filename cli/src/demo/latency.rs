//! Percentiles of times, in fixed memory: buckets a 32nd of a power of two wide, so within about 3 %.

use serde::{Deserialize, Serialize};

/// Bits of a value that are kept.
const BITS: u32 = 5;
const STEPS: usize = 1 << BITS;

/// A histogram of nanoseconds.
#[derive(Debug)]
pub struct Latency {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// Percentiles in nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

impl Latency {
    /// An empty one.
    pub fn new() -> Self {
        Self { counts: vec![0; (64 - BITS as usize + 1) * STEPS], total: 0, max: 0 }
    }

    /// Counts one time.
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// What it comes to.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles { p50_ns: self.at(500), p99_ns: self.at(990), p999_ns: self.at(999), max_ns: self.max }
    }

    /// The time that so many of a thousand do not exceed.
    fn at(&self, per_mille: u64) -> u64 {
        let wanted = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// The bucket of a time.
fn bucket(ns: u64) -> usize {
    if ns < STEPS as u64 {
        return ns as usize;
    }
    let shift = ns.ilog2() - BITS;
    (shift as usize + 1) * STEPS + ((ns >> shift) as usize & (STEPS - 1))
}

/// The longest time of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let base = ((STEPS + bucket % STEPS) as u64) << shift;
    base + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_bucket_that_says_so() {
        for ns in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX - 1, u64::MAX]) {
            let bucket = bucket(ns);
            assert!(upper(bucket) >= ns && (bucket == 0 || upper(bucket - 1) < ns), "{ns}");
            assert!(upper(bucket) - ns <= ns / 32, "{ns}");
        }
    }

    #[test]
    fn percentiles_of_a_thousand_times() {
        let mut latency = Latency::new();
        (1..=1000).for_each(|us| latency.record(us * 1000));
        let p = latency.percentiles();
        assert!(p.p50_ns.abs_diff(500_000) <= 16_000, "{p:?}");
        assert!(p.p99_ns.abs_diff(990_000) <= 31_000, "{p:?}");
        assert_eq!(p.max_ns, 1_000_000);
        assert_eq!(Latency::new().percentiles(), Percentiles::default());
    }
}
