//! Which model fails for a variant that has no row yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::models::{Binaries, End};
use super::sites::Site;
use super::table::{Row, Table};
use super::{Args, Variant, each};
use crate::run::Outcome;

/// How long a model is traced at most: the first executions come by nearly everything.
const TRACE: Duration = Duration::from_secs(1);
/// What is not caught within this is left out of `--small`.
const SLOW: Duration = Duration::from_secs(1);

/// A variant without a row, and the models that may yet fail for it.
struct Open<'a> {
    variant: Variant<'a>,
    passed: Mutex<Vec<String>>,
    left: Mutex<Vec<String>>,
}

/// Tries models on every variant without a row and writes the table: all of them for a short time, then those left for longer.
pub fn run(sites: &[Site], table: &mut Table, path: &Path, args: &Args) -> Outcome {
    let (only, limit) = (args.only.as_str(), Duration::from_secs(args.limit));
    let wanted: Vec<Variant<'_>> = Variant::all(sites)
        .filter(|variant| table.get(&variant.site.file, &variant.key).is_none() && variant.name().contains(only))
        .collect();
    let binaries = Binaries::build()?;
    let mut models = binaries.models()?;
    models.retain(|model| args.models.is_empty() || args.models.iter().any(|part| model.contains(part)));
    let executing = trace(&binaries, &models, &wanted)?;
    let count = wanted.len();
    let candidates = |variant: &Variant<'_>| executing.get(&variant.site.place).cloned().unwrap_or_default();
    let mut open: Vec<Open<'_>> =
        wanted.into_iter().map(|variant| Open { left: Mutex::new(candidates(&variant)), variant, passed: Mutex::default() }).collect();
    for (limit, slow) in [(SLOW, false), (limit, true)] {
        let found = Mutex::new(Vec::new());
        each(&open, |open| {
            let row = search(&binaries, open, limit, slow);
            println!("{} -> {row:?}", open.variant.name());
            if let Ok(Some(row)) = row {
                lock(&found).push((open.variant.site.file.clone(), open.variant.key.clone(), row));
            }
        });
        for (file, key, row) in lock(&found).drain(..) {
            table.set(&file, &key, row);
        }
        table.write(path, sites)?;
        open.retain(|open| table.get(&open.variant.site.file, &open.variant.key).is_none());
    }
    if open.is_empty() {
        return Ok(format!("found a model for each of {count} variants"));
    }
    let missed = open.iter().map(|open| {
        let (passed, left) = (lock(&open.passed).join(", "), lock(&open.left).join(", "));
        format!("{}\n    passed: {passed}\n    no end: {left}", open.variant.name())
    });
    Err(format!("{} of {count} variants are not caught:\n{}", open.len(), missed.collect::<Vec<_>>().join("\n")).into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Models by the places of open variants that they execute, those that end soonest first.
fn trace(
    binaries: &Binaries,
    models: &[String],
    open: &[Variant<'_>],
) -> Result<BTreeMap<String, Vec<String>>, Box<dyn std::error::Error>> {
    let places: BTreeSet<&str> = open.iter().map(|variant| variant.site.place.as_str()).collect();
    let traced = Mutex::new(Vec::new());
    each(models, |model| {
        let started = Instant::now();
        let ran = binaries.run(model, None, TRACE);
        let executed = ran.map_err(|error| error.to_string()).and_then(|ran| match ran.end {
            // What fails by itself catches nothing.
            End::Failed(why) => Err(format!("{model} fails with nothing weakened: {why}")),
            End::Passed | End::Unfinished => Ok(ran.executed),
        });
        lock(&traced).push((started.elapsed(), model, executed));
    });
    let mut traced = traced.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    traced.sort_by_key(|(took, ..)| *took);
    let mut executing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, model, executed) in traced {
        for place in executed?.into_iter().filter(|place| places.contains(place.as_str())) {
            executing.entry(place).or_default().push(model.clone());
        }
    }
    Ok(executing)
}

/// The first model that fails.
fn search(binaries: &Binaries, open: &Open<'_>, limit: Duration, slow: bool) -> Result<Option<Row>, String> {
    let mut left = Vec::new();
    for model in lock(&open.left).drain(..) {
        match binaries.run(&model, Some(&open.variant.told()), limit).map_err(|error| error.to_string())?.end {
            End::Failed(_) => return Ok(Some(Row::Caught { model, slow })),
            End::Passed => lock(&open.passed).push(model),
            End::Unfinished => left.push(model),
        }
    }
    *lock(&open.left) = left;
    Ok(None)
}
