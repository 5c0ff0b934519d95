//! What can be weakened: an operation on a kind of word, in one process or all.

use std::sync::OnceLock;

use seqslot_core::Ordering;
use seqslot_core::layout::LINE;
use seqslot_core::layout::control as at;
use seqslot_core::layout::head::READY_AT;
use seqslot_core::layout::slots as field;
use seqslot_core::layout::slots::SlotsGeometry;

use crate::party::Party;

/// What a word is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Full fences have no word.
    None,
    /// Read by people only (and the words of no use in these models): loom does not see it.
    ForPeople,
    /// The head's last word.
    Ready,
    Active,
    ReaderWaiters,
    WriterWaiters,
    Closed,
    Died,
    Ever,
    Flags,
    ReaderGeneration,
    WriterGeneration,
    ChangeWaiters,
    ChangeGeneration,
    Disconnected,
    Quarantined,
    Shared,
    /// The segment's change counter.
    Changes,
    /// Any other control word.
    Control,
    EntryState,
    /// An entry's change counter.
    EntryChanges,
    /// A reader's marks of the seeds' face, begun and ended.
    MarksBegun,
    MarksEnded,
    /// A writer's head.
    Head,
    RingTag,
    RingIndex,
    /// The free map's lowest level.
    Free,
    /// Its levels above.
    FreeAbove,
    Sequence,
    Size,
    Unread,
    Pins,
    State,
    SlotWriter,
    SlotGeneration,
    /// The first word of a payload, where it is copied by words.
    Payload,
}

impl Kind {
    /// What the word at `offset` is.
    pub fn of(g: &SlotsGeometry, offset: usize) -> Self {
        match offset {
            READY_AT => Self::Ready,
            at::ACTIVE_AT => Self::Active,
            at::READER_WAITERS_AT => Self::ReaderWaiters,
            at::WRITER_WAITERS_AT => Self::WriterWaiters,
            at::CLOSED_AT => Self::Closed,
            at::DIED_AT => Self::Died,
            at::EVER_AT => Self::Ever,
            at::FLAGS_AT => Self::Flags,
            at::READER_GENERATION_AT => Self::ReaderGeneration,
            at::WRITER_GENERATION_AT => Self::WriterGeneration,
            at::CHANGE_WAITERS_AT => Self::ChangeWaiters,
            at::CHANGE_GENERATION_AT => Self::ChangeGeneration,
            at::DISCONNECTED_AT => Self::Disconnected,
            at::QUARANTINED_AT => Self::Quarantined,
            at::SHARED_AT => Self::Shared,
            at::TOTALS_AT => Self::Changes,
            at::TOTALS_AT..at::OWNER_AT => Self::ForPeople,
            0..at::OWNER_AT => Self::Control,
            _ if offset < g.rings_at => match offset % LINE {
                at::ENTRY_STATE => Self::EntryState,
                at::ENTRY_HEAD if offset >= g.writers_at => Self::Head,
                at::ENTRY_CHANGES if offset >= at::READERS_AT => Self::EntryChanges,
                at::ENTRY_MARKS_BEGUN if (at::READERS_AT..g.writers_at).contains(&offset) => Self::MarksBegun,
                at::ENTRY_MARKS_ENDED if (at::READERS_AT..g.writers_at).contains(&offset) => Self::MarksEnded,
                _ => Self::ForPeople,
            },
            _ if offset < g.free[0].at => [Self::RingTag, Self::RingIndex][offset / 4 % 2],
            _ if offset < g.free[0].at + g.free[0].words as usize * 4 => Self::Free,
            _ if offset < g.slots_at => Self::FreeAbove,
            _ => match (offset - g.slots_at) % g.stride as usize {
                field::SLOT_SEQUENCE => Self::Sequence,
                field::SLOT_SIZE => Self::Size,
                field::SLOT_UNREAD => Self::Unread,
                field::SLOT_PINS => Self::Pins,
                field::SLOT_STATE => Self::State,
                field::SLOT_WRITER => Self::SlotWriter,
                field::SLOT_GENERATION => Self::SlotGeneration,
                within if within == g.payload_offset as usize => Self::Payload,
                _ => Self::None,
            },
        }
    }
}

/// An operation of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Load,
    Store,
    Cas,
    Add,
    Or,
    And,
    FullFence,
    /// Of who commits or releases.
    LightFence,
    /// The platform's heavy fence, of who waits: [`Effect::Relaxed`] leaves its last step out, the caller's own full fence.
    FenceAll,
    /// A fence of Acquire or Release kind.
    Fence,
    /// A wake by the platform.
    Wake,
    /// The kernel's lock: [`Effect::Left`] gives it to anybody, [`Effect::Relaxed`] carries nothing over from its last holder.
    Claim,
}

/// What becomes of it.
#[derive(Clone, Copy)]
pub enum Effect {
    /// It is Relaxed.
    Relaxed,
    /// The fence is left out.
    NoFence,
    /// It does not happen.
    Left,
    /// The load answers this.
    Answers(u32),
    /// It is a load and a store in place of one operation.
    Torn,
    /// Something else happens just before it.
    After(fn(&Party, usize)),
}

/// Weakens every operation that matches.
#[derive(Clone, Copy)]
pub struct Rule {
    /// In this process; empty: in all.
    pub party: &'static str,
    pub kind: Kind,
    pub op: Op,
    /// Of this ordering only.
    pub order: Option<Ordering>,
    pub effect: Effect,
}

/// A rule for all processes and orderings.
pub const fn rule(kind: Kind, op: Op, effect: Effect) -> Rule {
    Rule { party: "", kind, op, order: None, effect }
}

impl Rule {
    /// In one process only.
    pub const fn by(self, party: &'static str) -> Self {
        Self { party, ..self }
    }

    /// With this ordering only.
    pub const fn when(self, order: Ordering) -> Self {
        Self { order: Some(order), ..self }
    }
}

/// A model with something weakened: must fail, or is known to pass for a reason.
pub struct Mutation {
    /// Path of the test in this binary.
    pub model: &'static str,
    pub name: &'static str,
    pub rules: &'static [Rule],
    pub expect: Expect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Caught in seconds: part of `LOOM_SMALL`.
    CaughtSoon,
    Caught,
    /// The models cannot show it, or it is covered twice.
    Survives(&'static str),
}

/// The environment variable by which a process is told its mutation: `model/name`.
pub const VARIABLE: &str = "LOOM_MUTANT";

/// The mutation that this process runs with.
pub fn current() -> Option<&'static Mutation> {
    static CURRENT: OnceLock<Option<&'static Mutation>> = OnceLock::new();
    *CURRENT.get_or_init(|| {
        let wanted = std::env::var(VARIABLE).ok()?;
        let found = crate::models::mutations().find(|mutation| format!("{}/{}", mutation.model, mutation.name) == wanted);
        Some(found.expect("a mutation of that name"))
    })
}

/// What the current mutation makes of this operation.
pub fn effect(party: &'static str, kind: Kind, op: Op, order: Ordering) -> Option<Effect> {
    current()?
        .rules
        .iter()
        .find(|rule| {
            rule.kind == kind
                && rule.op == op
                && (rule.party.is_empty() || rule.party == party)
                && rule.order.is_none_or(|wanted| wanted == order)
        })
        .map(|rule| rule.effect)
}
