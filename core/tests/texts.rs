//! What errors say and whose fault they are: numbers of theirs in the text, one of four causes each, the same through every conversion.
#![allow(missing_docs)]

use std::fmt::Display;

use seqslot_core::clockbound::{Layout, ShmError, VmClockError};
use seqslot_core::{
    AttachError, Cause, CommitError, CreateError, CreateFault, GeometryError, HeadError, JoinError, LoanError, OpenFault, OsError,
    SendError, SlotError, TakeError,
};

/// The text holds every one of `parts`, is one sentence, and does not end in a full stop.
fn says(error: &impl Display, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in: {text}");
    assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
    assert!(text.starts_with(|first: char| !first.is_uppercase()), "lower case: {text}");
}

fn enoent() -> OsError {
    OsError::new("shm_open", 2, "/frames")
}

#[test]
fn a_failed_call_keeps_the_end_of_a_long_name_and_whole_letters() {
    let long = "ä".repeat(100) + "x";
    let error = OsError::new("open", 2, &long);
    assert_eq!(error.object(), "ä".repeat(59) + "x", "120 bytes would begin in the midst of a letter");
    assert_eq!(format!("{error:?}"), error.to_string());
    says(&enoent(), &["shm_open", "2", "/frames"]);
    assert!(!OsError::new("fork", 11, "").to_string().contains(" on "), "no name, no mention");
}

#[test]
fn what_a_platform_says_of_a_create_is_what_the_caller_hears() {
    for (fault, cause, parts) in [
        (CreateFault::AlreadyExists { pid: 77 }, Cause::Contention, &["77"][..]),
        (CreateFault::BeingCreated, Cause::Contention, &["another process"]),
        (CreateFault::BadName { reason: "it is empty" }, Cause::Misuse, &["it is empty"]),
        (CreateFault::NotASegment, Cause::Corruption, &["not a segment"]),
        (CreateFault::Os(enoent()), Cause::Os, &["shm_open", "/frames"]),
    ] {
        says(&fault, parts);
        assert_eq!(fault.cause(), cause);
        let error = CreateError::from(fault.clone());
        assert_eq!((error.to_string(), error.cause()), (fault.to_string(), cause));
    }
}

#[test]
fn what_a_platform_says_of_an_open_is_what_the_caller_hears() {
    for (fault, cause, parts) in [
        (OpenFault::NotFound, Cause::Contention, &["no segment"][..]),
        (OpenFault::BadName { reason: "a NUL" }, Cause::Misuse, &["a NUL"]),
        (OpenFault::NotASegment, Cause::Corruption, &["not a segment"]),
        (OpenFault::Untrusted { uid: 1001, mode: 0o666 }, Cause::Corruption, &["1001", "666"]),
        (OpenFault::Os(enoent()), Cause::Os, &["shm_open"]),
    ] {
        says(&fault, parts);
        assert_eq!(fault.cause(), cause);
        let error = AttachError::from(fault.clone());
        assert_eq!((error.to_string(), error.cause()), (fault.to_string(), cause));
    }
}

#[test]
fn an_error_inside_another_keeps_its_text_and_its_cause() {
    let not_ready = AttachError::from(HeadError::NotReady);
    assert_eq!((not_ready.cause(), not_ready.to_string()), (Cause::Contention, HeadError::NotReady.to_string()));
    let zero = CreateError::from(GeometryError::ZeroSlots);
    assert_eq!((zero.cause(), zero.to_string()), (Cause::Misuse, GeometryError::ZeroSlots.to_string()));
    let full = SendError::Loan(LoanError::NoFreeSlot);
    assert_eq!((full.cause(), full.to_string()), (Cause::Contention, LoanError::NoFreeSlot.to_string()));
    let large = CommitError::SampleTooLarge { sample: 65, capacity: 64 };
    says(&large, &["65", "64"]);
    let large = SendError::Commit(large);
    assert_eq!(large.cause(), Cause::Misuse);
    says(&large, &["65", "64"]);
}

#[test]
fn numbers_that_were_refused_are_in_the_text() {
    says(&HeadError::Magic { found: 0xABCD }, &["0x0000abcd"]);
    says(&HeadError::Version { major: 7, minor: 3 }, &["7.3", "1.x"]);
    says(&HeadError::Field { name: "stride", value: 33 }, &["stride", "33"]);
    says(&HeadError::TooShort { len: 10, needed: 4096 }, &["10", "4096"]);
    says(&GeometryError::Readers { readers: 33, max: 32 }, &["33", "32"]);
    says(&JoinError::OutOfBounds { index: 9, entries: 4 }, &["9", "4"]);
    says(&TakeError::BadSize { size: 100, capacity: 64 }, &["100", "64"]);
}

#[test]
fn the_seeds_errors_say_whose_fault_they_are() {
    for (error, cause, parts) in [
        (SlotError::NoFreeSlot, Cause::Contention, &["no slot is free"][..]),
        (SlotError::NoWriterEntry, Cause::Contention, &["writer entry"]),
        (SlotError::ReaderTaken, Cause::Contention, &["reader index"]),
        (SlotError::OutOfBounds, Cause::Misuse, &["out of bounds"]),
        (SlotError::SampleTooLarge { sample: 9, slot_capacity: 8 }, Cause::Misuse, &["9", "8"]),
        (SlotError::InPlaceUnsupported, Cause::Misuse, &["in place"]),
        (SlotError::StaleHandle, Cause::Misuse, &["handle"]),
        (SlotError::TypeMismatch { expected: [0xAB; 16], found: Some([1; 16]) }, Cause::Misuse, &["abababab", "01010101", "both sides"]),
        (SlotError::TypeMismatch { expected: [0xAB; 16], found: None }, Cause::Misuse, &["abababab", "no type"]),
        (SlotError::SampleSize { sample: 9, expected: 24 }, Cause::Corruption, &["9", "24", "skipped"]),
        (SlotError::Forked, Cause::Misuse, &["fork"]),
        (SlotError::LockPoisoned, Cause::Corruption, &["poisoned"]),
        (SlotError::from(enoent()), Cause::Os, &["shm_open", "/frames"]),
    ] {
        says(&error, parts);
        assert_eq!(error.cause(), cause, "{error}");
    }
}

#[test]
fn errors_about_the_clock_have_an_errno_and_a_cause() {
    for (error, errno, cause, part) in [
        (ShmError::SyscallError(13, c"open"), 13, Cause::Os, "open failed with error 13"),
        (ShmError::SegmentNotInitialized, 71, Cause::Contention, "not initialised"),
        (ShmError::SegmentMalformed, 71, Cause::Corruption, "never writes"),
        (ShmError::SegmentVersionNotSupported, 71, Cause::Corruption, "version"),
        (ShmError::CausalityBreach, 71, Cause::Misuse, "before the last update"),
        (ShmError::OtherLayout { found: Layout::V2 }, 22, Cause::Misuse, "against the clocks"),
        (ShmError::OtherLayout { found: Layout::V3 }, 22, Cause::Misuse, "against the counter"),
        (ShmError::NoCounter, 95, Cause::Os, "no counter"),
        (ShmError::WriterExists, 16, Cause::Contention, "a writer already"),
        (ShmError::Contended { tries: 31 }, 11, Cause::Contention, "31 tries"),
        (ShmError::NotASegment, 71, Cause::Corruption, "not a ClockBound segment, and was left as it is; remove it, or"),
        (ShmError::SegmentLost, 116, Cause::Contention, "make the writer anew"),
    ] {
        assert_eq!((error.errno(), error.cause()), (errno, cause), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn errors_about_the_vmclock_page_name_it_and_have_an_errno_and_a_cause() {
    for (error, errno, cause, part) in [
        (VmClockError::SyscallError(2, c"open"), 2, Cause::Os, "open failed with error 2"),
        (VmClockError::Malformed, 71, Cause::Corruption, "is the path right?"),
        (VmClockError::VersionNotSupported { found: 9 }, 71, Cause::Corruption, "version 9"),
        (VmClockError::Busy { tries: 31 }, 11, Cause::Contention, "31 tries"),
    ] {
        assert_eq!((error.errno(), error.cause()), (errno, cause), "{error}");
        assert!(error.to_string().contains("VMClock") && error.to_string().contains(part), "{error}");
    }
}

#[test]
#[cfg(feature = "std")]
fn errors_about_the_clock_become_errors_of_the_standard_library() {
    use std::io::{Error, ErrorKind};
    assert_eq!(Error::from(ShmError::SyscallError(2, c"open")).raw_os_error(), Some(2));
    for (error, kind) in [
        (ShmError::SyscallError(0, c"open"), ErrorKind::InvalidData),
        (ShmError::SegmentMalformed, ErrorKind::InvalidData),
        (ShmError::WriterExists, ErrorKind::ResourceBusy),
        (ShmError::Contended { tries: 3 }, ErrorKind::ResourceBusy),
        (ShmError::OtherLayout { found: Layout::V3 }, ErrorKind::InvalidInput),
        (ShmError::NoCounter, ErrorKind::Unsupported),
        (ShmError::NotASegment, ErrorKind::InvalidData),
    ] {
        let (text, error) = (error.to_string(), Error::from(error));
        assert_eq!((error.kind(), error.to_string()), (kind, text));
    }
}
