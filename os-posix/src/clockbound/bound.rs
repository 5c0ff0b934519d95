//! The bound with the clocks of this machine.

use core::ops::Deref;
use core::time::Duration;

use seqslot_core::clockbound::{self as core_bound, ClockStatus, Layout, Rules, ShmError, TimeSpec};

use super::clocks;

/// By how much the clock may be wrong, as of the daemon's last update, in either layout; [`now`](Self::now) reads the clock.
///
/// It is the core's [`ClockErrorBound`](core_bound::ClockErrorBound), whose accessors and arithmetic it has by dereferencing, and from which
/// and into which it converts.
///
/// ```
/// use seqslot_core::clockbound::{ClockStatus, ShmError, TimeSpec};
/// use seqslot_os_posix::ClockErrorBound;
/// let time = |seconds| TimeSpec::new(seconds, 0).expect("nanoseconds below a second");
/// let bound = ClockErrorBound::new(time(1), time(2), 10_000, 0, 1_000, ClockStatus::Synchronized, false);
/// assert_eq!(bound.bound_nsec(), 10_000);
///
/// // The machine has run for more than two seconds, so that the bound is void.
/// let (earliest, latest, status) = bound.now()?;
/// assert!(earliest < latest && status == ClockStatus::Unknown);
/// # Ok::<(), ShmError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct ClockErrorBound(core_bound::ClockErrorBound);

impl ClockErrorBound {
    /// A bound of layout 2, as its writers make it; [`ClockErrorBoundBuilder`](core_bound::ClockErrorBoundBuilder) makes both (and `into()`
    /// this type).
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
        Self(core_bound::ClockErrorBound::new(
            as_of,
            void_after,
            bound_nsec,
            disruption_marker,
            max_drift_ppb,
            clock_status,
            clock_disruption_support_enabled,
        ))
    }

    /// The interval that holds the true time at this moment, and the clock's status, by the rules of the ClockBound that writes this layout
    /// ([`Rules::V2`], [`Rules::V3`]).
    ///
    /// Layout 2 is read against CLOCK_REALTIME and then CLOCK_MONOTONIC_COARSE (a delay between the two makes the interval wider), layout 3
    /// against the processor's counter. No system call where the kernel gives the clocks without one; never waits.
    ///
    /// # Errors
    /// [`ShmError`]: those of [`at_with`](core_bound::ClockErrorBound::at_with) and
    /// [`at_counter_with`](core_bound::ClockErrorBound::at_counter_with), a clock that cannot be read, and [`ShmError::NoCounter`] for layout
    /// 3 on a processor whose counter is not known.
    pub fn now(&self) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        self.now_with(match self.layout() {
            Layout::V3 => Rules::V3,
            _ => Rules::V2,
        })
    }

    /// As [`now`](Self::now), by other rules.
    ///
    /// # Errors
    /// As [`now`](Self::now).
    pub fn now_with(&self, rules: Rules) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        if self.layout() == Layout::V3 {
            return self.0.at_counter_with(clocks::counter()?, rules);
        }
        let realtime = clocks::realtime()?;
        self.0.at_with(realtime, clocks::monotonic()?, rules)
    }

    /// The interval that held the true time at the update, whatever clock and counter have done since (a machine that was moved may have got a
    /// counter that began anew): layout 3's own date; in layout 2 the present time, with the bound of the update. The status is that of the update.
    ///
    /// ```
    /// use seqslot_core::clockbound::{ClockErrorBoundBuilder, Fraction, Layout, ShmError, TimeSpec};
    /// use seqslot_os_posix::ClockErrorBound;
    /// let date = TimeSpec::new(1_700_000_000, 0).expect("nanoseconds below a second");
    /// let period = Fraction::from_f64(1e-9).expect("below a second");
    /// let bound = ClockErrorBoundBuilder::new().as_of(date).void_after(date).as_of_tsc(u64::MAX).period(period);
    /// let bound: ClockErrorBound = bound.build(Layout::V3).into();
    /// # if !matches!(bound.now(), Err(ShmError::NoCounter)) {
    /// assert_eq!(bound.now(), Err(ShmError::CausalityBreach));
    /// # }
    /// assert_eq!(bound.at_update().map(|told| (told.0, told.1)), Ok((date, date)));
    /// ```
    ///
    /// # Errors
    /// [`ShmError::SegmentMalformed`] as for [`now`](Self::now); the clock cannot be read.
    pub fn at_update(&self) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError> {
        match self.as_of_tsc() {
            Some(tsc) => self.0.at_counter(tsc),
            None => self.0.at(clocks::realtime()?, self.as_of()),
        }
    }

    /// How long ago the update was; zero if the clock (or counter) reads earlier by less than 1,000 ns.
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`] if it reads earlier by more: it began anew, so that nobody knows. The clock or counter cannot be read.
    pub fn age(&self) -> Result<Duration, ShmError> {
        match self.layout() {
            Layout::V3 => self.0.age_at_counter(clocks::counter()?),
            _ => self.0.age_at(clocks::monotonic()?),
        }
    }
}

impl Deref for ClockErrorBound {
    type Target = core_bound::ClockErrorBound;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<core_bound::ClockErrorBound> for ClockErrorBound {
    fn from(bound: core_bound::ClockErrorBound) -> Self {
        Self(bound)
    }
}

impl From<ClockErrorBound> for core_bound::ClockErrorBound {
    fn from(bound: ClockErrorBound) -> Self {
        bound.0
    }
}
