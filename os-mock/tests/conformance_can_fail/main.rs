//! The suite sees every clause broken: the mock with one flaw at a time.

mod broken;

use std::panic::{AssertUnwindSafe, catch_unwind};

use broken::{BrokenHarness, Flaw};
use seqslot_os_mock::{World, conformance};

/// One test for each flaw: the clause must panic, with its own number.
macro_rules! seen {
    ($($name:ident: $flaw:ident in $world:ident, $clause:ident $number:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let harness = BrokenHarness::new(Flaw::$flaw, World::$world(1));
                let panic = catch_unwind(AssertUnwindSafe(|| conformance::$clause(&harness))).expect_err("the flaw was not seen");
                let text = panic.downcast_ref::<String>().expect("a panic of the suite has a text");
                assert!(text.starts_with(concat!("clause ", $number, ": ")), "seen elsewhere: {text}");
            }
        )+
    };
}

seen! {
    an_object_longer_than_asked: TooLong in new, clause_01 1;
    an_object_not_zero: NotZero in new, clause_01 1;
    an_owners_lock_not_held: OwnerFree in new, clause_01 1;
    a_failed_create_that_leaves_an_object: LeavesBehind in new, clause_01 1;
    a_create_over_a_living_owner: OverLiving in new, clause_02 2;
    a_create_that_never_takes_over: NeverOver in new, clause_02 2;
    a_takeover_of_the_old_object_itself: InPlace in new, clause_02 2;
    an_unlink_of_the_successor: UnlinksByName in new, clause_02 2;
    an_open_that_fails_otherwise: OtherError in new, clause_03 3;
    an_unlink_that_does_nothing: NoUnlink in new, clause_03 3;
    a_mapping_of_its_own: OwnMapping in new, clause_04 4;
    a_wait_blind_to_the_word: BlindWait in new, clause_05 5;
    a_wake_that_does_nothing: NoWake in threaded, clause_06 6;
    a_wake_of_equal_masks_only: EqualMasks in threaded, clause_06 6;
    a_wake_of_one: WakesOne in threaded, clause_06 6;
    a_timeout_too_early: EarlyTimeout in new, clause_07 7;
    a_timeout_that_never_comes: NoTimeout in new, clause_07 7;
    a_timeout_that_starts_anew: RestartedTimeout in threaded, clause_07 7;
    a_clock_that_goes_back: ClockBack in new, clause_08 8;
    a_clock_that_stands: ClockStands in new, clause_08 8;
    a_clock_of_each_process: OwnClock in new, clause_08 8;
    a_lock_given_twice: TwoClaims in new, clause_09 9;
    one_lock_for_all: OneLock in new, clause_09 9;
    a_test_then_a_claim: RacyClaim in threaded, clause_09 9;
    a_claim_that_stays: DropKeeps in new, clause_10 10;
    a_claim_that_goes_with_its_mapping: UnmapFrees in new, clause_10 10;
    a_claim_that_outlives_its_process: DeathKeeps in new, clause_10 10;
    a_claim_that_a_fork_keeps: ForkKeeps in new, clause_10 10;
    a_claim_that_an_orphan_keeps: OrphanKeeps in new, clause_10 10;
    a_test_that_sees_nothing: NeverClaimed in new, clause_11 11;
    a_test_that_sees_too_much: AlwaysClaimed in new, clause_11 11;
    a_test_blind_to_its_own_process: BlindToItself in new, clause_11 11;
    a_test_that_lets_go: TestFrees in new, clause_11 11;
    a_copy_that_is_the_childs: MineInChild in new, clause_12 12;
    a_copy_that_lets_go: ChildFrees in new, clause_12 12;
}

#[test]
fn without_a_flaw_every_clause_holds() {
    conformance::run_all(&BrokenHarness::new(Flaw::None, World::new(1)));
    conformance::run_all(&BrokenHarness::new(Flaw::None, World::threaded(1)));
}
