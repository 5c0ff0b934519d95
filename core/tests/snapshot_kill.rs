//! A writer dies after each of its stores in turn: the last good value stays, the next writer goes on, nobody sees a wrong value.

mod snapshot_support;

use seqslot_core::{Raw, SnapshotRead, SnapshotView};
use snapshot_support::{Dying, attach, format, region, set_generation};

const CAPACITY: usize = 20;

fn value(generation: u64, session: u8) -> [u8; CAPACITY] {
    let mut value = [session; CAPACITY];
    value[..8].copy_from_slice(&generation.to_le_bytes());
    value
}

/// What a new reader sees: the generation and the value; checked to belong together.
fn look(view: &SnapshotView<Raw>) -> Option<(u64, u8)> {
    let mut found = [0; CAPACITY];
    match view.read(0, &mut found) {
        Ok(SnapshotRead::Fresh(generation)) => {
            let session = found[CAPACITY - 1];
            assert_eq!(found, value(generation, session), "a value under another's generation, or torn");
            Some((generation, session))
        }
        Err(seqslot_core::SnapshotError::Empty) => None,
        other => panic!("{other:?}"),
    }
}

fn after(generation: u64, buffers: u32) -> u64 {
    if generation as u32 == u32::MAX { generation + 1 + u64::from(buffers) } else { generation + 1 }
}

/// Stores of one publication: BUSY, five data words, high, low, latest high, latest low.
const STORES: i64 = 4 + 1 + 5;

fn start(buffers: u32, latest: u64) -> seqslot_core::Region<'static> {
    let region = region::<8192>();
    let view = format(region, buffers, CAPACITY as u32);
    if latest != 0 {
        set_generation(region, view.geometry(), latest);
        // The words above are not a value of this test: publish one under the generation asked for, if it is not zero.
        let at = latest - 1;
        assert_eq!(view.publish(at, &value(latest, 0)).unwrap(), latest);
    }
    region
}

#[test]
fn a_death_after_any_store_loses_nothing_and_shows_nothing_wrong() {
    for buffers in [2, 4] {
        for latest in [0, 7, 8, u64::from(u32::MAX) - 1, u64::from(u32::MAX), (5 << 32) + u64::from(u32::MAX)] {
            for kill in 0..=STORES {
                one_death(buffers, latest, kill);
            }
        }
    }
}

fn one_death(buffers: u32, latest: u64, kill: i64) {
    let region = start(buffers, latest);
    let reader = format_free_view(region);
    let before = look(&reader);
    let doomed = Dying::after(region, kill);
    let writer = attach(doomed.clone());
    let resumed = writer.resume();
    assert_eq!((resumed.latest, resumed.announced, resumed.damaged), (latest, false, false));
    let attempted = writer.publish(latest, &value(after(latest, buffers), 1)).unwrap();
    assert_eq!(doomed.is_dead(), kill < STORES, "STORES is not what a publication stores");

    let seen = look(&reader);
    let published = Some((attempted, 1));
    assert!(seen == before || seen == published, "after {kill} stores: {seen:?}");
    assert_eq!(seen == published, kill == STORES);

    // The next writer: goes on, and never gives a generation to two values.
    let next = attach(Dying::immortal(region));
    let resumed = next.resume();
    assert!(!resumed.damaged);
    let whole = kill >= STORES - 2;
    assert_eq!(resumed.latest, if whole { attempted } else { latest }, "after {kill} stores");
    assert_eq!(look(&reader), if whole { published } else { before }, "what was whole is announced, nothing else is");
    let second = next.publish(resumed.latest, &value(after(resumed.latest, buffers), 2)).unwrap();
    assert_eq!(look(&reader), Some((second, 2)));
    assert_eq!(next.resume().latest, second, "resuming over a healthy segment changes nothing");
}

#[test]
fn two_deaths_in_a_row_and_a_death_while_resuming_lose_nothing() {
    for latest in [0, 8, u64::from(u32::MAX)] {
        for first in 0..=STORES {
            for second in 0..=STORES + 2 {
                let region = start(2, latest);
                let reader = format_free_view(region);
                let mut generations = std::vec![look(&reader)];
                for (session, kill) in [(1, first), (2, second), (3, i64::MAX)] {
                    let writer = attach(Dying::after(region, kill));
                    let resumed = writer.resume();
                    assert!(!resumed.damaged, "{latest} {first} {second}");
                    generations.push(look(&reader));
                    writer.publish(resumed.latest, &value(after(resumed.latest, 2), session)).unwrap();
                    generations.push(look(&reader));
                }
                // The same generation always has the same value, and none goes back.
                for pair in generations.windows(2) {
                    let (a, b) = (pair[0].unwrap_or_default(), pair[1].unwrap_or_default());
                    assert!(a.0 < b.0 || a == b, "{generations:?}");
                }
                assert_eq!(generations.last().unwrap().unwrap().1, 3);
            }
        }
    }
}

fn format_free_view(region: seqslot_core::Region<'static>) -> SnapshotView<Raw> {
    attach(region.raw())
}
