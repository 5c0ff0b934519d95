//! The seqslot command.
fn main() {}
