//! Writes the corpus of malformed files anew: `cargo run -p seqslot-hostile --example malformed -- tests/hostile/malformed`

use std::path::PathBuf;

use seqslot_hostile::malformed::{KINDS, table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = std::env::args_os().nth(1).map(PathBuf::from).ok_or("give the corpus's folder")?;
    let mut count = 0;
    for (kind, files) in KINDS {
        let folder = corpus.join(kind);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let files = files();
        std::fs::write(folder.join("answers.tsv"), table(&files))?;
        for file in &files {
            std::fs::write(folder.join(&file.name), &file.bytes)?;
        }
        count += files.len();
    }
    println!("{count} files in {}", corpus.display());
    Ok(())
}
