//! Code as it stands for clock_bound_shm, with the imports changed: a daemon's writer, a client's reader, the interval that holds the time.
//! With a path it reads that segment (`/var/run/clockbound/shm0` or `shm1` of a daemon that runs).
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

// Before: use clock_bound_shm::{ClockErrorBound, ClockStatus, ShmReader, ShmWrite, ShmWriter};
use seqslot::{ClockErrorBound, ClockStatus, ShmReader, ShmWrite, ShmWriter, TimeSpec, monotonic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        return tell(&mut ShmReader::new(&CString::new(path.as_bytes())?)?);
    }
    let folder = std::env::temp_dir().join(format!("from-clockbound-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("shm0");
    let mut writer = ShmWriter::new(&path)?;
    let mut reader = None;
    for update in 0..3 {
        writer.write(&bound(update)?)?;
        // A client opens the segment once it has a value.
        let reader = match &mut reader {
            Some(reader) => reader,
            none => none.insert(ShmReader::new(&CString::new(path.as_os_str().as_bytes())?)?),
        };
        tell(reader)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// What a daemon writes: within 25 us at this moment, no good in 1,000 s if nothing comes after it.
fn bound(update: u64) -> Result<ClockErrorBound, Box<dyn std::error::Error>> {
    let as_of = monotonic()?;
    let void_after = TimeSpec::new(as_of.tv_sec() + 1_000, as_of.tv_nsec()).ok_or("no such time")?;
    Ok(ClockErrorBound::new(as_of, void_after, 25_000, update, 15_000, ClockStatus::Synchronized, false))
}

/// What a client does: the interval that holds the true time, if the status says that it does.
fn tell(reader: &mut ShmReader) -> Result<(), Box<dyn std::error::Error>> {
    // Before, this was all there was: reader.snapshot()?.now()?
    let snapshot = reader.snapshot_status()?;
    let (earliest, latest, status) = snapshot.bound().now()?;
    let width = (latest.tv_sec() - earliest.tv_sec()) * 1_000_000_000 + latest.tv_nsec() - earliest.tv_nsec();
    println!(
        "{}.{:09} s, {width} ns wide, {status:?}; {:?}, {:?} old",
        earliest.tv_sec(),
        earliest.tv_nsec(),
        snapshot.status(),
        snapshot.age()?
    );
    Ok(())
}
