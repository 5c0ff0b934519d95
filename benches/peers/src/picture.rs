//! The table as a picture: for each row, how many times better than the best peer, on a scale of powers of ten.

use std::fmt::Write;

use crate::report::Report;
use crate::table::{Line, amount};

/// Where a section of the picture begins, and what it is called.
const SECTIONS: [(&str, &str); 4] =
    [("one-way-32", "Slots"), ("stream-64", "Streams"), ("snap-unchanged", "Snapshots"), ("wake", "Waking and setting up")];

/// Measures of the picture in its own units.
const WIDTH: f64 = 980.0;
const LEFT: f64 = 315.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 96.0;
const STEP: f64 = 23.0;

/// Colours by the reader's own scheme, light or dark; the picture brings its ground, so that it is readable on any page.
const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #1f2328; }
.head { font-size: 17px; font-weight: 600; }
.part, .ours { font-weight: 600; }
.small { font-size: 11.5px; }
.ground { fill: #ffffff; }
.faint { fill: #59636e; }
.grid { stroke: #d9dee3; stroke-width: 1; }
.even { stroke: #59636e; stroke-width: 1.5; }
.better { fill: #1a66cc; }
.worse { fill: #c4551c; }
.limit { stroke: #1f2328; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .ground { fill: #0d1117; }
  .faint { fill: #9198a1; }
  .grid { stroke: #2b323b; }
  .even { stroke: #9198a1; }
  .better { fill: #58a6ff; }
  .worse { fill: #f0883e; }
  .limit { stroke: #e6edf3; }
}
";

/// The scale: from a ratio to a place.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Covers all the ratios, and an even match.
    fn over(ratios: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ratios.fold((0.5_f64, 10.0_f64), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
        Self { low: (low / 1.1).ln(), high: (high * 1.5).ln() }
    }

    fn at(&self, ratio: f64) -> f64 {
        LEFT + (ratio.ln() - self.low) / (self.high - self.low) * (RIGHT - LEFT)
    }

    /// Powers of ten inside, and the half.
    fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let tens =
            (0..9).map(|power| 10_f64.powi(power)).map(|ratio| (ratio, if ratio == 1.0 { "even".into() } else { format!("{ratio} x") }));
        [(0.5, "1/2".into())].into_iter().chain(tens).filter(|(ratio, _)| (self.low..self.high).contains(&ratio.ln()))
    }
}

/// Draws the rows that have a figure of ours and of a peer.
pub fn draw(report: &Report) -> String {
    let lines: Vec<Line<'_>> = report.lines(&[]).into_iter().filter(|line| line.times_better().is_some()).collect();
    let scale = Scale::over(lines.iter().flat_map(|line| [line.times_better(), line.limit_times_better()]).flatten());
    let mut body = String::new();
    let mut y = TOP;
    let mut section = None;
    for line in &lines {
        let of = section_of(line.row.key);
        if section != Some(of) {
            section = Some(of);
            y += STEP * 0.5;
            text(&mut body, 20.0, y + STEP * 0.5, "part", "start", of);
            y += STEP * 1.5;
        }
        draw_line(&mut body, &scale, y, line);
        y += STEP;
    }
    let foot = y + 8.0;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>seqslot beside its best peer and the machine's limit</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n",
        height = (foot + 46.0).round()
    );
    head(&mut picture, &scale, foot);
    picture += &body;
    text(&mut picture, 20.0, foot + 20.0, "faint small", "start", &format!("{}; {}", report.date, report.machine));
    let note = "medians; each system by its own quickest way, in turns, in the same run; \u{2713}: the target set for it is met";
    text(&mut picture, 20.0, foot + 36.0, "faint small", "start", note);
    picture + "</svg>\n"
}

/// The section that a row is in: the last one that begins at it or before it.
fn section_of(key: &str) -> &'static str {
    let place = |key: &str| crate::table::ROWS.iter().position(|row| row.key == key);
    SECTIONS.iter().rev().find(|(first, _)| place(first) <= place(key)).map_or("", |(_, name)| name)
}

/// The title, the key of the marks, and the grid down to `foot`.
fn head(picture: &mut String, scale: &Scale, foot: f64) {
    text(picture, 20.0, 32.0, "head", "start", "seqslot: how many times better than the best peer");
    rect(picture, "better", 20.0, 47.0, 16.0, 11.0);
    text(picture, 42.0, 57.0, "faint", "start", "seqslot is ahead");
    rect(picture, "worse", 160.0, 47.0, 16.0, 11.0);
    text(picture, 182.0, 57.0, "faint", "start", "seqslot is behind");
    rule(picture, "limit", 315.0, 45.0, 60.0);
    text(picture, 323.0, 57.0, "faint", "start", "the machine's limit, where one was measured");
    for (ratio, name) in scale.ticks() {
        let x = scale.at(ratio);
        text(picture, x, TOP, "faint small", "middle", &name);
        rule(picture, if ratio == 1.0 { "even" } else { "grid" }, x, TOP + 7.0, foot);
    }
    text(picture, RIGHT + 20.0, TOP, "faint small", "start", "seqslot");
    text(picture, RIGHT + 100.0, TOP, "faint small", "start", "best peer");
}

/// One row: its name, its bar from an even match to where ours is, the limit, the figures.
fn draw_line(body: &mut String, scale: &Scale, y: f64, line: &Line<'_>) {
    let (Some(ours), Some(peer), Some(ratio)) = (line.ours(), line.peer(), line.times_better()) else { return };
    text(body, LEFT - 8.0, y, "", "end", line.row.what);
    let (even, here) = (scale.at(1.0), scale.at(ratio));
    let class = if ratio >= 1.0 { "better" } else { "worse" };
    rect(body, class, even.min(here), y - 11.0, (even - here).abs().max(1.5), 14.0);
    if let Some(limit) = line.limit_times_better() {
        rule(body, "limit", scale.at(limit), y - 13.5, y + 5.5);
    }
    text(body, RIGHT + 20.0, y, "ours", "start", &amount(ours.median, ours.unit));
    text(body, RIGHT + 100.0, y, "faint", "start", &format!("{}, {}", amount(peer.median, peer.unit), peer.name()));
    if line.is_met() == Some(true) {
        text(body, WIDTH - 20.0, y, "better", "end", "\u{2713}");
    }
}

fn text(into: &mut String, x: f64, y: f64, class: &str, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(into, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{words}</text>");
}

fn rect(into: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    let _ = writeln!(into, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>");
}

/// A vertical line.
fn rule(into: &mut String, class: &str, x: f64, from: f64, to: f64) {
    let _ = writeln!(into, "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Figure, Unit};

    #[test]
    fn a_bar_is_as_long_as_the_ratio_says() {
        let scale = Scale::over([100.0, 0.2].into_iter());
        let decade = scale.at(10.0) - scale.at(1.0);
        assert!((scale.at(100.0) - scale.at(10.0) - decade).abs() < 1e-9 && decade > 0.0);
        assert!(scale.at(0.2) >= LEFT && scale.at(100.0) <= RIGHT);
        let names: Vec<String> = scale.ticks().map(|(_, name)| name).collect();
        assert_eq!(names, ["1/2", "even", "10 x", "100 x"]);
    }

    #[test]
    fn rows_without_a_peer_are_left_out_and_words_are_escaped() {
        let exact = |row: &str, system: &str, value| Figure::exact(row, system, Unit::Nanoseconds, value);
        let figures = vec![exact("cycle-64", "seqslot", 10.0), exact("cycle-64", "a<b", 50.0), exact("poll-4", "seqslot", 1.0)];
        let picture = draw(&Report { date: "2026-01-01".into(), machine: "a & b".into(), rounds: 1, figures });
        assert!(picture.contains("50 ns, a&lt;b") && picture.contains("a &amp; b") && !picture.contains("empty poll"), "{picture}");
    }

    #[test]
    fn sections_begin_where_they_are_said_to() {
        assert_eq!(
            ["held-1024", "stream-64", "snap-contended", "attach"].map(section_of),
            ["Slots", "Streams", "Snapshots", "Waking and setting up"]
        );
    }
}
