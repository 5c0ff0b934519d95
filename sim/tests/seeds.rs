//! A fixed set of systems, and what makes the simulator worth believing: a seed replays, and a fault of the protocol's kind is found.
#![allow(missing_docs)]

use seqslot_sim::{Failure, Options, Tally, run};

fn passes(seed: u64) -> Tally {
    run(seed, &Options::default()).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The first of 50 seeds that fails where a wake of each system reaches nobody.
fn fails(n: u32) -> Box<Failure> {
    (0..50).find_map(|seed| run(seed, &Options::losing_wake(n)).err()).expect("a wake that is missing is found")
}

#[test]
fn systems_agree_with_the_model() {
    let mut total = Tally::default();
    for seed in seqslot_os_mock::seeds(30) {
        total.add(&passes(seed));
    }
    println!("{} steps, {total}", total.steps);
}

#[test]
fn a_system_with_everything_takes_place() {
    // That the seeds above do not all leave something out.
    let mut total = Tally::default();
    for seed in 1000..1060 {
        total.add(&passes(seed));
    }
    let did =
        [total.deaths, total.faults, total.pauses, total.jumps, total.taken, total.joins, total.recovered, total.parks, total.snapshots];
    assert!(did.iter().all(|count| *count > 0) && total.creations > 0 && total.evicted > 0, "{total:?}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [1, 7, 26] {
        assert_eq!(passes(seed), passes(seed));
    }
}

#[test]
fn a_lost_wake_is_found_and_replays_to_the_same_step() {
    let first = fails(3);
    assert!(first.what.contains("was not woken"), "{first}");
    assert!(!first.events.is_empty());
    let again = run(first.seed, &Options::losing_wake(3)).expect_err("the same seed fails again");
    assert_eq!(first, again);
    assert!(first.to_string().contains(&format!("--replay {}", first.seed)));
    // Without the fault the same system is sound.
    passes(first.seed);
}
