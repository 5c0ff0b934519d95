//! A memory that runs somebody else's act at a chosen access, a platform over it, and locks for the seeds' face.
#![allow(missing_docs, missing_debug_implementations, reason = "a test's own")]

use core::sync::atomic::AtomicU8;
use core::time::Duration;
use seqslot_core::*;
use std::cell::RefCell;

#[repr(align(4096))]
pub struct Page(#[allow(dead_code, reason = "reached through the slice")] [AtomicU8; 4096]);
pub fn region(len: usize) -> Region<'static> {
    let pages: Vec<Page> = (0..len.div_ceil(4096)).map(|_| Page([const { AtomicU8::new(0) }; 4096])).collect();
    let pages: &'static [Page] = pages.leak();
    let bytes = unsafe { core::slice::from_raw_parts(pages.as_ptr().cast::<AtomicU8>(), pages.len() * 4096) };
    unsafe { Region::new(bytes) }.unwrap()
}
pub fn segment(config: &Config) -> Segment<Bare<'static>> {
    Segment::create(Bare::new(region(config.len().unwrap())), &(), config).unwrap()
}

thread_local! { pub static HOOK: RefCell<Option<(&'static str, usize, u32, Box<dyn FnOnce()>)>> = const { RefCell::new(None) }; }
pub fn arm(kind: &'static str, at: usize, skip: u32, f: impl FnOnce() + 'static) {
    HOOK.with(|h| *h.borrow_mut() = Some((kind, at, skip, Box::new(f))));
}
pub fn event(kind: &'static str, at: usize) {
    let f = HOOK.with(|h| {
        let mut h = h.borrow_mut();
        let hit = h.as_mut().is_some_and(|x| {
            x.0 == kind && x.1 == at && {
                if x.2 == 0 {
                    true
                } else {
                    x.2 -= 1;
                    false
                }
            }
        });
        if hit { h.take().map(|x| x.3) } else { None }
    });
    if let Some(f) = f {
        f()
    }
}
// Whether mappings are this process's own, and for writing.
thread_local! { pub static MAPPED: std::cell::Cell<(bool, Access)> = const { std::cell::Cell::new((true, Access::ReadWrite)) }; }
// The farthest line that was asked for ahead.
thread_local! { pub static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) }; }
#[derive(Clone, Debug)]
pub struct HookMem(pub Raw);
unsafe impl Memory for HookMem {
    fn len(&self) -> usize {
        self.0.len()
    }
    unsafe fn load(&self, at: usize, o: Ordering) -> u32 {
        event("load", at);
        unsafe { self.0.load(at, o) }
    }
    unsafe fn store(&self, at: usize, v: u32, o: Ordering) {
        event("store", at);
        unsafe { self.0.store(at, v, o) }
    }
    fn fence(&self, o: Ordering) {
        if o == Ordering::Release {
            event("release fence", 0);
        }
        self.0.fence(o)
    }
    fn fence_full(&self) {
        self.0.fence_full()
    }
    fn prefetch(&self, at: usize, _: bool) {
        ASKED.with(|asked| asked.set(asked.get().max(at)));
    }
    unsafe fn copy_out(&self, at: usize, i: &mut [u8]) {
        unsafe { self.0.copy_out(at, i) }
    }
    unsafe fn copy_in(&self, at: usize, i: &[u8]) {
        unsafe { self.0.copy_in(at, i) }
    }
    unsafe fn payload(&self, at: usize, l: usize) -> *const u8 {
        unsafe { self.0.payload(at, l) }
    }
    unsafe fn payload_mut(&self, at: usize, l: usize) -> *mut u8 {
        unsafe { self.0.payload_mut(at, l) }
    }
    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        unsafe { self.0.futex(at) }
    }
}
unsafe impl MemoryCas for HookMem {
    unsafe fn compare_exchange(&self, at: usize, c: u32, n: u32, s: Ordering, f: Ordering) -> Result<u32, u32> {
        event("cas", at);
        unsafe { self.0.compare_exchange(at, c, n, s, f) }
    }
    unsafe fn fetch_add(&self, at: usize, v: u32, o: Ordering) -> u32 {
        event("add", at);
        unsafe { self.0.fetch_add(at, v, o) }
    }
    unsafe fn fetch_or(&self, at: usize, v: u32, o: Ordering) -> u32 {
        event("or", at);
        unsafe { self.0.fetch_or(at, v, o) }
    }
    unsafe fn fetch_and(&self, at: usize, v: u32, o: Ordering) -> u32 {
        event("and", at);
        unsafe { self.0.fetch_and(at, v, o) }
    }
}
#[derive(Clone, Copy, Debug)]
pub struct HookMap(pub Region<'static>);
unsafe impl Mapping for HookMap {
    type Memory = HookMem;
    type Claim = BareClaim<'static>;
    fn memory(&self) -> HookMem {
        HookMem(self.0.memory())
    }
    fn claim(&self, l: Lock, w: &AtomicU32) -> Result<Option<BareClaim<'static>>, OsError> {
        self.0.claim(l, w)
    }
    fn is_claimed(&self, l: Lock, w: &AtomicU32) -> Result<bool, OsError> {
        self.0.is_claimed(l, w)
    }
    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }
    fn alignment(&self) -> usize {
        4096
    }
    fn access(&self) -> Access {
        MAPPED.get().1
    }
    fn is_mine(&self) -> bool {
        MAPPED.get().0
    }
}
#[derive(Clone, Debug)]
pub struct HookOs(pub Bare<'static>, pub Region<'static>);
unsafe impl Os for HookOs {
    type Name = ();
    type Mapping = HookMap;
    fn create(&self, n: &(), s: ObjectSpec) -> Result<Created<HookMap, BareClaim<'static>>, CreateFault> {
        let c = self.0.create(n, s)?;
        Ok(Created { mapping: HookMap(c.mapping), owner: c.owner })
    }
    fn open(&self, _: &(), _: Access) -> Result<HookMap, OpenFault> {
        Ok(HookMap(self.1))
    }
    fn wait(&self, w: &AtomicU32, e: u32, m: u32, t: Duration) -> Woken {
        event("wait", t.as_millis() as usize);
        self.0.wait(w, e, m, t)
    }
    fn wake(&self, _: &AtomicU32, _: u32) {
        event("wake", 0);
    }
    fn sleep(&self, _: Duration) {
        event("sleep", 0);
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn process(&self) -> Process {
        Process::default()
    }
}
pub fn hooked(config: &Config) -> &'static Segment<HookOs> {
    let r = region(config.len().unwrap());
    Box::leak(Box::new(Segment::create(HookOs(Bare::new(r), r), &(), config).unwrap()))
}

#[derive(Debug)]
pub struct G<T>(std::sync::Mutex<T>);
impl<T> Exclusive<T> for G<T> {
    fn new(v: T) -> Self {
        Self(std::sync::Mutex::new(v))
    }
    fn with<R>(&self, a: impl FnOnce(&mut T) -> R) -> R {
        a(&mut self.0.lock().unwrap())
    }
}
#[derive(Debug)]
pub struct Mx;
impl Exclusion for Mx {
    type Of<T> = G<T>;
}
