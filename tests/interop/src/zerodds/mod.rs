//! seqslot beside zerodds-flatdata.

mod call;
pub mod crashes;
pub mod difference;
pub mod differential;
pub mod exchange;
mod model;
mod twins;
mod typed;

use std::path::Path;
use std::time::Duration;

use crate::outcome::{Fault, Outcome};
use crate::report::Report;
use difference::{Difference, Kind};

/// Makes the same calls on both for about so long.
pub fn calls(folder: &Path, seed: u64, time: Duration, report: &mut Report) -> Outcome<()> {
    eprintln!("zerodds: every named difference, once");
    differential::scenarios(&mut differential::World::new(folder)?)?;
    let faults = Difference::ALL.iter().filter(|difference| difference.kind() == Kind::Fault);
    report.faults.extend(faults.map(|difference| Fault::of("zerodds", difference)));
    eprintln!("zerodds: deaths and forged bytes");
    report.faults.extend(crashes::all(folder)?);
    eprintln!("zerodds: one application over both");
    report.application = twins::compare(folder)?;
    eprintln!("zerodds: typed writers and readers");
    report.typed = typed::compare(folder, seed)?;
    eprintln!("zerodds: random sequences for {} s", time.as_secs());
    report.differential = differential::run(folder, seed, time)?;
    Ok(())
}

/// Exchanges samples between processes of both for about so long.
pub fn exchange(folder: &Path, seed: u64, time: Duration, report: &mut Report) -> Outcome<()> {
    eprintln!("zerodds: samples between processes, both ways, for {} s", time.as_secs());
    report.exchange = exchange::run(folder, seed, time)?;
    Ok(())
}
