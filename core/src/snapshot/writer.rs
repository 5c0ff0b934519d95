//! The writer over an operating system: its claim, its entry in the registry, and the duty to unlink.

use core::fmt;

use portable_atomic::Ordering;

use super::config::SnapshotConfig;
use super::pen::{Pen, check_type};
use super::value::SnapshotValue;
use super::view::SnapshotView;
use crate::error::{AttachError, CreateError, PublishError};
use crate::layout::control::{
    ENTRY_LOCK, ENTRY_NAMESPACE, ENTRY_PID, ENTRY_START, ENTRY_STATE, ENTRY_TOKEN, STATE_CLEAN, STATE_IN_USE, STATE_MASK,
};
use crate::memory::Memory;
use crate::os::{Access, Claim, ClaimOf, Lock, Mapping, MemoryOf, ObjectSpec, Os, Process};
use crate::region::Word;

/// The one writer of a snapshot segment.
///
/// Whoever makes the segment, or takes over from an owner that died, is its owner: its drop takes the segment's name away.
/// A writer that dies at any instant leaves the last published value readable, and [`attach`](Self::attach) makes the next one.
///
/// ```
/// use seqslot_core::{Bare, SnapshotConfig, SnapshotReader, SnapshotWriter};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// let os = Bare::new(region);
/// let mut writer = SnapshotWriter::<_, [u32; 4]>::create(os, &(), SnapshotConfig::of::<[u32; 4]>())?;
/// let mut reader = SnapshotReader::<_, [u32; 4]>::attach(os, &())?; // elsewhere, and as many as you like
///
/// let generation = writer.publish(&[1, 2, 3, 4])?;
/// let seen = reader.snapshot()?;
/// assert_eq!((*seen, seen.generation(), seen.is_fresh()), ([1, 2, 3, 4], generation, true));
/// assert!(!reader.snapshot()?.is_fresh(), "nothing new since");
/// assert!(writer.is_owner() && writer.generation() == generation);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SnapshotWriter<O: Os, T: SnapshotValue + ?Sized = [u8]> {
    pen: Pen<MemoryOf<O>, T>,
    claim: ClaimOf<O>,
    owner: Option<ClaimOf<O>>,
    // Last, because the view and the claims above are of no use without it.
    mapping: O::Mapping,
    os: O,
}

impl<O: Os, T: SnapshotValue + ?Sized> SnapshotWriter<O, T> {
    /// Makes a segment under `name` and becomes its owner and writer.
    ///
    /// # Errors
    /// [`CreateError`]: a configuration that cannot be or is not `T`'s, a name that is taken or cannot be used, or a system call.
    /// Nothing is left behind.
    pub fn create(os: O, name: &O::Name, config: SnapshotConfig) -> Result<Self, CreateError> {
        let shape = config.shape()?;
        if T::size().is_some_and(|size| size != shape.capacity as usize) {
            return Err(CreateError::TypeMismatch);
        }
        let len = crate::layout::snapshot::SnapshotGeometry::new(shape)?.total_len;
        let created = os.create(name, ObjectSpec { len, reserve: !config.sparse, group: config.group })?;
        let view = SnapshotView::of_new_mapping(&created.mapping, shape)?;
        let claim = match created.mapping.claim(Lock::writer(0), view.writer_lock().futex()) {
            Ok(Some(claim)) => claim,
            refused => {
                // Nothing may be left behind; what this call says is told by the error that follows.
                let _ = created.mapping.unlink();
                return Err(refused.err().map_or(CreateError::BeingCreated, CreateError::Os));
            }
        };
        let process = os.process();
        let token = token(&process, os.now().as_nanos() as u64);
        fill(|field| view.owner_entry(field), &process, token);
        fill(|field| view.entry(field), &process, token);
        view.finish(config.hash(), instance(&config, &process, token));
        Ok(Self { pen: Pen::resume(view), claim, owner: Some(created.owner), mapping: created.mapping, os })
    }

    /// Becomes the next writer of an existing segment, whose last writer has left or died. What it had published stays, and
    /// what it had written whole but not announced is announced now. If the segment's owner is gone too, this writer becomes the owner.
    ///
    /// # Errors
    /// [`AttachError::Taken`] while the writer lives; others: no such name, not a snapshot of `T`'s size, or a system call.
    ///
    /// ```
    /// use seqslot_core::{AttachError, Bare, SnapshotConfig, SnapshotReader, SnapshotWriter};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let os = Bare::new(region);
    /// let mut first = SnapshotWriter::<_, u32>::create(os, &(), SnapshotConfig::of::<u32>())?;
    /// let generation = first.publish(&7)?;
    /// assert_eq!(SnapshotWriter::<_, u32>::attach(os, &()).err(), Some(AttachError::Taken { pid: 0 }));
    /// first.leave();
    /// let mut next = SnapshotWriter::<_, u32>::attach(os, &())?;
    /// assert_eq!(next.generation(), generation);
    /// assert!(next.publish(&8)? > generation);
    /// assert_eq!(*SnapshotReader::<_, u32>::attach(os, &())?.snapshot()?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach(os: O, name: &O::Name) -> Result<Self, AttachError> {
        let mapping = os.open(name, Access::ReadWrite)?;
        let (view, head) = SnapshotView::of_mapping(&mapping)?;
        check_type::<T>(&head, None)?;
        let Some(claim) = mapping.claim(Lock::writer(0), view.writer_lock().futex()).map_err(AttachError::Os)? else {
            // ORDERING: Relaxed, both; for people. A number of another pid namespace is somebody else's here.
            let (pid, namespace) = (view.entry(ENTRY_PID).load(Ordering::Relaxed), view.entry(ENTRY_NAMESPACE).load(Ordering::Relaxed));
            return Err(AttachError::Taken { pid: if namespace == os.process().pid_namespace { pid } else { 0 } });
        };
        let owner = mapping.claim(Lock::OWNER, view.owner_entry(ENTRY_LOCK).futex()).map_err(AttachError::Os)?;
        // Behind the claims: a creator that took the name over while nobody held them has made another object.
        if !mapping.is_named().map_err(AttachError::Os)? {
            return Err(AttachError::NotFound);
        }
        let process = os.process();
        let token = token(&process, os.now().as_nanos() as u64);
        if owner.is_some() {
            fill(|field| view.owner_entry(field), &process, token);
        }
        fill(|field| view.entry(field), &process, token);
        view.closed().store(0, Ordering::Relaxed);
        Ok(Self { pen: Pen::resume(view), claim, owner, mapping, os })
    }

    /// Publishes `value`, and returns its generation. Never waits; no system call, unless the segment was made to wake always.
    ///
    /// # Errors
    /// [`PublishError`]: a `[u8]` of another length than the segment's values, or a handle inherited by a fork.
    #[inline]
    pub fn publish(&mut self, value: &T) -> Result<u64, PublishError> {
        self.publish_bytes(value.bytes())
    }

    /// Publishes the bytes of a value; otherwise as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`PublishError`], as for [`publish`](Self::publish).
    ///
    /// ```
    /// use seqslot_core::{Bare, PublishError, SnapshotConfig, SnapshotReader, SnapshotWriter};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let mut writer = SnapshotWriter::<_, [u8]>::create(Bare::new(region), &(), SnapshotConfig::bytes(5))?;
    /// let generation = writer.publish_bytes(b"hello")?;
    /// let reader = SnapshotReader::<_, [u8]>::attach(Bare::new(region), &())?;
    /// let mut bytes = [0; 5];
    /// assert_eq!((reader.read_into(&mut bytes)?, &bytes), (generation, b"hello"));
    /// assert_eq!(writer.publish_bytes(b"hi"), Err(PublishError::SizeMismatch { len: 2, expected: 5 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn publish_bytes(&mut self, value: &[u8]) -> Result<u64, PublishError> {
        if !self.claim.is_mine() {
            return Err(PublishError::Forked);
        }
        let generation = self.pen.publish_bytes(value)?;
        if self.pen.view.geometry().always_wake {
            // No fence is needed before it: a waiter sleeps only if the word still holds what it saw, which the platform
            // tests under the same lock that a wake takes.
            self.os.wake(self.pen.view.latest_low().futex(), u32::MAX);
        }
        Ok(generation)
    }

    /// The generation published last, by this writer or the one before it; 0 if there is none.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.pen.latest
    }

    /// Whether the drop of this writer takes the segment's name away.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Leaves without taking the segment's name away, so that the next writer can [`attach`](Self::attach) and readers stay.
    pub fn leave(mut self) {
        self.owner = None;
    }
}

impl<O: Os, T: SnapshotValue + ?Sized> Drop for SnapshotWriter<O, T> {
    fn drop(&mut self) {
        if !self.claim.is_mine() {
            // A forked child: the entry, the locks and the name are the parent's.
            return;
        }
        let view = &self.pen.view;
        let state = view.entry(ENTRY_STATE).load(Ordering::Relaxed) & !STATE_MASK;
        // ORDERING: Release, edge "left"; pairs with the Acquire fence in `SnapshotView::has_left`. Carries the last publication.
        view.closed().store(1, Ordering::Release);
        view.entry(ENTRY_STATE).store(state | STATE_CLEAN, Ordering::Relaxed);
        if self.owner.is_some() {
            // A drop has nobody to tell; the next create takes over a name whose owner is gone.
            let _ = self.mapping.unlink();
        }
    }
}

impl<O: Os, T: SnapshotValue + ?Sized> fmt::Debug for SnapshotWriter<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter").field("generation", &self.pen.latest).field("is_owner", &self.is_owner()).finish_non_exhaustive()
    }
}

/// Writes who holds an entry. Relaxed: it is for people and as a second opinion; the lock is what counts.
fn fill<'m, M: Memory + 'm>(word: impl Fn(usize) -> Word<'m, M>, process: &Process, token: u32) {
    let generation = (word(ENTRY_STATE).load(Ordering::Relaxed) >> 2).wrapping_add(1);
    word(ENTRY_TOKEN).store(token, Ordering::Relaxed);
    word(ENTRY_PID).store(process.pid, Ordering::Relaxed);
    word(ENTRY_START).store(process.start_time as u32, Ordering::Relaxed);
    word(ENTRY_START + 4).store((process.start_time >> 32) as u32, Ordering::Relaxed);
    word(ENTRY_NAMESPACE).store(process.pid_namespace, Ordering::Relaxed);
    word(ENTRY_STATE).store(generation << 2 | STATE_IN_USE, Ordering::Relaxed);
}

/// A number that tells one claim from another: never 0.
fn token(process: &Process, now: u64) -> u32 {
    let mixed = mix(u64::from(process.pid) << 32 ^ process.start_time ^ mix(now) ^ u64::from(process.pid_namespace));
    (mixed as u32) | 1
}

/// The segment's identity, from who makes it and when, if the configuration has none.
fn instance(config: &SnapshotConfig, process: &Process, token: u32) -> [u8; 16] {
    if config.instance != [0; 16] {
        return config.instance;
    }
    let low = mix(u64::from(token) ^ process.start_time);
    let high = mix(low ^ u64::from(process.pid) << 32 ^ u64::from(process.pid_namespace));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&low.to_ne_bytes());
    bytes[8..].copy_from_slice(&high.to_ne_bytes());
    bytes
}

/// Spreads the bits of a number (the finalizer of SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
fn mix(number: u64) -> u64 {
    let a = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    c ^ (c >> 31)
}
