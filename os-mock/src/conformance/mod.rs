//! The clauses of [`Os`], [`Mapping`] and [`Claim`](seqslot_core::Claim) as tests that any
//! implementation can run.
//!
//! A shim implements [`Harness`] and writes `seqslot_os_mock::conformance_tests!(its_harness)` in a file of its `tests/`; it gets one
//! test for each clause, which panics with the clause's number and text where it is broken. [`run_all`] runs them in one go.
//!
//! ```
//! use seqslot_os_mock::{World, conformance};
//!
//! conformance::run_all(&conformance::MockHarness::new(World::new(1)));
//! ```

mod clock;
mod harness;
mod locks;
mod objects;
mod waits;

use core::borrow::Borrow;

use seqslot_core::{Access, AtomicU32, ClaimOf, Created, Lock, Mapping, Memory, ObjectSpec, Os, OsError};

pub use clock::clause_08;
pub use harness::{Ending, Harness, MockHarness, Other, Signals};
pub use locks::{clause_09, clause_10, clause_11, clause_12};
pub use objects::{clause_01, clause_02, clause_03, clause_04};
pub use waits::{clause_05, clause_06, clause_07};

/// The clauses, in the order of their numbers from 1.
pub const CLAUSES: [&str; 12] = [
    "create makes an object of exactly spec.len bytes, all zero, visible under its name when it returns; it returns with the owner's \
     lock held, and leaves nothing behind when it fails",
    "create over an object whose owner lives is AlreadyExists; over a dead owner's it succeeds with a new object, and those attached \
     to the old one keep it",
    "open of a name that does not exist is NotFound",
    "two mappings of one object show the same memory; a mapping's memory is never longer than the object, and lives as long as the \
     mapping",
    "a wait whose word does not hold the expected value returns without sleeping",
    "a wait returns soon after a wake of the same word whose mask shares a bit with its own, if the word was changed before the wake",
    "a wait returns at the latest when its timeout is over, whatever signals and spurious wake-ups come; zero does not sleep",
    "now never goes back and goes on while processes sleep",
    "of all claims of one lock, in this process and in others, at most one is out at any time",
    "when a claim is dropped, or its process dies in any way, the lock is free; a fork of the process does not keep it",
    "is_claimed is true exactly while a claim is out, wherever it is held, also in this process",
    "in a forked child an inherited claim answers is_mine() == false, and dropping it changes nothing for the parent",
];

/// Panics with the clause's number and text unless `$holds`.
macro_rules! check {
    ($clause:literal, $holds:expr, $($detail:tt)+) => {
        assert!($holds, "clause {}: {}; but {}", $clause, $crate::conformance::CLAUSES[$clause - 1], format_args!($($detail)+))
    };
}
use check;

/// The value, or a panic with the clause's number and text.
macro_rules! must {
    ($clause:literal, $result:expr, $($detail:tt)+) => {
        match $result {
            Ok(value) => value,
            Err(error) => panic!(
                "clause {}: {}; but {}: {error:?}", $clause, $crate::conformance::CLAUSES[$clause - 1], format_args!($($detail)+)
            ),
        }
    };
}
use must;

/// Runs every clause, in order.
///
/// # Panics
/// At the first clause that is broken.
pub fn run_all<O: Os<Name: Sync>>(harness: &impl Harness<Os = O>) {
    clause_01(harness);
    clause_02(harness);
    clause_03(harness);
    clause_04(harness);
    clause_05(harness);
    clause_06(harness);
    clause_07(harness);
    clause_08(harness);
    clause_09(harness);
    clause_10(harness);
    clause_11(harness);
    clause_12(harness);
}

/// One `#[test]` for each clause, over a harness made anew by the expression for each.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@each $harness;
            clause_01 clause_02 clause_03 clause_04 clause_05 clause_06 clause_07 clause_08 clause_09 clause_10 clause_11 clause_12);
    };
    (@each $harness:expr; $($clause:ident)+) => {
        $(
            #[test]
            fn $clause() {
                $crate::conformance::$clause(&$harness);
            }
        )+
    };
}

/// Length of the objects of most clauses.
const LEN: usize = 4096;

const SPEC: ObjectSpec = ObjectSpec { len: LEN, reserve: true, group: false };

/// Words of the objects from here on belong to the clauses; those before it to locks (see [`lock_word`]).
const FREE_AT: usize = 512;

/// A fresh name; the object is removed when it goes.
struct Fresh<'h, H: Harness> {
    harness: &'h H,
    name: H::Fresh,
}

impl<'h, H: Harness> Fresh<'h, H> {
    fn new(harness: &'h H) -> Self {
        Self { harness, name: harness.fresh_name() }
    }

    fn get(&self) -> &NameOf<H> {
        self.name.borrow()
    }
}

impl<H: Harness> Drop for Fresh<'_, H> {
    fn drop(&mut self) {
        self.harness.clean_up(self.name.borrow());
    }
}

type NameOf<H> = <<H as Harness>::Os as Os>::Name;
type CreatedOf<O> = Created<<O as Os>::Mapping, ClaimOf<O>>;

/// What most clauses begin with.
fn create<O: Os>(os: &O, name: &O::Name) -> CreatedOf<O> {
    must!(1, os.create(name, SPEC), "an object of {LEN} bytes was not made")
}

fn open<O: Os>(os: &O, name: &O::Name) -> O::Mapping {
    must!(1, os.open(name, Access::ReadWrite), "the object just made was not found")
}

/// The word at `at`.
fn word<M: Memory>(memory: &M, at: usize) -> &AtomicU32 {
    assert!(at.is_multiple_of(4) && at + 4 <= memory.len(), "the suite looks only at words inside the memory");
    // SAFETY: aligned and inside, as just checked; the callers hold the mapping while they use the word.
    unsafe { memory.futex(at) }
}

/// The word set aside for a lock.
fn lock_word<M: Memory>(memory: &M, lock: Lock) -> &AtomicU32 {
    word(memory, usize::from(lock.number()) * 4)
}

fn claim<G: Mapping>(mapping: &G, lock: Lock) -> Result<Option<G::Claim>, OsError> {
    mapping.claim(lock, lock_word(&mapping.memory(), lock))
}

fn is_claimed<G: Mapping>(mapping: &G, lock: Lock) -> Result<bool, OsError> {
    mapping.is_claimed(lock, lock_word(&mapping.memory(), lock))
}
