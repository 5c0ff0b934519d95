//! The committed corpus of malformed files: every file, through every door by which it can come in, gets the documented answer.
#![cfg(all(target_os = "linux", target_endian = "little"))]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use seqslot::{
    AttachError, Config, CreateError, HeadError, PosixSlotAllocator, PosixSlotError, ShmError, ShmFault, ShmReader, ShmWriter, SlotBackend,
    SlotError, SnapshotReader, SnapshotStatus, VmClockReader, platform,
};
use seqslot_hostile::malformed::{KINDS, table};

/// A file of the corpus, as the table beside it tells.
struct File {
    path: PathBuf,
    answer: String,
}

impl File {
    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("malformed").join(kind)
}

fn corpus(kind: &str) -> Vec<File> {
    let table = std::fs::read_to_string(folder(kind).join("answers.tsv")).unwrap();
    let files: Vec<File> = table
        .lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t');
            let path = folder(kind).join(columns.next().unwrap());
            File { path, answer: columns.next().unwrap().to_owned() }
        })
        .collect();
    assert!(files.len() > 10);
    files
}

/// The name of an error's variant.
fn variant(error: &dyn std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(['(', '{', ' ']).next().unwrap().to_owned()
}

#[test]
fn what_is_committed_is_what_is_made_and_nothing_else() {
    for (kind, files) in KINDS {
        let files = files();
        assert_eq!(std::fs::read_to_string(folder(kind).join("answers.tsv")).unwrap(), table(&files), "{kind}");
        for file in &files {
            let committed = std::fs::read(folder(kind).join(&file.name)).unwrap();
            assert!(committed == file.bytes, "{kind}/{} is not what is made", file.name);
        }
        assert_eq!(std::fs::read_dir(folder(kind)).unwrap().count(), files.len() + 1, "{kind}");
    }
}

/// A folder with a copy of the file in it, called `flink`.
fn placed(file: &File) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flink");
    std::fs::copy(&file.path, &path).unwrap();
    (dir, path)
}

#[test]
fn a_flink_that_is_none_is_refused_by_attach() {
    for file in corpus("flink") {
        let (dir, path) = placed(&file);
        let expected = match file.answer.as_str() {
            "NotFound" => AttachError::NotFound,
            "NotASegment" => AttachError::NotASegment,
            other => panic!("{}: no answer is called {other}", file.name()),
        };
        assert_eq!(seqslot::attach(&path).err(), Some(expected.clone()), "{}", file.name());
        assert_eq!(SnapshotReader::<u64>::attach(platform(), &path).err(), Some(expected.clone()), "{}", file.name());
        let face = PosixSlotAllocator::attach(&path).err().unwrap();
        let wanted = if expected == AttachError::NotASegment {
            PosixSlotError::InvalidHeader
        } else {
            PosixSlotError::Shm(ShmFault::Attach(expected))
        };
        assert_eq!(face, wanted, "{}", file.name());
        assert!(std::fs::read(&path).unwrap() == file.bytes(), "{} was changed", file.name());
        assert_eq!(dir.path().read_dir().unwrap().count(), 1, "{}: something was left behind", file.name());
    }
}

#[test]
fn a_flink_that_is_none_is_not_replaced_by_create() {
    for file in corpus("flink") {
        let (dir, path) = placed(&file);
        let (safe, face) = (seqslot::create(&path, &Config::slots(2, 64)).map(drop), PosixSlotAllocator::create(&path, 2, 64).map(drop));
        // A flink of ours whose object is gone is what a creator leaves that was killed: taken over. The name goes with the segment.
        if file.name() == "gone-ours" {
            assert_eq!((safe, face), (Ok(()), Ok(())));
            continue;
        }
        assert_eq!(safe, Err(CreateError::NotASegment), "{}", file.name());
        assert_eq!(face, Err(PosixSlotError::Shm(ShmFault::Create(CreateError::NotASegment))), "{}", file.name());
        assert!(std::fs::read(&path).unwrap() == file.bytes(), "{} was changed", file.name());
        assert_eq!(dir.path().read_dir().unwrap().count(), 1, "{}: something was left behind", file.name());
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// What a new reader answers to the file: its error, or `Ok`.
fn first_snapshot(path: &Path) -> String {
    let first = ShmReader::new(&c_path(path)).and_then(|mut reader| reader.snapshot().map(|bound| bound.bound_nsec()));
    match first {
        Ok(_) => "Ok".into(),
        Err(error) => {
            assert_eq!(error.errno(), 71, "EPROTO: content that is not usable");
            variant(&error)
        }
    }
}

#[test]
fn a_clockbound_segment_gets_its_answer() {
    for file in corpus("clockbound") {
        assert_eq!(first_snapshot(&file.path), file.answer, "{}", file.name());
    }
}

#[test]
fn a_clockbound_segment_that_becomes_so_under_its_reader_gets_its_answer_or_the_last_bound_with_a_status_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shm");
    for good in ["v2-good", "v3-good"] {
        for file in corpus("clockbound") {
            std::fs::copy(folder("clockbound").join(good), &path).unwrap();
            let mut reader = ShmReader::new(&c_path(&path)).unwrap();
            let before = *reader.snapshot().unwrap();
            // In place: the reader keeps the file.
            std::fs::write(&path, file.bytes()).unwrap();
            let name = file.name();
            let after = reader.snapshot_status().map(|now| (*now.bound(), now.status()));
            match (file.answer.as_str(), after) {
                ("Ok", Ok((_, status))) => assert!(status.is_current(), "{name}: {status:?}"),
                // An update that does not end, or nothing: the last bound, and why it is the last.
                ("SegmentNotInitialized", Ok((bound, SnapshotStatus::WriterBusy | SnapshotStatus::Wiped))) => {
                    assert_eq!(bound, before, "{name}");
                }
                (answer, Err(error)) => assert_eq!(variant(&error), answer, "{name}"),
                (answer, Ok(other)) => panic!("{name}: {answer} was expected, and not {other:?}"),
            }
        }
    }
}

#[test]
fn a_clockbound_writer_makes_anew_what_is_no_usable_segment_and_leaves_what_is_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shm");
    for file in corpus("clockbound") {
        std::fs::copy(&file.path, &path).unwrap();
        let name = file.name();
        let is_other = name == "noise" || name.contains("-magic-") && !name.ends_with("-zero");
        match ShmWriter::new(&path) {
            Err(error) => {
                assert_eq!((error, is_other, std::fs::read(&path).unwrap()), (ShmError::NotASegment, true, file.bytes()), "{name}")
            }
            Ok(_) => assert!(!is_other, "{name}"),
        }
    }
}

#[test]
fn now_of_an_absurd_bound_is_an_error_and_no_overflow() {
    for (name, answer) in [
        ("v2-drift-1e9", Some(ShmError::SegmentMalformed)),
        ("v3-drift-1e9", Some(ShmError::SegmentMalformed)),
        ("v2-as-of-max", Some(ShmError::CausalityBreach)),
        ("v3-period-zero", Some(ShmError::SegmentMalformed)),
        ("v2-good", None),
    ] {
        let mut reader = ShmReader::new(&c_path(&folder("clockbound").join(name))).unwrap();
        assert_eq!(reader.snapshot().unwrap().now().err(), answer, "{name}");
    }
    // Every other value there is: an answer.
    for file in corpus("clockbound").into_iter().filter(|file| file.answer == "Ok") {
        let mut reader = ShmReader::new(&c_path(&file.path)).unwrap();
        let bound = *reader.snapshot().unwrap();
        if let Ok((earliest, latest, _)) = bound.now() {
            assert!(earliest <= latest, "{}", file.name());
        }
        let _ = bound.age();
    }
}

#[test]
fn a_vmclock_page_gets_its_answer() {
    for file in corpus("vmclock") {
        let found = VmClockReader::new(&file.path).and_then(|mut reader| reader.snapshot().map(|page| page.disruption_marker()));
        match found {
            Ok(marker) => assert_eq!((marker, file.answer.as_str()), (7, "Ok"), "{}", file.name()),
            Err(error) => assert_eq!(variant(&error), file.answer, "{}", file.name()),
        }
    }
}

/// An object of those bytes in shared memory, under a name as the crate draws them, and a flink that names it.
struct Object {
    dir: tempfile::TempDir,
    object: PathBuf,
}

impl Object {
    fn new(file: &File, number: usize) -> Self {
        let name = format!("shmem_{:08X}{number:08X}", std::process::id());
        let object = Path::new("/dev/shm").join(&name);
        std::fs::write(&object, file.bytes()).unwrap();
        std::fs::set_permissions(&object, std::fs::Permissions::from_mode(0o600)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("flink"), format!("/{name}")).unwrap();
        Self { dir, object }
    }

    fn flink(&self) -> PathBuf {
        self.dir.path().join("flink")
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.object);
    }
}

#[test]
fn a_zerodds_segment_gets_its_answer() {
    for (number, file) in corpus("zds2").into_iter().enumerate() {
        let object = Object::new(&file, number);
        let name = file.name();
        match (file.answer.as_str(), PosixSlotAllocator::attach(object.flink())) {
            ("InvalidHeader", answer) => assert_eq!(answer.err(), Some(PosixSlotError::InvalidHeader), "{name}"),
            ("NotReady", answer) => {
                let not_ready = AttachError::Head(HeadError::NotReady);
                assert_eq!(answer.err(), Some(PosixSlotError::Shm(ShmFault::Attach(not_ready))), "{name}");
            }
            ("Ok", answer) => {
                let slots = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
                let sample = slots.next_unread_slot(3).unwrap().unwrap();
                assert_eq!(slots.read_slot(sample).unwrap().1, b"hello", "{name}");
                slots.mark_read(sample, 3).unwrap();
                assert_eq!(slots.next_unread_slot(3), Ok(None), "{name}");
            }
            ("SampleTooLarge", answer) => {
                let slots = answer.unwrap();
                let told = slots.next_unread_slot(3).and_then(|sample| slots.read_slot(sample.expect("it claims to be one")));
                assert!(matches!(told, Err(SlotError::SampleTooLarge { slot_capacity: 112, .. })), "{name}: {told:?}");
            }
            (other, _) => panic!("{name}: no answer is called {other}"),
        }
        // A name of another system's object has an owner that nobody knows to be dead.
        let taken = PosixSlotAllocator::create_zds2(object.flink(), 2, 64).err();
        assert_eq!(taken, Some(PosixSlotError::Shm(ShmFault::Create(CreateError::NotASegment))), "{name}");
    }
}
