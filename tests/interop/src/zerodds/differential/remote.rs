//! A party in another process: it makes the calls that come in by its standard input, a line of JSON each.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::call::{Answer, Call, Outcome, Party};
use super::super::twins;
use crate::child::Child;
use crate::outcome::Outcome as Came;

/// What a party is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Told {
    Call(Call),
    Reset(PathBuf),
}

/// A party in a child process.
pub struct Remote(Child);

impl Remote {
    /// Starts one over the library of `side`.
    pub fn start(side: &str) -> Came<Self> {
        Ok(Self(Child::start(&["party", side])?))
    }

    fn tell(&mut self, told: &Told) -> Option<Answer> {
        let line = serde_json::to_string(told).ok()?;
        self.0.say(&line).ok()?;
        serde_json::from_str(&self.0.line().ok()?).ok()
    }
}

impl Party for Remote {
    fn call(&mut self, call: Call) -> Answer {
        let gone = Answer { outcome: Outcome::Done(Err("the other process is gone".into())), moved: None };
        self.tell(&Told::Call(call)).unwrap_or(gone)
    }

    fn reset(&mut self, path: PathBuf) {
        self.tell(&Told::Reset(path));
    }
}

/// Is such a party, until its input ends.
pub fn serve(side: &str) -> Came<()> {
    let mut hands: Box<dyn Party> = match side {
        "theirs" => Box::new(twins::theirs::hands::Hands::default()),
        "ours" => Box::new(twins::ours::hands::Hands::default()),
        other => return Err(format!("there is no side {other}").into()),
    };
    let (input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    for line in input.lines() {
        let answer = match serde_json::from_str(&line?)? {
            Told::Call(call) => hands.call(call),
            Told::Reset(path) => {
                hands.reset(path);
                Answer { outcome: Outcome::Absent, moved: None }
            }
        };
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}
