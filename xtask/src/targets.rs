//! Bare targets and macOS, by the distribution's compiler, which builds its own standard library from sources.

use std::process::Command;

use crate::run::{Outcome, pass, root};

/// Packages that bring the compiler, its sources and a linker.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Outcome {
    need_distribution()?;
    let bare =
        [("thumbv7m-none-eabi", ""), ("thumbv7m-none-eabi", "alloc"), ("thumbv6m-none-eabi", ""), ("riscv32imc-unknown-none-elf", "")];
    for (target, features) in bare {
        let std = if features.is_empty() { "-Zbuild-std=core" } else { "-Zbuild-std=core,alloc" };
        println!("seqslot-core for {target}, features [{features}]");
        pass(distribution_cargo().args([
            "build",
            std,
            "--target",
            target,
            "-p",
            "seqslot-core",
            "--no-default-features",
            "--features",
            features,
        ]))?;
    }
    println!("seqslot-os-macos for aarch64-apple-darwin");
    pass(distribution_cargo().args([
        "check",
        "-Zbuild-std",
        "--target",
        "aarch64-apple-darwin",
        "--lib",
        "-p",
        "seqslot-os-macos",
        "-p",
        "seqslot",
    ]))?;
    Ok(format!("{} builds for bare targets, 1 check for macOS", bare.len()))
}

/// Refuses with advice where the distribution's compiler is missing.
pub fn need_distribution() -> Result<(), Box<dyn std::error::Error>> {
    for tool in ["/usr/bin/rustc", "/usr/bin/cargo"] {
        if !std::path::Path::new(tool).exists() {
            return Err(format!("{tool} is missing; install {}", PACKAGES.join(" ")).into());
        }
    }
    Ok(())
}

/// The distribution's cargo with its own compiler, whatever toolchain runs this.
pub fn distribution_cargo() -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    command.current_dir(root());
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc").env("CARGO", "/usr/bin/cargo");
    command.env("CARGO_TARGET_DIR", crate::run::target_dir().join("targets"));
    command
}
