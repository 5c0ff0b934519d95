//! The states in which operations are begun.

use seqslot_core::layout::slots::SlotsGeometry;

use crate::scene::{Scene, Shared};

/// What is in the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// So many samples, unread by everybody.
    Unread(u64),
    /// Every slot holds a sample that only the victim has not read.
    OwedByVictim,
    /// All but four slots hold samples, and the free map is in use.
    Scarce,
}

/// A state.
#[derive(Debug)]
pub struct State {
    pub name: &'static str,
    pub slots: u64,
    /// Readers that survive.
    pub readers: u32,
    pub overwrite: bool,
    /// Samples that the first survivor holds all the time, and loans that the keeper has out.
    pub holds: usize,
    pub loaned: usize,
    pub fill: Fill,
    /// Writers that died with index 0 before anything else.
    pub burn: u32,
    /// Where positions begin, and how many generations are left to each slot.
    pub position: Option<u32>,
    pub generation: Option<u32>,
    /// Somebody is dead already, with loans and samples, and nobody has noticed.
    pub dead: bool,
}

impl State {
    const fn plain(name: &'static str, slots: u64, fill: Fill) -> Self {
        Self {
            name,
            slots,
            readers: 2,
            overwrite: false,
            holds: 0,
            loaned: 0,
            fill,
            burn: 0,
            position: None,
            generation: None,
            dead: false,
        }
    }

    const fn overwriting(name: &'static str, slots: u64, fill: Fill) -> Self {
        Self { overwrite: true, ..Self::plain(name, slots, fill) }
    }

    /// What the statistics count as published though nobody has sent it: the streams begin late.
    pub fn published_before(&self, geometry: &SlotsGeometry) -> u32 {
        self.position.map_or(0, |position| position.wrapping_sub(geometry.ring_len).wrapping_mul(geometry.writers))
    }

    pub fn poke(&self, segment: &Shared) {
        if let Some(position) = self.position {
            Scene::start_at(segment, position);
        }
        if let Some(left) = self.generation {
            Scene::start_with_generation(segment, left);
        }
    }
}

pub static EMPTY: State = State::plain("empty", 3, Fill::Unread(0));
pub static FLIGHT: State = State::plain("one-in-flight", 3, Fill::Unread(1));
pub static HELD: State = State { holds: 1, ..State::plain("sample-held", 4, Fill::Unread(2)) };
pub static FULL: State = State::plain("full", 3, Fill::Unread(3));
pub static OWED: State = State::plain("owed-by-victim", 3, Fill::OwedByVictim);
pub static SCARCE: State = State::plain("scarce", 66, Fill::Scarce);
pub static LAPPED: State = State { burn: 6, ..State::plain("ring-lapped", 4, Fill::Unread(1)) };
pub static WRAP: State = State { position: Some(u32::MAX - 1), ..State::plain("positions-wrap", 3, Fill::Unread(1)) };
pub static GENERATIONS: State = State { generation: Some(1), ..State::plain("generations-wrap", 3, Fill::Unread(1)) };
pub static LOANED: State = State { loaned: 2, ..State::plain("all-but-one-loaned", 3, Fill::Unread(0)) };
pub static CROWD: State = State { readers: 30, ..State::plain("32-readers", 3, Fill::Unread(1)) };
pub static SINGLE: State = State { readers: 1, ..State::plain("one-slot", 1, Fill::Unread(0)) };
pub static DEAD: State = State { dead: true, ..State::plain("with-dead", 5, Fill::Unread(1)) };

pub static OVER_EMPTY: State = State::overwriting("overwrite-empty", 3, Fill::Unread(0));
pub static OVER_FULL: State = State::overwriting("overwrite-full", 3, Fill::Unread(3));
pub static OVER_LAPPED: State = State::overwriting("overwrite-lapped", 3, Fill::Unread(7));
pub static OVER_HELD: State = State { holds: 1, ..State::overwriting("overwrite-held", 3, Fill::Unread(2)) };
pub static OVER_WRAP: State = State { position: Some(u32::MAX - 1), ..State::overwriting("overwrite-wrap", 3, Fill::Unread(1)) };
pub static OVER_DEAD: State = State { dead: true, ..State::overwriting("overwrite-dead", 4, Fill::Unread(2)) };

/// Where nothing is overwritten, for whoever writes and reads. In `LOANED` and `SINGLE` little is free.
pub static PLAIN: [&State; 12] = [&EMPTY, &FLIGHT, &HELD, &FULL, &SCARCE, &LAPPED, &WRAP, &GENERATIONS, &LOANED, &CROWD, &SINGLE, &DEAD];
/// Where the oldest sample is taken away.
pub static OVERWRITING: [&State; 6] = [&OVER_EMPTY, &OVER_FULL, &OVER_LAPPED, &OVER_HELD, &OVER_WRAP, &OVER_DEAD];
