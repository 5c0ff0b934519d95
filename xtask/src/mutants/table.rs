//! The table of what becomes of every weakened ordering: core/tests/mutations.toml.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use super::sites::Site;

const HEADER: &str = "\
# What becomes of every ordering above Relaxed and of every fence in core/src when it is weakened; see `cargo xtask mutants --help`.
#
# A section is a file below core/src; a key is function, ordinal of the site in functions of that name, operation, variant:
# relaxed, acquire, release (the ordering that is left), failure_relaxed (of a compare-and-exchange), no_fence (left out).
# A value is the test binary and the loom model that must fail. `slow`: not within a few seconds, so that `--small` leaves it out.
# `survives`: no model fails, and why the ordering stays nevertheless; with `model`, that model runs the site weakened, and must pass.
#
# `cargo xtask mutants --discover` finds models for what has no row, drops rows without a site, and writes the file anew.
";

/// What must become of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Caught { model: String, slow: bool },
    Survives { reason: String, model: Option<String> },
}

/// Rows by file and key.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<(String, String), Row>,
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut rows = BTreeMap::new();
        for (file, section) in text.parse::<toml::Table>()? {
            let section = section.as_table().ok_or_else(|| format!("{file}: not a section"))?;
            for (key, value) in section {
                let row =
                    row(value).ok_or_else(|| format!("{file}, {key}: a row is a model, or a table of caught, slow, survives, model"))?;
                rows.insert((file.clone(), key.clone()), row);
            }
        }
        Ok(Self { rows })
    }

    pub fn get(&self, file: &str, key: &str) -> Option<&Row> {
        self.rows.get(&(file.to_string(), key.to_string()))
    }

    pub fn set(&mut self, file: &str, key: &str, row: Row) {
        self.rows.insert((file.to_string(), key.to_string()), row);
    }

    /// Variants without a row, and rows without a variant.
    pub fn disagreements(&self, sites: &[Site]) -> Vec<String> {
        let known: Vec<(&str, String)> = sites.iter().flat_map(|site| site.keys().map(|key| (site.file.as_str(), key))).collect();
        let missing = known.iter().filter(|(file, key)| self.get(file, key).is_none());
        let mut found: Vec<String> = missing.map(|(file, key)| format!("no row for [\"{file}\"] \"{key}\"")).collect();
        let stale = self.rows.keys().filter(|(file, key)| !known.iter().any(|(of, name)| of == file && name == key));
        found.extend(stale.map(|(file, key)| format!("no such site: [\"{file}\"] \"{key}\"")));
        found
    }

    /// Writes the rows of these sites, in their order.
    pub fn write(&self, path: &Path, sites: &[Site]) -> Result<(), Box<dyn Error>> {
        let mut text = HEADER.to_string();
        let mut file = "";
        for site in sites {
            for key in site.keys() {
                let Some(row) = self.get(&site.file, &key) else { continue };
                if file != site.file {
                    file = &site.file;
                    write!(text, "\n[{}]\n", quoted(file))?;
                }
                writeln!(text, "{} = {}", quoted(&key), shown(row))?;
            }
        }
        Ok(std::fs::write(path, text)?)
    }
}

fn row(value: &toml::Value) -> Option<Row> {
    if let Some(model) = value.as_str() {
        return Some(Row::Caught { model: model.into(), slow: false });
    }
    let table = value.as_table()?;
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str).map(String::from);
    match (text("caught"), text("survives")) {
        (Some(model), None) => Some(Row::Caught { model, slow: table.get("slow")?.as_bool()? }),
        (None, Some(reason)) => Some(Row::Survives { reason, model: text("model") }),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn shown(row: &Row) -> String {
    match row {
        Row::Caught { model, slow: false } => quoted(model),
        Row::Caught { model, slow: true } => format!("{{ caught = {}, slow = true }}", quoted(model)),
        Row::Survives { reason, model: None } => format!("{{ survives = {} }}", quoted(reason)),
        Row::Survives { reason, model: Some(model) } => format!("{{ survives = {}, model = {} }}", quoted(reason), quoted(model)),
    }
}
