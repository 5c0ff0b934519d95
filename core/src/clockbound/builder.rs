//! Makes a bound of either layout, for those who write segments.

use super::bound::{ClockErrorBound, Counter};
use super::fraction::Fraction;
use super::layout::Layout;
use super::rules::ClockStatus;
use super::time::TimeSpec;

/// Makes a [`ClockErrorBound`]. What is not given is zero, `Unknown`, or off; what the layout has no room for is left out.
///
/// ```
/// use seqslot_core::clockbound::{ClockErrorBoundBuilder, ClockStatus, Fraction, Layout, TimeSpec};
/// let time = |seconds| TimeSpec::new(seconds, 0).expect("nanoseconds below a second");
/// let bound = ClockErrorBoundBuilder::new()
///     .as_of_tsc(5_000)
///     .as_of(time(1_700_000_000))
///     .void_after(time(1_700_001_000))
///     .period(Fraction::from_f64(1e-9).expect("below a second"))
///     .bound_nsec(500)
///     .max_drift_ppb(1_000)
///     .clock_status(ClockStatus::Synchronized)
///     .build(Layout::V3);
/// let (earliest, latest, _) = bound.at_counter(5_000)?;
/// assert_eq!(latest.as_nanos() - earliest.as_nanos(), 1_000);
/// # Ok::<(), seqslot_core::clockbound::ShmError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ClockErrorBoundBuilder {
    bound: ClockErrorBound,
    counter: Counter,
}

impl Default for ClockErrorBoundBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ClockErrorBoundBuilder {
    /// All zero, `Unknown`, off.
    #[must_use]
    pub fn new() -> Self {
        let zero = TimeSpec::default();
        let bound = ClockErrorBound::new(zero, zero, 0, 0, 0, ClockStatus::Unknown, false);
        Self { bound, counter: Counter::default() }
    }

    /// The counter at the update; layout 3.
    #[must_use]
    pub const fn as_of_tsc(mut self, tsc: u64) -> Self {
        self.counter.as_of = tsc;
        self
    }

    /// The time of the update.
    #[must_use]
    pub const fn as_of(mut self, time: TimeSpec) -> Self {
        self.bound.as_of = time;
        self
    }

    /// The time after which the bound means nothing.
    #[must_use]
    pub const fn void_after(mut self, time: TimeSpec) -> Self {
        self.bound.void_after = time;
        self
    }

    /// The counter's period in seconds; layout 3.
    #[must_use]
    pub const fn period(mut self, period: Fraction) -> Self {
        self.counter.period = period;
        self
    }

    /// By how much the period may be wrong, as a ratio; layout 3.
    #[must_use]
    pub const fn period_err(mut self, ratio: Fraction) -> Self {
        self.counter.period_error = ratio;
        self
    }

    /// The bound, in nanoseconds.
    #[must_use]
    pub const fn bound_nsec(mut self, nanos: i64) -> Self {
        self.bound.bound_nsec = nanos;
        self
    }

    /// Changes when the clock was disrupted.
    #[must_use]
    pub const fn disruption_marker(mut self, marker: u64) -> Self {
        self.bound.disruption_marker = marker;
        self
    }

    /// How fast the bound grows, in parts in 10^9.
    #[must_use]
    pub const fn max_drift_ppb(mut self, ppb: u32) -> Self {
        self.bound.max_drift_ppb = ppb;
        self
    }

    /// The status.
    #[must_use]
    pub const fn clock_status(mut self, status: ClockStatus) -> Self {
        self.bound.clock_status = status;
        self
    }

    /// Whether the daemon watches for disruptions.
    #[must_use]
    pub const fn clock_disruption_support_enabled(mut self, is_enabled: bool) -> Self {
        self.bound.disruption_support = is_enabled;
        self
    }

    /// The bound, in this layout.
    #[must_use]
    pub const fn build(self, layout: Layout) -> ClockErrorBound {
        let counter = match layout {
            Layout::V2 => None,
            Layout::V3 => Some(self.counter),
        };
        ClockErrorBound { counter, ..self.bound }
    }
}
