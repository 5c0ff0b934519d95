//! Who a reader is.

use crate::index::ReaderIndex;
use crate::layout::control::STATE_MASK;
use crate::os::Lock;

/// One reader among all that had or will have its index.
///
/// ```
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let first = segment.reader()?.id(); // gone at once
/// let second = segment.reader()?;
/// assert_eq!(first.index(), second.index());
/// assert_eq!(first.generation() + 1, second.id().generation());
/// assert_eq!(second.id().lock().number(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReaderId {
    pub(crate) index: ReaderIndex,
    pub(crate) state: u32,
}

impl ReaderId {
    /// Its index.
    #[must_use]
    pub fn index(self) -> ReaderIndex {
        self.index
    }

    /// Which holder of the index it is.
    #[must_use]
    pub fn generation(self) -> u32 {
        self.state / (STATE_MASK + 1)
    }

    /// Its lock.
    #[must_use]
    pub fn lock(self) -> Lock {
        Lock::reader(self.index.get() as u8)
    }
}
