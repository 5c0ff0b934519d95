//! A run: when, where, and its figures; as a table.

use std::error::Error;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::table::{Line, ROWS, amount};

/// A run.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Day of the run (UTC).
    pub date: String,
    /// What it ran on, and what it was built with.
    pub machine: String,
    /// Rounds of each row.
    pub rounds: usize,
    /// What was measured.
    pub figures: Vec<Figure>,
}

impl Report {
    /// The report of a run that ends now, here.
    ///
    /// # Errors
    /// If the system does not tell its date.
    pub fn new(rounds: usize, figures: Vec<Figure>) -> Result<Self, Box<dyn Error>> {
        let date = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?;
        Ok(Self { date: String::from_utf8(date.stdout)?.trim().into(), machine: machine(), rounds, figures })
    }

    /// The lines of the table: those of the rows with the keys, or all.
    pub fn lines(&self, only: &[String]) -> Vec<Line<'_>> {
        let wanted = |key: &str| only.is_empty() || only.iter().any(|only| only == key);
        ROWS.iter().filter(|row| wanted(row.key)).map(|row| Line::of(row, &self.figures)).collect()
    }

    /// The table in Markdown, and what is to be known of it.
    pub fn table(&self, only: &[String]) -> String {
        let mut text =
            String::from("| what | seqslot | best peer | limit | one process only | target | met |\n|---|---|---|---|---|---|---|\n");
        let cell = |figure: Option<&Figure>| figure.map_or(String::new(), |figure| amount(figure.median, figure.unit));
        let named = |figure: Option<&Figure>| figure.map_or(String::new(), |figure| format!("{} ({})", cell(Some(figure)), figure.name()));
        let lines = self.lines(only);
        for line in &lines {
            let tail = |figure: &Figure| figure.p99.map_or(String::new(), |p99| format!(", p99 {}", amount(p99, figure.unit)));
            let ours = line.ours().map_or(String::new(), |figure| format!("**{}**{}", cell(Some(figure)), tail(figure)));
            let met = match line.is_met() {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "not measured",
            };
            let (peer, limit, inside) = (named(line.peer()), cell(line.limit()), named(line.inside()));
            // Infallible: into a string.
            let _ = writeln!(text, "| {} | {ours} | {peer} | {limit} | {inside} | {} | {met} |", line.row.what, line.row.target());
        }
        let parts: Vec<String> = lines
            .iter()
            .filter(|line| line.row.key == "overhead")
            .flat_map(Line::parts)
            .map(|part| format!("{} {}", part.system.trim_start_matches("parts, "), amount(part.median, part.unit)))
            .collect();
        let _ = write!(text, "\n{}; {}. Medians of {} rounds", self.date, self.machine, self.rounds);
        text += " in which the systems take turns; operations of less than a few microseconds are timed in batches, and percentiles are those of the batches; segments are in memory, and so are the files they are found by.";
        if !parts.is_empty() {
            let _ = write!(text, " What a segment takes: {}.", parts.join(", "));
        }
        text.push('\n');
        text
    }

    /// Every figure with its percentiles, in Markdown.
    pub fn list(&self) -> String {
        let mut text = format!("# Every figure of the last run\n\n{}; {}. {} rounds.\n\n", self.date, self.machine, self.rounds);
        text += "| row | system | median | p1 | p10 | p90 | p99 | p99.9 |\n|---|---|---|---|---|---|---|---|\n";
        for figure in &self.figures {
            let of = |value: Option<f64>| value.map_or(String::new(), |value| amount(value, figure.unit));
            let Figure { row, system, median, p1, p10, p90, p99, p999, .. } = figure;
            let cells = [of(Some(*median)), of(*p1), of(*p10), of(*p90), of(*p99), of(*p999)].join(" | ");
            // Infallible: into a string.
            let _ = writeln!(text, "| {row} | {system} | {cells} |");
        }
        text
    }

    /// The closing line: `met N of M`.
    pub fn closing(&self, only: &[String]) -> String {
        let lines = self.lines(only);
        format!("met {} of {}", lines.iter().filter(|line| line.is_met() == Some(true)).count(), lines.len())
    }
}

/// What the machine calls itself.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| cpu.lines().find_map(|line| line.strip_prefix(key)?.split_once(':')).map_or("unknown", |(_, value)| value.trim());
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kind = if of("flags").split(' ').any(|flag| flag == "hypervisor") { " in a virtual machine" } else { "" };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // The version, without what its builder calls it.
    let kernel: String = kernel.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    format!("{count} CPUs, {}{kind}; Linux {kernel}; {}, fat LTO", of("model name"), env!("PEERS_RUSTC"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Unit;

    #[test]
    fn the_table_has_every_row_and_the_closing_line_counts_those_that_are_met() {
        let figures = vec![
            Figure::exact("poll-4", "seqslot", Unit::Nanoseconds, 1.5),
            Figure::exact("poll-4", "limit, one load", Unit::Nanoseconds, 0.44),
            Figure::exact("poll-1024", "seqslot", Unit::Nanoseconds, 2.5),
        ];
        let report = Report { date: "2026-01-01".into(), machine: "a machine".into(), rounds: 1, figures };
        let table = report.table(&[]);
        assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), ROWS.len() + 1);
        assert!(table.contains("| empty poll, 4 slots | **1.50 ns** |  | 0.44 ns |  | <= 2 ns | yes |"), "{table}");
        assert!(report.list().contains("| poll-4 | limit, one load | 0.44 ns |  |  |  |  |  |\n"), "{}", report.list());
        assert_eq!(report.closing(&[]), format!("met 1 of {}", ROWS.len()));
        assert_eq!(report.closing(&["poll-4".into()]), "met 1 of 1");
    }
}
