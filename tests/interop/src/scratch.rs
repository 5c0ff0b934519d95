//! Scratch folders: made for a part of the run, and removed with everything that files in them name.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Linux shows its shared memory objects.
pub const OBJECTS: &str = "/dev/shm";
/// What scratch folders are called, before the number of their process.
const PREFIX: &str = "seqslot-interop-";

/// A folder that goes with the value. So do the shared memory objects that flinks in it name: the originals leave theirs behind when
/// they are killed.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder.
    pub fn new() -> std::io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        sweep(&base);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        clear(&self.0);
    }
}

/// Clears the scratch folders of processes that are no more: a run that was killed could not.
fn sweep(base: &Path) {
    for folder in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = folder.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            clear(&folder.path());
        }
    }
}

fn clear(folder: &Path) {
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Some(object) = object_of(&file.path()) {
            let _ = std::fs::remove_file(object);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// The file of the shared memory object that a flink names, if it names one. Nothing in a flink leads out of the folder of objects.
pub fn object_of(flink: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(flink).ok()?;
    let name = text.trim().trim_start_matches('/');
    let is_name = !name.is_empty() && name.len() < 200 && !name.contains(['/', '\0']) && name != "." && name != "..";
    is_name.then(|| Path::new(OBJECTS).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_and_the_objects_that_its_files_name() {
        let scratch = Scratch::new().expect("a folder");
        let object = Path::new(OBJECTS).join(format!("seqslot-interop-test-{}", std::process::id()));
        std::fs::write(&object, "bytes").expect("an object");
        std::fs::write(scratch.join("a.flink"), format!("/{}", object.file_name().expect("a name").to_string_lossy())).expect("a flink");
        std::fs::write(scratch.join("lies.flink"), "/../etc/nothing").expect("a flink");
        assert_eq!(object_of(&scratch.join("lies.flink")), None);
        let folder = scratch.join("");
        drop(scratch);
        assert_eq!((object.exists(), folder.exists()), (false, false));
    }
}
