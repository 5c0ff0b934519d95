//! Which slot a writer reserves: ring order while readers keep up (of large slots, over so many as a cache holds), the hottest and the
//! free map where few are free, the oldest where overwriting is allowed.

use super::Writer;
use crate::layout::slots::SlotsGeometry;
use crate::segment::SegmentHandle;
use crate::slots::reserve::Reserved;

/// Slots tried in ring order before slots count as scarce.
const PROBES: u32 = 64;
/// In segments of so many slots that is all of them: then nothing is free, and scarcity is no question. (Models have few slots, and are to
/// see them scarce.)
const EXACT: u32 = if cfg!(loom) { 0 } else { PROBES };
/// A free slot found farther than this in ring order shows that they are scarce.
const NEAR: u32 = 8;
/// Slots this writer committed last, tried first when slots are scarce.
pub(super) const RECENT: usize = 4;
/// From this stride on, ring order goes over a window of the slots first: large payloads in full ring order leave the cache.
const LARGE: u32 = 32 * 1024;
/// Bytes of that window.
const WINDOW: u32 = 4 << 20;
/// How far ahead of the next slot a writer asks for cache lines: by the time it comes there they have come from the readers.
const AHEAD: u32 = 8;
/// While slots are scarce, one slot in ring order is tried at every so manieth position, to see whether they still are.
const SCARCE_PROBE: u32 = 16;
/// So many of those in a row found free end the scarcity.
const PLENTIFUL: u32 = 8;
/// Milliseconds between two looks for dead peers by one segment's writers and readers.
const RECOVERY_INTERVAL_MS: usize = 10;

/// Which slot a reserve tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The next in ring order: where the readers' prediction looks.
    InOrder,
    /// The hottest: slots are scarce, or what is next in ring order is held.
    Hottest,
    /// The oldest, taking its sample away.
    Overwrite,
}

/// What a look in ring order came to.
enum Looked {
    Found(Reserved),
    /// Nothing is free among those looked at.
    Some,
    /// Nothing is free.
    Everywhere,
}

impl Way {
    /// The way while slots are not scarce.
    pub(super) fn of(geometry: &SlotsGeometry) -> Self {
        if geometry.overwrite { Self::Overwrite } else { Self::InOrder }
    }
}

/// How many slots ring order goes round in.
pub(super) fn window(geometry: &SlotsGeometry) -> u32 {
    if geometry.overwrite || geometry.stride < LARGE { geometry.slots } else { geometry.slots.min((WINDOW / geometry.stride).max(2)) }
}

impl<H: SegmentHandle, T: ?Sized> Writer<H, T> {
    /// Claims the slot that this writer's way tries first: one claim, everything inlined.
    #[inline(always)]
    pub(super) fn reserve_next(&self) -> Option<Reserved> {
        let slot = match self.way.get() {
            Way::InOrder => {
                // Goes on only with a slot: the next one that a reader lets go of is this one.
                let got = self.claim(self.next.get())?;
                self.step();
                return Some(got);
            }
            Way::Hottest if !self.position.get().is_multiple_of(SCARCE_PROBE) => self.recent(1),
            Way::Hottest | Way::Overwrite => return None,
        };
        self.claim(slot)
    }

    /// Claims this very slot, if it is free.
    #[inline(always)]
    fn claim(&self, slot: u32) -> Option<Reserved> {
        let protocol = self.protocol();
        if self.handle.geometry().writers == 1 { protocol.claim_alone(self.claimed.index, slot) } else { protocol.claim(self.claimed.index, slot, 0) }
    }

    /// Claims a slot by whatever way is left: further ring order, the hottest first, the free map, or overwriting.
    #[cold]
    #[inline(never)]
    pub(super) fn reserve_slowly(&self) -> Option<Reserved> {
        let geometry = self.handle.geometry();
        if geometry.overwrite {
            return self.reserve_by_overwriting();
        }
        if !self.protocol().is_scarce() {
            if let Some(got) = self.reserve_hottest() {
                return Some(got);
            }
            self.way.set(Way::of(geometry));
            match self.reserve_in_order(geometry) {
                Looked::Found(got) => return Some(got),
                // Nothing is free. Readers that are behind are no scarcity: what they let go of is next in ring order.
                Looked::Everywhere => return None,
                Looked::Some => {}
            }
            self.plenty.set(0);
            self.failures.set(0);
            self.protocol().become_scarce();
        }
        self.way.set(Way::Hottest);
        self.reserve_scarce()
    }

    /// Looks further in ring order: over the other slots where the readers are a window behind, past what is held; each slot once.
    fn reserve_in_order(&self, geometry: &SlotsGeometry) -> Looked {
        let slots = geometry.slots;
        let here = (self.next.get() + slots - self.first) % slots;
        let start = if here < self.window && self.window < slots { self.window } else { here };
        for tried in 0..PROBES.min(slots) {
            self.go_to((start + tried) % slots, slots);
            if let Some(got) = self.probe() {
                if tried >= NEAR {
                    // Free slots are far from where this writer looks: a matter for the map.
                    self.protocol().become_scarce();
                }
                return Looked::Found(got);
            }
        }
        if slots > EXACT {
            return Looked::Some;
        }
        self.go_to(here, slots);
        Looked::Everywhere
    }

    /// The next in ring order is the slot so many behind the first one of this writer's window.
    fn go_to(&self, place: u32, slots: u32) {
        self.next.set((self.first + place) % slots);
        self.left.set(if place < self.window { self.window } else { slots } - place);
    }

    /// Nothing is free: perhaps dead peers hold some.
    #[cold]
    #[inline(never)]
    pub(super) fn reserve_from_the_dead(&self) -> Option<Reserved> {
        // An error of the system (descriptors ran out) leaves things as they are; the answer stays true.
        let found = self.handle.recovery_is_due(RECOVERY_INTERVAL_MS) && self.handle.recover().is_ok_and(|found| !found.is_empty());
        if found { self.reserve_next().or_else(|| self.reserve_slowly()) } else { None }
    }

    /// The next slot in ring order; goes on.
    #[inline(always)]
    fn step(&self) -> u32 {
        let slot = self.next.get();
        let left = self.left.get() - 1;
        if left == 0 {
            self.next.set(self.first);
            self.left.set(self.window);
        } else {
            self.next.set(if slot + 1 < self.handle.geometry().slots { slot + 1 } else { 0 });
            self.left.set(left);
        }
        slot
    }

    /// How far behind the slot of a commit cache lines are to be asked for: not at all where slots are so few that it is one being read.
    #[inline(always)]
    pub(super) fn ahead(&self) -> u32 {
        if self.window >= 4 * AHEAD && self.way.get() == Way::InOrder { AHEAD + 1 } else { 0 }
    }

    /// The slot of the last commit but `back`; no slot's index where there was none.
    #[inline(always)]
    fn recent(&self, back: u32) -> u32 {
        self.recent[self.position.get().wrapping_sub(1 + back) as usize % RECENT].get()
    }

    /// Tries the next slot in ring order.
    fn probe(&self) -> Option<Reserved> {
        self.claim(self.step())
    }

    /// Tries the slots this writer committed last, the last but one first: the last is most likely still being read.
    fn reserve_recent(&self) -> Option<Reserved> {
        [1, 2, 3, 0].into_iter().find_map(|back| self.claim(self.recent(back)))
    }

    /// The next in ring order is not free. If one committed after it is, somebody holds what is next: then the hottest go first, as long as
    /// nearly every look at the ring order finds that so. No mark is needed for these: this writer knows them.
    fn reserve_hottest(&self) -> Option<Reserved> {
        let was_hottest = self.way.get() == Way::Hottest;
        if was_hottest && self.position.get().is_multiple_of(SCARCE_PROBE) {
            let got = self.probe();
            let plenty = if got.is_some() { self.plenty.get() + 1 } else { 0 };
            self.plenty.set(plenty);
            if plenty >= PLENTIFUL {
                self.way.set(Way::InOrder);
            }
            if got.is_some() {
                return got;
            }
        }
        let got = self.reserve_recent()?;
        if !was_hottest {
            self.way.set(Way::Hottest);
            self.plenty.set(0);
        }
        Some(got)
    }

    /// Slots are scarce: the hottest, then what the map shows; now and then one in ring order, to see whether they still are.
    fn reserve_scarce(&self) -> Option<Reserved> {
        let protocol = self.protocol();
        if self.position.get().is_multiple_of(SCARCE_PROBE) {
            let got = self.probe();
            let plenty = if got.is_some() { self.plenty.get() + 1 } else { 0 };
            self.plenty.set(plenty);
            if plenty >= PLENTIFUL {
                protocol.become_plentiful();
                self.plenty.set(0);
            }
            if got.is_some() {
                return got;
            }
        }
        if let Some(got) = self.reserve_recent().or_else(|| self.reserve_marked()) {
            self.failures.set(0);
            return Some(got);
        }
        // A mark is lost only with its maker; the sweep that finds it again gets rarer the longer nothing is found.
        let failures = self.failures.get().wrapping_add(1);
        self.failures.set(failures);
        if failures.is_power_of_two() || failures.is_multiple_of(1024) {
            protocol.mark_all_free();
            return self.reserve_marked();
        }
        None
    }

    /// Takes marked slots out of the map until one can be claimed; at most as many as there are slots.
    fn reserve_marked(&self) -> Option<Reserved> {
        let protocol = self.protocol();
        for _ in 0..protocol.view.geometry().slots {
            let slot = protocol.pop_marked()?;
            let got = self.claim(slot);
            if got.is_some() {
                return got;
            }
        }
        None
    }

    /// Looks at every slot: O(slots), before this writer parks.
    #[cold]
    pub(super) fn reserve_by_looking_at_all(&self) -> Option<Reserved> {
        if self.handle.geometry().overwrite {
            return None;
        }
        (0..self.handle.geometry().slots).find_map(|slot| self.claim(slot))
    }

    /// Takes the oldest sample in ring order away that nobody is inside of.
    fn reserve_by_overwriting(&self) -> Option<Reserved> {
        let protocol = self.protocol();
        let slots = protocol.view.geometry().slots;
        for _ in 0..slots {
            let got = protocol.claim_and_evict(self.claimed.index, self.step());
            if got.is_some() {
                return got;
            }
        }
        None
    }
}
