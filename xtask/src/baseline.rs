//! Figures that may not rise unnoticed: kept in `docs/baseline`, with the compiler they are of and the reasons why they were accepted.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::run::{capture, root};

/// Rise in per cent that fails.
pub const LIMIT: f64 = 5.0;
/// The same, where the baseline is of another compiler.
pub const LIMIT_OF_OTHERS: f64 = 15.0;

/// What is measured: by name.
pub type Figures = BTreeMap<String, f64>;

/// A file of figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What the figures count.
    pub unit: String,
    /// The compiler that they are of, by its `--version`.
    pub rustc: String,
    /// By name.
    pub figures: Figures,
    /// Why the file has been written, the latest last.
    pub accepted: Vec<Accepted>,
}

/// A rewriting of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The day.
    pub date: String,
    /// Why the figures are what they are.
    pub reason: String,
    /// What changed by more than half a per cent: "name: before -> after".
    pub changes: Vec<String>,
}

/// How figures compare with a baseline.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// What fails.
    pub failures: Vec<String>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
    /// The largest change, in per cent, that did not fail.
    pub largest: f64,
}

impl Baseline {
    /// What `figures` say beside this. A figure on one side only fails: it is compared with nothing.
    pub fn compare(&self, rustc: &str, figures: &Figures) -> Verdict {
        let is_same = self.rustc == rustc;
        let limit = if is_same { LIMIT } else { LIMIT_OF_OTHERS };
        let mut verdict = Verdict::default();
        if !is_same {
            verdict.warnings.push(format!("the baseline is of {}, this is {rustc}: a rise up to {limit} % is a warning", self.rustc));
        }
        for (name, &now) in figures {
            let Some(&before) = self.figures.get(name) else {
                verdict.failures.push(format!("{name}: {} is not in the baseline", shown(now)));
                continue;
            };
            let rise = percent(before, now);
            let line = format!("{name}: {} -> {} ({rise:+.1} %)", shown(before), shown(now));
            if rise > limit {
                verdict.failures.push(line);
                continue;
            }
            if rise.abs() > LIMIT {
                verdict.warnings.push(line);
            }
            if rise.abs() > verdict.largest.abs() {
                verdict.largest = rise;
            }
        }
        for name in self.figures.keys().filter(|name| !figures.contains_key(*name)) {
            verdict.failures.push(format!("{name} is in the baseline and was not measured"));
        }
        verdict
    }
}

/// Compares `figures` with the baseline of `command`, or rewrites it where there is a reason to `accept` them. Gives a closing line.
pub fn settle(command: &str, unit: &str, rustc: &str, figures: &Figures, accept: Option<&str>) -> Result<String, Box<dyn Error>> {
    let path = path_of(command);
    if let Some(reason) = accept {
        return rewrite(&path, unit, rustc, figures, reason);
    }
    let again = format!("`cargo xtask {command} --accept \"why\"` keeps these figures, with the reason, in {}", shown_path(&path));
    let Some(baseline) = read(&path)? else { return Err(format!("there is no baseline; {again}").into()) };
    if baseline.unit != unit {
        return Ok(format!("NOT COMPARED: the baseline has {}, these are {unit}", baseline.unit));
    }
    let verdict = baseline.compare(rustc, figures);
    verdict.warnings.iter().for_each(|line| println!("note: {line}"));
    if verdict.failures.is_empty() {
        return Ok(format!("{} figures, the largest change from the baseline {:+.1} %", figures.len(), verdict.largest));
    }
    let failures = verdict.failures.join("\n  ");
    Err(format!(
        "over the baseline by more than {LIMIT} %, or not comparable:\n  {failures}\nUndo what made it rise; or, if it is worth it, {again}"
    )
    .into())
}

fn rewrite(path: &Path, unit: &str, rustc: &str, figures: &Figures, reason: &str) -> Result<String, Box<dyn Error>> {
    if reason.trim().is_empty() {
        return Err("--accept needs a reason: what the rise buys".into());
    }
    let before = read(path)?;
    let mut accepted = before.as_ref().map_or_else(Vec::new, |before| before.accepted.clone());
    let changes = changes(before.as_ref().map_or(&Figures::new(), |before| &before.figures), figures);
    let (date, _) = capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let count = changes.len();
    accepted.push(Accepted { date: date.trim().into(), reason: reason.trim().into(), changes });
    let baseline = Baseline { unit: unit.into(), rustc: rustc.into(), figures: figures.clone(), accepted };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_string_pretty(&baseline)? + "\n")?;
    Ok(format!("{count} changes accepted in {}", shown_path(path)))
}

/// What differs by more than half a per cent. All that is new counts as one change.
fn changes(before: &Figures, now: &Figures) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, &now) in now {
        if let Some(&before) = before.get(name)
            && percent(before, now).abs() > 0.5
        {
            changes.push(format!("{name}: {} -> {}", shown(before), shown(now)));
        }
    }
    let new: Vec<&str> = now.keys().filter(|name| !before.contains_key(*name)).map(String::as_str).collect();
    if !new.is_empty() {
        changes.push(format!("new: {}", new.join(", ")));
    }
    let gone: Vec<&str> = before.keys().filter(|name| !now.contains_key(*name)).map(String::as_str).collect();
    if !gone.is_empty() {
        changes.push(format!("gone: {}", gone.join(", ")));
    }
    changes
}

fn read(path: &Path) -> Result<Option<Baseline>, Box<dyn Error>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", shown_path(path)).into()),
    };
    let baseline = serde_json::from_str(&text);
    Ok(Some(baseline.map_err(|error| format!("{} is not a baseline ({error}); restore it", shown_path(path)))?))
}

fn path_of(command: &str) -> PathBuf {
    root().join("docs/baseline").join(format!("{command}.json"))
}

fn shown_path(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn percent(before: f64, now: f64) -> f64 {
    if before == now { 0.0 } else { (now - before) / before * 100.0 }
}

/// A figure: whole, or to a tenth.
pub fn shown(figure: f64) -> String {
    if figure.fract() == 0.0 { format!("{figure}") } else { format!("{figure:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(of: &[(&str, f64)]) -> Figures {
        of.iter().map(|&(name, figure)| (name.to_string(), figure)).collect()
    }

    fn baseline() -> Baseline {
        let figures = figures(&[("cycle", 100.0), ("poll", 20.0)]);
        Baseline { unit: "instructions".into(), rustc: "1".into(), figures, accepted: Vec::new() }
    }

    #[test]
    fn a_rise_over_the_limit_fails_and_one_below_does_not() {
        let verdict = baseline().compare("1", &figures(&[("cycle", 105.1), ("poll", 21.0)]));
        assert_eq!(verdict.failures, ["cycle: 100 -> 105.1 (+5.1 %)"]);
        assert_eq!((verdict.warnings.len(), verdict.largest), (0, 5.0));
    }

    #[test]
    fn a_fall_is_worth_a_note() {
        let verdict = baseline().compare("1", &figures(&[("cycle", 80.0), ("poll", 20.0)]));
        assert_eq!((verdict.failures.len(), verdict.warnings.len()), (0, 1));
    }

    #[test]
    fn another_compiler_may_differ_more() {
        let verdict = baseline().compare("2", &figures(&[("cycle", 114.0), ("poll", 24.0)]));
        assert_eq!(verdict.failures, ["poll: 20 -> 24 (+20.0 %)"]);
        assert_eq!(verdict.warnings.len(), 2, "the compiler, and the cycle");
    }

    #[test]
    fn what_is_on_one_side_only_fails() {
        let verdict = baseline().compare("1", &figures(&[("cycle", 100.0), ("batch", 7.0)]));
        assert_eq!(verdict.failures, ["batch: 7 is not in the baseline", "poll is in the baseline and was not measured"]);
    }

    #[test]
    fn changes_are_named_once() {
        let now = figures(&[("cycle", 101.0), ("batch", 7.0)]);
        assert_eq!(changes(&baseline().figures, &now), ["cycle: 100 -> 101", "new: batch", "gone: poll"]);
        assert!(changes(&now, &now).is_empty());
    }
}
