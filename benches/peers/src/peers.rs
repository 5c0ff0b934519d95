//! The peers, set up as their own documentation has it.

use std::error::Error;
use std::path::Path;

use iceoryx2::prelude::{Config, FileName, LogLevel, Node, NodeBuilder, SemanticString, ipc, set_log_level};

/// A result of setting something up.
pub type Made<T> = Result<T, Box<dyn Error>>;

/// A node of iceoryx2 whose files are all in the scratch folder, or named after it: a run cleans up behind itself, and meets no other.
///
/// # Errors
/// If iceoryx2 refuses.
pub fn iceoryx2_node(scratch: &Path) -> Made<Node<ipc::Service>> {
    set_log_level(LogLevel::Error);
    let name = scratch.file_name().ok_or("the scratch folder has no name")?.to_string_lossy();
    let mut config = Config::default();
    config.global.prefix = FileName::new(format!("{name}_").as_bytes())?;
    config.global.set_root_path(&iceoryx2::prelude::Path::new(scratch.join("iceoryx2").to_string_lossy().as_bytes())?);
    Ok(NodeBuilder::new().config(&config).create::<ipc::Service>()?)
}
