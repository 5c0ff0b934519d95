//! `ShmWriter` on files: what it makes and keeps, that there is one, and what the system may refuse; with readers beside it, in threads and
//! in processes.

mod common;

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use seqslot_core::clockbound::{ClockErrorBoundBuilder, ClockStatus, Fraction, Layout, ShmError, SnapshotStatus, TimeSpec};
use seqslot_os_linux::{ClockErrorBound, ShmReader, ShmWrite, ShmWriter};

const LAYOUTS: [Layout; 2] = [Layout::V2, Layout::V3];

/// A bound in which every field tells `number`.
fn bound(layout: Layout, number: u32) -> ClockErrorBound {
    let wide = i64::from(number);
    ClockErrorBoundBuilder::new()
        .as_of_tsc(u64::from(number))
        .as_of(TimeSpec::new(wide, wide).unwrap())
        .void_after(TimeSpec::new(wide + 1, wide).unwrap())
        .period(Fraction::new(u64::from(number), (number % 60) as u8))
        .period_err(Fraction::new(u64::from(number), (number % 50) as u8))
        .bound_nsec(wide)
        .disruption_marker(u64::from(number))
        .max_drift_ppb(number)
        .clock_status(ClockStatus::from_number(number as i32 % 4).unwrap())
        .clock_disruption_support_enabled(number % 2 == 1)
        .build(layout)
        .into()
}

/// The number that all fields tell.
fn told(found: &ClockErrorBound) -> u32 {
    let number = found.max_drift_ppb();
    assert_eq!(*found, bound(found.layout(), number), "torn");
    number
}

fn reader(path: &Path) -> Result<ShmReader, ShmError> {
    ShmReader::new(&CString::new(path.as_os_str().as_bytes()).unwrap())
}

fn generation(path: &Path) -> u16 {
    u16::from_ne_bytes(fs::read(path).unwrap()[14..16].try_into().unwrap())
}

#[test]
fn a_new_segment_is_none_until_the_first_write_and_is_continued_by_the_next_writer() {
    for layout in LAYOUTS {
        let (_dir, path) = place();
        let mut writer = ShmWriter::with_layout(&path, layout).unwrap();
        assert_eq!(writer.layout(), layout);
        assert_eq!(reader(&path).err(), Some(ShmError::SegmentNotInitialized));
        assert_eq!(fs::metadata(&path).unwrap().len(), layout.segment_len() as u64);
        writer.write(&bound(layout, 1)).unwrap();
        let mut reader = reader(&path).unwrap();
        assert_eq!(reader.snapshot().map(told), Ok(1));
        let inode = fs::metadata(&path).unwrap().ino();
        drop(writer);
        let mut writer = ShmWriter::with_layout(&path, layout).unwrap();
        assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Ok(SnapshotStatus::Unchanged));
        writer.write(&bound(layout, 2)).unwrap();
        assert_eq!((reader.snapshot().map(told), generation(&path)), (Ok(2), 4));
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        let other = if layout == Layout::V2 { Layout::V3 } else { Layout::V2 };
        assert_eq!(writer.write(&bound(other, 3)), Err(ShmError::OtherLayout { found: other }));
    }
    let (_dir, path) = place();
    assert_eq!(ShmWriter::new(&path).unwrap().layout(), Layout::V2, "as in ClockBound 2.x");
}

#[test]
fn what_is_not_a_segment_is_wiped_in_place_and_never_shorter() {
    for (layout, len) in LAYOUTS.into_iter().flat_map(|layout| [0_usize, 9, 79, 104, 5_000].map(|len| (layout, len))) {
        let (_dir, path) = place();
        fs::write(&path, vec![0x5A; len]).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let mut writer = ShmWriter::with_layout(&path, layout).unwrap();
        let status = fs::metadata(&path).unwrap();
        assert_eq!((status.ino(), status.len()), (inode, len.max(layout.segment_len()) as u64), "{layout:?} over {len} bytes");
        assert_eq!(reader(&path).err(), Some(ShmError::SegmentNotInitialized));
        writer.write(&bound(layout, 5)).unwrap();
        assert_eq!(reader(&path).unwrap().snapshot().map(told), Ok(5));
    }
}

#[test]
fn a_reader_of_the_one_layout_follows_to_the_other() {
    let (_dir, path) = place();
    let mut writer = ShmWriter::with_layout(&path, Layout::V2).unwrap();
    writer.write(&bound(Layout::V2, 1)).unwrap();
    let mut reader = reader(&path).unwrap();
    assert_eq!(reader.snapshot().map(told), Ok(1));
    drop(writer);
    let mut writer = ShmWriter::with_layout(&path, Layout::V3).unwrap();
    assert_eq!(reader.snapshot_status().map(|snapshot| (told(snapshot.bound()), snapshot.status())), Ok((1, SnapshotStatus::Wiped)));
    assert_eq!(reader.snapshot(), Err(ShmError::SegmentNotInitialized));
    writer.write(&bound(Layout::V3, 2)).unwrap();
    assert_eq!(reader.snapshot().map(|bound| (told(bound), bound.layout())), Ok((2, Layout::V3)));
    drop(writer);
    ShmWriter::with_layout(&path, Layout::V2).unwrap().write(&bound(Layout::V2, 3)).unwrap();
    assert_eq!(reader.snapshot().map(|bound| (told(bound), bound.layout())), Ok((3, Layout::V2)));
    assert_eq!(fs::metadata(&path).unwrap().len(), 104);
}

#[test]
fn there_is_one_writer_until_it_goes_or_dies() {
    let test = "there_is_one_writer_until_it_goes_or_dies";
    if role().is_some() {
        let mut writer = ShmWriter::new(&given_path()).unwrap();
        writer.write(&bound(Layout::V2, 6)).unwrap();
        tell("writes");
        wait_for_parent();
        return;
    }
    let (_dir, path) = place();
    let writer = ShmWriter::new(&path).unwrap();
    let error = ShmWriter::new(&path).unwrap_err();
    assert_eq!((error.errno(), &error), (libc::EBUSY, &ShmError::WriterExists));
    drop(writer);
    let mut other = Player::start(test, "writes", &path);
    other.expects("writes");
    assert_eq!(ShmWriter::new(&path).err(), Some(ShmError::WriterExists), "another process");
    other.kill();
    let mut writer = ShmWriter::new(&path).unwrap();
    assert_eq!(reader(&path).unwrap().snapshot().map(told), Ok(6), "what the dead one wrote is kept");
    writer.write(&bound(Layout::V2, 7)).unwrap();
    assert_eq!(generation(&path), 4);
}

#[test]
fn a_forked_child_is_not_the_writer_and_does_not_keep_the_lock() {
    let (_dir, path) = place();
    let mut writer = ShmWriter::new(&path).unwrap();
    writer.write(&bound(Layout::V2, 1)).unwrap();
    let (mut theirs, mut ours) = ([0; 2], [0; 2]);
    for pipe in [&mut theirs, &mut ours] {
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    }
    // SAFETY: the child writes to a mapping, or not, and a pipe, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let answer = [u8::from(writer.write(&bound(Layout::V2, 2)) == Err(ShmError::WriterExists))];
        // SAFETY: one byte, to a pipe of ours.
        unsafe { libc::write(theirs[1], answer.as_ptr().cast(), 1) };
        let mut wait = [0_u8];
        // SAFETY: our copy of the end for writing, so that the parent's is the last.
        unsafe { libc::close(ours[1]) };
        // SAFETY: one byte, from a pipe of ours, that never comes.
        unsafe { libc::read(ours[0], wait.as_mut_ptr().cast(), 1) };
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut answer = [0_u8];
    // SAFETY: one byte, from a pipe of ours.
    assert_eq!(unsafe { libc::read(theirs[0], answer.as_mut_ptr().cast(), 1) }, 1);
    assert_eq!((answer[0], generation(&path)), (1, 2), "the child may not write");
    drop(writer);
    ShmWriter::new(&path).expect("the child lives, and has no lock");
    // SAFETY: a pipe of ours.
    unsafe { libc::close(ours[1]) };
    // SAFETY: waits for a child of ours.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
}

#[test]
fn a_file_cut_under_the_writer_is_an_error_and_the_next_writer_mends_it() {
    let (_dir, path) = place();
    let mut writer = ShmWriter::new(&path).unwrap();
    writer.write(&bound(Layout::V2, 1)).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(writer.write(&bound(Layout::V2, 2)), Err(ShmError::SegmentMalformed));
    drop(writer);
    ShmWriter::new(&path).unwrap().write(&bound(Layout::V2, 3)).unwrap();
    assert_eq!(reader(&path).unwrap().snapshot().map(told), Ok(3));
}

#[test]
fn what_the_system_refuses_is_told_with_its_call() {
    let (dir, path) = place();
    let missing = ShmWriter::new(&dir.path().join("none/shm0")).unwrap_err();
    assert_eq!(missing, ShmError::SyscallError(libc::ENOENT, c"open"));
    assert_eq!(std::io::Error::from(missing).kind(), std::io::ErrorKind::NotFound);
    assert_eq!(ShmWriter::new(dir.path()).unwrap_err(), ShmError::SyscallError(libc::EISDIR, c"open"));
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert_eq!(ShmWriter::new(&path).unwrap_err(), ShmError::SegmentMalformed);
}

#[test]
fn a_full_disk_is_an_error_and_not_a_fault_later() {
    let test = "a_full_disk_is_an_error_and_not_a_fault_later";
    if role().is_some() {
        mount_small_shm();
        let path = Path::new("/dev/shm/shm1");
        // A hole where the segment is to be; then nothing is left.
        File::create(path).unwrap().set_len(104).unwrap();
        let fill = File::create("/dev/shm/fill").unwrap();
        let full = (0..).find_map(|page: u64| fill.write_all_at(&[1; 4096], page * 4096).err()).unwrap();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(ShmWriter::with_layout(path, Layout::V3).unwrap_err(), ShmError::SyscallError(libc::ENOSPC, c"fallocate"));
        let new = ShmWriter::new(Path::new("/dev/shm/shm0")).unwrap_err();
        assert_eq!(std::io::Error::from(new).kind(), std::io::ErrorKind::StorageFull);
        drop(fill);
        fs::remove_file("/dev/shm/fill").unwrap();
        let mut writer = ShmWriter::with_layout(path, Layout::V3).unwrap();
        writer.write(&bound(Layout::V3, 1)).unwrap();
        tell("done");
        return;
    }
    let Some(command) = in_own_mounts(test) else { return };
    let mut player = Player::run(command, "fills", Path::new(""));
    player.expects("done");
    player.ends();
}

/// Ends the other thread also when this one panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_torn_bound_is_read_beside_a_writer_at_full_speed_that_starts_anew_now_and_then() {
    for layout in LAYOUTS {
        let (_dir, path) = place();
        ShmWriter::with_layout(&path, layout).unwrap().write(&bound(layout, 1)).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 2;
                while !is_over.load(Ordering::Relaxed) {
                    let mut writer = ShmWriter::with_layout(&path, layout).unwrap();
                    for _ in 0..500 {
                        writer.write(&bound(layout, number)).unwrap();
                        number += 1;
                        // As if there were a second in between: else hardly a read finds it at rest.
                        for _ in 0..if number % 8 == 0 { 20_000 } else { 0 } {
                            std::hint::spin_loop();
                        }
                    }
                }
            });
            let _over = Over(&is_over);
            let mut reader = reader(&path).unwrap();
            let (mut last, mut news) = (0, 0);
            while news < 200 {
                match reader.snapshot() {
                    Ok(bound) => {
                        let number = told(bound);
                        assert!(number >= last, "an older one came after a newer");
                        news += u32::from(number != last);
                        last = number;
                    }
                    Err(ShmError::Contended { .. } | ShmError::SegmentNotInitialized) => assert_eq!(last, 0, "the last bound is kept"),
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
}
