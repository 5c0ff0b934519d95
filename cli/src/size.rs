//! Numbers of bytes as people write them.

/// Parses `4096`, `64K`, `1M`, `2G` (steps of 1024; a `B` or `iB` may follow).
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit.trim_end_matches(['B', 'b']).trim_end_matches('i') {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return Err(format!("`{unit}` is no unit: K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|_| "a number of bytes is wanted, such as 4096 or 64K".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits can count".to_owned())
}

/// Bytes with a unit that fits.
pub fn text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.2} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("64K"), Ok(65536));
        assert_eq!(parse("1MiB"), Ok(1 << 20));
        assert_eq!(parse("2GB"), Ok(2 << 30));
        assert_eq!(text(1536), "1.50 KiB");
        assert_eq!(text(12), "12 B");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for bad in ["", "K", "-1", "1X", "1 K", "99999999999999999999", "16777216T", "1.5M"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
