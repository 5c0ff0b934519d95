//! A failure, and how it is found: a panic anywhere in a system, told with the step at which it came.

use core::fmt;
use std::cell::{Cell, RefCell};
use std::sync::Once;

/// What a failing seed tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Replays it.
    pub seed: u64,
    /// At which step it was found.
    pub step: u64,
    /// What was wrong, and where.
    pub what: String,
    /// What the seed had made of the system.
    pub plan: String,
    /// The last accesses, oldest first.
    pub events: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} failed at step {}: {}", self.seed, self.step, self.what)?;
        writeln!(f, "the system: {}", self.plan)?;
        writeln!(f, "the last steps:")?;
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        write!(f, "to see it again: cargo xtask sim --replay {}", self.seed)
    }
}

impl std::error::Error for Failure {}

thread_local! {
    /// Panics on this thread are kept, not printed.
    static KEEPS: Cell<bool> = const { Cell::new(false) };
    static KEPT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// While it lives, panics on this thread are kept and not printed.
pub(crate) struct Keeping;

impl Keeping {
    pub(crate) fn new() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if KEEPS.get() {
                    // The first counts: a second one comes of it.
                    KEPT.with_borrow_mut(|kept| _ = kept.get_or_insert_with(|| panic.to_string()));
                } else {
                    before(panic);
                }
            }));
        });
        KEEPS.set(true);
        KEPT.set(None);
        Self
    }

    /// What panicked, if anything did.
    pub(crate) fn take() -> Option<String> {
        KEPT.take()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        KEEPS.set(false);
    }
}
