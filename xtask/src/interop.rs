//! seqslot against the published crates that it stands in for (`tests/interop`, a workspace of its own).

use std::process::Stdio;

use crate::run::{Outcome, cargo, closing_line, pass};

/// Its manifest.
const MANIFEST: &str = "tests/interop/Cargo.toml";

#[derive(clap::Args)]
pub struct Args {
    /// How long to run, about; building comes on top
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the random sequences begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only this part: clockbound, exchange (samples between processes) or calls (side by side)
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Run the one sequence of this seed, and say what each step showed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seconds", "seed", "only", "json"])]
    replay: Option<u64>,
    /// Print the counts as JSON, in the last line
    #[arg(long)]
    json: bool,
}

impl Args {
    /// So many seconds.
    pub fn seconds(seconds: u64) -> Self {
        Self { seconds, seed: 1, only: None, replay: None, json: false }
    }
}

pub fn run(args: &Args) -> Outcome {
    // What its own tools do: shrinking, clearing up.
    pass(cargo().args(["test", "--release", "--locked", "--quiet", "--manifest-path", MANIFEST]).stdout(Stdio::null()))?;
    // The command, beside this program.
    pass(cargo().args(["build", "--quiet", "--package", "seqslot-cli"]))?;
    let seqslot = std::env::current_exe()?.with_file_name("seqslot");
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--quiet", "--manifest-path", MANIFEST, "--"]);
    match args.replay {
        Some(seed) => command.args(["--replay", &seed.to_string()]),
        None => command.args(["--seconds", &args.seconds.to_string(), "--seed", &args.seed.to_string()]),
    };
    if args.replay.is_none() {
        command.arg("--seqslot").arg(seqslot);
    }
    command.args(args.only.iter().flat_map(|part| ["--only", part]));
    command.args(args.json.then_some("--json"));
    let closing = closing_line(&mut command)
        .map_err(|error| format!("the two sides do not agree, or one does not work: {error}; standard error says where"))?;
    Ok(closing)
}
