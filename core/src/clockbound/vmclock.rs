//! The VMClock page: what a hypervisor tells its guest about the clock, and that the machine was moved. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0x00 | 4 | magic 0x4B4C4356 |
//! | 0x04 | 4 | size of the page, at least 0x68 |
//! | 0x08 | 2 | version: 1 |
//! | 0x0A | 1 | counter: 0 of ARM, 1 TSC, 0xFF none |
//! | 0x0B | 1 | type of time: 0 UTC, 1 TAI, 2 monotonic, 3 and 4 smeared |
//! | 0x0C | 4 | sequence count, odd while the hypervisor writes; 0 is as good as any |
//! | 0x10 | 8 | disruption marker |
//! | 0x18 | 8 | flags |
//! | 0x20 | 2 | padding |
//! | 0x22 | 1 | clock status: 0 unknown, 1 initializing, 2 synchronized, 3 free running, 4 unreliable |
//! | 0x23 | 1 | how to smear leap seconds |
//! | 0x24 | 2 | offset of TAI, seconds |
//! | 0x26 | 1 | leap indicator |
//! | 0x27 | 1 | shift of the period and its errors |
//! | 0x28 | 8 | counter at the time below |
//! | 0x30 | 8 | period: fraction; seconds are fraction / 2^(64 + shift) |
//! | 0x38 | 8 | its estimated error |
//! | 0x40 | 8 | its greatest error |
//! | 0x48 | 8, 8 | time: seconds, and 2^-64 s |
//! | 0x58 | 8 | its estimated error, nanoseconds |
//! | 0x60 | 8 | its greatest error, nanoseconds |
//! | 0x68 | 8 | generation of the virtual machine, if the page is that long and a flag says so |

use core::ffi::CStr;
use core::fmt;

use super::error::ShmError;
use super::fraction::Fraction;
use crate::error::Cause;

/// Magic, at offset 0.
pub const VMCLOCK_MAGIC: u32 = 0x4B4C_4356;
/// As much of the page as is read.
pub const VMCLOCK_LEN: usize = 0x70;
/// As much of the page as there must be.
const LEAST_LEN: usize = 0x68;
const VERSION: u16 = 1;

const SIZE_AT: usize = 0x04;
const VERSION_AT: usize = 0x08;
const COUNTER_AT: usize = 0x0A;
const TIME_TYPE_AT: usize = 0x0B;
const SEQUENCE_AT: usize = 0x0C;
const MARKER_AT: usize = 0x10;
const FLAGS_AT: usize = 0x18;
const STATUS_AT: usize = 0x22;
const SMEARING_AT: usize = 0x23;
const TAI_AT: usize = 0x24;
const LEAP_AT: usize = 0x26;
const SHIFT_AT: usize = 0x27;
const VALUE_AT: usize = 0x28;
const PERIOD_AT: usize = 0x30;
const PERIOD_ESTIMATED_AT: usize = 0x38;
const PERIOD_GREATEST_AT: usize = 0x40;
const TIME_AT: usize = 0x48;
const TIME_FRACTION_AT: usize = 0x50;
const TIME_ESTIMATED_AT: usize = 0x58;
const TIME_GREATEST_AT: usize = 0x60;
const VM_GENERATION_AT: usize = 0x68;

const _: () = assert!(TIME_GREATEST_AT + 8 == LEAST_LEN && LEAST_LEN == VM_GENERATION_AT && VM_GENERATION_AT + 8 == VMCLOCK_LEN);
const _: () = assert!(FLAGS_AT + 10 == STATUS_AT && SHIFT_AT + 1 == VALUE_AT && SEQUENCE_AT + 4 == MARKER_AT);

/// Flags: which fields mean something.
const TAI_VALID: u64 = 1 << 0;
const PERIOD_ESTIMATED_VALID: u64 = 1 << 3;
const PERIOD_GREATEST_VALID: u64 = 1 << 4;
const TIME_ESTIMATED_VALID: u64 = 1 << 5;
const TIME_GREATEST_VALID: u64 = 1 << 6;
const VM_GENERATION_PRESENT: u64 = 1 << 8;

/// What the hypervisor says about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum VmClockStatus {
    /// Nothing is known.
    Unknown = 0,
    /// It is being set up.
    Initializing = 1,
    /// It follows its source.
    Synchronized = 2,
    /// The source is lost.
    FreeRunning = 3,
    /// It must not be relied on.
    Unreliable = 4,
}

/// A VMClock page, checked.
///
/// ```
/// use seqslot_core::clockbound::{VMCLOCK_LEN, VmClock, VmClockError, VmClockStatus};
/// let mut page = [0; VMCLOCK_LEN];
/// page[0x00..0x04].copy_from_slice(b"VCLK");
/// page[0x04..0x08].copy_from_slice(&0x68_u32.to_le_bytes());
/// page[0x08] = 1;
/// page[0x10] = 7;
/// page[0x22] = 2;
/// let clock = VmClock::of_bytes(&page, None)?;
/// assert_eq!((clock.disruption_marker(), clock.clock_status(), clock.sequence()), (7, VmClockStatus::Synchronized, 0));
/// page[0x22] = 5;
/// assert_eq!(VmClock::of_bytes(&page, None), Err(VmClockError::Malformed));
/// # Ok::<(), VmClockError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VmClock {
    sequence: u32,
    counter_id: u8,
    time_type: u8,
    disruption_marker: u64,
    flags: u64,
    clock_status: VmClockStatus,
    smearing: u8,
    tai_offset_sec: i16,
    leap_indicator: u8,
    counter_value: u64,
    period: Fraction,
    period_estimated: Fraction,
    period_greatest: Fraction,
    time_sec: u64,
    time_frac_sec: u64,
    time_estimated_nsec: u64,
    time_greatest_nsec: u64,
    vm_generation: Option<u64>,
}

impl VmClock {
    /// Checks the first bytes of a page ([`VMCLOCK_LEN`], or as many as there are) that is `size` bytes long, if that is known. Whether the
    /// hypervisor was writing is for the caller to find out: [`is_busy`](Self::is_busy), and a second look at the [`sequence`](Self::sequence).
    ///
    /// # Errors
    /// [`VmClockError`]: not a VMClock page, shorter than it says or needs to be, a status that there is not; another version.
    pub fn of_bytes(bytes: &[u8], size: Option<u64>) -> Result<Self, VmClockError> {
        if bytes.len() < LEAST_LEN {
            return Err(VmClockError::Malformed);
        }
        let fields = Fields(bytes);
        let alleged = fields.u32(SIZE_AT);
        if fields.u32(0) != VMCLOCK_MAGIC || (alleged as usize) < LEAST_LEN || size.is_some_and(|size| u64::from(alleged) > size) {
            return Err(VmClockError::Malformed);
        }
        let version = u16::from_le_bytes(fields.get(VERSION_AT));
        if version != VERSION {
            return Err(VmClockError::VersionNotSupported { found: version });
        }
        let (flags, shift) = (fields.u64(FLAGS_AT), bytes[SHIFT_AT]);
        let has_generation = flags & VM_GENERATION_PRESENT != 0 && (alleged as usize).min(bytes.len()) >= VMCLOCK_LEN;
        Ok(Self {
            sequence: fields.u32(SEQUENCE_AT),
            counter_id: bytes[COUNTER_AT],
            time_type: bytes[TIME_TYPE_AT],
            disruption_marker: fields.u64(MARKER_AT),
            flags,
            clock_status: status(bytes[STATUS_AT])?,
            smearing: bytes[SMEARING_AT],
            tai_offset_sec: i16::from_le_bytes(fields.get(TAI_AT)),
            leap_indicator: bytes[LEAP_AT],
            counter_value: fields.u64(VALUE_AT),
            period: Fraction::new(fields.u64(PERIOD_AT), shift),
            period_estimated: Fraction::new(fields.u64(PERIOD_ESTIMATED_AT), shift),
            period_greatest: Fraction::new(fields.u64(PERIOD_GREATEST_AT), shift),
            time_sec: fields.u64(TIME_AT),
            time_frac_sec: fields.u64(TIME_FRACTION_AT),
            time_estimated_nsec: fields.u64(TIME_ESTIMATED_AT),
            time_greatest_nsec: fields.u64(TIME_GREATEST_AT),
            vm_generation: has_generation.then(|| fields.u64(VM_GENERATION_AT)),
        })
    }

    /// The sequence count, odd while the hypervisor writes.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Whether the hypervisor was writing.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        !self.sequence.is_multiple_of(2)
    }

    /// Changes when the clock was disrupted.
    #[must_use]
    pub const fn disruption_marker(&self) -> u64 {
        self.disruption_marker
    }

    /// The hypervisor's status.
    #[must_use]
    pub const fn clock_status(&self) -> VmClockStatus {
        self.clock_status
    }

    /// Which counter the page is about: 0 of ARM, 1 TSC, 0xFF none.
    #[must_use]
    pub const fn counter_id(&self) -> u8 {
        self.counter_id
    }

    /// What kind of time: 0 UTC, 1 TAI, 2 monotonic, 3 and 4 smeared.
    #[must_use]
    pub const fn time_type(&self) -> u8 {
        self.time_type
    }

    /// All flags, as they are in the page.
    #[must_use]
    pub const fn flags(&self) -> u64 {
        self.flags
    }

    /// How a guest may smear leap seconds: 0 not, 1 linear from noon, 2 UTC-SLS.
    #[must_use]
    pub const fn leap_second_smearing_hint(&self) -> u8 {
        self.smearing
    }

    /// TAI less UTC in seconds, if known.
    #[must_use]
    pub fn tai_offset_sec(&self) -> Option<i16> {
        self.valid(TAI_VALID, self.tai_offset_sec)
    }

    /// Whether a leap second is near: 0 no, 1 and 2 positive and negative to come, 3 positive now, 4 and 5 past.
    #[must_use]
    pub const fn leap_indicator(&self) -> u8 {
        self.leap_indicator
    }

    /// The counter at [`time`](Self::time).
    #[must_use]
    pub const fn counter_value(&self) -> u64 {
        self.counter_value
    }

    /// The counter's period in seconds.
    #[must_use]
    pub const fn counter_period(&self) -> Fraction {
        self.period
    }

    /// By how much the period is thought to be wrong, seconds in a second, if known.
    #[must_use]
    pub fn counter_period_esterror(&self) -> Option<Fraction> {
        self.valid(PERIOD_ESTIMATED_VALID, self.period_estimated)
    }

    /// By how much the period may be wrong, seconds in a second, if known.
    #[must_use]
    pub fn counter_period_maxerror(&self) -> Option<Fraction> {
        self.valid(PERIOD_GREATEST_VALID, self.period_greatest)
    }

    /// The time: seconds, and the fraction of a second in 2^-64 s.
    #[must_use]
    pub const fn time(&self) -> (u64, u64) {
        (self.time_sec, self.time_frac_sec)
    }

    /// By how many nanoseconds the time is thought to be wrong, if known.
    #[must_use]
    pub fn time_esterror_nsec(&self) -> Option<u64> {
        self.valid(TIME_ESTIMATED_VALID, self.time_estimated_nsec)
    }

    /// By how many nanoseconds the time may be wrong, if known.
    #[must_use]
    pub fn time_maxerror_nsec(&self) -> Option<u64> {
        self.valid(TIME_GREATEST_VALID, self.time_greatest_nsec)
    }

    /// The generation of the virtual machine, if the page has it: another one after the machine was restored from a picture of it.
    #[must_use]
    pub const fn vm_generation_counter(&self) -> Option<u64> {
        self.vm_generation
    }

    fn valid<T>(&self, flag: u64, value: T) -> Option<T> {
        (self.flags & flag != 0).then_some(value)
    }
}

fn status(number: u8) -> Result<VmClockStatus, VmClockError> {
    match number {
        0 => Ok(VmClockStatus::Unknown),
        1 => Ok(VmClockStatus::Initializing),
        2 => Ok(VmClockStatus::Synchronized),
        3 => Ok(VmClockStatus::FreeRunning),
        4 => Ok(VmClockStatus::Unreliable),
        _ => Err(VmClockError::Malformed),
    }
}

/// A page, whose length was checked.
struct Fields<'p>(&'p [u8]);

impl Fields<'_> {
    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[at..at + N]);
        bytes
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.get(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.get(at))
    }
}

/// Why there is no VMClock page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VmClockError {
    /// A system call failed: its error number, and its name.
    SyscallError(i32, &'static CStr),
    /// The page holds what no hypervisor writes, or is shorter than it says.
    Malformed,
    /// The page has another version.
    VersionNotSupported {
        /// Which.
        found: u16,
    },
    /// The hypervisor wrote during each of so many tries.
    Busy {
        /// How many.
        tries: u32,
    },
}

impl VmClockError {
    /// The error number: the system call's own; 71 (EPROTO) for content that is not usable, 11 (EAGAIN) for a page written all the time: as
    /// Linux numbers them.
    ///
    /// ```
    /// use seqslot_core::clockbound::VmClockError;
    /// assert_eq!(VmClockError::SyscallError(2, c"open").errno(), 2);
    /// assert_eq!(VmClockError::Malformed.errno(), 71);
    /// ```
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::SyscallError(errno, _) => *errno,
            Self::Malformed | Self::VersionNotSupported { .. } => ShmError::SegmentMalformed.errno(),
            Self::Busy { tries } => ShmError::Contended { tries: *tries }.errno(),
        }
    }

    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::SyscallError(..) => Cause::Os,
            Self::Malformed | Self::VersionNotSupported { .. } => Cause::Corruption,
            Self::Busy { .. } => Cause::Contention,
        }
    }
}

impl fmt::Display for VmClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SyscallError(errno, call) => {
                write!(f, "VMClock page: {} failed with error {errno}", call.to_str().unwrap_or("a system call"))
            }
            Self::Malformed => f.write_str("the VMClock page holds what no hypervisor writes; is the path right?"),
            Self::VersionNotSupported { found } => write!(f, "the VMClock page has version {found}, and 1 is read here"),
            Self::Busy { tries } => write!(f, "the hypervisor wrote the VMClock page during each of {tries} tries; try again"),
        }
    }
}

impl core::error::Error for VmClockError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page in which every field has its own value.
    fn golden() -> [u8; VMCLOCK_LEN] {
        let mut page = [0; VMCLOCK_LEN];
        let fields: [(usize, &[u8]); 21] = [
            (0x00, &[0x56, 0x43, 0x4C, 0x4B]),
            (0x04, &[0x70, 0, 0, 0]),
            (0x08, &[1, 0]),
            (0x0A, &[1]),
            (0x0B, &[2]),
            (0x0C, &[0x44, 0x33, 0x22, 0x11]),
            (0x10, &[0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01]),
            (0x18, &[0x79, 0x01, 0, 0, 0, 0, 0, 0]),
            (0x22, &[3]),
            (0x23, &[1]),
            (0x24, &[37, 0]),
            (0x26, &[4]),
            (0x27, &[30]),
            (0x28, &[1, 0, 0, 0, 0, 0, 0, 2]),
            (0x30, &[3, 0, 0, 0, 0, 0, 0, 4]),
            (0x38, &[5, 0, 0, 0, 0, 0, 0, 0]),
            (0x40, &[6, 0, 0, 0, 0, 0, 0, 0]),
            (0x48, &[7, 0, 0, 0, 0, 0, 0, 0]),
            (0x50, &[8, 0, 0, 0, 0, 0, 0, 0]),
            (0x58, &[9, 0, 0, 0, 0, 0, 0, 0]),
            (0x60, &[10, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (at, bytes) in fields {
            page[at..at + bytes.len()].copy_from_slice(bytes);
        }
        page[0x68] = 11;
        page
    }

    #[test]
    fn the_golden_page_is_read_field_by_field() {
        let clock = VmClock::of_bytes(&golden(), Some(0x70)).unwrap();
        assert_eq!((clock.counter_id(), clock.time_type(), clock.sequence(), clock.is_busy()), (1, 2, 0x1122_3344, false));
        assert_eq!((clock.disruption_marker(), clock.flags()), (0x0123_4567_89AB_CDEF, 0x179));
        assert_eq!((clock.clock_status(), clock.leap_second_smearing_hint(), clock.leap_indicator()), (VmClockStatus::FreeRunning, 1, 4));
        assert_eq!((clock.tai_offset_sec(), clock.counter_value()), (Some(37), 0x0200_0000_0000_0001));
        assert_eq!(clock.counter_period(), Fraction::new(0x0400_0000_0000_0003, 30));
        let errors = (clock.counter_period_esterror(), clock.counter_period_maxerror());
        assert_eq!(errors, (Some(Fraction::new(5, 30)), Some(Fraction::new(6, 30))));
        assert_eq!((clock.time(), clock.time_esterror_nsec(), clock.time_maxerror_nsec()), ((7, 8), Some(9), Some(10)));
        assert_eq!(clock.vm_generation_counter(), Some(11));
        let short = VmClock::of_bytes(&golden()[..0x68], None).unwrap();
        assert_eq!(short.vm_generation_counter(), None);
        let mut alleged_short = golden();
        alleged_short[0x04] = 0x6F;
        assert_eq!(VmClock::of_bytes(&alleged_short, None).unwrap().vm_generation_counter(), None, "it says that it is no longer");
        let mut unflagged = golden();
        unflagged[0x18..0x20].fill(0);
        let clock = VmClock::of_bytes(&unflagged, None).unwrap();
        assert_eq!((clock.tai_offset_sec(), clock.time_esterror_nsec(), clock.vm_generation_counter()), (None, None, None));
    }

    #[test]
    fn each_flag_is_of_its_own_field() {
        let fields = [0_u32, 3, 4, 5, 6, 8].map(|bit| {
            let mut page = golden();
            page[0x18..0x20].copy_from_slice(&(1_u64 << bit).to_le_bytes());
            let clock = VmClock::of_bytes(&page, None).unwrap();
            [
                clock.tai_offset_sec().is_some(),
                clock.counter_period_esterror().is_some(),
                clock.counter_period_maxerror().is_some(),
                clock.time_esterror_nsec().is_some(),
                clock.time_maxerror_nsec().is_some(),
                clock.vm_generation_counter().is_some(),
            ]
        });
        for (bit, told) in fields.iter().enumerate() {
            assert_eq!(*told, core::array::from_fn(|field| field == bit), "{bit}");
        }
    }

    #[test]
    fn what_no_hypervisor_writes_is_refused() {
        let with = |at: usize, change: &[u8], size: Option<u64>| {
            let mut page = golden();
            page[at..at + change.len()].copy_from_slice(change);
            VmClock::of_bytes(&page, size).map(|clock| clock.sequence())
        };
        assert!(with(0, &[], Some(0x70)).is_ok());
        assert_eq!(with(0x0C, &[0; 4], None), Ok(0), "no count is special");
        assert_eq!(with(0, &[0x57], None), Err(VmClockError::Malformed));
        for size in [0_u32, 16, 0x67, 0x71, u32::MAX] {
            assert_eq!(with(4, &size.to_le_bytes(), Some(0x70)), Err(VmClockError::Malformed), "{size:#x}");
        }
        assert!(with(4, &4096_u32.to_le_bytes(), None).is_ok(), "a device does not tell its length");
        for version in [0_u16, 2, 0x0100] {
            assert_eq!(with(8, &version.to_le_bytes(), None), Err(VmClockError::VersionNotSupported { found: version }));
        }
        for status in [5, 255] {
            assert_eq!(with(0x22, &[status], None), Err(VmClockError::Malformed));
        }
        for len in 0..0x68 {
            assert_eq!(VmClock::of_bytes(&golden()[..len], None), Err(VmClockError::Malformed), "{len} bytes");
        }
    }
}
