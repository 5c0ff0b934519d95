//! Every ordering above Relaxed and every fence of the core weakened, one at a time: a loom model must fail.
//!
//! [`sites`] reads core/src, [`table`] what must become of each variant, [`models`] runs one, [`discover`] finds models for new rows.

mod discover;
mod models;
mod sites;
mod table;

use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::run::{Outcome, root};
use models::{Binaries, End};
use sites::Site;
use table::{Row, Table};

#[derive(clap::Args)]
pub struct Args {
    /// Leave out what takes more than a few seconds: what CI has time for
    #[arg(long)]
    small: bool,
    /// Only rows whose file, key or model contains this text
    #[arg(long, default_value = "")]
    only: String,
    /// Find a model that fails for every variant without a row, drop rows without a site, and write the table anew
    #[arg(long)]
    discover: bool,
    /// With --discover: try models whose name contains one of these only
    #[arg(long, value_delimiter = ',', requires = "discover")]
    models: Vec<String>,
    /// Seconds of processor time that a weakened model may take
    #[arg(long, default_value_t = 300)]
    limit: u64,
    /// Only list the sites and their variants, and what the table says
    #[arg(long)]
    list: bool,
}

impl Args {
    /// All of them.
    pub fn all() -> Self {
        Self { small: false, only: String::new(), discover: false, models: Vec::new(), limit: 300, list: false }
    }
}

/// Processes at a time.
const WORKERS: usize = 2;

/// One variant of one site, and its row.
struct Variant<'a> {
    site: &'a Site,
    key: String,
    variant: &'static str,
}

impl Variant<'_> {
    fn all(sites: &[Site]) -> impl Iterator<Item = Variant<'_>> {
        sites.iter().flat_map(|site| site.keys().zip(&site.variants).map(move |(key, variant)| Variant { site, key, variant }))
    }

    fn name(&self) -> String {
        format!("{} {}", self.site.file, self.key)
    }

    /// As `LOOM_SITE` has it.
    fn told(&self) -> String {
        format!("{}={}", self.site.place, self.variant)
    }
}

pub fn run(args: &Args) -> Outcome {
    let sites = sites::all(&root().join("core/src"), "core/src")?;
    let path = root().join("core/tests/mutations.toml");
    let mut table = Table::read(&path)?;
    if args.list {
        return Ok(list(&sites, &table, &args.only));
    }
    if args.discover {
        return discover::run(&sites, &mut table, &path, args);
    }
    let disagreements = table.disagreements(&sites);
    if !disagreements.is_empty() {
        return Err(format!("core/tests/mutations.toml and core/src disagree:\n{}", disagreements.join("\n")).into());
    }
    apply(args, &sites, &table)
}

fn list(sites: &[Site], table: &Table, only: &str) -> String {
    let (mut variants, mut shown) = (0, 0);
    for variant in Variant::all(sites) {
        variants += 1;
        let line = format!("{}\t{}\t{:?}", variant.site.place, variant.name(), table.get(&variant.site.file, &variant.key));
        if line.contains(only) {
            shown += 1;
            println!("{line}");
        }
    }
    format!("{} sites in core, {variants} variants, {shown} shown", sites.len())
}

/// Applies the variants, each in a process of its own.
fn apply(args: &Args, sites: &[Site], table: &Table) -> Outcome {
    let wanted: Vec<(Variant<'_>, &Row)> = Variant::all(sites)
        .filter_map(|variant| table.get(&variant.site.file, &variant.key).map(|row| (variant, row)))
        .filter(|(variant, row)| format!("{} {row:?}", variant.name()).contains(&args.only))
        .filter(|(_, row)| !args.small || !matches!(row, Row::Caught { slow: true, .. } | Row::Survives { model: Some(_), .. }))
        .collect();
    if wanted.is_empty() {
        return Err("no such row".into());
    }
    let binaries = Binaries::build()?;
    let limit = Duration::from_secs(args.limit);
    let done = Mutex::new((0, Vec::new()));
    each(&wanted, |(variant, row)| {
        let started = Instant::now();
        let (good, what) = match judge(&binaries, variant, row, limit) {
            Ok(what) => (true, what),
            Err(error) => (false, format!("WRONG: {error}")),
        };
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.0 += 1;
        let line = format!("{}: {what} ({:.1} s)", variant.name(), started.elapsed().as_secs_f32());
        println!("[{}/{}] {line}", done.0, wanted.len());
        if !good {
            done.1.push(line);
        }
    });
    let wrong = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).1;
    let exceptions = wanted.iter().filter(|(_, row)| matches!(row, Row::Survives { .. })).count();
    let not_run = wanted.iter().filter(|(_, row)| matches!(row, Row::Survives { model: None, .. })).count();
    let to_catch = wanted.len() - exceptions;
    if !wrong.is_empty() {
        return Err(format!("{} of {} rows are wrong:\n{}", wrong.len(), wanted.len(), wrong.join("\n")).into());
    }
    Ok(format!(
        "caught {to_catch} of {to_catch} weakened orderings and fences; {exceptions} known exceptions ({not_run} of them run by no model); \
         {} sites in core",
        sites.len()
    ))
}

/// Works through a list, two at a time.
fn each<'a, T: Sync>(list: &'a [T], work: impl Fn(&'a T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(item) = list.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// Whether a variant ends as its row says.
fn judge(binaries: &Binaries, variant: &Variant<'_>, row: &Row, limit: Duration) -> Result<String, Box<dyn Error>> {
    let (model, must_fail) = match row {
        Row::Caught { model, .. } => (model, true),
        Row::Survives { model: Some(model), .. } => (model, false),
        Row::Survives { reason, model: None } => return Ok(format!("known to survive: {reason}")),
    };
    let ran = binaries.run(model, Some(&variant.told()), limit)?;
    if !ran.weakened {
        return Err(format!("{model} does not come by").into());
    }
    match (ran.end, must_fail) {
        (End::Failed(why), true) => Ok(format!("caught: {why}")),
        (End::Failed(why), false) => Err(format!("{model} catches it, though it is listed as an exception: {why}").into()),
        (End::Passed, false) => Ok(format!("{model} passes, as listed")),
        (End::Passed, true) => Err(format!("NOT CAUGHT by {model}").into()),
        (End::Unfinished, _) => Err(format!("{model} did not end in time").into()),
    }
}
