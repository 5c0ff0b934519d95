//! Numbers below 1, as layout 3 writes them.

/// A number from 0 to less than 1: `numerator / 2^(64 + shift)`. A period in seconds, or a ratio.
///
/// ```
/// use seqslot_core::clockbound::Fraction;
/// let period = Fraction::from_f64(1.0 / 2.5e9).expect("below 1");
/// assert_eq!(period.shift(), 31);
/// assert_eq!(period.of(2_500_000_000_001), 1_000); // the seconds of so many ticks, rounded down
/// assert_eq!(Fraction::from_f64(1.0), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fraction {
    numerator: u64,
    shift: u8,
}

impl Fraction {
    /// `numerator / 2^(64 + shift)`.
    #[must_use]
    pub const fn new(numerator: u64, shift: u8) -> Self {
        Self { numerator, shift }
    }

    /// The fraction that ClockBound 3.0 writes for `value`, bit for bit: its shift is the logarithm of the whole part of `1 / value`, rounded
    /// down. `None` if the value is not from 0 to less than 1.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !(0.0..1.0).contains(&value) {
            return None;
        }
        if value == 0.0 {
            return Some(Self::default());
        }
        // A conversion that is too large is the largest number: 63.
        let shift = ((1.0 / value) as u64).ilog2() as u8;
        let exponent_bits = (value.to_bits() >> 52) as i32;
        let mantissa = value.to_bits() & ((1 << 52) - 1);
        let (mantissa, exponent) = if exponent_bits == 0 { (mantissa, -1074) } else { (mantissa | (1 << 52), exponent_bits - 1075) };
        // value = mantissa * 2^exponent; the numerator is that times 2^(64 + shift), rounded down. A power of two comes to 2^64.
        let by = exponent + 64 + i32::from(shift);
        let wide = u128::from(mantissa);
        let numerator = if by < 0 { wide.checked_shr(by.unsigned_abs()).unwrap_or(0) } else { wide << by };
        Some(Self { numerator: u64::try_from(numerator).unwrap_or(u64::MAX), shift })
    }

    /// The numerator.
    #[must_use]
    pub const fn numerator(self) -> u64 {
        self.numerator
    }

    /// By how much more than 64 bits the numerator is shifted.
    #[must_use]
    pub const fn shift(self) -> u8 {
        self.shift
    }

    /// The fraction of `amount`, rounded down. Exact, for any amount and any shift.
    #[must_use]
    pub fn of(self, amount: u128) -> u128 {
        self.wide(amount).0.checked_shr(u32::from(self.shift)).unwrap_or(0)
    }

    /// The fraction of `amount`, rounded up.
    pub(super) fn of_rounded_up(self, amount: u128) -> u128 {
        let ((wide, is_cut), down) = (self.wide(amount), self.of(amount));
        let is_exact = !is_cut && down.checked_shl(u32::from(self.shift)).unwrap_or(0) == wide;
        // A fraction of something is less than it: no overflow.
        if is_exact { down } else { down + 1 }
    }

    /// `amount * numerator / 2^64`, rounded down, and whether there was anything to round.
    fn wide(self, amount: u128) -> (u128, bool) {
        let numerator = u128::from(self.numerator);
        let (high, low) = (amount >> 64, (amount & u128::from(u64::MAX)) * numerator);
        // At most (2^64 - 1)^2 + 2^64 - 1, which is below 2^128.
        (high * numerator + (low >> 64), low & u128::from(u64::MAX) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_encoded_as_clockbound_encodes_it() {
        // Worked out by hand: the shift is floor(log2(floor(1 / value))), the numerator floor(value * 2^(64 + shift)).
        let encoded = |value| Fraction::from_f64(value).map(|fraction| (fraction.numerator(), fraction.shift()));
        assert_eq!(encoded(0.0), Some((0, 0)));
        assert_eq!(encoded(0.75), Some((0xC000_0000_0000_0000, 0)));
        assert_eq!(encoded(0.3), Some((0x9999_9999_9999_9800, 1)), "1/0.3 is 3: shift 1; 0.3 has 53 bits");
        assert_eq!(encoded(0.5), Some((u64::MAX, 1)), "2^64 has no room");
        assert_eq!(encoded(2_f64.powi(-40)), Some((u64::MAX, 40)));
        assert_eq!(encoded(2_f64.powi(-70)), Some((1 << 57, 63)), "no shift above 63");
        assert_eq!(encoded(f64::from_bits(1)), Some((0, 63)));
        for bad in [1.0, 1.5, -0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(encoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_fraction_of_an_amount_is_exact_and_never_overflows() {
        assert_eq!(Fraction::new(1 << 63, 0).of(7), 3);
        assert_eq!(Fraction::new(1 << 63, 2).of(64), 8);
        assert_eq!(Fraction::new(u64::MAX, 0).of(u128::MAX), u128::MAX - (u128::MAX >> 64) - 1);
        assert_eq!(Fraction::new(u64::MAX, 127).of(u128::MAX), 1);
        for shift in [128, 200, 255] {
            assert_eq!(Fraction::new(u64::MAX, shift).of(u128::MAX), 0);
        }
        // A third, to 64 bits, of 2^100 + 5.
        assert_eq!(Fraction::new(u64::MAX / 3, 0).of((1 << 100) + 5), (u128::from(u64::MAX / 3) << 36) + 1);
    }

    #[test]
    fn what_is_rounded_up_is_one_more_unless_it_is_exact() {
        for (numerator, shift, amount, is_exact) in [
            (1 << 63, 0, 8, true),
            (1 << 63, 0, 7, false),
            (1 << 63, 2, 64, true),
            (1 << 63, 2, 63, false),
            (1 << 63, 2, 65, false),
            (u64::MAX, 0, u128::MAX, false),
            (u64::MAX, 0, 1 << 64, true),
            (u64::MAX, 255, u128::MAX, false),
            (1, 127, 1, false),
            (1, 128, 1 << 70, false),
            (1, 10, 1 << 74, true),
            (0, 0, u128::MAX, true),
            (0, 255, u128::MAX, true),
            (u64::MAX, 255, 0, true),
        ] {
            let fraction = Fraction::new(numerator, shift);
            let more = fraction.of_rounded_up(amount) - fraction.of(amount);
            assert_eq!(more, u128::from(!is_exact), "{numerator} / 2^(64 + {shift}) of {amount}");
        }
    }
}
