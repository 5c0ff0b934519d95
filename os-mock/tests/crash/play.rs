//! One run: the scene, the victim's operation, the second and the third death, the checks.

use std::rc::Rc;

use crate::check;
use crate::scene::{Held, Needs, Scene};
use crate::script::{Case, Cue, Script, Second};
use crate::states::State;

/// What a victim does: prepares, gives its cue, and acts.
pub type Act = fn(&Scene, &Cue<'_>);

/// An operation of a victim.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    pub needs: Needs,
    pub act: Act,
}

pub const WRITER: Needs = Needs { segment: true, writer: true, reader: false };
pub const READER: Needs = Needs { segment: true, writer: false, reader: true };
pub const BOTH: Needs = Needs { segment: true, writer: true, reader: true };
pub const SEGMENT: Needs = Needs { segment: true, writer: false, reader: false };
pub const NOTHING: Needs = Needs { segment: false, writer: false, reader: false };

pub const SECONDS: &[Second] = &[Second::Recovers, Second::Uses];

/// Every operation in every state.
pub fn table<'s>(operations: &[Operation], states: impl IntoIterator<Item = &'s &'static State> + Clone) -> Vec<Case> {
    let mut cases = Vec::new();
    for &operation in operations {
        for &state in states.clone() {
            cases.push(case(operation, state));
        }
    }
    cases
}

pub fn case(operation: Operation, state: &'static State) -> Case {
    Case { operation: operation.name, state: state.name, seconds: SECONDS, run: Box::new(move |script| run(operation, state, script)) }
}

fn run(operation: Operation, state: &'static State, script: &Rc<Script>) {
    let scene = Scene::new(state, operation.needs);
    let pen = scene.keeper.pen.borrow();
    let held = scene.hold(&pen);
    script.mortal(0, &scene.victim.os, |cue| (operation.act)(&scene, cue));
    aftermath(&scene, script, held);
}

/// The deaths after the first, and the checks.
pub fn aftermath(scene: &Rc<Scene>, script: &Script, held: Held<'_>) {
    held.check();
    match script.deaths.second {
        Some((Second::Recovers, _)) => dies_recovering(scene, script, 1),
        Some((Second::Uses, _)) => script.mortal(1, &scene.other.os, |cue| scene.uses(cue)),
        None => {}
    }
    if script.deaths.third.is_some() {
        dies_recovering(scene, script, 2);
    }
    let deaths = &script.deaths;
    let number = deaths.first + deaths.second.map_or(0, |(_, n)| n) + deaths.third.unwrap_or(0);
    // To put somebody to sleep takes longer than all the rest.
    let sleeps = deaths.second.is_none() && number % 8 == 1;
    check::everything(scene, held, sleeps, number.is_multiple_of(2));
}

/// A fresh process attaches, which recovers, and recovers again.
fn dies_recovering(scene: &Scene, script: &Script, turn: usize) {
    let os = scene.world.process();
    script.mortal(turn, &os, |cue| {
        cue.go();
        let segment = scene.attached(&os);
        let _ = segment.recover();
    });
}
