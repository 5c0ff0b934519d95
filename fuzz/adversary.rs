//! Runs the sieges for so many seconds in all (the first argument), and says what came of each.

use std::time::Duration;

use seqslot_hostile::siege::SIEGES;

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(6.0);
    for (name, siege) in SIEGES {
        let told = siege(Duration::from_secs_f64(seconds / SIEGES.len() as f64));
        println!("adversary {name}: {} writes beside {} operations", told.writes, told.operations);
    }
}
