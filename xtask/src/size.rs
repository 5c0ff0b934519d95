//! Code size of small programs over the core for a microcontroller: what somebody who counts bytes of flash pays.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use crate::baseline::{self, Figures};
use crate::run::{Outcome, capture, pass, root, target_dir};
use crate::targets;

/// Where the programs run.
const TARGET: &str = "thumbv7m-none-eabi";
/// The programs of `benches/size`, with the most bytes that one is to have, where that was promised.
const PROGRAMS: [(&str, Option<u64>); 5] =
    [("slots", Some(8192)), ("slots-writer", None), ("slots-reader", None), ("snapshot-reader", Some(1536)), ("snapshot-writer", None)];

#[derive(clap::Args, Default)]
pub struct Args {
    /// Keep the sizes as the new baseline, for this reason
    #[arg(long, value_name = "REASON")]
    accept: Option<String>,
    /// Print the largest symbols of each program, so many
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "30")]
    symbols: Option<usize>,
}

/// What takes room in a program.
struct Size {
    /// Bytes of code and constants, as `size` counts them.
    total: u64,
    /// Of these, the compiler's own routines: copying, 64-bit division.
    routines: u64,
    /// Functions and constants that have a symbol, the largest first.
    symbols: Vec<(u64, String)>,
}

pub fn run(args: &Args) -> Outcome {
    targets::need_distribution()?;
    let folder = root().join("benches/size");
    pass(targets::distribution_cargo().current_dir(&folder).args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "-Zbuild-std=core",
        "--target",
        TARGET,
    ]))?;
    let mut figures = Figures::new();
    let mut targets = Vec::new();
    for (program, target) in PROGRAMS {
        let size = measure(&target_dir().join("targets").join(TARGET).join("release").join(program))?;
        let room = target.map_or_else(String::new, |target| format!(", to be {target} at most"));
        println!("{program:>16}: {:>6} bytes, {:>4} of them the compiler's routines{room}", size.total, size.routines);
        for (len, name) in size.symbols.iter().take(args.symbols.unwrap_or(0)) {
            println!("{len:>26} {name}");
        }
        figures.insert(program.into(), size.total as f64);
        targets.extend(target.map(|target| judged(program, size.total, target)));
    }
    let (version, _) = capture(Command::new("/usr/bin/rustc").arg("--version"))?;
    let line =
        baseline::settle("size", &format!("bytes of code and constants, {TARGET}"), version.trim(), &figures, args.accept.as_deref())?;
    Ok(format!("{line}; {}", targets.join(", ")))
}

fn judged(program: &str, total: u64, target: u64) -> String {
    let verdict = if total <= target { "met" } else { "not met" };
    format!("{program} {total} of {target} bytes: {verdict}")
}

fn measure(program: &Path) -> Result<Size, Box<dyn Error>> {
    let bytes = std::fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let file = object::File::parse(&*bytes)?;
    let takes_room = |kind| matches!(kind, SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data);
    // Tables for unwinding have a kind of their own; what has an address and bytes in the file is in the flash.
    let sections =
        file.sections().filter(|section| takes_room(section.kind()) || section.name().is_ok_and(|name| name.starts_with(".ARM.ex")));
    let total = sections.map(|section| section.size()).sum();
    // Several names of one address are one function.
    let mut named = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.size() != 0 && symbol.kind() != SymbolKind::File) {
        let is_memory =
            symbol.section_index().and_then(|index| file.section_by_index(index).ok()).is_none_or(|section| !takes_room(section.kind()));
        if !is_memory {
            named.insert(symbol.address(), (symbol.size(), format!("{:#}", rustc_demangle::demangle(symbol.name()?))));
        }
    }
    let mut symbols: Vec<(u64, String)> = named.into_values().collect();
    symbols.sort_by(|a, b| b.cmp(a));
    let routines = symbols.iter().filter(|(_, name)| is_routine(name)).map(|(len, _)| len).sum();
    Ok(Size { total, routines, symbols })
}

/// Whether a symbol is one of the compiler's own routines, which other code of a program needs as well.
fn is_routine(name: &str) -> bool {
    name.starts_with("compiler_builtins::") || name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_last_byte() {
        assert_eq!(judged("slots", 8192, 8192), "slots 8192 of 8192 bytes: met");
        assert_eq!(judged("slots", 8193, 8192), "slots 8193 of 8192 bytes: not met");
    }

    #[test]
    fn routines_are_told_from_the_core() {
        assert!(is_routine("compiler_builtins::mem::memcpy") && is_routine("__aeabi_memcpy4"));
        assert!(!is_routine("<seqslot_core::layout::slots::SlotsGeometry>::new") && !is_routine("_start"));
    }
}
