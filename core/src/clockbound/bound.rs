//! A clock's error bound, and the interval it gives at a reading of the clocks.

use super::error::ShmError;
use super::fraction::Fraction;
use super::layout::Layout;
use super::rules::{ClockStatus, Rules};
use super::time::{NANOS, TimeSpec};

/// A drift of a second in a second or more is no drift.
const DRIFT_END_PPB: u32 = 1_000_000_000;
/// A reading less than this before the update is put down to the clocks' steps.
const BEFORE_UPDATE_NSEC: i128 = 1_000;

/// By how much the clock may be wrong, as of the daemon's last update, in either layout.
///
/// ```
/// use seqslot_core::clockbound::{ClockErrorBound, ClockStatus, TimeSpec};
/// let time = |seconds, nanos| TimeSpec::new(seconds, nanos).expect("nanoseconds below a second");
/// let bound = ClockErrorBound::new(time(100, 0), time(1100, 0), 10_000, 0, 1_000, ClockStatus::Synchronized, false);
/// // Two seconds later the bound is 2 us wider:
/// let (earliest, latest, status) = bound.at(time(50_000, 20_000), time(102, 0))?;
/// assert_eq!((earliest, latest, status), (time(50_000, 8_000), time(50_000, 32_000), ClockStatus::Synchronized));
/// # Ok::<(), seqslot_core::clockbound::ShmError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ClockErrorBound {
    pub(super) as_of: TimeSpec,
    pub(super) void_after: TimeSpec,
    pub(super) bound_nsec: i64,
    pub(super) disruption_marker: u64,
    pub(super) max_drift_ppb: u32,
    pub(super) clock_status: ClockStatus,
    pub(super) disruption_support: bool,
    /// What layout 3 has beyond layout 2.
    pub(super) counter: Option<Counter>,
}

/// How the processor's counter tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Counter {
    pub(super) as_of: u64,
    pub(super) period: Fraction,
    pub(super) period_error: Fraction,
}

impl Counter {
    /// Nanoseconds from `from` to `to`, rounded down; 0 if `to` is not later. Below 2^94.
    fn nanos_between(&self, from: u64, to: u64) -> u128 {
        self.period.of(u128::from(to.saturating_sub(from)) * NANOS as u128)
    }

    /// Nanoseconds from the update to a reading, rounded down; an error if the reading is too far before it.
    fn nanos_since(&self, tsc: u64) -> Result<u128, ShmError> {
        if self.nanos_between(tsc, self.as_of) >= BEFORE_UPDATE_NSEC as u128 {
            return Err(ShmError::CausalityBreach);
        }
        Ok(self.nanos_between(self.as_of, tsc))
    }
}

impl ClockErrorBound {
    /// A bound of layout 2, as its writers make it; [`ClockErrorBoundBuilder`](super::ClockErrorBoundBuilder) makes both.
    #[must_use]
    pub const fn new(
        as_of: TimeSpec,
        void_after: TimeSpec,
        bound_nsec: i64,
        disruption_marker: u64,
        max_drift_ppb: u32,
        clock_status: ClockStatus,
        clock_disruption_support_enabled: bool,
    ) -> Self {
        let disruption_support = clock_disruption_support_enabled;
        Self { as_of, void_after, bound_nsec, disruption_marker, max_drift_ppb, clock_status, disruption_support, counter: None }
    }

    /// The layout that it has in a segment, which is also what tells whether [`at`](Self::at) or [`at_counter`](Self::at_counter) reads it.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        if self.counter.is_some() { Layout::V3 } else { Layout::V2 }
    }

    /// The time of the update: of the monotonic (coarse) clock in layout 2, of the time that is told in layout 3.
    #[must_use]
    pub const fn as_of(&self) -> TimeSpec {
        self.as_of
    }

    /// The counter at the update; layout 3 only.
    #[must_use]
    pub fn as_of_tsc(&self) -> Option<u64> {
        self.counter.map(|counter| counter.as_of)
    }

    /// The counter's period in seconds; layout 3 only.
    #[must_use]
    pub fn period(&self) -> Option<Fraction> {
        self.counter.map(|counter| counter.period)
    }

    /// By how much the period may be wrong, as a ratio; layout 3 only.
    #[must_use]
    pub fn period_err(&self) -> Option<Fraction> {
        self.counter.map(|counter| counter.period_error)
    }

    /// The time, of the same clock as [`as_of`](Self::as_of), after which the bound means nothing.
    #[must_use]
    pub const fn void_after(&self) -> TimeSpec {
        self.void_after
    }

    /// The bound at the update, in nanoseconds.
    #[must_use]
    pub const fn bound_nsec(&self) -> i64 {
        self.bound_nsec
    }

    /// Changes when the clock was disrupted.
    #[must_use]
    pub const fn disruption_marker(&self) -> u64 {
        self.disruption_marker
    }

    /// How fast the bound grows, in parts in 10^9.
    #[must_use]
    pub const fn max_drift_ppb(&self) -> u32 {
        self.max_drift_ppb
    }

    /// The status at the update.
    #[must_use]
    pub const fn clock_status(&self) -> ClockStatus {
        self.clock_status
    }

    /// Whether the daemon watches for disruptions.
    #[must_use]
    pub const fn clock_disruption_support_enabled(&self) -> bool {
        self.disruption_support
    }

    /// Whether its values are of those that a daemon writes: a bound that is not negative, a drift below a second in a second, and in layout 3
    /// a counter that moves the time (a period that is not zero), unless the status says already that the time must not be relied on.
    ///
    /// # Errors
    /// [`ShmError::SegmentMalformed`].
    pub const fn check(&self) -> Result<(), ShmError> {
        let is_relied_on = matches!(self.clock_status, ClockStatus::Synchronized | ClockStatus::FreeRunning);
        let stands_still = matches!(self.counter, Some(counter) if counter.period.numerator() == 0);
        if self.bound_nsec < 0 || self.max_drift_ppb >= DRIFT_END_PPB || is_relied_on && stands_still {
            return Err(ShmError::SegmentMalformed);
        }
        Ok(())
    }

    /// The interval that holds the true time, and the clock's status, by the rules of ClockBound 2.x: [`at_with`](Self::at_with) with
    /// [`Rules::V2`].
    ///
    /// # Errors
    /// As [`at_with`](Self::at_with).
    pub fn at(&self, realtime: TimeSpec, monotonic: TimeSpec) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        self.at_with(realtime, monotonic, Rules::V2)
    }

    /// The interval that holds the true time, and the clock's status, of a bound of layout 2, for readings of CLOCK_REALTIME and then
    /// CLOCK_MONOTONIC_COARSE.
    ///
    /// The bound grows with the drift since the update; fractions of a nanosecond are dropped.
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`] if the monotonic reading is 1,000 ns or more before the update; [`ShmError::SegmentMalformed`] if the
    /// drift is a second in a second or more, the bound is negative, or a time leaves what seconds can count; [`ShmError::OtherLayout`] if
    /// the bound is of layout 3.
    pub fn at_with(&self, realtime: TimeSpec, monotonic: TimeSpec, rules: Rules) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        if self.counter.is_some() {
            return Err(ShmError::OtherLayout { found: Layout::V3 });
        }
        self.check()?;
        let bound = i128::from(self.bound_nsec) + self.nanos_to(monotonic)? * i128::from(self.max_drift_ppb) / NANOS;
        let now = realtime.as_nanos();
        self.answer(now - bound, now + bound, monotonic, rules)
    }

    /// The interval that holds the true time, and the clock's status, by the rules of ClockBound 3.0: [`at_counter_with`](Self::at_counter_with)
    /// with [`Rules::V3`].
    ///
    /// # Errors
    /// As [`at_counter_with`](Self::at_counter_with).
    pub fn at_counter(&self, tsc: u64) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        self.at_counter_with(tsc, Rules::V3)
    }

    /// The interval that holds the true time, and the clock's status, of a bound of layout 3, for a reading of the processor's counter.
    ///
    /// The time is `as_of` and the counter's ticks since, at its period; the bound grows with the drift, and with what may be wrong with the
    /// period. All in whole numbers of 10^-9 ns, each rounded so that the interval gets wider; then `earliest` is rounded down to a nanosecond,
    /// and `latest` up. (ClockBound 3.0 adds in floating point, and cuts the time and the bound: its interval may be 3 ns narrower.)
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`] if the counter is 1,000 ns or more before the update: it started anew, so that its ticks tell nothing.
    /// (ClockBound 3.0 answers the time of the update, however far back it is.) [`ShmError::SegmentMalformed`] as for
    /// [`at_with`](Self::at_with); [`ShmError::OtherLayout`] if the bound is of layout 2.
    pub fn at_counter_with(&self, tsc: u64, rules: Rules) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        let Some(counter) = &self.counter else { return Err(ShmError::OtherLayout { found: Layout::V2 }) };
        self.check()?;
        let since = counter.nanos_since(tsc)?;
        // In 10^-9 ns, each below 2^124: 2^64 ticks, and 10^18 is below 2^60; the drift is below 10^9.
        let ticks = u128::from(tsc.saturating_sub(counter.as_of)) * (NANOS * NANOS) as u128;
        let (least, most) = (counter.period.of(ticks), counter.period.of_rounded_up(ticks));
        let (nanos, parts, drift) = (most / NANOS as u128, most % NANOS as u128, u128::from(self.max_drift_ppb));
        let growth = nanos * drift + (parts * drift).div_ceil(NANOS as u128) + counter.period_error.of_rounded_up(most);
        // The bound and the date are below 2^124, too, so that the sums are below 2^127.
        let (bound, as_of) = (i128::from(self.bound_nsec) * NANOS + growth as i128, self.as_of.as_nanos() * NANOS);
        let earliest = (as_of + least as i128 - bound).div_euclid(NANOS);
        let latest = (as_of + most as i128 + bound + NANOS - 1).div_euclid(NANOS);
        let now = TimeSpec::from_nanos(self.as_of.as_nanos() + since as i128).ok_or(ShmError::SegmentMalformed)?;
        self.answer(earliest, latest, now, rules)
    }

    /// How long ago the update was, at this reading of CLOCK_MONOTONIC_COARSE; zero if the reading is earlier by less than 1,000 ns. Layout 2
    /// only.
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`] if it is earlier by more: the machine was started anew, so that nobody knows; [`ShmError::OtherLayout`].
    pub fn age_at(&self, monotonic: TimeSpec) -> Result<core::time::Duration, ShmError> {
        if self.counter.is_some() {
            return Err(ShmError::OtherLayout { found: Layout::V3 });
        }
        Ok(duration(self.nanos_to(monotonic)? as u128))
    }

    /// How long ago the update was, at this reading of the counter; zero if the reading is earlier by less than 1,000 ns. Layout 3 only.
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`] if it is earlier by more: the counter started anew, so that nobody knows; [`ShmError::OtherLayout`].
    pub fn age_at_counter(&self, tsc: u64) -> Result<core::time::Duration, ShmError> {
        let Some(counter) = &self.counter else { return Err(ShmError::OtherLayout { found: Layout::V2 }) };
        Ok(duration(counter.nanos_since(tsc)?))
    }

    /// Nanoseconds from the update to a reading of its clock, not negative; an error if the reading is too far before it.
    fn nanos_to(&self, monotonic: TimeSpec) -> Result<i128, ShmError> {
        match monotonic.as_nanos() - self.as_of.as_nanos() {
            since if since <= -BEFORE_UPDATE_NSEC => Err(ShmError::CausalityBreach),
            since => Ok(since.max(0)),
        }
    }

    /// The interval between these nanoseconds, and the status at the time `at` of the clock that `as_of` is of.
    fn answer(&self, earliest: i128, latest: i128, at: TimeSpec, rules: Rules) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        let time = |nanos| TimeSpec::from_nanos(nanos).ok_or(ShmError::SegmentMalformed);
        Ok((time(earliest)?, time(latest)?, rules.status(self.clock_status, self.as_of, self.void_after, at)))
    }
}

/// So many nanoseconds, below 2^95.
fn duration(nanos: u128) -> core::time::Duration {
    let (seconds, below) = (nanos / NANOS as u128, nanos % NANOS as u128);
    core::time::Duration::new(u64::try_from(seconds).unwrap_or(u64::MAX), below as u32)
}
