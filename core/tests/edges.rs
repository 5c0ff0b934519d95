//! `docs/edges.md` has a row for every edge that the core's sources name, and the models it names are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn core() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The names behind `edge "…"` and `edges "…" and "…"`.
fn named_in(text: &str, names: &mut BTreeSet<String>) {
    for (at, _) in text.match_indices("dge") {
        let is_word = matches!(text.as_bytes()[..at], [.., before, b'e' | b'E'] if !before.is_ascii_alphabetic());
        if !is_word {
            continue;
        }
        let behind = &text[at + 3..];
        let mut rest = behind.strip_prefix('s').unwrap_or(behind);
        while let Some(quoted) = rest.strip_prefix(" \"").or_else(|| rest.strip_prefix(" and \"")) {
            let Some((name, after)) = quoted.split_once('"') else { break };
            names.insert(name.into());
            rest = after;
        }
    }
}

/// The rows of the tables, by their cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| edge |") && !line.starts_with("| race |");
    let cells = |line: &str| line.replace("\\|", "or").trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(is_row).map(cells).collect()
}

#[test]
fn every_edge_has_its_row_and_its_models() {
    let text = fs::read_to_string(core().join("../docs/edges.md")).expect("the table");
    let (mut sources, mut named) = (Vec::new(), BTreeSet::new());
    files(&core().join("src"), &mut sources);
    for path in sources {
        named_in(&fs::read_to_string(path).expect("a source"), &mut named);
    }
    let rows = rows(&text);
    let listed: BTreeSet<String> = rows.iter().filter(|cells| cells.len() == 4).map(|cells| cells[0].clone()).collect();
    assert_eq!(listed, named, "the edges of the table, and those of the sources");

    let mut models = Vec::new();
    files(&core().join("tests"), &mut models);
    let text_of = |wanted: &str| -> String {
        let is_it = |path: &&PathBuf| path.to_string_lossy().contains(wanted);
        models.iter().filter(is_it).map(|path| fs::read_to_string(path).expect("a model")).collect()
    };
    let mut count = 0;
    for cells in &rows {
        let last = cells.last().expect("cells");
        for model in last.split('`').skip(1).step_by(2).filter(|word| word.contains("::") || word.contains(' ')) {
            let (file, name) = match model.split_once("::") {
                Some((module, name)) => (format!("loom_slots/models/{module}.rs"), name),
                None => model.split_once(' ').map(|(binary, name)| (format!("tests/{binary}"), name)).expect("filtered"),
            };
            let text = text_of(&file);
            assert!(text.contains(&format!("fn {name}(")) || text.contains(&format!("    {name} ")), "{model}: no such model");
            count += 1;
        }
        assert!(last.contains('`'), "{}: no model", cells[0]);
    }
    assert!(count > 50, "{count} models named");
}

#[test]
fn names_are_found_in_comments() {
    let mut names = BTreeSet::new();
    named_in("// ORDERING: edges \"one\" and \"two\"; edge \"three\".\n//! Edge \"four\": knowledge \"none\".", &mut names);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["four", "one", "three", "two"]);
}
