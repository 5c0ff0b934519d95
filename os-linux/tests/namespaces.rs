//! Pid namespaces, as of containers that share /dev/shm: who lives and who died is seen across them, and the same number in two of them
//! is two processes. Skipped, with the reason printed, where no namespace can be made.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::*;
use seqslot_core::{AttachError, Config, CreateError, LoanError, Segment, SnapshotConfig, SnapshotWriter, TakeError};
use seqslot_os_linux::Linux;

const LONG: Duration = Duration::from_secs(60);
const CONFIG: Config = Config::slots(3, 64).writers(2).readers(2);

/// A process that is number 1 of a pid namespace of its own.
struct First {
    player: Player,
}

/// The options of `unshare` that work here: with a /proc of the namespace's own, or without; `None`, with the reason printed.
fn options() -> Option<Vec<&'static str>> {
    let mut options = vec!["--pid", "--fork", "--kill-child"];
    if !is_root() {
        options.push("--map-root-user");
    }
    for own_proc in [true, false] {
        let mut these = options.clone();
        these.extend(own_proc.then_some("--mount-proc"));
        let tried = Command::new("unshare").args(&these).arg("true").output();
        match tried {
            Ok(output) if output.status.success() => return Some(these),
            Ok(output) if !own_proc => println!("skipped: no pid namespace ({})", String::from_utf8_lossy(&output.stderr).trim()),
            Ok(_) => {}
            Err(error) => {
                println!("skipped: no unshare command ({error})");
                return None;
            }
        }
    }
    None
}

impl First {
    fn start(options: &[&str], test: &str, role: &str, path: &Path) -> Self {
        let mut command = Command::new("unshare");
        command.args(options).arg(std::env::current_exe().unwrap()).args(role_args(test));
        Self { player: Player::run(command, role, path) }
    }

    fn hears(&mut self) -> String {
        self.player.hears()
    }

    fn expects(&mut self, what: &str) {
        self.player.expects(what);
    }

    /// Kills the first process of the namespace (`unshare` does, when it is killed), and waits until nobody is left in it.
    fn kill(mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.player.pid());
        let inside = std::fs::read_to_string(children).unwrap().trim().to_owned();
        assert!(!inside.is_empty(), "unshare has no child");
        self.player.kill();
        // Its descriptors, and with them its locks, are gone when the last of its threads is a zombie or not there any more.
        let is_running = || {
            let tasks = std::fs::read_dir(format!("/proc/{inside}/task")).into_iter().flatten().flatten();
            let states = tasks.map(|task| std::fs::read_to_string(task.path().join("stat")).unwrap_or_default());
            states.into_iter().any(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X'])))
        };
        while is_running() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What the others do.
fn play(role: &str) {
    assert_eq!(std::process::id(), 1);
    let path = given_path();
    let attach = || Segment::attach(Linux::new(), &path).unwrap();
    match role {
        "writer" => {
            let segment = attach();
            let writer = segment.writer().unwrap();
            tell("joined");
            writer.send_timeout(b"from one namespace", LONG).unwrap();
            let _loan = writer.loan_timeout(LONG).unwrap();
            tell("holding");
            wait_for_parent();
        }
        "reader" => {
            let segment = attach();
            let reader = segment.reader().unwrap();
            tell("joined");
            assert_eq!(&*reader.take_timeout(LONG).unwrap(), b"from one namespace");
            tell("read");
            // The end of a slice finds the dead writer, a number 1 as this process is.
            assert_eq!(reader.take_timeout(LONG).err(), Some(TakeError::WriterDied));
            let stats = segment.stats();
            tell(&format!("told of {} writers {} slots", stats.recovered_writers, stats.recovered_slots));
            wait_for_parent();
        }
        "owner" => {
            let _segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
            let state = SnapshotConfig::of::<u64>();
            let _state = SnapshotWriter::<Linux, u64>::create(Linux::new(), &path.with_extension("state"), state).unwrap();
            tell("owned");
            wait_for_parent();
        }
        "successor" => {
            let refused = Segment::create(Linux::new(), &path, &CONFIG).unwrap_err();
            // Not 1: here that is this process itself.
            assert_eq!(refused, CreateError::AlreadyExists { pid: 0 });
            let refused_state = SnapshotWriter::<Linux, u64>::attach(Linux::new(), &path.with_extension("state")).err();
            assert_eq!(refused_state, Some(AttachError::Taken { pid: 0 }));
            tell(&refused.to_string());
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            let segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
            assert!(segment.is_owner());
            // Goes with this value, name and all.
            drop(SnapshotWriter::<Linux, u64>::attach(Linux::new(), &path.with_extension("state")).unwrap());
            tell("took over");
            wait_for_parent();
        }
        _ => panic!("no role {role}"),
    }
}

#[test]
fn death_in_one_namespace_is_noticed_and_put_right_in_another() {
    let test = "death_in_one_namespace_is_noticed_and_put_right_in_another";
    if let Some(role) = role() {
        return play(&role);
    }
    let Some(options) = options() else { return };
    let (_dir, path) = place();
    let segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
    let mut reader = First::start(&options, test, "reader", &path);
    reader.expects("joined");
    let mut writer = First::start(&options, test, "writer", &path);
    writer.expects("joined");
    reader.expects("read");
    writer.expects("holding");
    let mut entries = Vec::new();
    segment.lag(|lag| entries.push(lag.pid));
    assert_eq!(entries, [1], "as it calls itself; number 1 here is somebody else");
    assert!(segment.recover().unwrap().is_empty(), "both live");
    writer.kill();
    assert_eq!(reader.hears(), "told of 1 writers 1 slots");
    // The other way round: the reader dies with unread samples, and a writer here that waits for a slot finds it.
    let here = segment.writer().unwrap();
    for _ in 0..3 {
        here.send_timeout(b"unread", LONG).unwrap();
    }
    assert_eq!(here.loan_timeout(Duration::from_millis(250)).err(), Some(LoanError::TimedOut), "it lives, and has not read");
    reader.kill();
    here.send_timeout(b"on", LONG).unwrap();
    assert_eq!(segment.active_readers(), 0);
}

#[test]
fn an_owner_in_another_namespace_is_respected_while_it_lives_and_not_mistaken_for_its_namesake() {
    let test = "an_owner_in_another_namespace_is_respected_while_it_lives_and_not_mistaken_for_its_namesake";
    if let Some(role) = role() {
        return play(&role);
    }
    let Some(options) = options() else { return };
    if !options.contains(&"--mount-proc") {
        println!("skipped: no /proc of the namespace's own, so it sees the processes of this one");
        return;
    }
    let (_dir, path) = place();
    let state = path.with_extension("state");
    let _gone = (Unlinked(&path), Unlinked(&state));
    let mut owner = First::start(&options, test, "owner", &path);
    owner.expects("owned");
    // From here it can be seen, by the number it has here.
    let seen = Segment::create(Linux::new(), &path, &CONFIG).unwrap_err();
    let CreateError::AlreadyExists { pid } = seen else { panic!("{seen}") };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let numbers = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    assert!(numbers.ends_with("\t1") && pid != 1, "{numbers}");

    let mut successor = First::start(&options, test, "successor", &path);
    let said = successor.hears();
    assert!(said.contains("another container"), "{said}");
    owner.kill();
    successor.player.say("go on");
    successor.expects("took over");
}
