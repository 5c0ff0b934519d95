//! A simulated machine: the writer is killed before its first store, its second, and so on; whatever it had published is read, and
//! every slot comes back.
use seqslot_core::{Config, Segment};
use seqslot_os_mock::World;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::slots(2, 16);
    for point in 1.. {
        let world = World::new(1);
        let (keeper, doomed) = (world.process(), world.process());
        let segment = Segment::create(keeper, "frames", &config)?;
        let reader = segment.reader()?;

        let theirs = Segment::attach(doomed.clone(), "frames")?;
        let writer = theirs.writer()?;
        doomed.die_before(point);
        let outcome = doomed.run(|| writer.send(b"sample").is_ok());
        let is_dead = outcome.is_err();
        // The handles of the dead change nothing any more.
        doomed.kill();

        let recovered = segment.recover()?;
        let read = reader.take().ok().flatten().is_some();
        let next = segment.writer()?;
        let free = (0..2).map_while(|_| next.loan().ok().map(core::mem::forget)).count();
        println!(
            "killed before event {point:>2}: dead {is_dead}, sample read {read}, loans taken back {}, slots free after it {free}",
            recovered.slots
        );
        if !is_dead {
            break;
        }
    }
    Ok(())
}
