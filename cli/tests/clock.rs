//! `clock`: what it says of segments that our writer makes, once and following them.
#![cfg(target_os = "linux")]

mod common;

use std::io::Read as _;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use common::*;
use seqslot::{ClockBoundLayout as Layout, ClockErrorBound, ClockErrorBoundBuilder, ClockStatus, Fraction, ShmWrite, ShmWriter, TimeSpec};
use serde_json::{Value, json as value};

/// 2023-11-14T22:13:20Z.
const DATE: i64 = 1_700_000_000;

/// A bound of layout 3 that says the same at any time: of the moment before its update, which lasts long, for a tick is next to nothing.
fn still(bound_nsec: i64) -> ClockErrorBoundBuilder {
    let builder = ClockErrorBoundBuilder::new().as_of(time(DATE)).void_after(time(DATE + 1_000));
    let builder = builder.as_of_tsc(u64::MAX).period(Fraction::new(1, 63));
    builder.bound_nsec(bound_nsec).max_drift_ppb(1_000).clock_status(ClockStatus::Synchronized)
}

fn time(seconds: i64) -> TimeSpec {
    TimeSpec::new(seconds, 0).unwrap()
}

fn write(path: &Path, layout: Layout, builder: ClockErrorBoundBuilder) {
    let bound: ClockErrorBound = builder.build(layout).into();
    ShmWriter::with_layout(path, layout).unwrap().write(&bound).unwrap();
}

/// A bound of layout 2 that was written so many seconds ago.
fn ago(seconds: i64) -> ClockErrorBoundBuilder {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that Linux has, and a value to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    let builder = ClockErrorBoundBuilder::new().as_of(TimeSpec::new(now.tv_sec - seconds, now.tv_nsec).unwrap());
    builder.void_after(time(now.tv_sec + 10_000)).bound_nsec(1_000).clock_status(ClockStatus::Synchronized)
}

#[test]
fn a_segment_is_told_for_people_and_for_scripts() {
    let place = Place::new();
    let path = place.path("shm1");
    write(&path, Layout::V3, still(500));
    let output = run("clock", &path, &[]);
    assert_eq!(code(&output), 0);
    let expected = format!(
        "{}\n  earliest  2023-11-14T22:13:19.999999500Z\n  latest    2023-11-14T22:13:20.000000500Z\n  width     1.000 us\n  \
         status    synchronized\n  age       0 ns\n  segment   fresh, layout 3, drift 1000 ppb\n",
        path.display()
    );
    assert_eq!(text(&output.stdout), expected);

    let output = run("clock", &path, &["--json"]);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let told = json(&output);
    assert_eq!(
        (&told["earliest"], &told["latest"]),
        (&value!({"sec": DATE - 1, "nsec": 999_999_500}), &value!({"sec": DATE, "nsec": 500}))
    );
    assert_eq!((&told["width_ns"], &told["layout"], &told["age_ns"]), (&value!(1_000), &value!(3), &value!(0)));
    assert_eq!(
        (&told["status"], &told["stored_status"], &told["segment"]),
        (&value!("synchronized"), &value!("synchronized"), &value!("fresh"))
    );
    assert_eq!((&told["disruption_support"], &told["vmclock"]), (&value!(false), &Value::Null));
}

#[test]
fn the_status_is_by_the_rules_of_the_layout_or_by_those_asked_for() {
    let place = Place::new();
    let path = place.path("shm0");
    write(&path, Layout::V2, ago(30));
    let told = |options: &[&str]| {
        let told = json(&run("clock", &path, &[options, &["--json"]].concat()));
        assert!(told["age_ns"].as_u64().unwrap() >= 30_000_000_000, "{told}");
        assert_eq!((&told["stored_status"], &told["layout"]), (&value!("synchronized"), &value!(2)));
        told["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(&[]), "free-running", "30 s are more than the 5 of ClockBound 2.x");
    assert_eq!(told(&["--rules", "3", "--grace", "3600"]), "synchronized");
    assert_eq!(told(&["--grace", "3600"]), "synchronized");
    assert_eq!(told(&["--rules", "3", "--grace", "1"]), "free-running");
    let plain = text(&run("clock", &path, &[]).stdout);
    assert!(plain.contains("status    free-running (the daemon wrote synchronized)"), "{plain}");
    for wrong in [&["--rules", "4"][..], &["--grace", "-1"], &["--interval", "1"], &["--watch", "--interval", "0"]] {
        assert_eq!(code(&run("clock", &path, wrong)), 2, "{wrong:?}");
    }
}

#[test]
fn the_vmclock_page_is_compared_where_the_daemon_watches() {
    let place = Place::new();
    let path = place.path("shm1");
    let mut page = vec![0; 0x68];
    page[..4].copy_from_slice(b"VCLK");
    (page[0x04], page[0x08], page[0x10], page[0x22]) = (0x68, 1, 7, 2);
    let page = place.file("vmclock0", &page);
    let told = |marker, is_watched| {
        write(&path, Layout::V3, still(1).disruption_marker(marker).clock_disruption_support_enabled(is_watched));
        json(&run("clock", &path, &["--json", "--vmclock", page.to_str().unwrap()]))
    };
    let same = told(7, true);
    assert_eq!((&same["status"], &same["vmclock"]), (&value!("synchronized"), &value!({"status": "synchronized", "disruption_marker": 7})));
    assert_eq!(told(6, true)["status"], "disrupted");
    assert_eq!(told(6, false)["status"], "synchronized", "nobody compares");
    let missing = place.path("none");
    let output = run("clock", &path, &["--json", "--vmclock", missing.to_str().unwrap()]);
    let failure: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((code(&output), &failure["cause"]), (4, &value!("contention")));
    assert!(failure["next"].as_str().unwrap().contains("--vmclock"), "{failure}");
    let no_page = place.file("no-page", &[0; 0x70]);
    assert_eq!(code(&run("clock", &path, &["--vmclock", no_page.to_str().unwrap()])), 3);
}

#[test]
fn a_machine_that_was_moved_is_disrupted_also_if_its_clock_began_anew() {
    let place = Place::new();
    let path = place.path("shm1");
    // The daemon has seen disruption 6; its counter was far ahead of what it is now.
    let bound = still(500).as_of_tsc(u64::MAX / 2).period(Fraction::from_f64(1e-9).unwrap());
    write(&path, Layout::V3, bound.disruption_marker(6).clock_disruption_support_enabled(true));
    let page = |marker| {
        let mut page = vec![0; 0x68];
        page[..4].copy_from_slice(b"VCLK");
        (page[0x04], page[0x08], page[0x10], page[0x22]) = (0x68, 1, marker, 2);
        place.file("vmclock0", &page)
    };
    let moved = page(7);
    let options = ["--vmclock", moved.to_str().unwrap()];
    let told = json(&run("clock", &path, &[&options[..], &["--json"]].concat()));
    assert_eq!((&told["status"], &told["stored_status"], &told["age_ns"]), (&value!("disrupted"), &value!("synchronized"), &Value::Null));
    assert_eq!((&told["latest"], &told["width_ns"]), (&value!({"sec": DATE, "nsec": 500}), &value!(1_000)), "of the update");
    let plain = text(&run("clock", &path, &options).stdout);
    assert!(plain.contains("age       unknown") && plain.contains("disrupted (the daemon wrote synchronized)"), "{plain}");
    page(6);
    assert_eq!(code(&run("clock", &path, &options)), 4, "not moved, and out of joint");
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    let place = Place::new();
    let path = place.path("shm1");
    write(&path, Layout::V3, still(1));
    let good = std::fs::read(&path).unwrap();
    let with = |name: &str, at: usize, change: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + change.len()].copy_from_slice(change);
        place.file(name, &bytes)
    };
    let cases = [
        (place.path("none"), 4, "daemon"),
        (place.file("empty", b""), 4, "daemon"),
        (with("wiped", 14, &[0, 0]), 4, "daemon"),
        (with("odd", 14, &3_u16.to_ne_bytes()), 4, "daemon"),
        (place.file("text", b"this is no segment"), 3, "inspect"),
        (with("version", 12, &4_u16.to_ne_bytes()), 3, "ClockBound"),
        (with("status", 92, &9_i32.to_ne_bytes()), 3, "inspect"),
        (place.dir().to_path_buf(), 3, "inspect"),
    ];
    for (path, expected, advice) in cases {
        let output = run("clock", &path, &[]);
        let told = text(&output.stderr);
        assert_eq!(code(&output), expected, "{}: {told}", path.display());
        assert!(told.contains("next: ") && told.contains(advice), "{}: {told}", path.display());
        let failure: Value = serde_json::from_slice(&run("clock", &path, &["--json"]).stderr).unwrap();
        assert!(failure["error"].is_string() && failure["next"].is_string(), "{failure}");
    }
    // A date that is yet to come: the machine was started anew since, or it is another one.
    let late = place.path("late");
    write(&late, Layout::V2, ago(-1_000));
    assert_eq!(code(&run("clock", &late, &[])), 4);
}

#[test]
fn every_malformed_segment_is_told_with_what_to_do_or_is_a_segment() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hostile/malformed/clockbound");
    let table = std::fs::read_to_string(corpus.join("answers.tsv")).unwrap();
    for line in table.lines().skip(1) {
        let (name, rest) = line.split_once('\t').unwrap();
        let output = run("clock", &corpus.join(name), &[]);
        let told = text(&output.stderr);
        // A value that no clock of this machine can be compared with is told, too.
        let is_well = rest.starts_with("Ok\t")
            && (code(&output) == 0 || ["as-of", "drift", "bound", "period-zero"].iter().any(|part| name.contains(part)));
        assert!(is_well || matches!(code(&output), 3 | 4) && told.contains("next: "), "{name}: {} {told}", code(&output));
        assert!(!told.contains("panicked"), "{name}: {told}");
    }
}

#[test]
fn a_segment_is_followed_through_updates_wipes_and_another_file_until_interrupted() {
    let place = Place::new();
    let path = place.path("shm1");
    write(&path, Layout::V3, still(1));
    let mut command = seqslot();
    command.arg("clock").arg(&path).args(["--watch", "--json", "--interval", "0.01"]);
    let mut running = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut lines = Lines(Vec::new());
    let mut until_told = |running: &mut Running, what: &str, is_it: &dyn Fn(&Value) -> bool| {
        for _ in 0..100_000 {
            if is_it(&lines.next(running)) {
                return;
            }
        }
        panic!("never: {what}");
    };
    until_told(&mut running, "the first", &|line| line["width_ns"] == 2 && line["segment"] == "fresh");
    until_told(&mut running, "the same", &|line| line["segment"] == "unchanged");
    write(&path, Layout::V3, still(2));
    until_told(&mut running, "an update", &|line| line["width_ns"] == 4 && line["segment"] == "fresh");
    let mut writer = ShmWriter::with_layout(&path, Layout::V2).unwrap();
    until_told(&mut running, "a wipe", &|line| line["width_ns"] == 4 && line["segment"] == "wiped");
    writer.write(&ago(-1_000).build(Layout::V2).into()).unwrap();
    until_told(&mut running, "a date that is yet to come", &|line| line["error"].is_string());
    writer.write(&ago(0).build(Layout::V2).into()).unwrap();
    until_told(&mut running, "the other layout", &|line| line["layout"] == 2);
    drop(writer);
    std::fs::remove_file(&path).unwrap();
    write(&path, Layout::V3, still(3));
    until_told(&mut running, "another file", &|line| line["width_ns"] == 6);
    running.signal(libc::SIGINT);
    let output = running.finish();
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
}

/// Lines of a child's output, and what has come of the next.
struct Lines(Vec<u8>);

impl Lines {
    fn next(&mut self, running: &mut Running) -> Value {
        loop {
            let byte = running.read(1)[0];
            if byte == b'\n' {
                return serde_json::from_slice(&std::mem::take(&mut self.0)).expect("one object a line");
            }
            self.0.push(byte);
        }
    }
}

#[test]
fn followed_without_a_terminal_it_is_a_line_each_time_and_ends_when_nobody_reads() {
    let place = Place::new();
    let path = place.path("shm1");
    write(&path, Layout::V3, still(500));
    let mut command = seqslot();
    command.arg("clock").arg(&path).args(["--watch", "--interval", "0.01"]);
    let mut running = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let line = "2023-11-14T22:13:19.999999500Z  width 1.000 us  synchronized  age 0 ns  fresh  layout 3\n";
    assert_eq!(text(&running.read(line.len())), line);
    let again = line.replace("fresh", "unchanged");
    assert_eq!(text(&running.read(again.len())), again);
    drop(running.child().stdout.take());
    assert_eq!(code(&running.finish()), 0);
}

#[test]
fn followed_on_a_terminal_it_rewrites_its_lines() {
    let place = Place::new();
    let path = place.path("shm1");
    write(&path, Layout::V3, still(500));
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: room for two descriptors; no name, no settings, no size.
    let made = unsafe { libc::openpty(&raw mut master, &raw mut slave, std::ptr::null_mut(), std::ptr::null(), std::ptr::null()) };
    if made != 0 {
        println!("skipped: no terminals here ({})", std::io::Error::last_os_error());
        return;
    }
    // SAFETY: just made, and nobody else's.
    let (master, slave) = (unsafe { OwnedFd::from_raw_fd(master) }, unsafe { OwnedFd::from_raw_fd(slave) });
    let mut command = seqslot();
    command.arg("clock").arg(&path).args(["--watch", "--interval", "0.01"]);
    let mut running = Running::spawn(command.stdin(Stdio::null()).stdout(slave).stderr(Stdio::piped()));
    drop(command);
    let mut screen = Vec::new();
    let mut terminal = std::fs::File::from(master);
    while screen.windows(7).filter(|bytes| bytes == b"\x1b[7A\x1b[J").count() < 2 {
        let mut bytes = [0; 512];
        let count = terminal.read(&mut bytes).expect("its screen");
        screen.extend_from_slice(&bytes[..count]);
        assert!(screen.len() < 100_000, "never: lines rewritten; {}", text(&screen[..2_000]));
    }
    let screen = text(&screen);
    assert!(screen.contains("earliest") && screen.contains("unchanged, layout 3"), "{screen}");
    running.signal(libc::SIGINT);
    assert_eq!(code(&running.finish()), 0);
}

#[test]
fn without_a_path_the_usual_ones_are_looked_for() {
    let output = seqslot().arg("clock").stdin(Stdio::null()).output().unwrap();
    if ["shm0", "shm1"].iter().any(|name| Path::new("/var/run/clockbound").join(name).exists()) {
        println!("skipped: ClockBound runs here");
        return;
    }
    let told = text(&output.stderr);
    assert_eq!(code(&output), 4, "{told}");
    assert!(told.contains("/var/run/clockbound/shm1") && told.contains("next: start ClockBound"), "{told}");
}
