//! Times of operations as the work grows: measured by `benches/gauges`, kept in `docs/figures.md` and `docs/figures/`.

use std::process::Command;

use crate::run::{Outcome, capture, cargo, pass, root, target_dir};

/// What the command writes stands between these lines.
const MARKERS: [&str; 2] = ["<!-- scaling: written by `cargo xtask scaling` -->", "<!-- scaling: end -->"];

#[derive(clap::Args)]
pub struct Args {
    /// How often everything is measured; a figure is the median
    #[arg(long, default_value_t = 7)]
    sweeps: usize,
}

pub fn run(args: &Args) -> Outcome {
    pass(cargo().args(["build", "--quiet", "--release", "-p", "seqslot-gauges"]))?;
    let page = root().join("docs/figures.md");
    let before = std::fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    // A page that cannot be written to is found before anything is measured.
    between_markers(&before, "")?;
    let mut gauges = Command::new(target_dir().join("release/gauges"));
    gauges.arg("scaling").arg(root().join("docs/figures")).args(["--sweeps", &args.sweeps.to_string()]);
    let output = gauges.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{gauges:?} ended with {}", output.status).into());
    }
    let tables = String::from_utf8(output.stdout)?;
    let flatness = tables.lines().last().unwrap_or_default().to_string();
    let text = format!("{}. Medians of {} sweeps.\n\n{}", machine()?, args.sweeps, tables.trim_end());
    std::fs::write(&page, between_markers(&before, &text)?)?;
    Ok(format!("docs/figures.md and docs/figures are written. {flatness}"))
}

/// Date, processor and compiler.
fn machine() -> Outcome {
    let (date, _) = capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let (rustc, _) = capture(Command::new("rustc").arg("--version"))?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let (model, rustc) = (model.unwrap_or(std::env::consts::ARCH), rustc.split(" (").next().unwrap_or_default());
    Ok(format!("{}, {model}, {cpus} CPUs, {}", date.trim(), rustc.trim()))
}

/// `page` with `text` in place of what stands between the markers.
fn between_markers(page: &str, text: &str) -> Outcome {
    let [begin, end] = MARKERS;
    let (head, rest) = page.split_once(begin).ok_or_else(|| format!("docs/figures.md has no line {begin:?}; restore it"))?;
    let (_, tail) = rest.split_once(end).ok_or_else(|| format!("docs/figures.md has no line {end:?}; restore it"))?;
    Ok(format!("{head}{begin}\n{text}\n{end}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = format!("before\n{}\nold\n{}\nafter\n", MARKERS[0], MARKERS[1]);
        let new = between_markers(&page, "new").expect("both markers");
        assert_eq!(new, page.replace("old", "new"));
        assert_eq!(between_markers(&new, "new").expect("both markers"), new);
    }

    #[test]
    fn a_page_without_markers_is_left_alone() {
        assert!(between_markers("before", "new").is_err());
        assert!(between_markers(MARKERS[0], "new").is_err());
    }
}
