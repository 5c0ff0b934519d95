//! A region that is one exact allocation, and the platform over it: its memory counts and checks every access, and forges words at given ones.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seqslot_core::layout::slots::{OWNER_SHIFT, SLOT_STATE, SLOT_UNREAD, SlotsGeometry};
use seqslot_core::{
    Access, AtomicU32 as Word, Claim, CreateFault, Created, Lock, Mapping, Memory, MemoryCas, ObjectSpec, OpenFault, Ordering, Os, OsError,
    Process, REGION_ALIGN, Raw, Region, Woken,
};

use seqslot_core::clockbound::{ClockBoundPen, ClockBoundView, Layout as ClockBoundLayout, ShmError};

use crate::spoil::{Spoil, is_hint};

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What the clock moves by whenever somebody looks at it, in nanoseconds: time passes.
const TICK_NS: u64 = 50_000;
/// Locks of a segment.
const LOCKS: usize = 66;

/// Forgeries to come.
#[derive(Debug, Default)]
struct Script {
    /// The next is last.
    spoils: Vec<Spoil>,
    geometry: Option<SlotsGeometry>,
    /// Only words that no promise rests on are forged.
    hints_only: bool,
}

/// A region, the locks that a kernel would keep for it, a clock, and the forgeries.
#[derive(Debug)]
pub struct World {
    raw: Raw,
    layout: Layout,
    /// Accesses since `begin`, the most there may be, and the one before which the next forgery comes.
    steps: AtomicU64,
    bound: AtomicU64,
    due: AtomicU64,
    /// Where the last access was.
    last: AtomicUsize,
    script: Mutex<Script>,
    /// Each even: free, odd: held; counts its holders.
    locks: [AtomicU32; LOCKS],
    now_ns: AtomicU64,
    what: Mutex<&'static str>,
    read_only: bool,
}

impl World {
    /// A region of `len` zero bytes and not one more, aligned as regions are.
    #[must_use]
    pub fn new(len: usize) -> Arc<Self> {
        Self::with(len, false)
    }

    /// A region that holds `bytes`.
    #[must_use]
    pub fn holding(bytes: &[u8]) -> Arc<Self> {
        let world = Self::new(bytes.len());
        world.fill(bytes);
        world
    }

    /// Another region with the same bytes, mapped read-only.
    #[must_use]
    pub fn copy_read_only(&self) -> Arc<Self> {
        let world = Self::with(self.raw.len(), true);
        world.fill(&self.bytes());
        world
    }

    fn with(len: usize, read_only: bool) -> Arc<Self> {
        let layout = Layout::from_size_align(len.max(1), REGION_ALIGN).expect("a length that a test asks for");
        // SAFETY: the size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let base = NonNull::new(base).expect("memory");
        // SAFETY: 1. valid for `len` bytes until the world is dropped, and handles are of no use after that. 2. aligned to 64.
        // 3. everybody goes through this world. 4. nobody makes a `&mut` of it but the library, of payloads.
        let raw = unsafe { Raw::new(base, len) };
        Arc::new(Self {
            raw,
            layout,
            steps: AtomicU64::new(0),
            bound: AtomicU64::new(u64::MAX),
            due: AtomicU64::new(u64::MAX),
            last: AtomicUsize::new(0),
            script: Mutex::default(),
            locks: [const { AtomicU32::new(0) }; LOCKS],
            now_ns: AtomicU64::new(1),
            what: Mutex::new("nothing"),
            read_only,
        })
    }

    fn fill(&self, bytes: &[u8]) {
        // SAFETY: zero bytes at the start.
        let base = unsafe { self.raw.payload_mut(0, 0) };
        assert!(bytes.len() <= self.raw.len());
        // SAFETY: inside the region, which nobody uses yet; `bytes` is other memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), base, bytes.len()) };
    }

    /// All bytes, as they are now.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.raw.len()];
        let whole = bytes.len() / 4 * 4;
        // SAFETY: 1. at the start. 2. whole words inside the region. 3. the world is borrowed.
        unsafe { self.raw.copy_out(0, &mut bytes[..whole]) };
        bytes
    }

    /// Address of the first byte.
    #[must_use]
    pub fn base(&self) -> usize {
        // SAFETY: zero bytes at the start.
        unsafe { self.raw.payload(0, 0) }.addr()
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Forgeries to come, from the next access on.
    pub fn plan(&self, mut spoils: Vec<Spoil>, geometry: Option<SlotsGeometry>, hints_only: bool) {
        spoils.reverse();
        let first = spoils.last().map_or(u64::MAX, |spoil| self.steps.load(Relaxed) + u64::from(spoil.after));
        *self.script() = Script { spoils, geometry, hints_only };
        self.due.store(first, Relaxed);
    }

    /// Forgeries to come are those of a segment of this geometry.
    pub fn aim(&self, geometry: SlotsGeometry) {
        self.script().geometry = Some(geometry);
    }

    /// Adds one forgery, done now.
    pub fn spoil_now(&self, spoil: Spoil) {
        let last = self.last.load(Relaxed);
        self.apply(&self.script(), spoil, last, last);
    }

    /// What follows is one operation, of at most `bound` accesses.
    pub fn begin(&self, what: &'static str, bound: u64) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        let left = self.due.load(Relaxed).saturating_sub(self.steps.load(Relaxed));
        self.steps.store(0, Relaxed);
        self.due.store(left, Relaxed);
        self.bound.store(bound, Relaxed);
    }

    /// Accesses since the last [`begin`](Self::begin).
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.load(Relaxed)
    }

    /// Kills whoever holds `lock`: the lock is free, and what the dead drop changes nothing.
    pub fn kill(&self, lock: Lock) {
        let word = &self.locks[usize::from(lock.number())];
        let held = word.load(Relaxed);
        if held % 2 == 1 {
            word.store(held.wrapping_add(1), Relaxed);
        }
    }

    /// Lets somebody else hold `lock`.
    pub fn occupy(&self, lock: Lock) {
        self.locks[usize::from(lock.number())].fetch_or(1, Relaxed);
    }

    /// Runs `body` with the region itself, unhooked.
    pub fn as_region<R>(&self, body: impl FnOnce(Region<'_>) -> R) -> R {
        // SAFETY: zero bytes at the start.
        let base = unsafe { self.raw.payload(0, 0) };
        // SAFETY: the allocation, which lives as long as the world is borrowed; `AtomicU8` has the layout of a byte.
        let bytes = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU8>(), self.raw.len()) };
        // SAFETY: 1. everybody goes through this world. 2. one segment stands in it, if any.
        body(unsafe { Region::new(bytes) }.expect("aligned as regions are"))
    }

    fn what(&self) -> &'static str {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before each access: counts it, checks that it is inside, and forges what is due.
    fn touch(&self, at: usize, len: usize) {
        assert!(at.is_multiple_of(4), "an access at {at}, which is not a word's offset");
        self.inside(at, len);
        let step = self.steps.fetch_add(1, Relaxed);
        assert!(step < self.bound.load(Relaxed), "{}: {step} accesses, and more to come", self.what());
        let last = self.last.swap(at, Relaxed);
        if step < self.due.load(Relaxed) {
            return;
        }
        let mut script = self.script();
        while step >= self.due.load(Relaxed) {
            if let Some(spoil) = script.spoils.pop() {
                self.apply(&script, spoil, at, last);
            }
            let next = script.spoils.last().map_or(u64::MAX, |next| step + 1 + u64::from(next.after));
            self.due.store(next, Relaxed);
        }
    }

    /// Somebody acts while this process sleeps.
    fn slept(&self, time: Duration) {
        self.now_ns.fetch_add(time.as_nanos() as u64, Relaxed);
        let mut script = self.script();
        if let Some(spoil) = script.spoils.pop() {
            let last = self.last.load(Relaxed);
            self.apply(&script, spoil, last, last);
        }
    }

    fn apply(&self, script: &Script, spoil: Spoil, here: usize, last: usize) {
        let is_busy = |slot: usize| self.peek(slot + SLOT_UNREAD) != 0 || self.peek(slot + SLOT_STATE) >> OWNER_SHIFT != 0;
        let place = spoil.place.settle(script.geometry.as_ref(), is_busy);
        let at = place.resolve(script.geometry.as_ref(), self.raw.len(), here, last) / 4 * 4;
        if at + 4 > self.raw.len() || script.hints_only && !script.geometry.as_ref().is_some_and(|g| is_hint(g, at)) {
            return;
        }
        let before = self.peek(at);
        // SAFETY: 1. rounded down to a multiple of 4. 2. compared above. 3. the world is borrowed. 4. the allocation is writable, whatever the mapping says.
        unsafe { self.raw.store(at, spoil.value.of(before), Relaxed) };
    }

    /// The word at `at`; 0 outside.
    fn peek(&self, at: usize) -> u32 {
        if !at.is_multiple_of(4) || at + 4 > self.raw.len() {
            return 0;
        }
        // SAFETY: 1. and 2. compared above. 3. the world is borrowed.
        unsafe { self.raw.load(at, Relaxed) }
    }

    fn inside(&self, at: usize, len: usize) {
        let end = at.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.raw.len()), "an access of {len} bytes at {at} in a region of {}", self.raw.len());
    }

    fn store_allowed(&self) {
        assert!(!self.read_only, "a store to memory that is mapped read-only");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: zero bytes at the start.
        let base = unsafe { self.raw.payload_mut(0, 0) };
        // SAFETY: allocated by `new` with this layout, and handles keep the world alive.
        unsafe { dealloc(base, self.layout) };
    }
}

/// The memory of a world.
#[derive(Debug, Clone)]
pub struct HostileMemory(Arc<World>);

/// Words that the last access of a copied range fills up.
fn rounded(len: usize) -> usize {
    len.next_multiple_of(4)
}

// SAFETY: 1. to 4. each is `Raw`'s, which the world keeps alive; that its duties are met is checked before.
unsafe impl Memory for HostileMemory {
    fn len(&self) -> usize {
        self.0.raw.len()
    }
    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        self.0.touch(at, 4);
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.load(at, order) }
    }
    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        self.0.store_allowed();
        self.0.touch(at, 4);
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.store(at, value, order) }
    }
    fn fence(&self, order: Ordering) {
        self.0.raw.fence(order);
    }
    fn fence_full(&self) {
        self.0.raw.fence_full();
    }
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        self.0.touch(at, rounded(into.len()));
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.copy_out(at, into) }
    }
    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        self.0.store_allowed();
        self.0.touch(at, rounded(from.len()));
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.copy_in(at, from) }
    }
    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        self.0.inside(at, len);
        // SAFETY: checked above.
        unsafe { self.0.raw.payload(at, len) }
    }
    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        self.0.store_allowed();
        self.0.inside(at, len);
        // SAFETY: checked above.
        unsafe { self.0.raw.payload_mut(at, len) }
    }
    unsafe fn futex(&self, at: usize) -> &Word {
        assert!(at.is_multiple_of(4));
        self.0.inside(at, 4);
        // SAFETY: checked above; the reference lives as long as the handle, which keeps the world.
        unsafe { self.0.raw.futex(at) }
    }
}

// SAFETY: each is `Raw`'s, as above.
unsafe impl MemoryCas for HostileMemory {
    unsafe fn compare_exchange(&self, at: usize, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        self.0.store_allowed();
        self.0.touch(at, 4);
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.compare_exchange(at, current, new, success, failure) }
    }
    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.0.store_allowed();
        self.0.touch(at, 4);
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.fetch_add(at, value, order) }
    }
    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        self.0.store_allowed();
        self.0.touch(at, 4);
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.fetch_or(at, bits, order) }
    }
    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        self.0.store_allowed();
        self.0.touch(at, 4);
        // SAFETY: checked by `touch`.
        unsafe { self.0.raw.fetch_and(at, bits, order) }
    }
}

/// A mapping of the world.
#[derive(Debug, Clone)]
pub struct HostileMapping(Arc<World>);

// SAFETY: 4. the memory keeps the world alive. 9. a lock is an exchange on a word outside the region. 10. it is let go of by its drop, or
// by `kill`. 12. a killed claim is nobody's.
unsafe impl Mapping for HostileMapping {
    type Memory = HostileMemory;
    type Claim = HostileClaim;

    fn memory(&self) -> HostileMemory {
        HostileMemory(Arc::clone(&self.0))
    }

    fn claim(&self, lock: Lock, _word: &Word) -> Result<Option<HostileClaim>, OsError> {
        let at = usize::from(lock.number());
        let free = self.0.locks[at].load(Relaxed);
        if free % 2 == 1 {
            return Ok(None);
        }
        if self.0.locks[at].compare_exchange(free, free.wrapping_add(1), Acquire, Relaxed).is_err() {
            return Ok(None);
        }
        Ok(Some(HostileClaim { world: Arc::clone(&self.0), at, held: free.wrapping_add(1) }))
    }

    fn is_claimed(&self, lock: Lock, _word: &Word) -> Result<bool, OsError> {
        Ok(self.0.locks[usize::from(lock.number())].load(Relaxed) % 2 == 1)
    }

    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }

    fn access(&self) -> Access {
        if self.0.read_only { Access::ReadOnly } else { Access::ReadWrite }
    }
}

/// A lock that is held, until it is dropped or its holder killed.
#[derive(Debug)]
pub struct HostileClaim {
    world: Arc<World>,
    at: usize,
    held: u32,
}

impl Claim for HostileClaim {
    fn is_mine(&self) -> bool {
        self.world.locks[self.at].load(Relaxed) == self.held
    }
}

impl Drop for HostileClaim {
    fn drop(&mut self) {
        // Not if its holder was killed: then the lock is another's.
        let _ = self.world.locks[self.at].compare_exchange(self.held, self.held.wrapping_add(1), Release, Relaxed);
    }
}

/// The platform of a world.
#[derive(Debug, Clone)]
pub struct HostileOs(Arc<World>);

impl HostileOs {
    /// The platform over `world`.
    #[must_use]
    pub fn new(world: &Arc<World>) -> Self {
        Self(Arc::clone(world))
    }

    /// A mapping of the world.
    #[must_use]
    pub fn mapping(&self) -> HostileMapping {
        HostileMapping(Arc::clone(&self.0))
    }
}

// SAFETY: what `create` gives is all zero, which is looked at, and its owner's lock was free: one segment is made in a world.
unsafe impl Os for HostileOs {
    type Name = ();
    type Mapping = HostileMapping;

    fn create(&self, (): &(), spec: ObjectSpec) -> Result<Created<HostileMapping, HostileClaim>, CreateFault> {
        if spec.len > self.0.len() {
            return Err(CreateFault::BadName { reason: "the region is shorter" });
        }
        if self.0.bytes().iter().any(|byte| *byte != 0) {
            return Err(CreateFault::AlreadyExists { pid: 0 });
        }
        let mapping = self.mapping();
        match mapping.claim(Lock::OWNER, &Word::new(0)) {
            Ok(Some(owner)) => Ok(Created { mapping, owner }),
            _ => Err(CreateFault::AlreadyExists { pid: 0 }),
        }
    }

    fn open(&self, (): &(), access: Access) -> Result<HostileMapping, OpenFault> {
        // A read-only mapping is a world of its own; a writable world is mapped writable whatever is asked.
        let _ = access;
        Ok(self.mapping())
    }

    fn wait(&self, word: &Word, expected: u32, _mask: u32, timeout: Duration) -> Woken {
        if word.load(Relaxed) != expected {
            return Woken::Perhaps;
        }
        self.0.slept(timeout);
        if word.load(Relaxed) == expected { Woken::TimedOut } else { Woken::Perhaps }
    }

    fn wake(&self, _word: &Word, _mask: u32) {}

    fn sleep(&self, time: Duration) {
        self.0.slept(time);
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now_ns.fetch_add(TICK_NS, Relaxed))
    }

    fn process(&self) -> Process {
        Process { pid: 7, start_time: 9, pid_namespace: 11 }
    }

    fn enroll(&self) -> bool {
        true
    }

    fn fence_all(&self) -> bool {
        self.0.slept(Duration::ZERO);
        true
    }
}

/// The reader of ClockBound segments over a hostile memory.
///
/// # Errors
/// What the bytes are not.
pub fn clockbound_view(memory: HostileMemory) -> Result<ClockBoundView<HostileMemory>, ShmError> {
    // SAFETY: 1. the memory keeps its world. 2. aligned to 64.
    unsafe { ClockBoundView::attach(memory) }
}

/// The writer of ClockBound segments over a hostile memory.
///
/// # Errors
/// It is too short.
pub fn clockbound_pen(memory: HostileMemory, layout: ClockBoundLayout) -> Result<ClockBoundPen<HostileMemory>, ShmError> {
    // SAFETY: 1. the memory keeps its world. 2. aligned to 64. 3. forgeries are what this is about: no promise but that of bounds rests on it.
    unsafe { ClockBoundPen::start(memory, layout) }
}
