//! `pub` and `sub`: what goes in comes out, whoever dies, stops or goes away meanwhile.
#![cfg(target_os = "linux")]

mod common;

use std::process::Stdio;

use common::*;

/// Publishes `input` to `readers` subscribers; what each got.
fn through(input: &[u8], readers: usize, options: &[&str]) -> Vec<Vec<u8>> {
    let place = Place::new();
    let path = place.path("P");
    let count = readers.to_string();
    let publisher = Running::publish(&path, &[&["--readers", &count], options].concat());
    let subscribers: Vec<Running> = (0..readers).map(|_| Running::subscribe(&path, &[])).collect();
    let mut publisher = publisher;
    let mut stdin = publisher.input();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || feed(&mut stdin, &input));
    let outputs: Vec<_> = subscribers.into_iter().map(|subscriber| std::thread::spawn(|| subscriber.finish())).collect();
    let got = outputs.into_iter().map(|output| output.join().unwrap());
    let got = got.inspect(|output| assert_eq!(code(output), 0, "{}", text(&output.stderr))).map(|output| output.stdout).collect();
    feeder.join().unwrap();
    assert_eq!(code(&publisher.finish()), 0);
    assert!(!path.exists(), "pub removes its segment");
    got
}

#[test]
fn three_of_four_readers_get_every_line_though_one_is_killed() {
    let place = Place::new();
    let path = place.path("P");
    let input = numbers(100_000);
    let mut publisher = Running::publish(&path, &["--readers", "4", "--json"]);
    let others: Vec<Running> = (0..3).map(|_| Running::subscribe(&path, &[])).collect();
    let mut victim = Running::subscribe(&path, &[]);
    let mut stdin = publisher.input();
    let fed = input.clone();
    let feeder = std::thread::spawn(move || feed(&mut stdin, &fed));
    let outputs: Vec<_> = others.into_iter().map(|other| std::thread::spawn(|| other.finish())).collect();
    // It has read something, and cannot have got to the end: nobody reads the rest of its output, which is more than its buffers hold.
    assert_eq!(victim.read(1000), input[..1000]);
    victim.kill();
    for output in outputs {
        let output = output.join().unwrap();
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        assert!(output.stdout == input, "{} of {} bytes", output.stdout.len(), input.len());
    }
    feeder.join().unwrap();
    let output = publisher.finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(summary["samples"], 100_000);
    assert_eq!(summary["bytes"], input.len());
    assert_eq!(summary["readers_recovered"], 1);
    assert_eq!(summary["interrupted"], false);
}

#[test]
fn a_line_longer_than_a_slot_goes_on_in_the_next_sample() {
    let mut input = b"short\n".to_vec();
    input.extend_from_slice(&[b'x'; 1000]);
    input.extend_from_slice(b"\n\nno newline at the end");
    assert_eq!(through(&input, 1, &["--capacity", "64", "--slots", "2"]), [input.clone()]);
}

#[test]
fn blocks_carry_any_bytes() {
    let input = noise(300_001, 7);
    for got in through(&input, 2, &["--bytes", "4K", "--slots", "3"]) {
        assert!(got == input, "{} bytes", got.len());
    }
}

#[test]
fn one_slot_is_enough() {
    let input = numbers(500);
    assert_eq!(through(&input, 2, &["--slots", "1"]), [input.clone(), input]);
}

#[test]
fn no_input_is_a_stream_without_samples() {
    assert_eq!(through(b"", 1, &[]), [b""]);
}

#[test]
fn a_closed_standard_input_is_no_input() {
    let place = Place::new();
    let script = format!("exec {} pub P <&-", env!("CARGO_BIN_EXE_seqslot"));
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(place.dir()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!place.path("P").exists());
}

#[test]
fn a_line_arrives_while_the_input_is_still_open() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1"]);
    let mut stdin = publisher.input();
    let mut subscriber = Running::subscribe(&path, &[]);
    for line in ["one\n", "two\n", "three\n"] {
        feed(&mut stdin, line.as_bytes());
        assert_eq!(text(&subscriber.read(line.len())), line);
    }
    drop(stdin);
    assert_eq!(code(&subscriber.finish()), 0);
    assert_eq!(code(&publisher.finish()), 0);
}

#[test]
fn a_reader_that_comes_late_gets_what_is_published_after_it_joined() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1"]);
    let mut stdin = publisher.input();
    let mut first = Running::subscribe(&path, &[]);
    feed(&mut stdin, b"before\n");
    assert_eq!(text(&first.read(7)), "before\n");
    let late = Running::subscribe(&path, &[]);
    until("two readers", || (inspect(&path)?["masks"]["active"].as_array()?.len() == 2).then_some(()));
    feed(&mut stdin, b"after\n");
    drop(stdin);
    assert_eq!(text(&late.finish().stdout), "after\n");
    assert_eq!(text(&first.finish().stdout), "after\n");
    assert_eq!(code(&publisher.finish()), 0);
}

#[test]
fn readers_of_a_writer_that_is_killed_get_what_it_published_and_are_told() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1"]);
    let mut stdin = publisher.input();
    let mut subscriber = Running::subscribe(&path, &["--json"]);
    feed(&mut stdin, b"last words\n");
    assert_eq!(text(&subscriber.read(11)), "last words\n");
    publisher.kill();
    let output = subscriber.finish();
    assert_eq!(code(&output), 4);
    let lines = text(&output.stderr);
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["samples"], &lines[0]["end"]), (&1.into(), &"failed".into()));
    assert_eq!(lines[1]["cause"], "contention");
    assert!(lines[1]["error"].as_str().unwrap().contains("the writer died"), "{}", lines[1]);
}

#[test]
fn the_path_of_a_writer_that_was_killed_is_taken_over() {
    let place = Place::new();
    let path = place.path("P");
    let mut first = Running::publish(&path, &[]);
    let stdin = first.input();
    until("a segment", || inspect(&path));
    let old = object(&path);
    first.kill();
    drop(stdin);
    // It finds the dead one's segment, and waits for the next.
    let subscriber = Running::subscribe(&path, &["--wait", "100"]);
    let mut second = Running::publish(&path, &["--readers", "1"]);
    feed(&mut second.input(), b"again\n");
    let output = subscriber.finish();
    assert_eq!((code(&output), text(&output.stdout)), (0, "again\n".into()), "{}", text(&output.stderr));
    assert_eq!(code(&second.finish()), 0);
    assert!(!old.exists() && !path.exists());
}

#[test]
fn the_segment_stays_until_every_living_reader_has_read() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "2"]);
    let mut stdin = publisher.input();
    let mut readers = [Running::subscribe(&path, &[]), Running::subscribe(&path, &[])];
    feed(&mut stdin, b"a\n");
    for reader in &mut readers {
        assert_eq!(reader.read(2), b"a\n");
        reader.signal(libc::SIGSTOP);
    }
    feed(&mut stdin, b"b\nc\n");
    drop(stdin);
    until("closed, with two slots owed", || {
        assert!(publisher.child().try_wait().unwrap().is_none(), "it did not wait for its readers");
        let shown = inspect(&path)?;
        (shown["writers"][0]["closed"] == true && shown["states"]["owed"] == 2).then_some(())
    });
    let [mut slow, dead] = readers;
    dead.kill();
    slow.signal(libc::SIGCONT);
    let output = slow.finish();
    assert_eq!((code(&output), text(&output.stdout)), (0, "b\nc\n".into()));
    let output = publisher.finish();
    assert_eq!(code(&output), 0);
    assert!(text(&output.stderr).contains("1 dead readers recovered"), "{}", text(&output.stderr));
    assert!(!path.exists());
}

#[test]
fn over_a_living_owner_there_is_no_second_writer() {
    let place = Place::new();
    let path = place.path("P");
    let mut first = Running::publish(&path, &["--readers", "1"]);
    until("a segment", || inspect(&path));
    let output = run("pub", &path, &[]);
    assert_eq!(code(&output), 4);
    assert!(text(&output.stderr).contains(&first.pid().to_string()), "{}", text(&output.stderr));
    // The first has lost nothing.
    let subscriber = Running::subscribe(&path, &[]);
    feed(&mut first.input(), b"still here\n");
    assert_eq!(text(&subscriber.finish().stdout), "still here\n");
    assert_eq!(code(&first.finish()), 0);
}

#[test]
fn a_reader_whose_output_is_closed_ends_well_and_holds_nobody_up() {
    let place = Place::new();
    let path = place.path("P");
    let input = numbers(100_000);
    let mut publisher = Running::publish(&path, &["--readers", "2", "--slots", "8"]);
    let mut stdin = publisher.input();
    let other = Running::subscribe(&path, &[]);
    let mut head = Running::subscribe(&path, &[]);
    let fed = input.clone();
    let feeder = std::thread::spawn(move || feed(&mut stdin, &fed));
    let other = std::thread::spawn(|| other.finish());
    assert_eq!(head.read(4), b"1\n2\n");
    drop(head.child().stdout.take());
    let output = head.finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the output was closed"));
    assert!(other.join().unwrap().stdout == input);
    feeder.join().unwrap();
    assert_eq!(code(&publisher.finish()), 0);
}

#[test]
fn an_idle_reader_whose_output_is_closed_ends_too() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1"]);
    let stdin = publisher.input();
    let mut subscriber = Running::subscribe(&path, &[]);
    until("a reader", || (inspect(&path)?["masks"]["active"].as_array()?.len() == 1).then_some(()));
    drop(subscriber.child().stdout.take());
    assert_eq!(code(&subscriber.finish()), 0);
    drop(stdin);
    assert_eq!(code(&publisher.finish()), 0);
}

#[test]
fn an_interrupted_reader_ends_well_and_leaves() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let place = Place::new();
        let path = place.path("P");
        let mut publisher = Running::publish(&path, &["--readers", "1"]);
        let mut stdin = publisher.input();
        let mut subscriber = Running::subscribe(&path, &[]);
        feed(&mut stdin, b"x\n");
        assert_eq!(subscriber.read(2), b"x\n");
        subscriber.signal(signal);
        let output = subscriber.finish();
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("interrupted"));
        let left = inspect(&path).unwrap();
        assert_eq!((&left["readers"], &left["counters"]["recovered_readers"]), (&serde_json::json!([]), &0.into()), "it left by itself");
        drop(stdin);
        assert_eq!(code(&publisher.finish()), 0);
    }
}

#[test]
fn an_interrupted_reader_ends_though_nobody_takes_its_output() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "1", "--slots", "4"]);
    let mut stdin = publisher.input();
    let mut subscriber = Running::subscribe(&path, &[]);
    let feeder = std::thread::spawn(move || feed(&mut stdin, &numbers(200_000)));
    assert_eq!(subscriber.read(2), b"1\n");
    // Nobody reads on: once it sleeps in a write, it is there for good, with a sample in its hand.
    until("a write that does not end", || is_stuck_in_a_write(subscriber.pid()).then_some(()));
    until("every slot owed", || (inspect(&path)?["states"]["owed"] == 4).then_some(()));
    subscriber.signal(libc::SIGINT);
    // What does not fit its pipe is not waited for.
    let status = until("its end", || subscriber.child().try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    feeder.join().unwrap();
    assert_eq!(code(&publisher.finish()), 0);
}

/// Whether the process sleeps in `write`, or in a `poll` without end before it (a running one is said to be running).
fn is_stuck_in_a_write(pid: u32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let mut fields = call.split_ascii_whitespace();
    let number: Option<i64> = fields.next().and_then(|number| number.parse().ok());
    #[cfg(target_arch = "x86_64")]
    let is_poll = number == Some(libc::SYS_poll) && fields.nth(2).is_some_and(|timeout| timeout.ends_with("ffffffff"));
    #[cfg(not(target_arch = "x86_64"))]
    let is_poll = number == Some(libc::SYS_ppoll) && fields.nth(2) == Some("0x0");
    is_poll || number == Some(libc::SYS_write)
}

#[test]
fn an_interrupted_writer_closes_its_stream_and_removes_its_segment() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let place = Place::new();
        let path = place.path("P");
        let mut publisher = Running::publish(&path, &["--readers", "1"]);
        let mut stdin = publisher.input();
        let mut subscriber = Running::subscribe(&path, &[]);
        feed(&mut stdin, b"x\n");
        assert_eq!(subscriber.read(2), b"x\n");
        let object = object(&path);
        publisher.signal(signal);
        // Its input stays open meanwhile.
        let status = until("its end", || publisher.child().try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        assert_eq!(code(&subscriber.finish()), 0);
        assert!(!path.exists() && !object.exists());
        drop(stdin);
    }
}

#[test]
fn a_writer_that_waits_for_readers_can_be_interrupted() {
    let place = Place::new();
    let path = place.path("P");
    let mut publisher = Running::publish(&path, &["--readers", "3"]);
    until("a segment", || inspect(&path));
    publisher.signal(libc::SIGINT);
    assert_eq!(code(&publisher.finish()), 0);
    assert!(!path.exists());
}

#[test]
fn without_a_summary_standard_error_is_empty() {
    let place = Place::new();
    let mut command = seqslot();
    command.args(["pub", "--quiet"]).arg(place.path("P")).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
}
