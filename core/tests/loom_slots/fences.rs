//! Where fences meet: full ones one another, light ones the heavy ones.

use std::panic::Location;

use loom::sync::atomic::AtomicU32;
use seqslot_core::{Memory, Ordering};

use crate::loom_memory::site;
use crate::mutation::{Effect, Kind, Op, effect};
use crate::party::Party;

/// A place where threads meet: loom tries every order in which they come. Nothing is carried from one to the other.
pub struct Point(AtomicU32);

impl Point {
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub fn touch(&self) {
        // One that fails stores nothing, so that no fence finds anything to carry; loom counts it as an access that all others meet.
        let _ = self.0.compare_exchange(1, 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Where the light fences of one party meet the heavy ones of the others.
///
/// A heavy fence (`Os::fence_all`) comes to every other party at a moment of that party's own, and is a full fence there. Of that moment
/// and each light fence of the party one comes first; that is all that a light fence is for, and all that the model grants: where the
/// moment falls between two light fences nothing is said about the accesses there, because nothing keeps a compiler from moving them
/// across. (The kernel's interrupt orders them as well, as far as the processor is concerned; who relied on that would be told here
/// that he may not.) So the moment and the light fence are one read-modify-write each, of one word for each party: whichever comes later
/// sees what came before the other. Nobody else touches the word, so that a light fence orders nothing against any other fence, light or
/// full, and where nobody makes a heavy one it is nothing at all.
///
/// The moments are in the order of the parties, or the other way round: see [`Plan::fencing_the_last_first`](crate::world::Plan::fencing_the_last_first).
pub struct Light(AtomicU32);

impl Light {
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub fn pass(&self) {
        // ORDERING: AcqRel; of a heavy and a light fence the later one sees what came before the earlier one.
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Party {
    /// Loom takes the processor away at accesses only, where they meet: so fences meet at a point of their own, or it would not try
    /// what happens if another's fence comes first.
    #[track_caller]
    pub(crate) fn full_fence(&self) {
        if self.is_dead() {
            // In a model the dead and its recoverer may be one thread: its fences would stand in for those of the recoverer.
            return;
        }
        self.shared.fences.touch();
        self.shared.memory.fence_full();
    }

    /// The heavy half of an asymmetric fence, in every other process (see [`Light`]).
    #[track_caller]
    pub(crate) fn fence_others(&self) {
        if self.is_dead() || !site::is_fenced(Location::caller()) {
            return;
        }
        let found = effect(self.name, Kind::None, Op::FenceAll, Ordering::SeqCst);
        if matches!(found, Some(Effect::NoFence)) {
            return;
        }
        let others = (0..self.shared.parties()).filter(|&number| number != self.number);
        let pass = |number: usize| self.shared.lights[number].pass();
        if self.shared.plan.is_fencing_the_last_first() {
            others.rev().for_each(pass)
        } else {
            others.for_each(pass)
        }
        if !matches!(found, Some(Effect::Relaxed)) {
            self.full_fence();
        }
    }

    /// The light half of an asymmetric fence (see [`Light`]).
    #[track_caller]
    pub(crate) fn light_fence(&self) {
        let is_left_out = matches!(effect(self.name, Kind::None, Op::LightFence, Ordering::SeqCst), Some(Effect::NoFence));
        if !self.is_dead() && site::is_fenced(Location::caller()) && !is_left_out {
            self.shared.lights[self.number].pass();
        }
    }
}
