//! Snapshots within one thread: a fresh read, an unchanged one, a publication, and the bare copy beside them.
#![allow(missing_docs, reason = "criterion's macros")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use seqslot_core::{SnapshotConfig, SnapshotReader, SnapshotWriter};

type Writer<T> = SnapshotWriter<seqslot::Platform, T>;
type Reader<T> = SnapshotReader<seqslot::Platform, T>;

/// A value whose bytes all tell which one it is.
fn value<const LEN: usize>(number: u64) -> [u8; LEN] {
    [number as u8; LEN]
}

fn by_size<const LEN: usize>(c: &mut Criterion) {
    let path = support::path(&format!("snapshot-{LEN}"));
    let mut writer = Writer::<[u8; LEN]>::create(seqslot::platform(), &path, SnapshotConfig::of::<[u8; LEN]>()).expect("a segment");
    let mut reader = Reader::<[u8; LEN]>::attach(seqslot::platform(), &path).expect("the segment");
    let values = [value::<LEN>(1), value::<LEN>(2)];
    let mut into = [0; LEN];
    for number in [0, 1, 0] {
        writer.publish(&values[number]).expect("our segment");
        reader.read_into(&mut into).expect("a value");
        assert_eq!(into, values[number]);
        let snapshot = reader.snapshot().expect("a value");
        assert!(snapshot.is_fresh() && *snapshot == values[number]);
        assert!(!reader.snapshot().expect("a value").is_fresh());
    }

    let mut group = c.benchmark_group(format!("snapshot of {LEN} B"));
    group.bench_function("memcpy", |b| b.iter(|| black_box(&mut into).copy_from_slice(black_box(&values[0]))));
    group.bench_function("read_into, always a copy", |b| b.iter(|| reader.read_into(black_box(&mut into)).expect("a value")));
    group.bench_function("snapshot, unchanged", |b| b.iter(|| black_box(reader.snapshot().expect("a value").generation())));
    let mut number = 0;
    group.bench_function("publish", |b| {
        b.iter(|| {
            number ^= 1;
            writer.publish(black_box(&values[number])).expect("our segment")
        });
    });
    group.bench_function("publish, then a fresh snapshot", |b| {
        b.iter(|| {
            number ^= 1;
            writer.publish(black_box(&values[number])).expect("our segment");
            black_box(reader.snapshot().expect("a value").generation())
        });
    });
    assert_eq!(*reader.snapshot().expect("a value"), values[number]);
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = by_size::<64>, by_size::<1024>, by_size::<4096>
}
criterion_main!(benches);
