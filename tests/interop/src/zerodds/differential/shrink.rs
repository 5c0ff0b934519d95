//! The shortest sequence that still fails.

use super::super::call::Step;

/// Takes steps out, ever smaller pieces at a time, while `fails` says that what is left still fails. Bounded: every round either takes
/// something out or halves the piece.
pub fn shrink(steps: &[Step], mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut least = steps.to_vec();
    let mut piece = least.len().div_ceil(2);
    while piece > 0 {
        let (mut at, mut has_shrunk) = (0, false);
        while at < least.len() {
            let mut shorter = least.clone();
            shorter.drain(at..(at + piece).min(least.len()));
            if fails(&shorter) {
                (least, has_shrunk) = (shorter, true);
            } else {
                at += piece;
            }
        }
        if !has_shrunk {
            piece /= 2;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zerodds::call::Call;

    #[test]
    fn what_is_needed_to_fail_is_left() {
        let steps: Vec<Step> = (0..50).map(|place| Step { party: 0, call: Call::Drop { place } }).collect();
        let has = |steps: &[Step], place| steps.contains(&Step { party: 0, call: Call::Drop { place } });
        let least = shrink(&steps, |steps| has(steps, 7) && has(steps, 40));
        assert_eq!(least, [steps[7], steps[40]]);
    }
}
