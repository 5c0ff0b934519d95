//! Cleaning up: the folder of a run, the shared memory objects that files in it name, and those that carry the run's prefix.

use std::path::Path;

/// Where Linux shows its shared memory objects.
pub const OBJECTS: &str = "/dev/shm";

/// What scratch folders are called, before the number of their process.
pub const PREFIX: &str = "seqslot-peers-";

/// Clears the scratch folders in `base` of processes that are no more: a run that was killed could not.
pub fn sweep(base: &Path) {
    for folder in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = folder.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            clear(&folder.path());
        }
    }
}

/// Removes the folder, the objects its flink files name, and those whose names contain the folder's own name.
///
/// All of it is gone already where every side ended well; this is for what a side that was killed has left.
pub fn clear(folder: &Path) {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Ok(object) = std::fs::read_to_string(file.path()) {
            let object = object.trim().trim_start_matches('/');
            // Names only: nothing in a flink file leads out of the folder of objects.
            if !object.is_empty() && !object.contains('/') && object != ".." && object != "." {
                let _ = std::fs::remove_file(Path::new(OBJECTS).join(object));
            }
        }
    }
    for object in std::fs::read_dir(OBJECTS).into_iter().flatten().flatten() {
        if !name.is_empty() && object.file_name().to_string_lossy().contains(&name) {
            let _ = std::fs::remove_file(object.path());
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_killed_left_goes_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("seqslot-peers-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let objects = ["named-by-flink", "prefix"].map(|what| format!("seqslot-{what}-{}", std::process::id()));
        let prefixed = format!("{}-left", folder.file_name().expect("a name").to_string_lossy());
        for object in objects.iter().chain([&prefixed]) {
            std::fs::write(Path::new(OBJECTS).join(object), "bytes").expect("an object");
        }
        std::fs::write(folder.join("a.flink"), format!("/{}", objects[0])).expect("a file");
        clear(&folder);
        let is_there = |object: &String| Path::new(OBJECTS).join(object).exists();
        assert_eq!((is_there(&objects[0]), is_there(&objects[1]), is_there(&prefixed)), (false, true, false));
        assert!(!folder.exists());
        std::fs::remove_file(Path::new(OBJECTS).join(&objects[1])).expect("our object");
    }

    #[test]
    fn only_the_folders_of_the_dead_are_swept() {
        let base = std::env::temp_dir().join(format!("seqslot-sweep-test-{}", std::process::id()));
        // Above the largest number that Linux gives to a process.
        let [dead, alive, other] = [format!("{PREFIX}4194305"), format!("{PREFIX}{}", std::process::id()), format!("{PREFIX}x")];
        for name in [&dead, &alive, &other] {
            std::fs::create_dir_all(base.join(name)).expect("a folder");
        }
        sweep(&base);
        assert_eq!([dead, alive, other].map(|name| base.join(name).exists()), [false, true, true]);
        std::fs::remove_dir_all(base).expect("our folder");
    }
}
