//! A reading drawn for people.

use super::reading::{Reading, Stamp};

/// A reading, a line for each of its values.
pub fn lines(reading: &Reading) -> String {
    let mut text = format!("{}\n", reading.path);
    let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<9} {value}\n"));
    row("earliest", &date(reading.earliest));
    row("latest", &date(reading.latest));
    row("width", &span(reading.width_ns));
    if reading.status == reading.stored_status {
        row("status", reading.status);
    } else {
        row("status", &format!("{} (the daemon wrote {})", reading.status, reading.stored_status));
    }
    row("age", &age(reading));
    row("segment", &format!("{}, layout {}, drift {} ppb", reading.segment, reading.layout, reading.max_drift_ppb));
    match &reading.vmclock {
        Some(page) => {
            let marker = page.disruption_marker;
            row("vmclock", &format!("{}, disruption marker {marker} (the daemon's is {})", page.status, reading.disruption_marker));
        }
        None if reading.disruption_support => row("vmclock", "not there, though the daemon watches it; --vmclock gives its path"),
        None => {}
    }
    text
}

/// A reading on one line.
pub fn line(reading: &Reading) -> String {
    let (earliest, width, age) = (date(reading.earliest), span(reading.width_ns), age(reading));
    format!("{earliest}  width {width}  {}  age {age}  {}  layout {}", reading.status, reading.segment, reading.layout)
}

/// How long ago the update was.
fn age(reading: &Reading) -> String {
    reading.age_ns.map_or_else(|| "unknown: the clock began anew since".to_owned(), span)
}

/// Takes the cursor back over so many lines, and clears from there.
pub fn back_over(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") }
}

/// A time as a date in UTC; as seconds where the year has not four digits.
fn date(time: Stamp) -> String {
    const DAY: i64 = 86_400;
    let (days, second) = (time.sec.div_euclid(DAY), time.sec.rem_euclid(DAY));
    let Some((year, month, day)) = civil(days) else { return format!("{}.{:09} s", time.sec, time.nsec) };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", time.nsec)
}

/// Year, month and day of so many days after 1970-01-01; `None` where the year has not four digits.
///
/// Years are counted from March, so that leap days end them, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    const ERA: i64 = 146_097;
    // From 0000-03-01 on.
    let days = days.checked_add(719_468)?;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (0..10_000).contains(&year).then_some((year, month, day_of_month))
}

/// A length of time in a unit that suits it.
fn span(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.3} us", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.3} ms", nanos as f64 / 1e6),
        _ => format!("{:.3} s", nanos as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |sec| date(Stamp { sec, nsec: 5 });
        assert_eq!(date(0), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(date(1_709_251_199), "2024-02-29T23:59:59.000000005Z");
        assert_eq!(date(4_107_542_400), "2100-03-01T00:00:00.000000005Z");
        assert_eq!(date(-1), "1969-12-31T23:59:59.000000005Z");
        assert_eq!(date(253_402_300_799), "9999-12-31T23:59:59.000000005Z");
        assert_eq!(date(253_402_300_800), "253402300800.000000005 s");
        for sec in [i64::MIN, i64::MAX] {
            assert!(date(sec).ends_with(" s"));
        }
    }

    #[test]
    fn lengths_of_time_are_told_in_a_unit_that_suits_them() {
        assert_eq!([999, 1_500, 2_500_000, 61_000_000_000].map(span), ["999 ns", "1.500 us", "2.500 ms", "61.000 s"]);
    }
}
