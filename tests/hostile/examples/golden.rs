//! Writes the first inputs of the fuzz targets: golden segments, as the library lays them out. `cargo run -p seqslot-hostile --example golden -- fuzz/corpus`

use std::path::{Path, PathBuf};

use seqslot_core::zerodds::{Zds2Face, Zds2Geometry};
use seqslot_core::{Config, Segment, SlotBackend, SnapshotConfig, SnapshotWriter};
use seqslot_hostile::{Guards, HostileOs, World};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = std::env::args_os().nth(1).map(PathBuf::from).ok_or("give the corpus's folder")?;
    for (name, _) in seqslot_hostile::TARGETS {
        std::fs::create_dir_all(corpus.join(name))?;
    }
    let write = |target: &str, name: &str, bytes: &[u8]| std::fs::write(corpus.join(target).join(name), bytes);
    for (name, config) in [
        ("golden-slots-small", Config::slots(2, 8).writers(1).readers(1)),
        ("golden-slots", Config::slots(5, 32).writers(2).readers(3)),
        ("golden-slots-overwrite", Config::slots(4, 16).writers(1).readers(2).overwrite()),
    ] {
        write("attach", name, &slots(&config)?)?;
    }
    for (name, config) in
        [("golden-snapshot", SnapshotConfig::bytes(24)), ("golden-snapshot-of-four", SnapshotConfig::bytes(5).buffers(4).always_wake(true))]
    {
        write("attach", name, &snapshot(config)?)?;
    }
    for (name, byte) in [("structured-slots", 1_u8), ("structured-snapshot", 2)] {
        let bytes: Vec<u8> = std::iter::once(byte).chain((0..=255).map(|n: u8| n.wrapping_mul(37))).collect();
        write("attach", name, &bytes)?;
    }
    write("operations", "some", &(0..=255).map(|n: u8| n.wrapping_mul(73)).collect::<Vec<_>>())?;
    write("clockbound", "golden", &clockbound(2))?;
    write("clockbound", "golden-for-ever-odd", &clockbound(3))?;
    for (name, contents) in [("ours", &b"/seqslot-0123456789abcdef"[..]), ("theirs", b"/shmem_F749159A8917D0D5"), ("none", b"not a name\n")]
    {
        let mut bytes = vec![6];
        bytes.extend(b"frames");
        bytes.extend(contents);
        write("flink", name, &bytes)?;
    }
    write("zds2", "golden", &zds2()?)?;
    for (name, kind) in [("forged", 1_u8), ("honest", 2)] {
        for (variant, factor) in [(0, 73_u8), (1, 149), (2, 211)] {
            let shape = [kind, 3 + variant, 40, 200, 60];
            let bytes: Vec<u8> = shape.into_iter().chain((0..900_u32).map(|n| (n as u8).wrapping_mul(factor) ^ (n >> 5) as u8)).collect();
            write("zds2", &format!("{name}-{variant}"), &bytes)?;
        }
    }
    println!("golden inputs in {}", Path::new(&corpus).display());
    Ok(())
}

/// A region behind the byte that says that it is one.
fn raw(world: &World) -> Vec<u8> {
    std::iter::once(0).chain(world.bytes()).collect()
}

fn slots(config: &Config) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let world = World::new(config.len()?);
    let segment = Segment::create(HostileOs::new(&world), &(), config)?;
    let (reader, writer) = (segment.reader()?, segment.writer()?);
    writer.send(b"one")?;
    writer.send(b"two")?;
    let held = reader.take()?;
    let loan = writer.try_loan();
    // As it is in the midst of all that.
    let bytes = raw(&world);
    drop((held, loan));
    Ok(bytes)
}

fn snapshot(config: SnapshotConfig) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let world = World::new(4096);
    let mut writer = SnapshotWriter::<_, [u8]>::create(HostileOs::new(&world), &(), config)?;
    let len = seqslot_core::SnapshotReader::<_, [u8]>::attach(HostileOs::new(&world), &())?.value_len();
    for value in 1..=3 {
        writer.publish_bytes(&vec![value; len])?;
    }
    // As long as its head says.
    let mut bytes = raw(&world);
    let total = u32::from_ne_bytes([bytes[25], bytes[26], bytes[27], bytes[28]]);
    bytes.truncate(1 + total as usize);
    Ok(bytes)
}

/// A ZDS2 segment with one sample read, one not, and a loan out.
fn zds2() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let world = World::new(Zds2Geometry::new(4, 40)?.len());
    let owner: Zds2Face<_, Guards> = Zds2Face::create(HostileOs::new(&world), &(), 4, 40)?;
    for sample in [b"one", b"two"] {
        owner.commit_slot(owner.reserve_slot(1)?, sample)?;
    }
    if let Some(found) = owner.next_unread_slot(0)? {
        owner.mark_read(found, 0)?;
    }
    owner.reserve_slot(1)?;
    Ok(raw(&world))
}

/// As the target reads it: a header of this generation, no forgeries, a payload of zeros.
fn clockbound(generation: u8) -> Vec<u8> {
    let mut bytes = vec![1, generation, 0, 0, 80];
    bytes.extend([0; 64]);
    bytes
}
