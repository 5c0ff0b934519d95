//! One writer, one reader, one thread: `cycle SLOTS HELD COUNT` runs COUNT cycles of loan, fill in place, commit, take, release,
//! while the reader holds HELD other samples.
use std::hint::black_box;
use std::time::Instant;

use seqslot::Config;

/// Parts that a run is timed in.
const PARTS: u64 = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut next = |default| args.next().unwrap_or(Ok(default));
    let (slots, held, count) = (next(64)?, next(0)?, next(1_000_000)?);

    let path = std::env::temp_dir().join(format!("seqslot-cycle-{}.flink", std::process::id()));
    let segment = seqslot::create(&path, &Config::slots(slots, 64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    let mut samples = Vec::new();
    for _ in 0..held {
        writer.send(b"held")?;
        samples.extend(reader.take()?);
    }

    let cycle = |number: u64| -> Result<(), Box<dyn std::error::Error>> {
        let mut loan = writer.loan()?;
        loan[..8].copy_from_slice(&number.to_ne_bytes());
        loan.commit_len(64)?;
        let sample = reader.take()?.ok_or("no sample")?;
        if black_box(&sample[..])[..8] != number.to_ne_bytes() {
            return Err("wrong bytes".into());
        }
        Ok(())
    };
    for number in 0..1000 {
        cycle(number)?;
    }
    // The best of some parts: what the machine does besides only ever adds.
    let part = (count / PARTS).max(1);
    let mut best = f64::INFINITY;
    for first in (0..count).step_by(part as usize) {
        let numbers = first..(first + part).min(count);
        let len = numbers.end - numbers.start;
        let start = Instant::now();
        for number in numbers {
            cycle(number)?;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / len as f64);
    }
    println!("{best:.2} ns a cycle, {slots} slots, {held} held");
    Ok(())
}
