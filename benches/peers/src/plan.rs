//! What a run is to do, and where it may leave files.

use std::error::Error;
use std::path::{Path, PathBuf};

/// What measuring gives: nothing, or what went wrong.
pub type Outcome = Result<(), Box<dyn Error>>;
/// Where measuring says what it is at.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// CPU of the side that starts, and of all that has one thread.
pub const CPU: usize = 0;
/// CPU of the other side.
#[allow(dead_code, reason = "for the rows of two processes")]
pub const OTHER_CPU: usize = 1;

/// What a run is to do.
pub struct Plan {
    /// Rows to run; all if empty.
    pub only: Vec<String>,
    /// A tenth of the work: to see that everything runs.
    pub quick: bool,
    /// Rounds of each row.
    pub rounds: usize,
    scratch: PathBuf,
}

impl Plan {
    /// A plan with a scratch folder of its own: in memory where there is such a place, for what a disk takes to make the files that
    /// segments are found by is nobody's figure, and differs from run to run.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(only: Vec<String>, quick: bool, rounds: usize) -> Result<Self, Box<dyn Error>> {
        let memory = Path::new(crate::scratch::OBJECTS);
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        crate::scratch::sweep(&base);
        let scratch = base.join(format!("{}{}", crate::scratch::PREFIX, std::process::id()));
        std::fs::create_dir_all(&scratch).map_err(|error| format!("no scratch folder {}: {error}", scratch.display()))?;
        Ok(Self { only, quick, rounds, scratch })
    }

    /// True where the row of this key is to be run.
    pub fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == row)
    }

    /// `count`, or a tenth of it in a quick run.
    pub fn scaled(&self, count: usize) -> usize {
        if self.quick { (count / 10).max(1) } else { count }
    }

    /// A folder that goes with the plan: for flink files and the like.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        crate::scratch::clear(&self.scratch);
    }
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// If the system refuses: figures of threads that wander mean nothing.
pub fn pin(cpu: usize) -> Outcome {
    // SAFETY: a set of CPUs is a plain bit mask; all zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: `set` is ours; the macro's function checks the number against the set's length.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is as long as told, and only read.
    let answer = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if answer == 0 { Ok(()) } else { Err(format!("cannot stay on CPU {cpu}: two CPUs are needed").into()) }
}
