//! The figures in words: a table a chart, and whether what is promised flat is flat.

use std::fmt::Write;
use std::path::Path;

use super::charts::{self, Chart};
use super::{Drawn, Line};

/// A chart's picture and table, in Markdown; nanoseconds.
pub fn of(chart: &Chart, lines: &[Line], folder: &Path) -> String {
    let folder = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut text = format!("### {}\n\n![{}]({folder}/{}.svg)\n\n| ns |", chart.title, chart.title, chart.key);
    chart.sizes.iter().for_each(|&size| _ = write!(text, " {} |", size_text(size, chart.what)));
    text += "\n|---|";
    chart.sizes.iter().for_each(|_| text += "---|");
    text.push('\n');
    for line in lines {
        let _ = write!(text, "| {} |", line.series);
        line.points.iter().for_each(|(_, time)| _ = write!(text, " {} |", time_text(*time)));
        text.push('\n');
    }
    text.push('\n');
    text
}

/// A line that says by how much each series that is promised flat differs over its sizes.
pub fn flatness(drawn: &[Drawn]) -> String {
    let mut texts = Vec::new();
    for (chart, drawn) in charts::all().iter().zip(drawn) {
        for (series, line) in chart.series.iter().zip(&drawn.lines).filter(|(series, _)| series.is_flat) {
            texts.push(format!("{} {:.2}", series.name, spread(&line.points)));
        }
    }
    format!("Slowest over quickest size of what is promised flat: {}.", texts.join(", "))
}

/// The longest time over the shortest.
fn spread(points: &[(u64, f64)]) -> f64 {
    let times = || points.iter().map(|(_, time)| *time);
    times().fold(f64::NAN, f64::max) / times().fold(f64::NAN, f64::min)
}

/// A size: bytes by their units, anything else with separators.
pub fn size_text(size: u64, what: &str) -> String {
    match size {
        _ if what != "bytes" => thousands(size),
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// A time in nanoseconds, to three digits.
pub fn time_text(time: f64) -> String {
    match time {
        ..9.95 => format!("{time:.2}"),
        ..99.5 => format!("{time:.1}"),
        _ => thousands(time.round() as u64),
    }
}

/// A round time at an axis.
pub fn axis_text(time: f64) -> String {
    if time < 1.0 { format!("{time:.1}") } else { thousands(time.round() as u64) }
}

fn thousands(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1000), number % 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!((size_text(262_144, "slots"), size_text(262_144, "bytes")), ("262,144".into(), "256 KiB".into()));
        assert_eq!((size_text(16 << 20, "bytes"), size_text(64, "bytes")), ("16 MiB".into(), "64 B".into()));
        assert_eq!([0.1, 20.0, 30_000.000_000_1].map(axis_text), ["0.1", "20", "30,000"]);
        assert_eq!([0.712, 24.91, 186.4, 1_442_000.0].map(time_text), ["0.71", "24.9", "186", "1,442,000"]);
    }

    #[test]
    fn the_spread_is_that_of_the_extremes() {
        assert_eq!(spread(&[(4, 20.0), (16, 30.0), (64, 25.0)]), 1.5);
    }
}
