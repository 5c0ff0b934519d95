//! Where the crate and this library answer differently, by name.
//!
//! The model ([`super::model`]) is one set of rules in which each of these can be on or off: all on it is theirs, all off it is ours.
//! So nothing differs for another reason.

use serde::Serialize;

/// What kind of difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Theirs breaks what its own documentation says, or loses or tears a sample.
    Fault,
    /// Both ways are within the documentation, and ours is documented.
    Choice,
}

macro_rules! differences {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ident,)*) => {
        /// A named difference. Each says what theirs does, what ours does, and why ours is right.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub enum Difference {
            $($(#[doc = $doc])* $name,)*
        }

        impl Difference {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its kind.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)*
                }
            }
        }
    };
}

differences! {
    /// Theirs: a size of 0 means that a slot is empty, so an empty sample is published, numbered, never shown, and its slot taken again.
    /// Ours: a sample like any other. It was committed, and `next_unread_slot` promises what was committed.
    EmptySampleLost: Fault,
    /// Theirs: the unread slot with the lowest index comes next, so sample 2 can come before sample 1. Ours: the oldest one of its
    /// writer. A sequence number is of no use to a reader that gets them in another order.
    DeliveryBySlotIndex: Fault,
    /// Theirs: commit looks at nothing but the index: a handle that was committed or discarded, or is only a reader's, writes over
    /// whatever is in the slot, be it unread or another's loan. Ours: `StaleHandle`; only a loan can be committed, once, through the
    /// allocator that gave it. The documentation asks for a slot obtained by `reserve_slot`.
    CommitWithoutLoan: Fault,
    /// Theirs: discard ends whatever loan is on the slot, by any handle, any number of times, and says `Ok`. Ours: `StaleHandle`. A late
    /// second discard would give a slot away that somebody is filling.
    DiscardWithoutLoan: Fault,
    /// Theirs: the pointer to a slot's data comes by any handle while anybody of the process has it on loan. Ours: `StaleHandle`: two
    /// holders would write through it at once.
    PointerIntoAnothersLoan: Fault,
    /// Theirs: reading by a handle whose slot has moved on gives the next sample's header and bytes, or those of a slot that was never
    /// written. Ours: `StaleHandle`, never bytes of another.
    LateReadGetsAnother: Fault,
    /// Theirs: marking by a handle whose slot has moved on marks the sample that is there now, unseen. Ours: `StaleHandle`, and nothing
    /// changes.
    LateMarkHidesNew: Fault,
    /// Theirs: a slot that is on loan, or whose loan was discarded, still shows its last sample, while or after a writer fills it. Ours:
    /// a reserve ends the sample that was there; nobody is shown bytes that are being written.
    SampleStaysUnderLoan: Fault,
    /// Theirs: loans are kept in each allocator's own memory: two writers are given the same slot. Ours: in the segment; a slot is on
    /// loan to one.
    LoansUnseenByOthers: Fault,
    /// Theirs: a reader index from 32 on is an assertion in debug builds and the index modulo 32 in all others: it marks for somebody
    /// else. Ours: `OutOfBounds`.
    ReaderIndexWraps: Fault,
    /// Theirs: a commit that is refused because the index is out of bounds has taken a sequence number: a gap that looks like a lost
    /// sample. Ours: what is refused changes nothing.
    RefusedCommitBurnsNumber: Fault,
    /// Theirs: who attaches computes the capacity from the padded size of a slot, and may commit more than the owner's capacity; the owner
    /// is shown such a sample cut off. Ours: everybody has the owner's capacity.
    CapacityRoundedAtAttach: Fault,
    /// Theirs: a segment of no slots, or of slots that hold nothing, is made, and can never carry a sample. Ours: refused at once.
    EmptyGeometryAccepted: Fault,
    /// Theirs: a handle names a slot of whatever segment it is used on; it comes without the segment's id. Ours: `StaleHandle`.
    HandleOfAnotherSegment: Fault,
    /// Theirs: the generation moves at every mark and discard, whether or not anything was freed, and wakes everybody. Ours: it moves
    /// with every commit and with everything that frees. The documentation promises no more.
    MovesWithoutChange: Choice,
    /// Theirs: one sequence for the segment. Ours: one for each allocator that writes. With the one writer that theirs supports, the same.
    NumbersPerWriter: Choice,
    /// Theirs: a reader that was disconnected holds the next sample's slot again, if it is named in a reserve. Ours: it does not count
    /// until it reads again, so a caller's mask that is late to leave it out blocks nobody.
    DisconnectedCountsAgain: Choice,
    /// Theirs: a reader that was disconnected and comes back is shown what was committed meanwhile. Ours: its return is a new beginning;
    /// what was committed meanwhile was not kept for it, so some of it may be gone.
    ShownWhatItMissed: Choice,
    /// Theirs: a handle that cannot be used for want of a loan is `OutOfBounds`. Ours: `StaleHandle`, apart from a wrong index.
    StaleIsOutOfBounds: Choice,
    /// Theirs: the size of a sample is checked before the handle. Ours: after it. Both are wrong; one is told first.
    SizeCheckedFirst: Choice,
    /// Theirs: a sample that all 32 readers have read can still be read. Ours: its slot is free and the handle stale.
    ReadByAllStays: Choice,
    /// Which of several free slots is taken is said by neither. Theirs: the lowest index. Ours: in ring order. What a reader that is not
    /// named in the reserve had not read may go with it.
    SlotChoice: Choice,
    /// Which of several writers' samples comes next is said by neither. Theirs: by slot index. Ours: writers in turn.
    WritersInTurn: Choice,
    /// The bytes a slot takes: theirs has 16 bytes of header, ours more.
    SlotSize: Choice,
}
