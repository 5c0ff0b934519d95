//! What is measured: a chart for each way in which work grows.

use crate::{Outcome, Run, bare, slots, snapshot};

/// A picture and a table: the same sizes for all series.
pub struct Chart {
    /// Name of its files.
    pub key: &'static str,
    pub title: &'static str,
    /// What grows.
    pub what: &'static str,
    pub sizes: Vec<u64>,
    pub series: Vec<Series>,
    /// Times grow with the size by their nature: drawn on a logarithmic axis.
    pub grows: bool,
}

/// What is timed.
pub struct Series {
    pub name: &'static str,
    pub operation: fn(u64, Run<'_>) -> Outcome,
    /// Operations until the same memory is used again.
    pub lap: fn(u64) -> u64,
    /// What the time is divided by.
    pub shared_by: fn(u64) -> u64,
    /// It is promised not to depend on what grows.
    pub is_flat: bool,
}

/// All charts.
pub fn all() -> [Chart; 5] {
    [of_slots(), of_payload(), of_readers(), of_writers(), of_snapshots()]
}

fn of_slots() -> Chart {
    Chart {
        key: "slots",
        title: "64 B in place, by slots",
        what: "slots",
        sizes: (1..=9).map(|power| 4_u64.pow(power)).collect(),
        series: vec![
            flat("cycle, all free", |size, run| slots::cycle(size, 0, run), |size| size),
            flat("cycle, all but two held", |size, run| slots::cycle(size, size - 2, run), |_| 64),
            flat("cycle, overwriting", slots::overwriting, |size| size),
            flat("empty poll", slots::poll, |_| 64),
            flat("loan and drop", slots::loan_and_drop, |size| size),
            flat("slot face", slots::face, |size| size),
            Series { lap: |size| size, ..grows("bare: one atomic on each slot in turn", bare::atomic) },
        ],
        grows: false,
    }
}

fn of_payload() -> Chart {
    Chart {
        key: "payload",
        title: "Cycle by payload",
        what: "bytes",
        sizes: lengths(),
        series: vec![
            flat("in place", |size, run| slots::payload(size as usize, run), |_| 64),
            grows("copied in and out", |size, run| slots::copied(size as usize, run)),
            grows("bare: two copies", |size, run| bare::twice(size as usize, run)),
        ],
        grows: true,
    }
}

fn of_readers() -> Chart {
    Chart {
        key: "readers",
        title: "Publish 64 B, all take, by readers",
        what: "readers",
        sizes: (0..=5).map(|power| 1 << power).collect(),
        series: vec![
            grows("publish, all take", |size, run| slots::fan(size as u32, run)),
            Series { shared_by: |size| size, ..grows("the same, a reader", |size, run| slots::fan(size as u32, run)) },
        ],
        grows: true,
    }
}

fn of_writers() -> Chart {
    Chart {
        key: "writers",
        title: "Cycle of 64 B, by writers",
        what: "writers",
        sizes: (0..=3).map(|power| 1 << power).collect(),
        series: vec![
            grows("writers in turn, one reader", |size, run| slots::turns(size as u32, run)),
            grows("one of them writes", |size, run| slots::one_of(size as u32, run)),
        ],
        grows: false,
    }
}

fn of_snapshots() -> Chart {
    Chart {
        key: "snapshots",
        title: "Snapshots by size of the value",
        what: "bytes",
        sizes: lengths(),
        series: vec![
            flat("unchanged", |size, run| snapshot::unchanged_bytes(size as usize, run), |_| 64),
            grows("fresh read", |size, run| snapshot::fresh_bytes(size as usize, run)),
            grows("publish", |size, run| snapshot::publish_bytes(size as usize, run)),
            grows("bare: one copy", |size, run| bare::once(size as usize, run)),
        ],
        grows: true,
    }
}

/// 8 bytes to 16 MiB.
fn lengths() -> Vec<u64> {
    (1..=8).map(|power| 8_u64.pow(power)).collect()
}

fn flat(name: &'static str, operation: fn(u64, Run<'_>) -> Outcome, lap: fn(u64) -> u64) -> Series {
    Series { name, operation, lap, shared_by: |_| 1, is_flat: true }
}

fn grows(name: &'static str, operation: fn(u64, Run<'_>) -> Outcome) -> Series {
    Series { name, operation, lap: |_| 4, shared_by: |_| 1, is_flat: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_runs_at_its_smallest_size() {
        for chart in all() {
            for series in &chart.series {
                let outcome = (series.operation)(chart.sizes[0], &mut |body| body(70));
                assert!(outcome.is_ok(), "{}: {outcome:?}", series.name);
            }
        }
    }
}
