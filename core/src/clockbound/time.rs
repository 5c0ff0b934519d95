//! Points of time.

pub(super) const NANOS: i128 = 1_000_000_000;

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

    /// Nanoseconds since the clock's zero; never overflows.
    ///
    /// ```
    /// use seqslot_core::clockbound::TimeSpec;
    /// let time = TimeSpec::new(-1, 5).expect("nanoseconds below a second");
    /// assert_eq!(time.as_nanos(), -999_999_995);
    /// assert_eq!(TimeSpec::from_nanos(-999_999_995), Some(time));
    /// assert_eq!(TimeSpec::from_nanos(i128::MAX), None);
    /// ```
    #[must_use]
    pub const fn as_nanos(&self) -> i128 {
        self.seconds as i128 * NANOS + self.nanoseconds as i128
    }

    /// The time so many nanoseconds after the clock's zero; `None` if its seconds have more than 64 bits.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
        Some(Self { seconds, nanoseconds: nanos.rem_euclid(NANOS) as u32 })
    }
}
