//! What becomes of a clock's status as time passes without an update.

use core::time::Duration;

use super::time::TimeSpec;

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

/// How a status decays: which edges count, and for how long after an update the stored status holds (the grace period).
///
/// | | [`V2`](Self::V2) | [`V3`](Self::V3) |
/// |---|---|---|
/// | first | now < as_of + 5 s: as stored | now > void_after: `Unknown` |
/// | then | now < void_after: `FreeRunning` | now > as_of + 60 s: `FreeRunning` |
/// | else | `Unknown` | as stored |
///
/// `Unknown` and `Disrupted` stay what they are under both.
///
/// ```
/// use core::time::Duration;
/// use seqslot_core::clockbound::{ClockStatus, Rules, TimeSpec};
/// let time = |seconds| TimeSpec::new(seconds, 0).expect("nanoseconds below a second");
/// let (as_of, void_after) = (time(100), time(1100));
/// let after = |rules: Rules, seconds: i64| rules.status(ClockStatus::Synchronized, as_of, void_after, time(100 + seconds));
/// assert_eq!(after(Rules::V2, 5), ClockStatus::FreeRunning);
/// assert_eq!(after(Rules::V3, 60), ClockStatus::Synchronized);
/// assert_eq!(after(Rules::V3.with_grace(Duration::from_secs(20)), 60), ClockStatus::FreeRunning);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rules {
    grace_nsec: u128,
    void_first: bool,
}

impl Rules {
    /// Of ClockBound 2.x: 5 seconds of grace, an edge belongs to the later state, and the grace period goes before `void_after`.
    pub const V2: Self = Self { grace_nsec: 5_000_000_000, void_first: false };
    /// Of ClockBound 3.0: 60 seconds of grace, an edge belongs to the earlier state, and `void_after` goes before the grace period.
    pub const V3: Self = Self { grace_nsec: 60_000_000_000, void_first: true };

    /// The same with another grace period.
    #[must_use]
    pub const fn with_grace(self, grace: Duration) -> Self {
        Self { grace_nsec: grace.as_nanos(), ..self }
    }

    /// The grace period.
    #[must_use]
    pub fn grace(&self) -> Duration {
        let (seconds, nanos) = (self.grace_nsec / 1_000_000_000, self.grace_nsec % 1_000_000_000);
        // It was made of a `Duration`, or is a constant above.
        Duration::new(seconds as u64, nanos as u32)
    }

    /// What the status `stored` at `as_of` is worth at `now`.
    #[must_use]
    pub fn status(&self, stored: ClockStatus, as_of: TimeSpec, void_after: TimeSpec, now: TimeSpec) -> ClockStatus {
        if matches!(stored, ClockStatus::Unknown | ClockStatus::Disrupted) {
            return stored;
        }
        // Below 2^94 and 2^95 in size.
        let grace_ends = as_of.as_nanos() + self.grace_nsec as i128;
        let now_nanos = now.as_nanos();
        if self.void_first {
            match () {
                () if now > void_after => ClockStatus::Unknown,
                () if now_nanos > grace_ends => ClockStatus::FreeRunning,
                () => stored,
            }
        } else {
            match () {
                () if now_nanos < grace_ends => stored,
                () if now < void_after => ClockStatus::FreeRunning,
                () => ClockStatus::Unknown,
            }
        }
    }
}
