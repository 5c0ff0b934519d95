//! seqslot beside its peers, in one run: the table, the picture, and both in the README.

use crate::run::{Outcome, cargo, closing_line, root};

/// What stands around the table in the README.
const MARKS: [&str; 2] = ["<!-- peers: cargo xtask peers writes what is between these -->", "<!-- peers end -->"];
/// Where figures, table and picture are kept.
const KEPT: &str = "docs/peers";

#[derive(clap::Args)]
pub struct Args {
    /// Run only this row (may be repeated); nothing is kept
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// A tenth of the work, to see that everything runs; nothing is kept
    #[arg(long)]
    quick: bool,
    /// Rounds of each row
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Measure nothing: make table and picture anew from the figures kept by the last run
    #[arg(long, conflicts_with_all = ["only", "quick", "rounds"])]
    redraw: bool,
}

/// Targets that are not met are told, and are no failure.
pub fn run(args: &Args) -> Outcome {
    let kept = root().join(KEPT);
    let is_kept = !args.quick && args.only.is_empty();
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--quiet", "--manifest-path", "benches/peers/Cargo.toml", "--"]);
    if args.redraw {
        command.arg("--from").arg(kept.join("figures.json"));
    } else {
        command.args(["--rounds", &args.rounds.to_string()]);
        command.args(args.only.iter().flat_map(|row| ["--only", row]));
        command.args(args.quick.then_some("--quick"));
    }
    if is_kept {
        std::fs::create_dir_all(&kept)?;
        command.arg("--table").arg(kept.join("table.md")).arg("--list").arg(kept.join("figures.md"));
        command.arg("--picture").arg(kept.join("peers.svg"));
        if !args.redraw {
            command.arg("--json").arg(kept.join("figures.json"));
        }
    }
    let closing = closing_line(&mut command).map_err(|error| format!("the peers did not run: {error}; building them needs libclang"))?;
    if is_kept {
        let table = std::fs::read_to_string(kept.join("table.md"))?;
        let shown =
            format!("![seqslot beside its peers]({KEPT}/peers.svg)\n\n{table}\nEvery figure: [{KEPT}/figures.md]({KEPT}/figures.md).\n");
        let path = root().join("README.md");
        let readme = between(&std::fs::read_to_string(&path)?, &shown)?;
        std::fs::write(path, readme)?;
    }
    Ok(closing)
}

/// The text with `new` between the marks.
fn between(text: &str, new: &str) -> Result<String, String> {
    let missing = || format!("README.md has no lines {MARKS:?} to put the table between");
    let (before, rest) = text.split_once(MARKS[0]).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or_else(missing)?;
    Ok(format!("{before}{}\n{}\n{}{after}", MARKS[0], new.trim_end(), MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let [first, last] = MARKS;
        let text = format!("before\n{first}\nold\n{last}\nafter\n");
        assert_eq!(between(&text, "new\n"), Ok(format!("before\n{first}\nnew\n{last}\nafter\n")));
        assert!(between("no marks", "new").is_err());
    }
}
