//! The other side: this program again, on a CPU of its own, or a thread where a system has no memory to share.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::shared::Desk;
use super::systems::{CellKind, LaneKind};
use crate::plan::{OTHER_CPU, pin};

/// What the other side is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Part {
    /// Send each sample back.
    Echo(LaneKind),
    /// Receive a stream.
    Drain(LaneKind),
    /// Sleep until woken.
    Sleep(LaneKind),
    /// Write a cell back-to-back.
    Write(CellKind),
    /// Send bare lines back.
    Lines,
}

/// Where the other side finds something.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// A path that nobody else uses.
    pub name: PathBuf,
    /// Inherited descriptors.
    pub descriptors: Vec<RawFd>,
}

/// All that the other side needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// What it does.
    pub part: Part,
    /// Where it finds what the two share: there and back.
    pub places: [Place; 2],
    /// The desk.
    pub desk: RawFd,
    /// Bytes of a sample.
    pub len: usize,
    /// Slots.
    pub slots: usize,
    /// Samples that are not counted, and those that are.
    pub warm: u64,
    /// See `warm`.
    pub count: u64,
}

/// The running other side.
pub struct Other(Option<JoinHandle<()>>);

impl Other {
    /// Starts it, as a process or as a thread.
    pub fn start(is_thread: bool, start: Start, desk: &Arc<Desk>) -> Self {
        if is_thread {
            let desk = Arc::clone(desk);
            Self::thread(move || super::play_part(&start, &desk))
        } else {
            Self::process(&start)
        }
    }

    /// Starts it as a process. If it fails, this process ends: nobody would answer it any more.
    fn process(start: &Start) -> Self {
        let scratch = start.places[0].name.parent().map(Path::to_path_buf);
        let start = serde_json::to_string(start).expect("plain data");
        let exe = std::env::current_exe().expect("this program");
        let mut child = Command::new(exe).arg("other-side").arg(start).spawn().expect("this program again");
        Self::watched(std::thread::spawn(move || {
            let status = child.wait().expect("our child");
            if !status.success() {
                eprintln!("failed: the other side ended with {status}");
                if let Some(scratch) = scratch {
                    crate::scratch::clear(&scratch);
                }
                std::process::exit(1);
            }
        }))
    }

    /// Starts it as a thread.
    fn thread(play: impl FnOnce() + Send + 'static) -> Self {
        Self::watched(std::thread::spawn(move || {
            let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pin(OTHER_CPU).expect("two CPUs");
                play();
            }));
            if end.is_err() {
                eprintln!("failed: the other side panicked");
                std::process::exit(1);
            }
        }))
    }

    fn watched(handle: JoinHandle<()>) -> Self {
        Self(Some(handle))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            // It has ended the process if it failed.
            let _ = handle.join();
        }
    }
}

/// Plays the other side in a process of its own.
pub fn play(start: &str) -> crate::plan::Outcome {
    let start: Start = serde_json::from_str(start)?;
    // SAFETY: plain numbers; the kernel ends this process when the one that measures is gone.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    pin(OTHER_CPU)?;
    let desk = Desk::inherited(start.desk);
    super::play_part(&start, &desk);
    Ok(())
}
