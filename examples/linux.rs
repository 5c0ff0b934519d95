//! Two processes: the parent writes, the child (this program again) reads in place.
use std::process::Command;
use std::time::Duration;

use seqslot::{Config, TakeError};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        let segment = seqslot::attach_timeout(path, PATIENCE)?;
        let reader = segment.reader()?;
        loop {
            match reader.take_timeout(PATIENCE) {
                Ok(sample) => println!("read {}: {}", sample.sequence(), String::from_utf8_lossy(&sample)),
                Err(TakeError::Closed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
    let path = std::env::temp_dir().join(format!("seqslot-example-{}.flink", std::process::id()));
    let segment = seqslot::create(&path, &Config::slots(4, 256))?;
    let writer = segment.writer()?;
    let mut child = Command::new(std::env::current_exe()?).arg(&path).spawn()?;
    while segment.active_readers() == 0 {
        if child.try_wait()?.is_some() {
            return Err("the reader ended before it joined".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    for number in 0..10 {
        let mut loan = writer.loan_timeout(PATIENCE)?;
        let text = format!("sample number {number}");
        loan[..text.len()].copy_from_slice(text.as_bytes());
        loan.commit_len(text.len())?;
    }
    // Readers drain what is committed and are then told of the end.
    writer.close();
    child.wait()?;
    Ok(())
}
