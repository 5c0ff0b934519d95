//! VMClock pages: the crate's public writer with our reader, and both clients over one page.

use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use clock_bound::test_utils::{VMClockClockStatus, VMClockShmBody, VMClockShmWrite as _, VMClockShmWriter};
use seqslot::{ClockBoundLayout, ClockErrorBoundBuilder, ClockStatus, Fraction, ShmWrite as _, VmClock, VmClockError, VmClockStatus};
use serde::{Deserialize, Serialize};

use crate::child::{Child, stay_on};
use crate::outcome::{Outcome, ensure};

/// Where a page's sequence count and marker are.
const SEQUENCE_AT: u64 = 0x0C;
const MARKER_AT: u64 = 0x10;
/// All flags that say that a field means something.
const ALL_VALID: u64 = 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6;

/// What a reading process saw.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Seen {
    /// Looks.
    pub looks: u64,
    /// Pages that were not seen before.
    pub fresh: u64,
    /// Looks during all of which the page was being written.
    pub busy: u64,
}

/// The page of a counter: every field follows from it.
fn body(counter: u64) -> VMClockShmBody {
    use VMClockClockStatus::{FreeRunning, Initializing, Synchronized, Unknown, Unreliable};
    VMClockShmBody {
        disruption_marker: counter,
        flags: ALL_VALID,
        _padding: [0; 2],
        clock_status: [Unknown, Initializing, Synchronized, FreeRunning, Unreliable][(counter % 5) as usize],
        leap_second_smearing_hint: (counter % 3) as u8,
        tai_offset_sec: (counter % 37) as i16,
        leap_indicator: (counter % 6) as u8,
        counter_period_shift: (counter % 40) as u8,
        counter_value: counter.wrapping_mul(3),
        counter_period_frac_sec: counter.wrapping_mul(5),
        counter_period_esterror_rate_frac_sec: counter.wrapping_mul(7),
        counter_period_maxerror_rate_frac_sec: counter.wrapping_mul(11),
        time_sec: counter.wrapping_mul(13),
        time_frac_sec: counter.wrapping_mul(17),
        time_esterror_nanosec: counter.wrapping_mul(19),
        time_maxerror_nanosec: counter.wrapping_mul(23),
    }
}

/// The counter of a page that ours read, if every field is its own.
fn of_ours(page: &VmClock) -> Option<u64> {
    use VmClockStatus::{FreeRunning, Initializing, Synchronized, Unknown, Unreliable};
    let (counter, wanted) = (page.disruption_marker(), body(page.disruption_marker()));
    let status = [Unknown, Initializing, Synchronized, FreeRunning, Unreliable][(counter % 5) as usize];
    let period = |numerator| Some(seqslot::Fraction::new(numerator, wanted.counter_period_shift));
    let is_whole = page.flags() == wanted.flags
        && page.clock_status() == status
        && page.leap_second_smearing_hint() == wanted.leap_second_smearing_hint
        && page.tai_offset_sec() == Some(wanted.tai_offset_sec)
        && page.leap_indicator() == wanted.leap_indicator
        && page.counter_value() == wanted.counter_value
        && Some(page.counter_period()) == period(wanted.counter_period_frac_sec)
        && page.counter_period_esterror() == period(wanted.counter_period_esterror_rate_frac_sec)
        && page.counter_period_maxerror() == period(wanted.counter_period_maxerror_rate_frac_sec)
        && page.time() == (wanted.time_sec, wanted.time_frac_sec)
        && page.time_esterror_nsec() == Some(wanted.time_esterror_nanosec)
        && page.time_maxerror_nsec() == Some(wanted.time_maxerror_nanosec);
    is_whole.then_some(counter)
}

/// Pages between processes for about so long, the writer killed and started anew on the way; what our reader saw.
pub fn run(folder: &Path, time: Duration) -> Outcome<Seen> {
    both_clients(folder)?;
    let path = folder.join("vmclock");
    VMClockShmWriter::new(&path)?.write(&body(0));
    let name = path.to_string_lossy();
    let mut reader = Child::start(&["vmclock-read", "ours", &name])?;
    reader.say(&time.as_millis().to_string())?;
    let begin = Instant::now();
    for round in 0_u64.. {
        if begin.elapsed() >= time {
            break;
        }
        // The marker is the counter; of a write that was cut short it is the old or the new one.
        let mut marker = [0; 8];
        std::fs::File::open(&path)?.read_exact_at(&mut marker, MARKER_AT)?;
        let counter = u64::from_le_bytes(marker) + 1000;
        let rest = if round % 2 == 0 { 5_000 } else { 0 };
        let mut writer = Child::start(&["vmclock-write", "theirs", &name])?;
        writer.say(&format!("{counter} {rest}"))?;
        std::thread::sleep(time / 8);
        writer.kill()?;
    }
    let line = reader.line().map_err(|_| "our reader of VMClock pages failed")?;
    let seen: Seen = serde_json::from_str(&line)?;
    ensure(seen.fresh > 0, || format!("no page came: {seen:?}"))?;
    Ok(seen)
}

/// Is the writer or the reader.
pub fn play(role: &str, path: &Path) -> Outcome<()> {
    let line = std::io::stdin().lock().lines().next().ok_or("not told anything")??;
    let told: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    stay_on(usize::from(role == "vmclock-read"));
    if role == "vmclock-read" {
        println!("{}", serde_json::to_string(&read(path, Duration::from_millis(told[0]))?)?);
        return Ok(());
    }
    let mut writer = VMClockShmWriter::new(path)?;
    for counter in told[0].. {
        writer.write(&body(counter));
        let begin = Instant::now();
        while told[1] != 0 && (begin.elapsed().as_nanos() as u64) < told[1] {
            std::hint::spin_loop();
        }
    }
    Ok(())
}

fn read(path: &Path, time: Duration) -> Outcome<Seen> {
    let (mut seen, mut last, begin) = (Seen::default(), None, Instant::now());
    let mut reader = seqslot::VmClockReader::new(path)?;
    while begin.elapsed() < time {
        seen.looks += 1;
        match reader.snapshot() {
            Ok(page) => {
                let counter = of_ours(page).ok_or_else(|| format!("a torn page after {seen:?}: {page:?}"))?;
                ensure(last.is_none_or(|last| counter >= last), || format!("page {counter} after {last:?}"))?;
                seen.fresh += u64::from(last != Some(counter));
                last = Some(counter);
            }
            Err(VmClockError::Busy { .. }) => seen.busy += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(seen)
}

/// Both clients over a segment of ours and a page.
struct Clients {
    theirs: clock_bound::Client,
    ours: seqslot::ClockBoundClient,
}

impl Clients {
    fn new(segment: &Path, page: &Path) -> Outcome<Self> {
        let theirs = clock_bound::Client::new_with_paths(&segment.to_string_lossy(), &page.to_string_lossy());
        Ok(Self { theirs: theirs.map_err(|error| format!("{error:?}"))?, ours: seqslot::ClockBoundClient::new_with_paths(segment, page)? })
    }

    /// What each says of the clock, as its number.
    fn statuses(&mut self) -> Outcome<(i32, i32)> {
        let theirs = self.theirs.now().map_err(|error| format!("{error:?}"))?.clock_status as i32;
        Ok((theirs, self.ours.now()?.clock_status as i32))
    }
}

/// Writes a bound whose daemon has seen the disruptions up to `marker`. A tick of its counter takes so many seconds.
fn bound(segment: &Path, marker: u64, tick: f64) -> Outcome<()> {
    let bound = ClockErrorBoundBuilder::new()
        .as_of_tsc(u64::MAX / 2)
        .period(Fraction::from_f64(tick).ok_or("no such period")?)
        .disruption_marker(marker)
        .clock_status(ClockStatus::Synchronized)
        .clock_disruption_support_enabled(true)
        .build(ClockBoundLayout::V3);
    Ok(seqslot::ShmWriter::with_layout(segment, ClockBoundLayout::V3)?.write(&bound.into())?)
}

/// A tick that is next to nothing: the moment of the update lasts.
const STILL: f64 = 1e-38;

/// A disruption that the daemon makes good: both clients tell it, and both cease to; also where the counter began anew with it.
fn both_clients(folder: &Path) -> Outcome<()> {
    const SYNCHRONIZED: i32 = ClockStatus::Synchronized as i32;
    const DISRUPTED: i32 = ClockStatus::Disrupted as i32;
    let (segment, page) = (folder.join("clients-segment"), folder.join("clients-page"));
    bound(&segment, 2, STILL)?;
    let mut hypervisor = VMClockShmWriter::new(&page)?;
    hypervisor.write(&body(2));
    let mut clients = Clients::new(&segment, &page)?;
    let mut are = |what: &str, wanted: i32| -> Outcome<()> {
        let found = clients.statuses()?;
        ensure(found == (wanted, wanted), || format!("{what}: theirs and ours say {found:?}, not {wanted}"))
    };
    are("before a disruption", SYNCHRONIZED)?;
    hypervisor.write(&body(7));
    are("after a disruption", DISRUPTED)?;
    bound(&segment, 7, STILL)?;
    are("after the daemon has made it good", SYNCHRONIZED)?;
    bound(&segment, 6, 1e-9)?;
    are("after a disruption that has set the counter back", DISRUPTED)
}

/// A disruption on a page whose sequence count is 0, of which the crate's client says nothing.
pub fn sequence_zero(path: &Path) -> Outcome<()> {
    let (segment, page) = (path.with_extension("segment"), path.with_extension("page"));
    bound(&segment, 0, STILL)?;
    VMClockShmWriter::new(&page)?.write(&body(0));
    let file = std::fs::OpenOptions::new().write(true).open(&page)?;
    file.write_all_at(&[0; 4], SEQUENCE_AT)?;
    file.write_all_at(&5_u64.to_le_bytes(), MARKER_AT)?;
    let found = Clients::new(&segment, &page)?.statuses()?;
    let wanted = (ClockStatus::Synchronized as i32, ClockStatus::Disrupted as i32);
    ensure(found == wanted, || format!("theirs and ours say {found:?}, not {wanted:?}"))
}
