//! Publishing and observing over a region, without an operating system: between cores, or between a program and its interrupts.

use core::fmt;

use super::config::SnapshotConfig;
use super::pen::{Lens, Pen, check_type};
use super::reader::Snapshot;
use super::value::{SnapshotCache, SnapshotValue};
use super::view::SnapshotView;
use crate::error::{CreateError, HeadError, PublishError, SnapshotError};
use crate::memory::Raw;
use crate::region::Region;

/// The one writer of a snapshot in a [`Region`]. Loads and stores only, so that it runs where there is no compare-and-swap.
///
/// There is one at a time for each region: nothing here can tell whether another one lives, and two would mix their values up
/// (without corrupting memory).
///
/// ```
/// use core::sync::atomic::AtomicU8;
/// use seqslot_core::{Observer, Publisher, Region, SnapshotConfig};
///
/// #[repr(align(64))]
/// struct Bank([AtomicU8; 1024]);
/// static BANK: Bank = Bank([const { AtomicU8::new(0) }; 1024]);
///
/// // SAFETY: nobody else uses the bank, and one segment is made in it.
/// let region = unsafe { Region::new(&BANK.0) }?;
/// let mut publisher = Publisher::<[u32; 4]>::format(region, SnapshotConfig::of::<[u32; 4]>())?;
/// let mut observer = Observer::<[u32; 4]>::attach(region)?;   // elsewhere, and as many as you like
///
/// publisher.publish(&[1, 2, 3, 4])?;
/// let seen = observer.snapshot()?;
/// assert_eq!((*seen, seen.is_fresh()), ([1, 2, 3, 4], true));
/// assert!(!observer.snapshot()?.is_fresh());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher<'r, T: SnapshotValue + ?Sized> {
    pen: Pen<Raw, T>,
    _region: Region<'r>,
}

impl<'r, T: SnapshotValue + ?Sized> Publisher<'r, T> {
    /// Lays a new, empty snapshot out in `region`, whatever was there before; to be called before anybody attaches.
    ///
    /// # Errors
    /// [`CreateError`]: a configuration that cannot be or is not `T`'s, or a region too short for it.
    pub fn format(region: Region<'r>, config: SnapshotConfig) -> Result<Self, CreateError> {
        let shape = config.shape()?;
        if let Some(size) = T::size()
            && size != shape.capacity as usize
        {
            return Err(CreateError::TypeMismatch);
        }
        let view = SnapshotView::format_region(region, shape, config.hash(), config.instance)?;
        Ok(Self { pen: Pen::resume(view), _region: region })
    }

    /// Goes on as the writer of a snapshot that is there, after the publisher before is gone (a core was reset).
    ///
    /// # Errors
    /// [`HeadError`]: the region does not hold a snapshot, or not of `T`'s size.
    ///
    /// ```
    /// use seqslot_core::{Observer, Publisher, SnapshotConfig};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let mut publisher = Publisher::<u32>::format(region, SnapshotConfig::of::<u32>())?;
    /// let generation = publisher.publish(&7)?;
    /// core::mem::forget(publisher); // its core was reset
    /// let mut next = Publisher::<u32>::resume(region)?;
    /// assert_eq!(next.generation(), generation);
    /// assert_eq!(*Observer::<u32>::attach(region)?.snapshot()?, 7);
    /// assert!(next.publish(&8)? > generation);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(region: Region<'r>) -> Result<Self, HeadError> {
        Ok(Self { pen: Pen::resume(view::<T>(region)?), _region: region })
    }

    /// Publishes `value`, and returns its generation. Never waits; two stores to each of two cache lines, and the value.
    ///
    /// # Errors
    /// [`PublishError::SizeMismatch`] if a `[u8]` is not as long as the segment's values.
    #[inline(always)]
    pub fn publish(&mut self, value: &T) -> Result<u64, PublishError> {
        self.pen.publish(value)
    }

    /// Publishes the bytes of a value.
    ///
    /// # Errors
    /// [`PublishError::SizeMismatch`] if there are not as many as a value has.
    ///
    /// ```
    /// use seqslot_core::{Observer, PublishError, Publisher, SnapshotConfig};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let mut publisher = Publisher::<u32>::format(region, SnapshotConfig::of::<u32>())?;
    /// publisher.publish_bytes(&7_u32.to_ne_bytes())?;
    /// assert_eq!(*Observer::<u32>::attach(region)?.snapshot()?, 7);
    /// assert_eq!(publisher.publish_bytes(&[1, 2]), Err(PublishError::SizeMismatch { len: 2, expected: 4 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish_bytes(&mut self, value: &[u8]) -> Result<u64, PublishError> {
        self.pen.publish_bytes(value)
    }

    /// The generation published last, 0 if there is none.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.pen.latest
    }
}

/// A reader of a snapshot in a [`Region`]; it never writes to it. See [`Publisher`] for an example.
///
/// ```
/// use seqslot_core::{Observer, Publisher, SnapshotConfig, SnapshotError};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// let mut publisher = Publisher::<u32>::format(region, SnapshotConfig::of::<u32>())?;
/// let mut observer = Observer::<u32>::attach(region)?;
/// assert_eq!(observer.snapshot().err(), Some(SnapshotError::Empty));
/// assert!(observer.cached().is_none());
///
/// let generation = publisher.publish(&7)?;
/// assert_eq!((*observer.snapshot()?, observer.latest()), (7, generation));
/// publisher.publish(&8)?;
/// assert_eq!(*observer.cached().expect("seen before"), 7, "no look at the region");
/// let mut bytes = [0; 4];
/// assert!(observer.read_into(&mut bytes)? > generation);
/// assert_eq!(u32::from_ne_bytes(bytes), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Observer<'r, T: SnapshotValue + ?Sized> {
    lens: Lens<Raw, T>,
    _region: Region<'r>,
}

impl<'r, T: SnapshotValue + ?Sized> Observer<'r, T> {
    /// Attaches to the snapshot in `region`.
    ///
    /// # Errors
    /// [`HeadError`]: the region does not hold a snapshot (yet), or not of `T`'s size.
    pub fn attach(region: Region<'r>) -> Result<Self, HeadError> {
        Ok(Self { lens: Lens::new(view::<T>(region)?), _region: region })
    }

    /// Copies the newest value into `into`, and returns its generation.
    ///
    /// # Errors
    /// [`SnapshotError`], as [`SnapshotView::read`].
    pub fn read_into(&self, into: &mut [u8]) -> Result<u64, SnapshotError> {
        self.lens.read_into(into)
    }

    /// The newest generation, without its value; 0 if there is none.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.lens.view.latest()
    }
}

impl<T: SnapshotValue + ?Sized> Observer<'_, T>
where
    T::Cache: SnapshotCache<T>,
{
    /// The newest value; looks at one cache line if it has not changed since the last call.
    ///
    /// # Errors
    /// [`SnapshotError`]: nothing published yet, overtaken on every try, or damaged. The last good value stays in [`cached`](Self::cached).
    #[inline(always)]
    pub fn snapshot(&mut self) -> Result<Snapshot<'_, T>, SnapshotError> {
        self.lens.snapshot()
    }

    /// The value of the last successful [`snapshot`](Self::snapshot), without a look at the region.
    #[must_use]
    pub fn cached(&self) -> Option<Snapshot<'_, T>> {
        self.lens.cached()
    }
}

/// The view of a region that holds values of `T`.
fn view<T: SnapshotValue + ?Sized>(region: Region<'_>) -> Result<SnapshotView<Raw>, HeadError> {
    let (view, head) = SnapshotView::of_region(region)?;
    check_type::<T>(&head, None)?;
    Ok(view)
}

impl<T: SnapshotValue + ?Sized> fmt::Debug for Publisher<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("generation", &self.pen.latest).finish_non_exhaustive()
    }
}

impl<T: SnapshotValue + ?Sized> fmt::Debug for Observer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("seen", &self.lens.seen).finish_non_exhaustive()
    }
}
