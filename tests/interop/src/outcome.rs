//! What parts of the run come to.

use serde::Serialize;

/// A part's result, or what went wrong.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Fails with a message unless it holds.
pub fn ensure(holds: bool, message: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// A fault of an original that was shown, beside ours that has it not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The original.
    pub of: &'static str,
    /// The name it has here.
    pub name: String,
}

impl Fault {
    /// By the name that `Debug` prints.
    pub fn of(of: &'static str, name: &dyn std::fmt::Debug) -> Self {
        Self { of, name: format!("{name:?}") }
    }
}
