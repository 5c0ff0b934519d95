//! A clock's error bound, and the interval it gives at a reading of the clocks.

use super::error::ShmError;

const NANOS: i128 = 1_000_000_000;
/// A drift of a second in a second or more is no drift.
const MAX_DRIFT_PPB: u32 = 1_000_000_000;
/// A reading this much before the update is put down to the coarse clock's steps.
const BEFORE_UPDATE_NSEC: i128 = 1_000;
/// For so long after the update the stored status holds.
const STATUS_HOLDS_NSEC: i128 = 5 * NANOS;

/// A point of time of some clock: seconds, and nanoseconds below a second.
///
/// ```
/// use seqslot_core::clockbound::TimeSpec;
/// let time = TimeSpec::new(5, 999_999_999).expect("nanoseconds below a second");
/// assert_eq!((time.tv_sec(), time.tv_nsec()), (5, 999_999_999));
/// assert!(time < TimeSpec::new(6, 0).expect("as above"));
/// assert_eq!(TimeSpec::new(5, 1_000_000_000), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimeSpec {
    seconds: i64,
    nanoseconds: u32,
}

impl TimeSpec {
    /// The time, or `None` if the nanoseconds are not from 0 to 999,999,999.
    #[must_use]
    pub const fn new(seconds: i64, nanoseconds: i64) -> Option<Self> {
        if nanoseconds < 0 || nanoseconds >= NANOS as i64 {
            return None;
        }
        Some(Self { seconds, nanoseconds: nanoseconds as u32 })
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn tv_sec(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds, from 0 to 999,999,999.
    #[must_use]
    pub const fn tv_nsec(&self) -> i64 {
        self.nanoseconds as i64
    }

    const fn nanos(self) -> i128 {
        self.seconds as i128 * NANOS + self.nanoseconds as i128
    }

    fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
        Some(Self { seconds, nanoseconds: nanos.rem_euclid(NANOS) as u32 })
    }
}

/// What the daemon says about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(i32)]
pub enum ClockStatus {
    /// Nothing is known: the bound must not be relied on.
    Unknown = 0,
    /// The clock follows its source.
    Synchronized = 1,
    /// The source is lost; the bound grows with the drift.
    FreeRunning = 2,
    /// The clock was disrupted (a move of the virtual machine): the bound must not be relied on.
    Disrupted = 3,
}

impl ClockStatus {
    /// The status of this number in a segment; `None` if there is none.
    ///
    /// ```
    /// use seqslot_core::clockbound::ClockStatus;
    /// assert_eq!(ClockStatus::from_number(1), Some(ClockStatus::Synchronized));
    /// assert_eq!(ClockStatus::from_number(4), None);
    /// ```
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Unknown),
            1 => Some(Self::Synchronized),
            2 => Some(Self::FreeRunning),
            3 => Some(Self::Disrupted),
            _ => None,
        }
    }
}

/// By how much the clock may be wrong, as of the daemon's last update. Made only of checked values.
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
}

impl ClockErrorBound {
    /// The monotonic (coarse) clock at the update.
    #[must_use]
    pub const fn as_of(&self) -> TimeSpec {
        self.as_of
    }

    /// The monotonic time after which the bound means nothing.
    #[must_use]
    pub const fn void_after(&self) -> TimeSpec {
        self.void_after
    }

    /// The bound at the update, in nanoseconds, never negative.
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

    /// The interval that holds the true time, and the clock's status, for readings of CLOCK_REALTIME and then CLOCK_MONOTONIC_COARSE.
    ///
    /// The bound grows with the drift since the update; the status is the stored one for 5 seconds, then `FreeRunning`, and `Unknown` once the
    /// bound is void. (The arithmetic of `now()` in ClockBound 2.x.)
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`] if the monotonic reading is more than 1,000 ns before the update; [`ShmError::SegmentMalformed`] if the drift is
    /// a second in a second or more, or a time leaves what seconds can count.
    pub fn at(&self, realtime: TimeSpec, monotonic: TimeSpec) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        if self.max_drift_ppb >= MAX_DRIFT_PPB {
            return Err(ShmError::SegmentMalformed);
        }
        let since = monotonic.nanos() - self.as_of.nanos();
        if since < -BEFORE_UPDATE_NSEC {
            return Err(ShmError::CausalityBreach);
        }
        let bound = i128::from(self.bound_nsec) + since.max(0) * i128::from(self.max_drift_ppb) / NANOS;
        let time = |nanos| TimeSpec::from_nanos(nanos).ok_or(ShmError::SegmentMalformed);
        let (earliest, latest) = (time(realtime.nanos() - bound)?, time(realtime.nanos() + bound)?);
        Ok((earliest, latest, self.status_at(since, monotonic)))
    }

    /// The status so long after the update.
    fn status_at(&self, since: i128, monotonic: TimeSpec) -> ClockStatus {
        match self.clock_status {
            status @ (ClockStatus::Unknown | ClockStatus::Disrupted) => status,
            status if since < STATUS_HOLDS_NSEC => status,
            _ if monotonic < self.void_after => ClockStatus::FreeRunning,
            _ => ClockStatus::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64, nanoseconds: i64) -> TimeSpec {
        TimeSpec::new(seconds, nanoseconds).unwrap()
    }

    fn bound() -> ClockErrorBound {
        ClockErrorBound {
            as_of: time(100, 0),
            void_after: time(1100, 0),
            bound_nsec: 10_000,
            disruption_marker: 0,
            max_drift_ppb: 1_000,
            clock_status: ClockStatus::Synchronized,
            disruption_support: true,
        }
    }

    #[test]
    fn the_bound_grows_with_the_drift() {
        // Two seconds at 1,000 ppb: 2,000 ns more.
        let (earliest, latest, status) = bound().at(time(5_000, 5_000), time(102, 0)).unwrap();
        assert_eq!((earliest, latest), (time(4_999, 999_993_000), time(5_000, 17_000)));
        assert_eq!(status, ClockStatus::Synchronized);
    }

    #[test]
    fn the_status_decays_with_time() {
        let status = |now| bound().at(time(0, 0), now).unwrap().2;
        assert_eq!(status(time(104, 999_999_999)), ClockStatus::Synchronized);
        assert_eq!(status(time(105, 0)), ClockStatus::FreeRunning);
        assert_eq!(status(time(1_099, 999_999_999)), ClockStatus::FreeRunning);
        assert_eq!(status(time(1_100, 0)), ClockStatus::Unknown);
        for passed in [ClockStatus::Unknown, ClockStatus::Disrupted] {
            let bound = ClockErrorBound { clock_status: passed, ..bound() };
            assert_eq!(bound.at(time(0, 0), time(101, 0)).unwrap().2, passed);
            assert_eq!(bound.at(time(0, 0), time(9_999, 0)).unwrap().2, passed);
        }
    }

    #[test]
    fn a_reading_before_the_update_is_a_breach_but_for_the_clocks_step() {
        assert_eq!(bound().at(time(0, 0), time(99, 999_998_999)), Err(ShmError::CausalityBreach));
        let (earliest, latest, _) = bound().at(time(1, 0), time(99, 999_999_000)).unwrap();
        assert_eq!((earliest, latest), (time(0, 999_990_000), time(1, 10_000)), "no negative growth");
    }

    #[test]
    fn absurd_values_are_errors_and_not_overflows() {
        let drift = ClockErrorBound { max_drift_ppb: 1_000_000_000, ..bound() };
        assert_eq!(drift.at(time(0, 0), time(101, 0)), Err(ShmError::SegmentMalformed));
        let far = ClockErrorBound { bound_nsec: i64::MAX, as_of: time(i64::MIN, 0), max_drift_ppb: 999_999_999, ..bound() };
        assert_eq!(far.at(time(i64::MAX, 0), time(i64::MAX, 0)), Err(ShmError::SegmentMalformed));
        assert!(far.at(time(0, 0), time(i64::MAX, 0)).is_err());
    }
}
