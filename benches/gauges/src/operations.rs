//! The operations by name.

use crate::{Outcome, Run, slots, snapshot};

/// An operation with its sizes.
type Operation = fn(Run<'_>) -> Outcome;

/// Names are kept in `docs/baseline/instructions.json`; those that end in a slot count are compared by `cargo xtask instructions`.
const OPERATIONS: [(&str, Operation); 25] = [
    ("cycle-4", |run| slots::cycle(4, 0, run)),
    ("cycle-64", |run| slots::cycle(64, 0, run)),
    ("cycle-65536", |run| slots::cycle(65_536, 0, run)),
    ("held-4", |run| slots::cycle(4, 2, run)),
    ("held-65536", |run| slots::cycle(65_536, 65_534, run)),
    ("overwrite-64", |run| slots::overwriting(64, run)),
    ("fan-16", |run| slots::fan(16, run)),
    ("writers-8", |run| slots::turns(8, run)),
    ("poll-4", |run| slots::poll(4, run)),
    ("poll-65536", |run| slots::poll(65_536, run)),
    ("loan-drop", |run| slots::loan_and_drop(slots::SLOTS, run)),
    ("batch-16", slots::batch::<16>),
    ("copied-64", |run| slots::copied(64, run)),
    ("copied-1k", |run| slots::copied(1024, run)),
    ("face-cycle", |run| slots::face(slots::SLOTS, run)),
    ("join-leave", slots::join_and_leave),
    ("create", slots::create),
    ("attach", slots::attach),
    ("snapshot-publish-64", snapshot::publish::<64>),
    ("snapshot-publish-1k", snapshot::publish::<1024>),
    ("snapshot-fresh-64", snapshot::fresh::<64>),
    ("snapshot-fresh-1k", snapshot::fresh::<1024>),
    ("snapshot-unchanged-64", snapshot::unchanged::<64>),
    ("snapshot-unchanged-1k", snapshot::unchanged::<1024>),
    ("snapshot-attach", snapshot::attach),
];

/// The names of all operations.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|(name, _)| *name)
}

/// Sets `name` up and gives it to `run`.
pub fn run(name: &str, run: Run<'_>) -> Outcome {
    let found = OPERATIONS.iter().find(|(known, _)| *known == name);
    let (_, operation) = found.ok_or_else(|| format!("no operation is called {name}; `gauges names` has them all"))?;
    operation(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_does_what_it_says_a_few_times() {
        for name in names() {
            let mut done = 0;
            let outcome = run(name, &mut |body| {
                done += 1;
                body(3)?;
                body(130)
            });
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
            assert_eq!(done, 1, "{name} is run once");
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(run("nothing", &mut |_| Ok(())).is_err());
    }
}
