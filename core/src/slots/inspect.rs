//! Looking at a slots segment without touching it.

use super::view::SlotsView;
use crate::error::{HeadError, OsError};
use crate::layout::head::Head;
use crate::layout::slots::SlotsGeometry;
use crate::memory::Memory;
use crate::os::{Lock, Mapping};

/// A view for looking only, over a mapping that it borrows; the mapping may be read-only.
///
/// ```
/// use seqslot_core::{Inspection, Lock};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let reader = segment.reader()?;
/// let inspection = Inspection::of(segment.mapping())?;
/// assert_eq!((inspection.head().count, inspection.slots().count()), (4, 4));
/// assert!(inspection.is_claimed(Lock::reader(0))?);
/// assert!(!inspection.is_claimed(Lock::reader(1))?);
/// # drop(reader);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Inspection<'g, G: Mapping> {
    view: SlotsView<G::Memory>,
    head: Head,
    mapping: &'g G,
}

impl<'g, G: Mapping> Inspection<'g, G> {
    /// Looks at the slots segment in `mapping`.
    ///
    /// # Errors
    /// [`HeadError`]: the bytes are not a slots segment, or one cut short.
    pub fn of(mapping: &'g G) -> Result<Self, HeadError> {
        let head = Head::of(mapping)?;
        let memory = mapping.memory();
        let geometry = SlotsGeometry::from_head(&head, memory.len())?;
        // SAFETY: 1. the mapping is borrowed for 'g, and its memory is valid as long as it is (`Mapping` 4). 2. only loads are public.
        // 3. by `from_head`.
        let view = unsafe { SlotsView::of_computed(memory, geometry) }?;
        Ok(Self { view, head, mapping })
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether somebody alive holds `lock`.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn is_claimed(&self, lock: Lock) -> Result<bool, OsError> {
        self.view.lock_word(lock).map_or(Ok(false), |word| self.mapping.is_claimed(lock, word))
    }
}

impl<G: Mapping> core::ops::Deref for Inspection<'_, G> {
    type Target = SlotsView<G::Memory>;

    fn deref(&self) -> &Self::Target {
        &self.view
    }
}
