//! The seeds' face over a "ZDS2" segment.

use core::fmt;

use portable_atomic::Ordering::Relaxed;

use super::change;
use super::layout::Zds2Geometry;
use super::owner::Owner;
use super::sample::{self, Seen};
use super::view::{Slot, View, begins_so};
use crate::error::{AttachError, CreateError};
use crate::memory::Memory;
use crate::os::{Access, ClaimOf, Created, Lock, Mapping, MemoryOf, ObjectSpec};
use crate::registry;
use crate::seeds::{Exclusion, Exclusive, SlotError, SlotHandle, SlotHeader};
use crate::segment::SlotsOs;

/// A slot of a platform's memory.
pub(super) type SlotOf<'v, O> = Slot<'v, MemoryOf<O>>;

/// The seeds' face over a "ZDS2" segment of zerodds-flatdata: attached to one that the crate or another process of this library made,
/// or made here, so that the crate can attach.
///
/// It is a [`SlotBackend`](crate::SlotBackend) as [`SlotFace`](crate::SlotFace) is; what the layout cannot do is an error that says so. Only the owner, who made
/// the segment, writes: [`SlotError::NotOwner`] for everybody else. What readers of a segment may rely on depends on who writes it,
/// see [the module](crate::zerodds). Dropping the owner's takes the name away; those attached keep the memory.
///
/// ```
/// # use core::sync::atomic::AtomicU8;
/// use seqslot_core::zerodds::Zds2Face;
/// use seqslot_core::{Bare, Exclusion, Exclusive, Region, SlotBackend, SlotError};
/// struct Locked<T>(std::sync::Mutex<T>);
/// impl<T> Exclusive<T> for Locked<T> {
///     fn new(value: T) -> Self {
///         Self(std::sync::Mutex::new(value))
///     }
///     fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
///         act(&mut self.0.lock().unwrap())
///     }
/// }
/// struct Mutexes;
/// impl Exclusion for Mutexes {
///     type Of<T> = Locked<T>;
/// }
/// # #[repr(align(64))]
/// # struct Bank([AtomicU8; 4096]);
/// # static BANK: Bank = Bank([const { AtomicU8::new(0) }; 4096]);
/// // SAFETY: nobody else uses the bank, and one segment is made in it.
/// let os = Bare::new(unsafe { Region::new(&BANK.0) }?);
/// let owner: Zds2Face<_, Mutexes> = Zds2Face::create(os, &(), 4, 100)?;
/// let reader: Zds2Face<_, Mutexes> = Zds2Face::attach(os, &())?; // in another process, or the crate
///
/// let handle = owner.reserve_slot(0b1)?;
/// assert_eq!(owner.commit_slot(handle, b"hello")?, 0);
/// let mut bytes = [0; 112];
/// let found = reader.next_unread_slot(0)?.expect("committed");
/// let header = reader.read_slot_into(found, &mut bytes)?;
/// assert_eq!(&bytes[..header.sample_size as usize], b"hello");
/// reader.mark_read(found, 0)?;
/// assert_eq!(reader.next_unread_slot(0)?, None);
///
/// // The layout has no second writer, and no empty samples.
/// assert_eq!(reader.reserve_slot(0b1), Err(SlotError::NotOwner));
/// let handle = owner.reserve_slot(0b1)?;
/// assert_eq!(owner.commit_slot(handle, b""), Err(SlotError::EmptySample));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Zds2Face<O: SlotsOs, E: Exclusion> {
    // Dropped in this order: the claim before the mapping, which the view points into.
    pub(super) claim: Option<ClaimOf<O>>,
    pub(super) owner: Option<E::Of<Owner>>,
    /// Held while a sample is marked.
    pub(super) marking: E::Of<()>,
    pub(super) view: View<MemoryOf<O>>,
    pub(super) os: O,
    pub(super) mapping: O::Mapping,
    /// In the handles of samples. Handles of loans have its complement.
    pub(super) id: u64,
    /// Whether this library made the segment.
    pub(super) ours: bool,
}

impl<O: SlotsOs, E: Exclusion> Zds2Face<O, E> {
    /// Makes a segment under `name`, as its owner. Nobody can attach before it is whole.
    ///
    /// # Errors
    /// [`CreateError`]: no slots or no capacity, more than the layout can say, no heap for the owner's account of them, a living owner has
    /// the name, or the system refused.
    pub fn create(os: O, name: &O::Name, slots: u64, capacity: u64) -> Result<Self, CreateError> {
        let geometry = Zds2Geometry::new(slots, capacity)?;
        let slots = geometry.slots();
        // The memory it takes is had before anybody can see the segment; it is written once the object is there, which may be refused.
        let mut account = Owner::with_room(slots).ok_or(CreateError::NoHeap { slots })?;
        let Created { mapping, owner } = os.create(name, ObjectSpec { len: geometry.len(), reserve: true, group: false })?;
        let memory = mapping.memory();
        let len = memory.len() as u64;
        let [a, b, c, d, ..] = registry::draw_instance(&os);
        let instance = u32::from_ne_bytes([a, b, c, d]).max(1);
        account.open(slots);
        // SAFETY: 1. the face keeps the mapping longer than the view (`Mapping` 4). 2. and 3. a created object is new, and mapped writable.
        let view = unsafe { View::lay_out(memory, geometry, instance, os.process().pid) }
            .map_err(|_| CreateError::RegionTooShort { len, needed: geometry.len() as u64 })?;
        Ok(Self { claim: Some(owner), owner: Some(Exclusive::new(account)), marking: Exclusive::new(()), view, os, mapping, id: u64::from(instance), ours: true })
    }

    /// Attaches to the segment called `name`.
    ///
    /// # Errors
    /// As [`adopt`](Self::adopt), and there may be no such name.
    pub fn attach(os: O, name: &O::Name) -> Result<Self, AttachError> {
        let mapping = os.open(name, Access::ReadWrite)?;
        Self::adopt(os, mapping)
    }

    /// Attaches to a segment in an object that is mapped already.
    ///
    /// # Errors
    /// [`AttachError`]: mapped read-only, another magic, still being made, or a head that says more than the memory has.
    pub fn adopt(os: O, mapping: O::Mapping) -> Result<Self, AttachError> {
        if mapping.access() == Access::ReadOnly {
            return Err(AttachError::ReadOnly);
        }
        // SAFETY: 1. the face keeps the mapping longer than the view (`Mapping` 4). 2. compared above.
        let view = unsafe { View::attach(mapping.memory()) }?;
        // ORDERING: Relaxed; written before the magic, which was loaded Acquire.
        let instance = view.instance().load(Relaxed);
        let ours = instance != 0;
        // The crate gives its segments no identity: the handles of two such segments are told apart by what is drawn here.
        let id = if ours {
            u64::from(instance)
        } else {
            let [first @ .., _, _, _, _, _, _, _, _] = registry::draw_instance(&os);
            u64::from_ne_bytes(first)
        };
        Ok(Self { claim: None, owner: None, marking: Exclusive::new(()), view, os, mapping, id, ours })
    }

    /// Whether an object begins as such a segment does.
    pub fn recognises(mapping: &O::Mapping) -> bool {
        // SAFETY: the mapping is borrowed.
        unsafe { begins_so(&mapping.memory()) }
    }

    /// Number and size of the slots.
    pub fn geometry(&self) -> &Zds2Geometry {
        self.view.geometry()
    }

    /// Whether this process made the segment and has the duty to take its name away.
    pub fn is_owner(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether the owner lives; `None` for a segment of the crate's own making, whose owner holds no lock that could be tested.
    ///
    /// # Errors
    /// [`SlotError::Os`].
    pub fn owner_lives(&self) -> Result<Option<bool>, SlotError> {
        if !self.ours {
            return Ok(None);
        }
        // No platform with names keeps locks in words; the instance is one that is never written again.
        Ok(Some(self.mapping.is_claimed(Lock::OWNER, self.view.instance().futex())?))
    }

    pub(super) fn check_mine(&self) -> Result<(), SlotError> {
        if self.mapping.is_mine() { Ok(()) } else { Err(SlotError::Forked) }
    }

    pub(super) fn bit(&self, reader_index: u8) -> Result<u32, SlotError> {
        self.check_mine()?;
        1_u32.checked_shl(u32::from(reader_index)).ok_or(SlotError::OutOfBounds)
    }

    pub(super) fn capacity(&self) -> usize {
        self.view.geometry().capacity() as usize
    }

    pub(super) fn slot(&self, handle: SlotHandle) -> Result<SlotOf<'_, O>, SlotError> {
        self.check_mine()?;
        if handle.segment_id != self.id && handle.segment_id != !self.id {
            return Err(SlotError::StaleHandle);
        }
        self.view.slot(handle.slot_index).ok_or(SlotError::OutOfBounds)
    }

    /// The owner's account, and the slot of one of its loans, out or not.
    pub(super) fn loan(&self, handle: SlotHandle) -> Result<(&E::Of<Owner>, SlotOf<'_, O>), SlotError> {
        self.check_mine()?;
        let owner = self.owner.as_ref().ok_or(SlotError::NotOwner)?;
        let slot = self.slot(handle)?;
        if handle.segment_id == !self.id { Ok((owner, slot)) } else { Err(SlotError::StaleHandle) }
    }

    /// The slot and the sequence number that a handle stands for: a sample's own, or that of the sample a loan became.
    pub(super) fn named(&self, handle: SlotHandle) -> Result<(SlotOf<'_, O>, u32), SlotError> {
        let slot = self.slot(handle)?;
        if handle.segment_id == self.id {
            return Ok((slot, handle.generation));
        }
        let became = self.owner.as_ref().and_then(|owner| owner.with(|owner| owner.sequence_of(slot.index(), handle.generation)));
        became.map(|sequence| (slot, sequence)).ok_or(SlotError::StaleHandle)
    }

    /// The handle's slot and the sample's header, if it holds the sample; the size is checked.
    pub(super) fn sample(&self, handle: SlotHandle) -> Result<(SlotOf<'_, O>, Seen), SlotError> {
        let (slot, sequence) = self.named(handle)?;
        let seen = sample::find(&slot, sequence).ok_or(SlotError::StaleHandle)?;
        let size = seen.size as usize;
        if size > slot.capacity() {
            return Err(SlotError::SampleTooLarge { sample: size, slot_capacity: slot.capacity() });
        }
        Ok((slot, seen))
    }

    /// Copies the sample's first bytes out and makes sure that its slot held it all the time.
    pub(super) fn copy(&self, slot: &SlotOf<'_, O>, seen: Seen, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        let len = into.len().min(seen.size as usize);
        slot.copy_out(&mut into[..len]);
        if !sample::still_holds(self.view.memory(), slot, seen) {
            return Err(SlotError::StaleHandle);
        }
        Ok(SlotHeader { sequence_number: seen.sequence, sample_size: seen.size, reader_mask: seen.mask, _reserved: 0 })
    }

    pub(super) fn commit(&self, handle: SlotHandle, len: usize, fill: Option<&[u8]>) -> Result<u32, SlotError> {
        let (owner, slot) = self.loan(handle)?;
        if len > self.capacity() {
            return Err(SlotError::SampleTooLarge { sample: len, slot_capacity: self.capacity() });
        }
        if len == 0 {
            return Err(SlotError::EmptySample);
        }
        // A length that is at most the capacity fits.
        let sequence = owner.with(|owner| {
            let sequence = owner.commit(&self.view, &slot, handle.generation, len as u32, fill)?;
            // Before the lock is let go: a look that meets a later sample is to see that this one came meanwhile.
            change::advance(&self.view);
            Ok::<u32, SlotError>(sequence)
        })?;
        change::wake(&self.view, &self.os);
        Ok(sequence)
    }

    /// The oldest sample that the reader of `bit` has not read: slot and sequence number.
    pub(super) fn oldest(&self, bit: u32) -> Option<(SlotOf<'_, O>, u32)> {
        let mut oldest: Option<(SlotOf<'_, O>, u32)> = None;
        for slot in self.view.slots() {
            if sample::is_settled(&slot, bit) {
                continue;
            }
            let Some(seen) = sample::look(&slot).filter(|seen| seen.mask & bit == 0) else { continue };
            // ORDERING: Relaxed; behind both numbers, which carry how far they have come. None of the two is ahead of it, so their distances
            // to it tell which is older, across the wrap and however old.
            let next = self.view.next().load(Relaxed);
            if oldest.as_ref().is_none_or(|(_, sequence)| next.wrapping_sub(*sequence) < next.wrapping_sub(seen.sequence)) {
                oldest = Some((slot, seen.sequence));
            }
        }
        oldest
    }
}

impl<O: SlotsOs, E: Exclusion> Drop for Zds2Face<O, E> {
    fn drop(&mut self) {
        if self.claim.is_some() && self.mapping.is_mine() {
            // Nobody to tell; what stays is taken over by the next create.
            let _ = self.mapping.unlink();
        }
    }
}

impl<O: SlotsOs, E: Exclusion> fmt::Debug for Zds2Face<O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zds2Face").field("geometry", self.geometry()).field("owner", &self.is_owner()).finish_non_exhaustive()
    }
}
