//! Tells the program which compiler built it: figures say so.

fn main() {
    let rustc = std::env::var_os("RUSTC").expect("cargo tells build scripts the compiler");
    let output = std::process::Command::new(rustc).arg("--version").output().expect("the compiler that cargo uses");
    let version = String::from_utf8_lossy(&output.stdout);
    println!("cargo::rustc-env=PEERS_RUSTC={}", version.split(" (").next().unwrap_or_default().trim());
    println!("cargo::rerun-if-changed=build.rs");
}
