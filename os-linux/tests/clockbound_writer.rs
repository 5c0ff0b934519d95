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
fn what_is_not_a_usable_segment_is_wiped_in_place_and_never_shorter() {
    for (layout, len) in LAYOUTS.into_iter().flat_map(|layout| [0_usize, 5, 9, 79, 104, 5_000].map(|len| (layout, len))) {
        let (_dir, path) = place();
        let mut bytes = [0x414D_5A4E_u32, 0x4342_0200].map(u32::to_ne_bytes).concat();
        bytes.resize(bytes.len().max(len), 0x5A);
        fs::write(&path, &bytes[..len]).unwrap();
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
fn a_file_that_is_something_else_is_left_as_it_is() {
    for bytes in [&b"a letter to somebody"[..], b"x", &[0x5A; 5_000], &[0, 0, 0, 0, 0, 2, 0x42, 0x43]] {
        let (dir, path) = place();
        fs::write(&path, bytes).unwrap();
        for layout in LAYOUTS {
            let error = ShmWriter::with_layout(&path, layout).unwrap_err();
            assert_eq!((error.errno(), &error), (libc::EPROTO, &ShmError::NotASegment));
            assert!(
                error.to_string().contains("not a ClockBound segment") && error.to_string().contains("remove it, or choose another path")
            );
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no lock file beside it");
        fs::remove_file(&path).unwrap();
        assert!(ShmWriter::new(&path).is_ok());
    }
}

#[test]
fn a_usable_segment_that_is_longer_is_kept() {
    for layout in LAYOUTS {
        let (_dir, path) = place();
        ShmWriter::with_layout(&path, layout).unwrap().write(&bound(layout, 1)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(4_096).unwrap();
        file.write_all_at(&4_096_u32.to_ne_bytes(), 8).unwrap();
        let mut reader = reader(&path).unwrap();
        assert_eq!(reader.snapshot().map(told), Ok(1));
        let mut writer = ShmWriter::with_layout(&path, layout).unwrap();
        assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Ok(SnapshotStatus::Unchanged), "{layout:?}");
        writer.write(&bound(layout, 2)).unwrap();
        assert_eq!((reader.snapshot().map(told), generation(&path)), (Ok(2), 4));
    }
}

#[test]
fn everybody_may_read_the_segment_and_its_owner_alone_may_lock() {
    let (dir, path) = place();
    let test = "everybody_may_read_the_segment_and_its_owner_alone_may_lock";
    if role().is_some() {
        // SAFETY: a number; this process has one thread that makes files.
        unsafe { libc::umask(0) };
        drop(ShmWriter::new(&given_path()).unwrap());
        tell("made");
        return;
    }
    let mut maker = Player::start(test, "makes", &path);
    maker.expects("made");
    maker.ends();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&path), 0o644);
    let locks: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|other| *other != path).collect();
    let [lock] = &locks[..] else { panic!("{locks:?}") };
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!((lock.file_name().unwrap().to_str().unwrap(), mode(lock)), (&*format!(".{name}.lock"), 0o600));
}

#[test]
fn who_may_only_read_the_segment_cannot_keep_its_writer_away() {
    let (_dir, path) = place();
    drop(ShmWriter::new(&path).unwrap());
    let anyone = File::open(&path).unwrap(); // read-only, as any user may with mode 0644
    // SAFETY: a plain C struct for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_RDLCK as _;
    // SAFETY: an open descriptor and a request of its type.
    assert_eq!(unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&anyone), libc::F_OFD_SETLK, &raw const lock) }, 0);
    assert!(ShmWriter::new(&path).is_ok(), "{:?}", ShmWriter::new(&path).err());
}

#[test]
fn a_segment_has_one_lock_by_whatever_links_it_is_reached() {
    let (dir, path) = place();
    let _writer = ShmWriter::new(&path).unwrap();
    let (link, folder) = (dir.path().join("link"), dir.path().join("folder"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::os::unix::fs::symlink(dir.path(), &folder).unwrap();
    for other in [&link, &folder.join(path.file_name().unwrap())] {
        assert_eq!(ShmWriter::new(other).err(), Some(ShmError::WriterExists), "{}", other.display());
    }
    let nowhere = dir.path().join("nowhere");
    std::os::unix::fs::symlink(dir.path().join("none"), &nowhere).unwrap();
    assert_eq!(ShmWriter::new(&nowhere).err(), Some(ShmError::SyscallError(libc::EEXIST, c"open")));
    // A lock file that is a link leads nobody to make a file elsewhere.
    std::os::unix::fs::symlink(dir.path().join("trap"), dir.path().join(".other.lock")).unwrap();
    assert_eq!(ShmWriter::new(&dir.path().join("other")).err(), Some(ShmError::SyscallError(libc::ELOOP, c"open of the lock file")));
    assert!(!dir.path().join("trap").exists() && !dir.path().join("other").exists());
}

#[test]
fn a_writer_whose_file_was_replaced_or_removed_says_so() {
    let replaced = |replace: &dyn Fn(&Path, &Path)| {
        let (dir, path) = place();
        let mut writer = ShmWriter::new(&path).unwrap();
        writer.write(&bound(Layout::V2, 1)).unwrap();
        let other = dir.path().join("new");
        ShmWriter::new(&other).unwrap().write(&bound(Layout::V2, 2)).unwrap();
        replace(&other, &path);
        assert_eq!(ShmWriter::new(&path).err(), Some(ShmError::WriterExists), "there is one writer of a path");
        let answer = writer.write(&bound(Layout::V2, 3));
        assert_eq!(answer, Err(ShmError::SegmentLost), "written where nobody reads");
        drop(writer);
        ShmWriter::new(&path).unwrap().write(&bound(Layout::V2, 4)).unwrap();
        assert_eq!(reader(&path).unwrap().snapshot().map(told), Ok(4));
    };
    replaced(&|other, path| fs::rename(other, path).unwrap());
    replaced(&|_, path| fs::remove_file(path).unwrap());
    replaced(&|other, path| {
        // Its file is not gone: it has another name.
        fs::rename(path, path.with_file_name("old")).unwrap();
        fs::rename(other, path).unwrap();
    });
}

#[test]
fn a_writer_of_a_path_that_is_relative_goes_on_in_another_directory() {
    let (dir, path) = place();
    let test = "a_writer_of_a_path_that_is_relative_goes_on_in_another_directory";
    if role().is_some() {
        let path = given_path();
        std::env::set_current_dir(path.parent().unwrap()).unwrap();
        let mut writer = ShmWriter::new(Path::new(path.file_name().unwrap())).unwrap();
        // A file of that name is there, too.
        std::env::set_current_dir(path.parent().unwrap().join("elsewhere")).unwrap();
        writer.write(&bound(Layout::V2, 1)).unwrap();
        tell("written");
        return;
    }
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    fs::write(dir.path().join("elsewhere").join(path.file_name().unwrap()), b"").unwrap();
    let mut writer = Player::start(test, "writes", &path);
    writer.expects("written");
    writer.ends();
    assert_eq!(reader(&path).unwrap().snapshot().map(told), Ok(1));
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
    assert_eq!(writer.write(&bound(Layout::V2, 2)), Err(ShmError::SegmentLost));
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
        assert!(!Path::new("/dev/shm/shm0").exists(), "what was made is gone again");
        assert!(path.exists(), "what was there is not");
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
