//! One ordering or fence of the core's source weakened, named by where it stands in the file.
//!
//! `LOOM_SITE=core/src/slots/commit.rs:56:23=relaxed` weakens one for the whole process; `LOOM_TRACE=1` says which ones a model executes.
//! The memory's methods are `track_caller` under loom, so that they know the line that called them. `cargo xtask mutants` sets both.

use std::collections::HashSet;
use std::panic::Location;
use std::sync::{Mutex, OnceLock};

use seqslot_core::Ordering;

/// What is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weaker {
    /// This ordering in place of the one it has.
    To(Ordering),
    /// Of a compare-and-exchange that fails.
    Failure,
    NoFence,
}

/// What the process was told to weaken.
struct Chosen {
    place: String,
    weaker: Weaker,
}

fn chosen() -> Option<&'static Chosen> {
    static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let told = std::env::var("LOOM_SITE").ok()?;
        let (place, weaker) = told.split_once('=').expect("LOOM_SITE is file:line:column=variant");
        let weaker = match weaker {
            "relaxed" => Weaker::To(Ordering::Relaxed),
            "acquire" => Weaker::To(Ordering::Acquire),
            "release" => Weaker::To(Ordering::Release),
            "failure_relaxed" => Weaker::Failure,
            "no_fence" => Weaker::NoFence,
            other => panic!("LOOM_SITE knows no variant {other}"),
        };
        Some(Chosen { place: place.into(), weaker })
    });
    chosen.as_ref()
}

fn is_traced() -> bool {
    static TRACED: OnceLock<bool> = OnceLock::new();
    *TRACED.get_or_init(|| std::env::var_os("LOOM_TRACE").is_some())
}

/// Says once for each line of standard error; loom itself must not see it.
fn say_once(line: String) {
    static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut said = SAID.lock().expect("no panic");
    let said = said.get_or_insert_default();
    if !said.contains(&line) {
        eprintln!("{line}");
        said.insert(line);
    }
}

/// What is weakened at this place.
fn weaker(place: &Location<'_>) -> Option<Weaker> {
    if is_traced() && place.file().starts_with("core/src/") {
        say_once(format!("executes {place}"));
    }
    let chosen = chosen()?;
    if place.file().len() >= chosen.place.len() || !chosen.place.starts_with(place.file()) || chosen.place != place.to_string() {
        return None;
    }
    say_once(format!("weakens {place}"));
    Some(chosen.weaker)
}

/// The ordering that is left of `order` at this place. (A stand-in for a lost store may be Relaxed already.)
pub fn order(place: &Location<'_>, order: Ordering) -> Ordering {
    match weaker(place) {
        Some(Weaker::To(weak)) if order != Ordering::Relaxed => weak,
        _ => order,
    }
}

/// The orderings that are left of a compare-and-exchange.
pub fn orders(place: &Location<'_>, success: Ordering, failure: Ordering) -> (Ordering, Ordering) {
    match weaker(place) {
        Some(Weaker::To(weak)) => (weak, failure),
        Some(Weaker::Failure) => (success, Ordering::Relaxed),
        _ => (success, failure),
    }
}

/// Whether the fence of this place is still there.
pub fn is_fenced(place: &Location<'_>) -> bool {
    weaker(place) != Some(Weaker::NoFence)
}
