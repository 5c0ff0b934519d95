//! The slots protocol, step by step over shared words. Its words are in [`layout::control`](crate::layout::control) and
//! [`layout::slots`](crate::layout::slots); the safe face over it is [`Segment`](crate::Segment).
//!
//! # A slot's life
//!
//! `unread` is at once the publication, the pin, and the test for free. **Free is derived**: no owner, and `unread & active == 0`.
//!
//! | slot is | owner | unread & active | who moves it, to what |
//! |---|---|---|---|
//! | free | none | 0 | a writer's claim: loaned |
//! | loaned | w | 0 | commit: published and owned; discard: free; death of w and recovery: free |
//! | published, still owned | w | audience | the same commit, next store: published; recovery: published |
//! | published | none | not 0 | the last reader's release, leave, eviction or recovery: free |
//! | claimed by mistake | w | not 0 | the claimer's second look: published, as before |
//! | claimed to take it back (the slot face) | w | some | the same evictor: published, owed to fewer; its recovery: the same |
//!
//! In segments that allow overwriting `unread` is not used; `pins` takes its place:
//!
//! | slot is | owner | pins | who moves it |
//! |---|---|---|---|
//! | readable (or never written) | none | 0 | reader: pinned; writer's claim, then 0 to EVICT: loaned |
//! | pinned | none | readers' bits | the readers' releases |
//! | loaned | w | EVICT | commit: readable; discard and recovery: never written |
//!
//! # Edges
//!
//! | edge | release side | acquire side | carries |
//! |---|---|---|---|
//! | publish | commit: `unread := audience` (overwrite: `pins := 0`) | take: load of `unread` (overwrite: pin) | payload, header |
//! | unown | commit, discard, recovery, put-back: `state := unowned` | claim's CAS | the former owner's use of the slot |
//! | release | reader: `unread &= !bit` (overwrite: unpin) | the claim's second look at `unread` (overwrite: CAS of `pins`) | the reader's use of the payload |
//! | leave | `active &= !bit` | the second look at `active` | the same, for all slots at once |
//! | join | `active \|= bit` | commit: load of `active` | the sweep of the joiner's bit |
//! | again | join: `active \|= bit` (slot face: `disconnected &= !bit`), full fence, second sweep (not by the first holder ever: nobody was counted before it) | claim of a slot that is owed: the publication before it, full fence, look at `active` and `disconnected` | that one of the two sees the other |
//! | ring | commit, recovery: `tag := position` | take: load of `tag` | `index`, and the publication before it |
//! | head | commit, recovery: `head := position + 1` | join, take's sweep: load of `head` | all publications before it |
//! | notify | any change, then a fence (commit, release: light), then a look at the waiters | waiter: its bit, a heavy fence, a look at the condition | that one of the two sees the other |
//! | scarce | writer: flag, heavy fence, sweep | commit, release: change, light fence, look at the flag | that one of the two sees the other |
//! | straggler | a mark of the slot face: its beginning counted, a light fence, the look at its bit; its end counted behind its exchange | eviction: the bit cleared, heavy fence, the counts loaded | that one of the two sees the other; that a mark that ended was made before the slot is given out again |
//! | close | writer: `closed` bit after its last commit | an empty take: load of `closed`, then a second look | the last commit |

pub(crate) mod commit;
pub(crate) mod decide;
pub(crate) mod free_map;
pub(crate) mod join;
pub(crate) mod notify;
pub(crate) mod overwrite;
pub(crate) mod recover;
pub(crate) mod release;
pub(crate) mod reserve;
pub(crate) mod straggler;
pub(crate) mod take;
#[allow(unsafe_code, reason = "bounds are established here")]
pub(crate) mod view;
#[allow(unsafe_code, reason = "payloads in place")]
pub(crate) mod parts;
#[allow(unsafe_code, reason = "keeps the mapping longer than the view")]
pub(crate) mod inspect;

use crate::os::Os;
use view::SlotsView;

/// The protocol over one segment: its words, and the platform that waits and wakes.
#[derive(Debug)]
pub(crate) struct Protocol<'s, M, O> {
    pub(crate) view: &'s SlotsView<M>,
    pub(crate) os: &'s O,
}

impl<M, O: Os> Clone for Protocol<'_, M, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, O: Os> Copy for Protocol<'_, M, O> {}
