//! The interval and the status of a bound, worked out by hand: every status at every edge, by both rules, in both layouts.
//!
//! The vectors follow ClockBound's rules as its two versions state them: 2.x asks `now < as_of + 5 s`, then `now < void_after`; 3.0 asks
//! `now > void_after`, then `now > as_of + 60 s`.

use std::time::Duration;

use seqslot_core::clockbound::ClockStatus::{self, Disrupted, FreeRunning, Synchronized, Unknown};
use seqslot_core::clockbound::{ClockErrorBound, ClockErrorBoundBuilder, Fraction, Layout, Rules, ShmError, TimeSpec};

const AS_OF: i64 = 1_000;
const VOID_AFTER: i64 = 2_000;
/// The counter at the update.
const TICKS: u64 = 1 << 40;
/// Ticks in a second: a period of 2^-30 s, a little below a nanosecond.
const HERTZ: u64 = 1 << 30;

fn time(seconds: i64, nanos: i64) -> TimeSpec {
    TimeSpec::new(seconds, nanos).unwrap()
}

/// 2^-30 and 2^-20.
fn period() -> Fraction {
    Fraction::new(1 << 63, 29)
}
fn ratio() -> Fraction {
    Fraction::new(1 << 63, 19)
}

fn builder(status: ClockStatus) -> ClockErrorBoundBuilder {
    ClockErrorBoundBuilder::new()
        .as_of_tsc(TICKS)
        .as_of(time(AS_OF, 0))
        .void_after(time(VOID_AFTER, 0))
        .period(period())
        .bound_nsec(10_000)
        .max_drift_ppb(1_000)
        .clock_status(status)
}

/// The status of a bound of this layout, `seconds` after its update and a nanosecond less (-1), not, or more (1).
fn status(layout: Layout, stored: ClockStatus, rules: Rules, seconds: i64, edge: i64) -> ClockStatus {
    let bound = builder(stored).build(layout);
    match layout {
        Layout::V2 => {
            let now = TimeSpec::from_nanos(i128::from(AS_OF + seconds) * 1_000_000_000 + i128::from(edge)).unwrap();
            bound.at_with(time(5, 0), now, rules).unwrap().2
        }
        _ => {
            // A tick less is 0.93 ns less, which is rounded down to one; two more are 1.86 ns.
            let ticks = TICKS + seconds as u64 * HERTZ;
            let ticks = if edge < 0 { ticks - 1 } else { ticks + 2 * edge as u64 };
            bound.at_counter_with(ticks, rules).unwrap().2
        }
    }
}

#[test]
fn every_status_at_every_edge_of_the_grace_period_and_of_void_after() {
    // Rules, seconds after the update, stored: what is told a nanosecond before, at, and a nanosecond after.
    let void = VOID_AFTER - AS_OF;
    let custom = Rules::V3.with_grace(Duration::from_secs(7));
    let vectors = [
        (Rules::V2, 0, Synchronized, [Synchronized; 3]),
        (Rules::V2, 5, Synchronized, [Synchronized, FreeRunning, FreeRunning]),
        (Rules::V2, void, Synchronized, [FreeRunning, Unknown, Unknown]),
        (Rules::V2, 5, FreeRunning, [FreeRunning, FreeRunning, FreeRunning]),
        (Rules::V2, void, FreeRunning, [FreeRunning, Unknown, Unknown]),
        (Rules::V3, 0, Synchronized, [Synchronized; 3]),
        (Rules::V3, 60, Synchronized, [Synchronized, Synchronized, FreeRunning]),
        (Rules::V3, void, Synchronized, [FreeRunning, FreeRunning, Unknown]),
        (Rules::V3, 60, FreeRunning, [FreeRunning, FreeRunning, FreeRunning]),
        (Rules::V3, void, FreeRunning, [FreeRunning, FreeRunning, Unknown]),
        (Rules::V2.with_grace(Duration::from_secs(60)), 60, Synchronized, [Synchronized, FreeRunning, FreeRunning]),
        (custom, 7, Synchronized, [Synchronized, Synchronized, FreeRunning]),
    ];
    for layout in [Layout::V2, Layout::V3] {
        for (rules, seconds, stored, expected) in vectors {
            for (edge, expected) in [-1, 0, 1].into_iter().zip(expected) {
                // In layout 3 there is nothing before the update; it is the edge of causality below.
                let edge = if seconds == 0 { edge.max(0) } else { edge };
                let told = status(layout, stored, rules, seconds, edge);
                assert_eq!(told, expected, "{layout:?}, {rules:?}, {stored:?}, {seconds} s {edge:+} ns");
            }
        }
        for stored in [Unknown, Disrupted] {
            for rules in [Rules::V2, Rules::V3, custom] {
                for (seconds, edge) in [5, 7, 60, void].into_iter().flat_map(|seconds| [-1, 0, 1].map(|edge| (seconds, edge))) {
                    assert_eq!(status(layout, stored, rules, seconds, edge), stored, "{layout:?}, {rules:?}, {seconds} s {edge:+} ns");
                }
            }
        }
    }
}

#[test]
fn where_void_after_lies_within_the_grace_period_the_rules_differ() {
    let bound = |layout| builder(Synchronized).void_after(time(AS_OF + 2, 0)).build(layout);
    let (now, ticks) = (time(AS_OF + 3, 0), TICKS + 3 * HERTZ);
    let told = |rules| {
        let (v2, v3) = (bound(Layout::V2).at_with(time(5, 0), now, rules), bound(Layout::V3).at_counter_with(ticks, rules));
        [v2.unwrap().2, v3.unwrap().2]
    };
    assert_eq!(told(Rules::V2), [Synchronized; 2], "the grace period goes first");
    assert_eq!(told(Rules::V3), [Unknown; 2], "void_after goes first");
}

#[test]
fn each_layout_has_the_rules_of_its_own_version_unless_told_otherwise() {
    let (v2, v3) = (builder(Synchronized).build(Layout::V2), builder(Synchronized).build(Layout::V3));
    assert_eq!(v2.at(time(5, 0), time(AS_OF + 5, 0)).unwrap().2, FreeRunning);
    assert_eq!(v3.at_counter(TICKS + 60 * HERTZ).unwrap().2, Synchronized);
}

#[test]
fn a_reading_before_the_update_is_a_breach_from_1000_nanoseconds_on() {
    // The interval of the update itself, or a breach.
    let bound = builder(Synchronized).build(Layout::V2);
    let at_update = Ok((time(4, 999_990_000), time(5, 10_000), Synchronized));
    for rules in [Rules::V2, Rules::V3] {
        let before = |nanos: i64| {
            bound.at_with(time(5, 0), TimeSpec::from_nanos(i128::from(AS_OF) * 1_000_000_000 - i128::from(nanos)).unwrap(), rules)
        };
        for (nanos, expected) in
            [(1_001, Err(ShmError::CausalityBreach)), (1_000, Err(ShmError::CausalityBreach)), (999, at_update.clone())]
        {
            assert_eq!(before(nanos), expected, "{nanos} ns before");
        }
        assert_eq!(before(1), at_update);
        assert_eq!(before(0), at_update);
    }
    let bound = builder(Synchronized).build(Layout::V3);
    let at_update = Ok((time(AS_OF - 1, 999_990_000), time(AS_OF, 10_000), Synchronized));
    for rules in [Rules::V2, Rules::V3] {
        // 1,073 ticks are 999.3 ns, 1,074 are 1,000.2, 1,075 are 1,001.2.
        for (ticks, expected) in
            [(1_075, Err(ShmError::CausalityBreach)), (1_074, Err(ShmError::CausalityBreach)), (1_073, at_update.clone())]
        {
            assert_eq!(bound.at_counter_with(TICKS - ticks, rules), expected, "{ticks} ticks before");
        }
        assert_eq!(bound.at_counter_with(TICKS, rules), at_update);
        assert_eq!(bound.at_counter_with(0, rules), Err(ShmError::CausalityBreach), "the counter started anew");
    }
}

#[test]
fn a_reading_before_the_update_does_not_make_the_bound_narrower() {
    // 999 ns at the steepest drift there is would be 998 ns less.
    let steep = builder(Synchronized).max_drift_ppb(999_999_999).build(Layout::V2);
    let at_update = (time(4, 999_990_000), time(5, 10_000), Synchronized);
    assert_eq!(steep.at(time(5, 0), time(AS_OF - 1, 999_999_001)), Ok(at_update));
}

#[test]
fn the_bound_grows_with_the_drift_and_a_drift_of_a_second_in_a_second_is_none() {
    // After 3 s: by how much the bound of 10,000 ns has grown.
    let vectors = [(0, Ok(0)), (1_000, Ok(3_000)), (999_999_999, Ok(2_999_999_997)), (1_000_000_000, Err(ShmError::SegmentMalformed))];
    for (drift, grown) in vectors.into_iter().chain([(u32::MAX, Err(ShmError::SegmentMalformed))]) {
        for rules in [Rules::V2, Rules::V3] {
            let wide = grown.clone().map(|grown| 2 * (10_000 + grown));
            let width = |told: Result<(TimeSpec, TimeSpec, ClockStatus), ShmError>, middle: i64| {
                let (earliest, latest, _) = told?;
                assert_eq!(earliest.as_nanos() + latest.as_nanos(), 2 * i128::from(middle) * 1_000_000_000, "the middle is the time");
                Ok((latest.as_nanos() - earliest.as_nanos()) as i64)
            };
            let bound = builder(Synchronized).max_drift_ppb(drift);
            let v2 = bound.build(Layout::V2).at_with(time(70_000, 0), time(AS_OF + 3, 0), rules);
            assert_eq!(width(v2, 70_000), wide, "layout 2, {drift}");
            let v3 = bound.build(Layout::V3).at_counter_with(TICKS + 3 * HERTZ, rules);
            assert_eq!(width(v3, AS_OF + 3), wide, "layout 3, {drift}");
        }
    }
    // Of a bound of layout 2 fractions of a nanosecond are dropped, as 2.x does; of layout 3 they count: 1.5 s at 1 ppb.
    let slow = builder(Synchronized).max_drift_ppb(1);
    let (_, latest, _) = slow.build(Layout::V2).at(time(5, 0), time(AS_OF + 1, 500_000_000)).unwrap();
    assert_eq!(latest, time(5, 10_001));
    let (_, latest, _) = slow.build(Layout::V3).at_counter(TICKS + HERTZ + HERTZ / 2).unwrap();
    assert_eq!(latest, time(AS_OF + 1, 500_010_002));
}

#[test]
fn the_error_of_the_period_widens_the_bound_too() {
    // 5 s, at 1,000 ppb: 5,000 ns; at 2^-20: 4,768.37 ns; the ends are rounded outwards.
    let bound = builder(Synchronized).period_err(ratio()).build(Layout::V3);
    let (earliest, latest, _) = bound.at_counter(TICKS + 5 * HERTZ).unwrap();
    assert_eq!((earliest, latest), (time(AS_OF + 4, 999_980_231), time(AS_OF + 5, 19_769)));
    // 5 s, at 3 ppb: 15 ns; at 2^-32 (a quarter of 2^-30): 1.164 ns; 16.164 in all.
    let fine = builder(Synchronized).max_drift_ppb(3).period_err(Fraction::new(1 << 63, 31)).build(Layout::V3);
    assert_eq!(fine.at_counter(TICKS + 5 * HERTZ).unwrap().1, time(AS_OF + 5, 10_017));
    // Their fractions count together: 0.5 s, at 1 ppb: 0.5 ns; at 2^-30: 0.47 ns; 0.97 in all. At 0.75 s: 0.75 + 0.70. At a
    // second, less the error: exactly 1.
    let both = builder(Synchronized).max_drift_ppb(1).period_err(period()).build(Layout::V3);
    assert_eq!(both.at_counter(TICKS + HERTZ / 2).unwrap().1, time(AS_OF, 500_010_001));
    assert_eq!(both.at_counter(TICKS + HERTZ / 4 * 3).unwrap().1, time(AS_OF, 750_010_002));
    let drift = builder(Synchronized).max_drift_ppb(1).build(Layout::V3);
    assert_eq!(drift.at_counter(TICKS + HERTZ).unwrap().1, time(AS_OF + 1, 10_001));
    // A tick is 0.93 ns: of the time itself the ends are rounded outwards, too.
    let (earliest, latest, _) = builder(Synchronized).max_drift_ppb(0).build(Layout::V3).at_counter(TICKS + 1).unwrap();
    assert_eq!((earliest, latest), (time(AS_OF - 1, 999_990_000), time(AS_OF, 10_001)));
}

#[test]
fn the_age_is_the_time_since_the_update() {
    let (v2, v3) = (builder(Unknown).build(Layout::V2), builder(Unknown).build(Layout::V3));
    assert_eq!(v2.age_at(time(AS_OF + 2, 7)), Ok(Duration::new(2, 7)));
    assert_eq!(v2.age_at(time(AS_OF - 1, 999_999_001)), Ok(Duration::ZERO));
    assert_eq!(v2.age_at(time(AS_OF - 1, 999_999_000)), Err(ShmError::CausalityBreach));
    assert_eq!(v3.age_at_counter(TICKS + HERTZ), Ok(Duration::from_secs(1)));
    assert_eq!(v3.age_at_counter(TICKS - 1_073), Ok(Duration::ZERO));
    assert_eq!(v3.age_at_counter(TICKS - 1_074), Err(ShmError::CausalityBreach));
    assert_eq!(v2.age_at_counter(0), Err(ShmError::OtherLayout { found: Layout::V2 }));
    assert_eq!(v3.age_at(time(0, 0)), Err(ShmError::OtherLayout { found: Layout::V3 }));
    assert_eq!(builder(Unknown).as_of(time(i64::MIN, 0)).build(Layout::V2).age_at(time(i64::MAX, 0)), Ok(Duration::new(u64::MAX, 0)));
}

#[test]
fn a_bound_is_read_by_the_means_of_its_layout_only() {
    let (v2, v3) = (builder(Unknown).build(Layout::V2), builder(Unknown).build(Layout::V3));
    assert_eq!(v2.at_counter(TICKS), Err(ShmError::OtherLayout { found: Layout::V2 }));
    assert_eq!(v3.at(time(5, 0), time(AS_OF, 0)), Err(ShmError::OtherLayout { found: Layout::V3 }));
    assert_eq!((v2.as_of_tsc(), v2.period(), v2.period_err()), (None, None, None));
    assert_eq!((v3.as_of_tsc(), v3.period(), v3.period_err()), (Some(TICKS), Some(period()), Some(Fraction::default())));
}

#[test]
fn absurd_values_are_errors_and_not_overflows() {
    let far = builder(Synchronized).bound_nsec(i64::MAX).as_of(time(i64::MIN, 0)).max_drift_ppb(999_999_999).build(Layout::V2);
    assert_eq!(far.at(time(i64::MAX, 0), time(i64::MAX, 0)), Err(ShmError::SegmentMalformed));
    assert!(far.at(time(0, 0), time(i64::MAX, 999_999_999)).is_err());
    let negative = builder(Synchronized).bound_nsec(-1);
    assert_eq!(negative.build(Layout::V2).at(time(5, 0), time(AS_OF, 0)), Err(ShmError::SegmentMalformed));
    assert_eq!(negative.build(Layout::V3).at_counter(TICKS), Err(ShmError::SegmentMalformed));

    // A tick of nearly a second, and all of them: 2^64 s.
    let slowest = Fraction::new(u64::MAX, 0);
    let extreme = builder(Synchronized).as_of_tsc(0).period(slowest).period_err(slowest).max_drift_ppb(999_999_999);
    assert_eq!(extreme.build(Layout::V3).at_counter(u64::MAX), Err(ShmError::SegmentMalformed));
    let early = extreme.as_of(time(i64::MIN, 0)).void_after(time(i64::MIN, 0)).bound_nsec(i64::MAX).build(Layout::V3);
    assert_eq!(early.at_counter(u64::MAX), Err(ShmError::SegmentMalformed), "the bound is as wide as the time");
    for shift in 0..=u8::MAX {
        for (numerator, ticks) in [(u64::MAX, u64::MAX), (1, u64::MAX), (u64::MAX, TICKS), (0, 0), (u64::MAX, 0)] {
            let fraction = Fraction::new(numerator, shift);
            let bound = builder(Synchronized).period(fraction).period_err(fraction).max_drift_ppb(999_999_999).build(Layout::V3);
            if let Ok((earliest, latest, _)) = bound.at_counter(ticks) {
                assert!(earliest <= latest);
            }
        }
    }
    let bound: ClockErrorBound = builder(Synchronized).period(Fraction::new(u64::MAX, 255)).build(Layout::V3);
    let told = bound.at_counter(u64::MAX).map(|told| (told.0, told.1));
    assert_eq!(told, Ok((time(AS_OF - 1, 999_989_999), time(AS_OF, 10_001))), "a counter that all but stands still: rounded outwards");
}

#[test]
fn the_ends_of_an_interval_are_at_most_a_nanosecond_from_those_of_clockbound_3() {
    // 3 GHz, 400 s, 1,000 ppb; 3.0 answers 399.991047575 and 400.008952425 (its sums in f64, cut once each).
    let bound = ClockErrorBoundBuilder::new()
        .period(Fraction::from_f64(1.0 / 3e9).unwrap())
        .bound_nsec(8_512_425)
        .max_drift_ppb(1_000)
        .void_after(time(1_000, 0))
        .clock_status(Synchronized);
    let (earliest, latest, _) =
        bound.period_err(Fraction::new(15_474_250_491_067_252_736, 23)).build(Layout::V3).at_counter(1_200_000_000_000).unwrap();
    let off = [earliest.as_nanos() - 399_991_047_575, latest.as_nanos() - 400_008_952_425];
    assert!(off.iter().all(|off| off.abs() <= 1), "{off:?}");
}

#[test]
fn the_age_of_a_counter_that_started_anew_is_not_zero() {
    let bound = builder(Synchronized).build(Layout::V3);
    assert_eq!(bound.at_counter(0), Err(ShmError::CausalityBreach));
    assert_eq!(bound.age_at_counter(0), Err(ShmError::CausalityBreach), "not `just now`, for ever");
}

#[test]
fn a_period_of_zero_is_no_clock() {
    for (status, is_told) in [(Unknown, true), (Synchronized, false), (FreeRunning, false), (Disrupted, true)] {
        for (period, is_zero) in [(Fraction::new(0, 0), true), (Fraction::new(0, 31), true), (Fraction::new(1, 63), false)] {
            let bound = builder(status).period(period).build(Layout::V3);
            let expected = if is_told || !is_zero { Ok(()) } else { Err(ShmError::SegmentMalformed) };
            assert_eq!(bound.check(), expected, "{status:?}, {period:?}");
            assert_eq!(bound.at_counter(TICKS).map(|told| told.2), expected.map(|()| status), "else for ever synchronized");
        }
        assert_eq!(builder(status).period(Fraction::default()).build(Layout::V2).check(), Ok(()), "layout 2 has none");
    }
}
