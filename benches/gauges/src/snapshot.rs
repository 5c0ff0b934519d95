//! Operations over snapshots. What they move is checked.

use std::hint::black_box;

use seqslot::{SnapshotConfig, SnapshotReader, SnapshotWriter, platform};

use crate::{Outcome, Run, expect, path};

type Both<const LEN: usize> = (SnapshotWriter<[u8; LEN]>, SnapshotReader<[u8; LEN]>);

fn both<const LEN: usize>() -> Result<Both<LEN>, Box<dyn std::error::Error>> {
    let writer = SnapshotWriter::create(platform(), &path("snapshot"), SnapshotConfig::of::<[u8; LEN]>())?;
    Ok((writer, SnapshotReader::attach(platform(), &path("snapshot"))?))
}

/// A publication.
pub fn publish<const LEN: usize>(run: Run<'_>) -> Outcome {
    let (mut writer, mut reader) = both::<LEN>()?;
    let values = [[1; LEN], [2; LEN]];
    let mut turn = 0;
    run(&mut |count| {
        for _ in 0..count {
            turn ^= 1;
            writer.publish(black_box(&values[turn]))?;
        }
        Ok(())
    })?;
    expect(*reader.snapshot()? == values[turn], "another value than the one published last")
}

/// A copy of the newest value, whether it has changed or not.
pub fn fresh<const LEN: usize>(run: Run<'_>) -> Outcome {
    let (mut writer, reader) = both::<LEN>()?;
    let value = [7; LEN];
    let generation = writer.publish(&value)?;
    let mut into = [0; LEN];
    run(&mut |count| {
        for _ in 0..count {
            expect(reader.read_into(black_box(&mut into))? == generation, "another generation than the one published")?;
        }
        Ok(())
    })?;
    expect(into == value, "other bytes than those published")
}

/// A look at a value that has not changed.
pub fn unchanged<const LEN: usize>(run: Run<'_>) -> Outcome {
    let (mut writer, mut reader) = both::<LEN>()?;
    writer.publish(&[7; LEN])?;
    expect(reader.snapshot()?.is_fresh(), "the first look finds nothing")?;
    run(&mut |count| {
        for _ in 0..count {
            expect(!black_box(&mut reader).snapshot()?.is_fresh(), "a value that nobody published")?;
        }
        Ok(())
    })
}

/// A snapshot is attached to, and left.
pub fn attach(run: Run<'_>) -> Outcome {
    let (path, (mut writer, _)) = (path("snapshot"), both::<64>()?);
    let generation = writer.publish(&[7; 64])?;
    run(&mut |count| {
        for _ in 0..count {
            let reader = SnapshotReader::<[u8; 64]>::attach(platform(), &path)?;
            expect(reader.latest() == generation, "another generation than the one published")?;
        }
        Ok(())
    })
}

type BothOfBytes = (SnapshotWriter, SnapshotReader);

fn both_of_bytes(len: usize) -> Result<BothOfBytes, Box<dyn std::error::Error>> {
    let writer = SnapshotWriter::create(platform(), &path("bytes"), SnapshotConfig::bytes(len))?;
    Ok((writer, SnapshotReader::attach(platform(), &path("bytes"))?))
}

/// A publication of `len` bytes.
pub fn publish_bytes(len: usize, run: Run<'_>) -> Outcome {
    let (mut writer, mut reader) = both_of_bytes(len)?;
    let value = vec![7; len];
    run(&mut |count| {
        for _ in 0..count {
            writer.publish_bytes(black_box(&value))?;
        }
        Ok(())
    })?;
    expect(reader.snapshot()?[..] == value, "another value than the one published last")
}

/// A copy of the newest `len` bytes, whether they have changed or not.
pub fn fresh_bytes(len: usize, run: Run<'_>) -> Outcome {
    let (mut writer, reader) = both_of_bytes(len)?;
    let value = vec![7; len];
    let generation = writer.publish_bytes(&value)?;
    let mut into = vec![0; len];
    run(&mut |count| {
        for _ in 0..count {
            expect(reader.read_into(black_box(&mut into))? == generation, "another generation than the one published")?;
        }
        Ok(())
    })?;
    expect(into == value, "other bytes than those published")
}

/// A look at `len` bytes that have not changed.
pub fn unchanged_bytes(len: usize, run: Run<'_>) -> Outcome {
    let (mut writer, mut reader) = both_of_bytes(len)?;
    writer.publish_bytes(&vec![7; len])?;
    expect(reader.snapshot()?.is_fresh(), "the first look finds nothing")?;
    run(&mut |count| {
        for _ in 0..count {
            expect(!black_box(&mut reader).snapshot()?.is_fresh(), "a value that nobody published")?;
        }
        Ok(())
    })
}
