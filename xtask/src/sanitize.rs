//! The tests under ThreadSanitizer and AddressSanitizer.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::run::{Outcome, Ran, cargo, need, target_dir, tests};
use crate::targets::distribution_cargo;

/// Packages whose tests run: what touches shared memory.
pub const PACKAGES: [&str; 4] = ["seqslot-core", "seqslot-os-mock", "seqslot-os-linux", "seqslot"];
/// Tests that keep nothing on purpose.
const LEAK_FREE: [&str; 4] = ["stress", "names", "descriptors", "conformance"];
/// What the distribution must have installed for ThreadSanitizer.
const THREAD_PACKAGES: &str = "rustc-web cargo-web rust-web-src rust-web-llvm llvm-22 clang libclang-rt-22-dev";
/// Where the run-time library of the compiler's LLVM version is.
const RESOURCES: &str = "/usr/lib/llvm-22/lib/clang/22";
/// Some tests ask for more memory than there is, and want to be refused; some use memory that a full system cannot give, and want to see their
/// child die of SIGBUS.
const OPTIONS: &str = "allocator_may_return_null=1 handle_sigbus=0";
/// Left out under ThreadSanitizer: it keeps signals back until a call that it knows, and a futex by number is none, so no storm comes through.
const NOT_SEEN: &str = "a_storm_of_signals_neither_cuts_nor_stretches_a_wait_and_loses_nothing";
const HOST: &str = "x86_64-unknown-linux-gnu";

#[derive(clap::Args)]
pub struct ThreadArgs {
    /// Milliseconds of each stress scenario
    #[arg(long, default_value_t = 3000)]
    stress_ms: u32,
}

impl ThreadArgs {
    /// At full length.
    pub fn full() -> Self {
        Self { stress_ms: 10_000 }
    }
}

#[derive(clap::Args)]
pub struct AddressArgs {
    /// Milliseconds of each stress scenario
    #[arg(long, default_value_t = 1000)]
    stress_ms: u32,
    /// Short stress: what CI has time for
    #[arg(long)]
    small: bool,
}

impl AddressArgs {
    /// At full length.
    pub fn full() -> Self {
        Self { stress_ms: 3000, small: false }
    }
}

/// All tests of [`PACKAGES`] under ThreadSanitizer with an instrumented standard library, assembly left out, and before that the core's
/// tests once without assembly and without the tool.
pub fn thread(args: &ThreadArgs) -> Outcome {
    for tool in ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/clang", RESOURCES] {
        if !Path::new(tool).exists() {
            return Err(format!("{tool} is missing; install {THREAD_PACKAGES}").into());
        }
    }
    let start = Instant::now();
    let portable = without_assembly()?;
    let reports = Reports::new("tsan")?;
    let instrumented = |what: &str| {
        let mut command = distribution_cargo();
        command.env("CARGO_TARGET_DIR", target_dir().join("tsan")).env(
            "RUSTFLAGS",
            format!(
                "--cfg seqslot_no_asm -Zsanitizer=thread -Zexternal-clangrt -Clinker=clang -Clink-arg=-fsanitize=thread \
                 -Clink-arg=-resource-dir={RESOURCES}"
            ),
        );
        command.env("TSAN_OPTIONS", format!("{OPTIONS} {}", reports.option()));
        command.args([what, "-Zbuild-std", "--target", HOST]);
        command
    };
    reports.sees(instrumented("run"), "race", "ThreadSanitizer: data race")?;
    let mut command = instrumented("test");
    command.env("SEQSLOT_STRESS_MS", args.stress_ms.to_string());
    command.args(["--lib", "--tests", "--no-fail-fast"]);
    PACKAGES.iter().for_each(|package| _ = command.args(["-p", package]));
    let ran = reports.judge(tests(&mut command, &[NOT_SEEN]))?;
    Ok(format!(
        "ThreadSanitizer: {} test binaries, {}, one of signals left out, no report, {} s; without assembly {} of the core",
        ran.binaries,
        ran.tests(),
        start.elapsed().as_secs(),
        portable.tests()
    ))
}

/// The core's tests over the code of every other architecture.
fn without_assembly() -> Result<Ran, Box<dyn Error>> {
    let mut command = cargo();
    command.env("RUSTFLAGS", "--cfg seqslot_no_asm").env("CARGO_TARGET_DIR", target_dir().join("no-asm"));
    tests(command.args(["test", "-p", "seqslot-core", "--lib", "--tests"]), &[])
}

/// All tests of [`PACKAGES`] under AddressSanitizer, assembly and all. Leaks are looked for once more in those of the Linux
/// shim that keep nothing on purpose; the others leak regions, which have to outlive every handle, and forget handles, as the dead do.
pub fn address(args: &AddressArgs) -> Outcome {
    need("rustup", "rustup, with a nightly toolchain")?;
    let start = Instant::now();
    let reports = Reports::new("asan")?;
    let instrumented = |what: &str, leaks: bool| {
        let mut command = cargo();
        for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            command.env_remove(variable);
        }
        command.env("CARGO_TARGET_DIR", target_dir().join("asan")).env("RUSTFLAGS", "-Zsanitizer=address");
        let leaks = u8::from(leaks);
        command.env("ASAN_OPTIONS", format!("{OPTIONS} detect_leaks={leaks} {}", reports.option()));
        command.args(["+nightly", what, "--target", HOST]);
        command
    };
    reports.sees(instrumented("run", false), "overrun", "AddressSanitizer: heap-buffer-overflow")?;
    reports.sees(instrumented("run", true), "leak", "LeakSanitizer: detected memory leaks")?;
    let run = |chosen: &[&str], leaks: bool| {
        let mut command = instrumented("test", leaks);
        command.env("SEQSLOT_STRESS_MS", if args.small { 200 } else { args.stress_ms }.to_string());
        command.args(["--lib", "--no-fail-fast"]).args(chosen);
        reports.judge(tests(&mut command, &[]))
    };
    let mut all = vec!["--tests"];
    PACKAGES.iter().for_each(|package| all.extend(["-p", package]));
    let ran = run(&all, false)?;
    let mut some = vec!["-p", "seqslot-os-linux"];
    LEAK_FREE.iter().for_each(|test| some.extend(["--test", test]));
    let leak_free = run(&some, true)?;
    Ok(format!(
        "AddressSanitizer: {} test binaries, {}, no report, {} s; of the shim {} once more, without a leak",
        ran.binaries,
        ran.tests(),
        start.elapsed().as_secs(),
        leak_free.tests()
    ))
}

/// A folder that the tool's run-time library writes its reports to, a file for each process: also those of children, whose exit code a
/// test may not look at.
struct Reports(PathBuf);

impl Reports {
    fn new(tool: &str) -> Result<Self, Box<dyn Error>> {
        let folder = target_dir().join(tool).join("reports");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn option(&self) -> String {
        format!("log_path={}", self.0.join("report").display())
    }

    /// Runs a program with a fault in it, built as the tests are. Without a report of it, nothing is instrumented, or nothing reported,
    /// and a run without reports would show nothing.
    fn sees(&self, mut run: Command, fault: &str, what: &str) -> Result<(), Box<dyn Error>> {
        eprintln!("a fault that must be reported: {fault}");
        run.args(["-p", "seqslot-os-mock", "--example", "faulty", "--", fault]);
        let status = run.status()?;
        let mut is_seen = false;
        for report in std::fs::read_dir(&self.0)? {
            let path = report?.path();
            is_seen |= String::from_utf8_lossy(&std::fs::read(&path)?).contains(what);
            std::fs::remove_file(path)?;
        }
        if is_seen && !status.success() { Ok(()) } else { Err(format!("no report of `{what}` where there is one ({status})").into()) }
    }

    /// Fails with the reports, if there are any.
    fn judge(&self, ran: Result<Ran, Box<dyn Error>>) -> Result<Ran, Box<dyn Error>> {
        let mut found = 0;
        for report in std::fs::read_dir(&self.0)? {
            let report = String::from_utf8_lossy(&std::fs::read(report?.path())?).into_owned();
            if is_report(&report) {
                println!("{report}");
                found += 1;
            }
        }
        match (ran, found) {
            (Ok(ran), 0) => Ok(ran),
            (Ok(_), _) => Err(format!("{found} processes with reports, see {}", self.0.display()).into()),
            (Err(error), _) => Err(format!("{found} processes with reports, see {}; {error}", self.0.display()).into()),
        }
    }
}

/// A fault begins with the tool's name and a colon, and may end anywhere, if its process was killed; a test that wants to be refused memory
/// leaves a warning there, which is none.
fn is_report(text: &str) -> bool {
    text.contains("Sanitizer:")
}

#[cfg(test)]
mod tests {
    use super::is_report;

    #[test]
    fn a_report_cut_short_is_one_and_a_warning_is_none() {
        assert!(is_report("WARNING: ThreadSanitizer: data race (pid=7)\n  Write of"));
        assert!(is_report("==7==ERROR: LeakSanitizer: detected memory leaks") && is_report("AddressSanitizer:DEADLYSIGNAL\n"));
        assert!(!is_report("==7==WARNING: AddressSanitizer failed to allocate 0x10 bytes\n"));
    }
}
