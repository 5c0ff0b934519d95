//! The systems, each in a file of its own, and their names.

pub mod cells;
pub mod futex;
pub mod iceoryx;
pub mod kernel;
pub mod ring;
pub mod rtrb;
pub mod seqslot;
pub mod zerodds;

use ::serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::lane::Lane;

/// The systems that have lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaneKind {
    /// seqslot, with its calls for several samples in streams.
    Seqslot,
    /// seqslot, a call a sample.
    SeqslotSingly,
    /// A bare ring.
    Ring,
    /// zerodds-flatdata.
    Zerodds,
    /// iceoryx2.
    Iceoryx,
    /// rtrb, between threads.
    Rtrb,
    /// A pipe.
    Pipe,
    /// A pair of Unix sockets.
    Socket,
    /// A pipe whose ends never sleep in the kernel.
    PollingPipe,
    /// The same of Unix sockets.
    PollingSocket,
    /// iceoryx2 with events that wake.
    IceoryxEvent,
    /// A bare word to sleep on.
    Futex,
}

/// Work for any lane.
pub trait Visit {
    /// What it gives.
    type Out;
    /// Does it.
    fn visit<L: Lane>(self) -> Self::Out;
}

impl LaneKind {
    /// Does `work` with the lane of this system; types are sized, so the length of a sample chooses too.
    ///
    /// # Panics
    /// If there is no type of this length.
    pub fn visit<V: Visit>(self, len: usize, work: V) -> V::Out {
        match (self, len) {
            (Self::Seqslot, _) => work.visit::<seqslot::Slots<true>>(),
            (Self::SeqslotSingly, _) => work.visit::<seqslot::Slots<false>>(),
            (Self::Ring, _) => work.visit::<ring::Ring>(),
            (Self::Zerodds, _) => work.visit::<zerodds::Slots>(),
            (Self::Pipe, _) => work.visit::<kernel::Bytes<false, false>>(),
            (Self::Socket, _) => work.visit::<kernel::Bytes<true, false>>(),
            (Self::PollingPipe, _) => work.visit::<kernel::Bytes<false, true>>(),
            (Self::PollingSocket, _) => work.visit::<kernel::Bytes<true, true>>(),
            (Self::Futex, _) => work.visit::<futex::Futex>(),
            (Self::IceoryxEvent, 64) => work.visit::<iceoryx::Told<8>>(),
            (Self::Iceoryx, 32) => work.visit::<iceoryx::Service<4>>(),
            (Self::Iceoryx, 64) => work.visit::<iceoryx::Service<8>>(),
            (Self::Iceoryx, 0x1_0000) => work.visit::<iceoryx::Service<0x2000>>(),
            (Self::Iceoryx, 0x10_0000) => work.visit::<iceoryx::Service<0x2_0000>>(),
            (Self::Rtrb, 32) => work.visit::<rtrb::Ring<4>>(),
            (Self::Rtrb, 64) => work.visit::<rtrb::Ring<8>>(),
            (Self::Rtrb, 0x1_0000) => work.visit::<rtrb::Ring<0x2000>>(),
            (Self::Rtrb, 0x10_0000) => work.visit::<rtrb::Ring<0x2_0000>>(),
            (kind, len) => panic!("no {kind:?} of {len} bytes"),
        }
    }

    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seqslot => "seqslot",
            Self::SeqslotSingly => "seqslot, one by one",
            Self::Ring => "limit, raw ring",
            Self::Zerodds => "zerodds",
            Self::Iceoryx => "iceoryx2",
            Self::IceoryxEvent => "iceoryx2, event and sample",
            Self::Futex => "limit, raw futex",
            Self::Rtrb => "rtrb",
            Self::Pipe | Self::PollingPipe => "pipe",
            Self::Socket | Self::PollingSocket => "unix socket",
        }
    }

    /// The same, set up in a certain way; a system that goes between threads only says so.
    pub fn name_with(self, way: &str) -> String {
        format!("{}{way}{}", self.name(), if self.is_threaded() { ", one process only" } else { "" })
    }

    /// Whether the other side is a thread: a system without memory to share.
    pub fn is_threaded(self) -> bool {
        self == Self::Rtrb
    }

    /// Whether the kernel copies each sample.
    pub fn is_kernel(self) -> bool {
        matches!(self, Self::Pipe | Self::Socket | Self::PollingPipe | Self::PollingSocket)
    }
}

/// The systems that have cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CellKind {
    /// A bare line.
    Line,
    /// seqslot, as it comes: two buffers.
    Two,
    /// seqslot with as many buffers as it can have.
    SixtyFour,
    /// iceoryx2.
    Blackboard,
    /// clock-bound-shm.
    ClockBound,
    /// The seqlock crate.
    Lock,
}

/// Work for any cell.
pub trait VisitCell {
    /// What it gives.
    type Out;
    /// Does it.
    fn visit<C: Cell>(self) -> Self::Out;
}

impl CellKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Line, Self::Two, Self::SixtyFour, Self::Blackboard, Self::ClockBound, Self::Lock];

    /// Does `work` with the cell of this system.
    pub fn visit<V: VisitCell>(self, work: V) -> V::Out {
        match self {
            Self::Line => work.visit::<cells::Line>(),
            Self::Two => work.visit::<cells::Snapshot<2>>(),
            Self::SixtyFour => work.visit::<cells::Snapshot<64>>(),
            Self::Blackboard => work.visit::<cells::Blackboard>(),
            Self::ClockBound => work.visit::<cells::ClockBound>(),
            Self::Lock => work.visit::<cells::Lock>(),
        }
    }

    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "limit, bare line",
            Self::Two => "seqslot",
            Self::SixtyFour => "seqslot, 64 buffers",
            Self::Blackboard => "iceoryx2",
            Self::ClockBound => "clock-bound",
            Self::Lock => "seqlock",
        }
    }
}
