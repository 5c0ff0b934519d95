//! Loom models of the slots protocol, over the code that ships, and mutations of each, which must fail.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p seqslot-core --test loom_slots -- --nocapture models
//! RUSTFLAGS="--cfg loom" cargo test --release -p seqslot-core --test loom_slots -- --nocapture mutants
//! ```
//!
//! `LOOM_SMALL=1` leaves out what takes long. A model states its preemption bound: how often at most loom takes the processor away
//! where a thread could go on. Parties are attached and joined before the threads start, unless joining is what a model is about.
//!
//! - [`world`]: a segment's memory made of loom's words, its locks, its sleepers; a [`Party`](party::Party) is a process on it,
//!   [`platform`] what it has of an operating system.
//! - [`fences`]: where full fences meet, and what light and heavy ones are.
//! - [`mutation`]: what can be weakened, by kind of word and operation.
//!   Single orderings and fences of the core are weakened by `cargo xtask mutants`, which also runs over these models.
//! - [`models`]: the models, each file with its mutations. [`mutants`]: runs every mutation in a process of its own.
#![cfg(loom)]
#![allow(missing_docs)]

mod fences;
#[path = "../loom_memory/mod.rs"]
mod loom_memory;
mod models;
mod mutants;
mod mutation;
mod party;
mod platform;
mod world;
