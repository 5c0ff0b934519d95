//! Replays every kept input of the fuzz targets, and some that are a little different, without a fuzzer.

use std::path::{Path, PathBuf};

use seqslot_hostile::Target;

/// The kept inputs of a target, in an order that is always the same.
fn kept(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(corpus).expect("the corpus is kept in the repository");
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no inputs for {name}");
    inputs.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("readable"))).collect()
}

fn run(name: &str, target: Target, bytes: &[u8], what: &str) {
    if let Err(panic) = std::panic::catch_unwind(|| target(bytes)) {
        let file = std::env::temp_dir().join(format!("seqslot-hostile-{name}"));
        let at = std::fs::write(&file, bytes).map_or(String::new(), |()| format!("; the bytes are in {}", file.display()));
        eprintln!("the target `{name}` fails on {what}{at}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_kept_input_is_without_fault() {
    for (name, target) in seqslot_hostile::TARGETS {
        for (path, bytes) in kept(name) {
            run(name, target, &bytes, &path.display().to_string());
        }
    }
}

/// Knuth's MMIX generator; the high bits count.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// Not a fuzzer, which sees what an input reaches; but the same everywhere, and without one.
#[test]
fn inputs_a_little_different_are_without_fault() {
    let mut dice = Dice(5);
    let mut roll = |bound: usize| dice.roll(bound);
    for (name, target) in seqslot_hostile::TARGETS {
        let kept = kept(name);
        for round in 0..400 {
            let (path, mut bytes) = kept[roll(kept.len())].clone();
            for _ in 0..=roll(8) {
                let (from, to, len) = (roll(bytes.len()), roll(bytes.len()), roll(32));
                match roll(4) {
                    0 => bytes.iter_mut().skip(to).take(1).for_each(|byte| *byte ^= 1 << (len % 8)),
                    1 => bytes.iter_mut().skip(to).take(len).for_each(|byte| *byte = roll(256) as u8),
                    2 => bytes.extend_from_within(from..(from + len).min(bytes.len())),
                    _ => bytes.truncate(bytes.len() - len.min(bytes.len()) / 4),
                }
            }
            run(name, target, &bytes, &format!("round {round}, made of {}", path.display()));
        }
    }
}

#[test]
fn steps_made_at_random_are_without_fault() {
    let mut dice = Dice(9);
    for round in 0..1500 {
        let bytes: Vec<u8> = (0..dice.roll(600)).map(|_| dice.roll(256) as u8).collect();
        run("operations", seqslot_hostile::operations, &bytes, &format!("round {round}"));
    }
}
