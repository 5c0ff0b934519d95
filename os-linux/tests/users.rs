//! Other users: kept out by default, let in through the group, and told what is wrong. Skipped, with the reason printed, unless root
//! runs it: only root can become somebody else.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use seqslot_core::{AttachError, Cause, Config, CreateError, CreateFault, Os, Segment};
use seqslot_os_linux::{Linux, RemoveError};

/// A user and a group that need no name.
const USER: u32 = 54_321;
const GROUP: u32 = 54_322;

/// A place that every user can enter, and the tests' executable in it.
struct Commons {
    dir: tempfile::TempDir,
}

impl Commons {
    /// `None`, with the reason printed, where nobody can become somebody else.
    fn new() -> Option<Self> {
        if !is_root() {
            println!("skipped: only root can become another user");
            return None;
        }
        let tried = Command::new("setpriv").args(["--reuid", &USER.to_string(), "--clear-groups", "true"]).status();
        if !tried.as_ref().is_ok_and(std::process::ExitStatus::success) {
            println!("skipped: no setpriv command, or it is not allowed ({tried:?})");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        // The build folder may be closed to others. Copied by a process of its own: a file that is open for writing here could still be
        // so in a child that another test's thread forks just now, and then nobody may execute it.
        let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(dir.path().join("exe")).status().unwrap();
        assert!(copied.success(), "cp: {copied}");
        std::fs::set_permissions(dir.path().join("exe"), Permissions::from_mode(0o755)).unwrap();
        Some(Self { dir })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("s.flink")
    }

    /// Tells everybody which object it is: that alone must not let them in.
    fn publish_object(&self) {
        let file = self.dir.path().join("object");
        std::fs::copy(self.path(), &file).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    }

    /// Starts `role` of `test` as another user, in `group`.
    fn start(&self, test: &str, role: &str, group: u32) -> Player {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &USER.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
        command.arg(self.dir.path().join("exe")).args(role_args(test));
        Player::run(command, role, &self.path())
    }
}

const CONFIG: Config = Config::slots(4, 64).writers(2).readers(2);

#[test]
fn another_user_is_kept_out_and_told_why() {
    let test = "another_user_is_kept_out_and_told_why";
    if role().is_some() {
        let path = given_path();
        let Err(AttachError::Os(error)) = Segment::attach(Linux::new(), &path) else { panic!("let in") };
        assert_eq!((error.call(), error.errno(), error.object()), ("open", libc::EACCES, path.to_str().unwrap()));
        assert_eq!(AttachError::Os(error).cause(), Cause::Os);
        // Not by the object's name either.
        let name = std::fs::read_to_string(path.with_file_name("object")).unwrap();
        let opened = std::fs::File::open(Path::new("/dev/shm").join(&name[1..]));
        assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::EACCES));
        let Err(CreateFault::Os(error)) = OS.create(&path, SPEC) else { panic!("made over another's") };
        assert_eq!(error.errno(), libc::EACCES, "{error}");
        assert!(matches!(OS.remove(&path, true), Err(RemoveError::Os(error)) if error.errno() == libc::EACCES));
        return tell("kept out");
    }
    let Some(commons) = Commons::new() else { return };
    let segment = Segment::create(Linux::new(), &commons.path(), &CONFIG).unwrap();
    commons.publish_object();
    let mut stranger = commons.start(test, "stranger", GROUP);
    stranger.expects("kept out");
    stranger.ends();
    assert!(segment.reader().is_ok());
    drop(segment);
    assert!(!commons.path().exists());
}

#[test]
fn the_group_reads_writes_and_recovers() {
    let test = "the_group_reads_writes_and_recovers";
    if role().is_some() {
        let segment = Segment::attach(Linux::new(), &given_path()).unwrap();
        let (reader, writer) = (segment.reader().unwrap(), segment.writer().unwrap());
        writer.send(b"from the group").unwrap();
        assert_eq!(&*reader.take().unwrap().unwrap(), b"from the group");
        let _held = writer.loan().unwrap();
        tell("joined");
        return wait_for_parent();
    }
    let Some(commons) = Commons::new() else { return };
    // SAFETY: takes nothing, cannot fail.
    let group = unsafe { libc::getegid() };
    let segment = Segment::create(Linux::new(), &commons.path(), &CONFIG.group()).unwrap();
    let reader = segment.reader().unwrap();
    let mut member = commons.start(test, "member", group);
    member.expects("joined");
    assert_eq!(reader.take().unwrap().as_deref(), Some(&b"from the group"[..]));
    member.kill();
    let found = segment.recover().unwrap();
    assert_eq!((found.writers.count_ones(), found.readers.count_ones(), found.slots), (1, 1, 1));
    // In no group of the creator's it is as without the option.
    commons.publish_object();
    let mut stranger = commons.start("another_user_is_kept_out_and_told_why", "stranger", GROUP);
    stranger.expects("kept out");
    stranger.ends();
}

#[test]
fn the_segment_of_another_user_is_not_taken_over_from_the_dead() {
    let test = "the_segment_of_another_user_is_not_taken_over_from_the_dead";
    if role().is_some() {
        // Not even where the group may write it: a name of somebody else's is not ours to replace.
        let error = Segment::create(Linux::new(), &given_path(), &CONFIG.group()).unwrap_err();
        assert_eq!(error, CreateError::NotASegment);
        assert!(error.to_string().contains("another user"), "{error}");
        return tell("refused");
    }
    let Some(commons) = Commons::new() else { return };
    std::fs::set_permissions(commons.dir.path(), Permissions::from_mode(0o777)).unwrap();
    let made = OS.create(&commons.path(), seqslot_core::ObjectSpec { group: true, ..SPEC }).unwrap();
    let _gone = Unlinked(&commons.path());
    drop(made.owner);
    let other = GROUP + 1;
    chown(commons.path(), Some(USER + 1), Some(other)).unwrap();
    let mut member = commons.start(test, "member", other);
    member.expects("refused");
    member.ends();
    assert!(commons.path().exists());
}

#[test]
fn a_directory_that_one_may_not_write_is_named_and_left_as_it_is() {
    let test = "a_directory_that_one_may_not_write_is_named_and_left_as_it_is";
    if role().is_some() {
        let path = given_path();
        let Err(CreateFault::Os(error)) = OS.create(&path, SPEC) else { panic!("made in a directory of another's") };
        assert_eq!((error.call(), error.errno()), ("open", libc::EACCES));
        assert!(error.object().starts_with(path.parent().unwrap().to_str().unwrap()), "{error}");
        return tell("refused");
    }
    let Some(commons) = Commons::new() else { return };
    let mut stranger = commons.start(test, "stranger", GROUP);
    stranger.expects("refused");
    stranger.ends();
    assert_eq!(std::fs::read_dir(commons.dir.path()).unwrap().count(), 1, "the executable only");
}
