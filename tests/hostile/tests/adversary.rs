//! The sieges at a length that the tests have time for: no panic, nothing out of bounds, no call that does not end.

use std::time::Duration;

#[test]
fn an_adversary_that_writes_over_every_word_harms_nobody() {
    for (name, siege) in seqslot_hostile::siege::SIEGES {
        let told = siege(Duration::from_millis(300));
        println!("{name}: {} writes beside {} operations", told.writes, told.operations);
    }
}
