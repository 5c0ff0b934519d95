//! Who a reader is.

use crate::index::ReaderIndex;
use crate::layout::control::STATE_MASK;
use crate::os::Lock;

/// One reader among all that had or will have its index.
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
