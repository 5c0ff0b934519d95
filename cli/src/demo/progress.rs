//! Progress: the writer publishes it in a snapshot cell, the parent reads it from there and draws a bar.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seqslot::{CreateError, Platform};
use seqslot_core::{SnapshotConfig, SnapshotReader, SnapshotWriter};

use crate::{fail, size};

/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(2);

/// Bytes and samples committed so far.
type State = [u64; 2];

/// The writer's end.
pub struct Cell(SnapshotWriter<Platform, State>);

impl Cell {
    /// Makes the cell.
    ///
    /// # Errors
    /// As for any segment.
    pub fn create(path: &Path) -> Result<Self, CreateError> {
        SnapshotWriter::create(seqslot::platform(), path, SnapshotConfig::of::<State>()).map(Self)
    }

    /// Publishes; no system call.
    pub fn publish(&mut self, bytes: u64, samples: u64) {
        // Only a forked child's handle is refused, and for people only.
        let _ = self.0.publish(&[bytes, samples]);
    }
}

/// The parent's end: reads the cell, and draws.
pub struct Progress {
    cell: Option<SnapshotReader<Platform, State>>,
    bar: Option<ProgressBar>,
    total: u64,
    line: Instant,
}

impl Progress {
    /// Begins.
    pub fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { cell: None, bar, total, line: Instant::now() }
    }

    /// Looks at the cell, which may not be there yet, and draws what it says.
    pub fn look(&mut self, path: &Path) {
        if self.cell.is_none() {
            self.cell = SnapshotReader::attach(seqslot::platform(), path).ok();
        }
        // Nothing published yet, or overtaken: the next look comes soon.
        let Some(Ok(state)) = self.cell.as_mut().map(|cell| cell.snapshot().map(|snapshot| *snapshot)) else { return };
        let [bytes, samples] = state;
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{samples} samples"));
        } else if self.line.elapsed() >= LINES {
            self.line = Instant::now();
            fail::say(&format!("{} of {}, {samples} samples", size::text(bytes), size::text(self.total)));
        }
    }

    /// Tells something above the bar.
    pub fn tell(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => fail::say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
