//! The state of one writer and of one reader, whatever owns the memory.

use core::marker::PhantomData;

use super::reader::Snapshot;
use super::value::{SnapshotCache, SnapshotValue};
use super::view::{SnapshotRead, SnapshotView};
use crate::error::{HeadError, PublishError, SnapshotError};
use crate::layout::head::Head;
use crate::memory::Memory;

/// The one writer of a view.
pub(super) struct Pen<M, T: ?Sized> {
    pub(super) view: SnapshotView<M>,
    pub(super) latest: u64,
    value: PhantomData<fn(&T)>,
}

impl<M: Memory, T: SnapshotValue + ?Sized> Pen<M, T> {
    /// A writer that goes on where the last one stopped.
    pub(super) fn resume(view: SnapshotView<M>) -> Self {
        let latest = view.resume().latest;
        Self { view, latest, value: PhantomData }
    }

    #[inline(always)]
    pub(super) fn publish(&mut self, value: &T) -> Result<u64, PublishError> {
        self.publish_bytes(value.bytes())
    }

    #[inline(always)]
    pub(super) fn publish_bytes(&mut self, value: &[u8]) -> Result<u64, PublishError> {
        self.latest = self.view.publish(self.latest, value)?;
        Ok(self.latest)
    }
}

/// A reader of a view, with the last value it saw.
pub(super) struct Lens<M, T: SnapshotValue + ?Sized> {
    pub(super) view: SnapshotView<M>,
    pub(super) seen: u64,
    cache: T::Cache,
}

impl<M: Memory, T: SnapshotValue + ?Sized> Lens<M, T> {
    pub(super) fn new(view: SnapshotView<M>) -> Self {
        let cache = T::cache(view.geometry().capacity as usize);
        Self { view, seen: 0, cache }
    }

    /// Copies the newest value into the caller's bytes, whether it is new or not.
    pub(super) fn read_into(&self, into: &mut [u8]) -> Result<u64, SnapshotError> {
        match self.view.read(0, into)? {
            SnapshotRead::Fresh(generation) => Ok(generation),
            // Generation 0 is nobody's, so a read that has seen nothing never answers this but over damaged words.
            SnapshotRead::Unchanged => Err(SnapshotError::Damaged),
        }
    }
}

impl<M: Memory, T: SnapshotValue + ?Sized> Lens<M, T>
where
    T::Cache: SnapshotCache<T>,
{
    #[inline(always)]
    pub(super) fn snapshot(&mut self) -> Result<Snapshot<'_, T>, SnapshotError> {
        let fresh = match self.view.read(self.seen, self.cache.spare())? {
            SnapshotRead::Unchanged => false,
            SnapshotRead::Fresh(generation) => {
                self.cache.flip();
                self.seen = generation;
                true
            }
        };
        Ok(Snapshot::new(self.cache.current(), self.seen, fresh))
    }

    pub(super) fn cached(&self) -> Option<Snapshot<'_, T>> {
        (self.seen != 0).then(|| Snapshot::new(self.cache.current(), self.seen, false))
    }
}

/// Whether values of `T` are what a segment holds, by size and (if one is asked for) by hash.
pub(super) fn check_type<T: SnapshotValue + ?Sized>(head: &Head, type_hash: Option<[u8; 16]>) -> Result<(), HeadError> {
    let size_fits = T::size().is_none_or(|size| size == head.capacity as usize);
    let hash_fits = type_hash.is_none_or(|hash| hash == head.type_hash);
    if size_fits && hash_fits { Ok(()) } else { Err(HeadError::TypeMismatch) }
}
