//! Time of operations as the work grows: slots, payload, readers, writers. One thread, on one CPU; pictures and a table.

mod charts;
mod picture;
mod table;
mod timing;

use std::path::Path;

use serde::Serialize;

use crate::Run;
use charts::{Chart, Series};

/// The times of one series: for each size, in nanoseconds.
#[derive(Serialize)]
struct Line {
    series: &'static str,
    points: Vec<(u64, f64)>,
}

/// The times of one chart.
#[derive(Serialize)]
struct Drawn {
    chart: &'static str,
    lines: Vec<Line>,
}

/// Measures every chart `sweeps` times, writes the pictures and `scaling.json` into `folder`, and prints the table.
pub fn run(folder: &Path, sweeps: usize) -> crate::Outcome {
    timing::pin();
    std::fs::create_dir_all(folder)?;
    let mut drawn = Vec::new();
    for chart in charts::all() {
        let lines = measure(&chart, sweeps.max(1))?;
        picture::draw(&chart, &lines, &folder.join(format!("{}.svg", chart.key)))?;
        print!("{}", table::of(&chart, &lines, folder));
        drawn.push(Drawn { chart: chart.key, lines });
    }
    std::fs::write(folder.join("scaling.json"), serde_json::to_string_pretty(&drawn)? + "\n")?;
    println!("{}", table::flatness(&drawn));
    Ok(())
}

/// A sweep goes through all series and sizes, so that what the machine does besides hits them all; the figure is the median of the sweeps.
fn measure(chart: &Chart, sweeps: usize) -> Result<Vec<Line>, Box<dyn std::error::Error>> {
    let mut times = vec![vec![Vec::with_capacity(sweeps); chart.sizes.len()]; chart.series.len()];
    for sweep in 0..sweeps {
        for (at, &size) in chart.sizes.iter().enumerate() {
            for (series, times) in chart.series.iter().zip(&mut times) {
                eprint!("\r{} {}/{sweeps}: {size}, {}\x1b[K", chart.key, sweep + 1, series.name);
                times[at].push(time(series, size)?);
            }
        }
    }
    eprint!("\r\x1b[K");
    let median = |times: &mut Vec<f64>| timing::median(times);
    let lines = chart.series.iter().zip(&mut times);
    Ok(lines
        .map(|(series, times)| Line {
            series: series.name,
            points: chart.sizes.iter().copied().zip(times.iter_mut().map(median)).collect(),
        })
        .collect())
}

fn time(series: &Series, size: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let mut time = f64::NAN;
    let run: Run<'_> = &mut |body| {
        time = timing::nanoseconds(body, (series.lap)(size))?;
        Ok(())
    };
    (series.operation)(size, run).map_err(|error| format!("{}, {size}: {error}", series.name))?;
    Ok(time / (series.shared_by)(size) as f64)
}
