//! Developers' commands: `cargo xtask --help`. Each ends in one line that counts what it did, and fails loudly.

mod baseline;
mod coverage;
mod crash;
mod full;
mod fuzz;
mod instructions;
mod interop;
mod loom;
mod mutants;
mod peers;
mod run;
mod sanitize;
mod scaling;
mod sim;
mod size;
mod soak;
mod syscalls;
mod targets;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks that take longer than the tests, or other tools")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rounds of deaths, stops and restarts of real processes; nothing may be lost, doubled, torn, or stay held
    Soak(soak::Args),
    /// One side of a soak round (started by `soak`)
    #[command(hide = true)]
    SoakParty(soak::PartyArgs),
    /// Count the system calls of a polling writer and reader: none per sample (needs strace)
    Syscalls(syscalls::Args),
    /// One side of `syscalls` (started by it)
    #[command(hide = true)]
    SyscallsPair(syscalls::PairArgs),
    /// Build the core for bare targets, type-check the macOS shim (needs the distribution's rustc with its sources)
    Targets(targets::Args),
    /// Count the instructions of each operation, against a baseline; they do not depend on the slot count (needs valgrind)
    Instructions(instructions::Args),
    /// Code size of small programs for a bare target, against a baseline (needs the distribution's rustc with its sources)
    Size(size::Args),
    /// Time operations as slots, payload, readers and writers grow; tables and pictures go to docs/figures
    Scaling(scaling::Args),
    /// Run the loom models over the protocol's code, and their mutations
    Loom(loom::Args),
    /// Weaken every ordering above Relaxed and every fence of the core, one at a time: a loom model must fail
    Mutants(mutants::Args),
    /// Run the tests under ThreadSanitizer, without assembly (needs the distribution's rustc with its sources, and clang)
    Tsan(sanitize::ThreadArgs),
    /// Run the tests under AddressSanitizer (needs a nightly toolchain)
    Asan(sanitize::AddressArgs),
    /// Kill a simulated process before its n-th store, system call or wake, for every n of every operation; then the one that recovers
    Crash(crash::Args),
    /// Line coverage of the core by all tests that run its code; fails under 95 % (needs llvm-22)
    Coverage(coverage::Args),
    /// Hostile bytes: fuzz the targets under AddressSanitizer, replay the kept inputs, let an adversary write over segments in use
    Fuzz(fuzz::Args),
    /// Run whole systems of simulated processes, interleaved at every access by a seed, against a plain model
    Sim(sim::Args),
    /// Test against the published crates zerodds-flatdata, clock-bound-shm and clock-bound: the same calls, files and segments
    Interop(interop::Args),
    /// Measure seqslot, its peers and the machine's limits in one run: a table, a picture, and how many targets are met (needs libclang)
    Peers(peers::Args),
    /// Run all of the above but the peers at full length, and keep what they say in docs/proof
    Full(full::Args),
}

fn main() -> std::process::ExitCode {
    let outcome = match Args::parse().command {
        Command::Soak(args) => soak::run(&args),
        Command::SoakParty(args) => soak::party(&args),
        Command::Syscalls(args) => syscalls::run(&args),
        Command::SyscallsPair(args) => syscalls::pair(&args),
        Command::Targets(args) => targets::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Size(args) => size::run(&args),
        Command::Scaling(args) => scaling::run(&args),
        Command::Loom(args) => loom::run(&args),
        Command::Mutants(args) => mutants::run(&args),
        Command::Tsan(args) => sanitize::thread(&args),
        Command::Asan(args) => sanitize::address(&args),
        Command::Crash(args) => crash::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Interop(args) => interop::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Full(args) => full::run(&args),
    };
    match outcome {
        Ok(line) => {
            println!("{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("failed: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
