//! Bounds whose every field follows from a counter, for either library.

use clock_bound_shm as v2;
use nix::sys::time::TimeSpec;
use seqslot::{ClockBoundLayout, ClockErrorBound, ClockErrorBoundBuilder, Fraction};

/// Second of counter 0.
const EPOCH: i64 = 1000;
/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// The fields of a counter.
#[derive(Debug, Clone, Copy)]
struct Fields {
    as_of: (i64, i64),
    void_after: (i64, i64),
    bound_nsec: i64,
    marker: u64,
    max_drift_ppb: u32,
    status: u64,
    is_supported: bool,
}

const fn fields(counter: u64) -> Fields {
    let (second, nanos) = (EPOCH + counter as i64, (counter as i64).wrapping_mul(7919).wrapping_add(13).rem_euclid(SECOND));
    Fields {
        as_of: (second, nanos),
        void_after: (second + 1 + (counter % 97) as i64, nanos),
        bound_nsec: 1000 + (counter % 1_000_003) as i64,
        marker: counter,
        max_drift_ppb: (counter % 999_983) as u32,
        status: counter % 4,
        is_supported: counter % 2 == 1,
    }
}

/// The bound of a counter as clock-bound-shm makes it.
pub fn theirs_v2(counter: u64) -> v2::ClockErrorBound {
    let of = fields(counter);
    let status = [v2::ClockStatus::Unknown, v2::ClockStatus::Synchronized, v2::ClockStatus::FreeRunning, v2::ClockStatus::Disrupted];
    v2::ClockErrorBound::new(
        TimeSpec::new(of.as_of.0, of.as_of.1),
        TimeSpec::new(of.void_after.0, of.void_after.1),
        of.bound_nsec,
        of.marker,
        of.max_drift_ppb,
        status[of.status as usize],
        of.is_supported,
    )
}

/// The same as this library makes it. In layout 3 the counter is far from where it was at the update, and a tick of it next to nothing, so that
/// time stands still at the update and a client's answer shows the fields; and no disruption support, so that it looks for no VMClock.
pub fn ours(counter: u64, layout: ClockBoundLayout) -> ClockErrorBound {
    let of = fields(counter);
    let time = |(second, nanos): (i64, i64)| seqslot::TimeSpec::new(second, nanos).unwrap_or_default();
    let is_v3 = layout == ClockBoundLayout::V3;
    ClockErrorBoundBuilder::new()
        .as_of_tsc(u64::MAX - counter)
        .period(Fraction::new(1 + counter % 1000, 63))
        .as_of(time(of.as_of))
        .void_after(time(of.void_after))
        .period_err(Fraction::from_f64((counter % 1000) as f64 / 1000.0).unwrap_or_default())
        .bound_nsec(of.bound_nsec)
        .disruption_marker(of.marker)
        .max_drift_ppb(of.max_drift_ppb)
        .clock_status(seqslot::ClockStatus::from_number(of.status as i32).unwrap_or(seqslot::ClockStatus::Unknown))
        .clock_disruption_support_enabled(of.is_supported && !is_v3)
        .build(layout)
        .into()
}

/// The counter of a bound that clock-bound-shm read, if every field is that counter's.
pub fn of_theirs_v2(bound: &v2::ClockErrorBound) -> Option<u64> {
    let counter = bound.disruption_marker;
    (*bound == theirs_v2(counter)).then_some(counter)
}

/// The counter of a bound that this library read.
pub fn of_ours(bound: &ClockErrorBound) -> Option<u64> {
    let counter = bound.disruption_marker();
    (*bound == ours(counter, bound.layout())).then_some(counter)
}

/// The counter of what a client of clock-bound answers: the fields that show there are its middle, its width and its status.
pub fn of_window(window: &clock_bound::TimeWindow) -> Option<u64> {
    let nanos = |time: &clock_bound::nix::sys::time::TimeSpec| i128::from(time.tv_sec()) * i128::from(SECOND) + i128::from(time.tv_nsec());
    let (earliest, latest) = (nanos(&window.earliest), nanos(&window.latest));
    let middle = earliest + (latest - earliest) / 2;
    let counter = u64::try_from(middle / i128::from(SECOND) - i128::from(EPOCH)).ok()?;
    let of = fields(counter);
    let is_whole = middle == i128::from(of.as_of.0) * i128::from(SECOND) + i128::from(of.as_of.1)
        && latest - earliest == 2 * i128::from(of.bound_nsec)
        && window.clock_status as u64 == of.status;
    is_whole.then_some(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_apart_and_mixed_fields_are_seen() {
        for counter in [0, 1, 2, 96, 97, 1 << 33] {
            assert_eq!(of_theirs_v2(&theirs_v2(counter)), Some(counter));
            assert_eq!(of_ours(&ours(counter, ClockBoundLayout::V2)), Some(counter));
            assert_eq!(of_ours(&ours(counter, ClockBoundLayout::V3)), Some(counter));
            let mut mixed = theirs_v2(counter);
            mixed.disruption_marker += 1;
            assert_eq!(of_theirs_v2(&mixed), None);
        }
    }
}
