//! Rows of two processes. None is measured yet: the table shows them as such.

use crate::figure::Figure;
use crate::plan::{Outcome, Plan, Progress};

/// What this program is when it runs itself as the other side of a row.
#[derive(clap::Subcommand)]
pub enum Role {}

/// Plays the other side.
///
/// # Errors
/// What went wrong on this side.
pub fn play(role: &Role) -> Outcome {
    match *role {}
}

/// Measures the wanted rows of two processes.
///
/// # Errors
/// What went wrong on either side.
pub fn measure(_plan: &Plan, _out: &mut Vec<Figure>, _progress: Progress<'_>) -> Outcome {
    Ok(())
}
