//! What SAFETY.md and the README name is there: files by their path, tests and models by their function.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where Rust sources are.
const FOLDERS: [&str; 12] =
    ["cli", "core", "examples", "fuzz", "os-linux", "os-macos", "os-mock", "os-posix", "src", "tests", "benches", "xtask"];
const WORDS: [&str; 4] = ["SAFETY.md", "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is one folder below the root")
}

/// Every identifier of every source file.
fn identifiers(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                identifiers(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            into.extend(text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned));
        }
    }
}

/// What stands between backquotes, outside of fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Whether it reads as the name of a test or a model.
fn is_a_claim(name: &str) -> bool {
    name.matches('_').count() >= 2 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_a_path(name: &str) -> bool {
    name.contains('/') && [".rs", ".md", ".toml"].iter().any(|end| name.ends_with(end)) && !name.contains(['{', '*', ' '])
}

#[test]
fn every_file_and_every_test_named_in_the_words_exists() {
    let mut known = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| identifiers(&root().join(folder), &mut known));
    let mut missing = Vec::new();
    let (mut files, mut claims) = (0, 0);
    for words in WORDS {
        for name in quoted(&fs::read_to_string(root().join(words)).expect(words)) {
            if is_a_path(&name) {
                files += 1;
                if !root().join(&name).exists() {
                    missing.push(format!("{words}: {name}"));
                }
            } else if is_a_claim(&name) {
                claims += 1;
                if !known.contains(&name) {
                    missing.push(format!("{words}: {name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "named, and not there: {missing:#?}");
    assert!(files > 20 && claims > 40, "{files} files and {claims} tests were looked for");
}
