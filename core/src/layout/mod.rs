//! The layout of a segment: an ABI, documented in `docs/layout.md`, checked here at compile time and by golden bytes in the tests.
//!
//! | module | what it lays out |
//! |---|---|
//! | [`head`] | the immutable head of every segment, and its parse |
//! | [`control`] | the control lines of a slots segment, and the entries of the registry |
//! | [`slots`] | geometry of a slots segment: rings, free map, slots |
//! | [`snapshot`] | geometry of a snapshot segment |

pub mod control;
#[allow(unsafe_code, reason = "the words of the head, bounds checked")]
pub mod head;
pub mod slots;
pub mod snapshot;

/// A cache line, in bytes: what one party writes does not share it with what another writes.
pub const LINE: usize = 64;
/// Layout version: another major is another layout.
pub const VERSION_MAJOR: u16 = 1;
/// Layout version: a newer minor adds words in places reserved until then.
pub const VERSION_MINOR: u16 = 0;

/// `value` rounded up to a multiple of `to`, a power of two; `None` on overflow.
pub(crate) const fn align_up(value: usize, to: usize) -> Option<usize> {
    match value.checked_add(to - 1) {
        Some(sum) => Some(sum & !(to - 1)),
        None => None,
    }
}
