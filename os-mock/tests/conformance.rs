//! The mock keeps the clauses, in virtual time and with threads.

mod virtual_time {
    use seqslot_os_mock::{World, conformance::MockHarness};

    seqslot_os_mock::conformance_tests!(MockHarness::new(World::new(1)));
}

mod threaded {
    use seqslot_os_mock::{World, conformance::MockHarness};

    seqslot_os_mock::conformance_tests!(MockHarness::new(World::threaded(1)));
}
