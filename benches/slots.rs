//! Slots within one thread: what publishing and taking costs, without the machine's cache traffic between CPUs.
#![allow(missing_docs, reason = "criterion's macros")]

mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seqslot::{Config, Reader, Segment, Writer};

fn segment(slots: u64, capacity: u64, readers: u32) -> Segment {
    let config = Config::slots(slots, capacity).writers(1).readers(readers);
    seqslot::create(support::path(&format!("slots-{slots}-{capacity}-{readers}")), &config).expect("a segment")
}

/// One sample, made and read in place: only its first eight bytes are touched.
fn in_place(writer: &Writer<'_>, reader: &Reader<'_>, len: usize, number: u64) -> u64 {
    let mut loan = writer.loan().expect("a free slot");
    loan[..8].copy_from_slice(&number.to_ne_bytes());
    loan.commit_len(len).expect("our loan");
    let sample = reader.take().expect("a live writer").expect("a sample");
    assert_eq!(sample.len(), len);
    u64::from_ne_bytes(black_box(&sample[..8]).try_into().expect("eight bytes"))
}

/// One sample, copied in and copied out.
fn copied(writer: &Writer<'_>, reader: &Reader<'_>, from: &[u8], into: &mut [u8]) -> usize {
    writer.send(from).expect("a free slot");
    let sample = reader.take().expect("a live writer").expect("a sample");
    sample.copy_to(black_box(into))
}

/// By size of the payload: in place, which touches eight bytes of it, and copied in and out.
fn by_payload(c: &mut Criterion) {
    const LENS: [usize; 5] = [8, 64, 1024, 32 << 10, 1 << 20];
    let mut group = c.benchmark_group("publish and take in place, by payload");
    for len in LENS {
        let segment = segment(16, len as u64, 1);
        let (writer, reader) = (segment.writer().expect("a writer"), segment.reader().expect("a reader"));
        let mut number = 0;
        assert_eq!(in_place(&writer, &reader, len, 77), 77);
        group.bench_function(BenchmarkId::from_parameter(len), |b| {
            b.iter(|| {
                number += 1;
                in_place(&writer, &reader, len, number)
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("publish and take copied, by payload");
    for len in LENS {
        let segment = segment(16, len as u64, 1);
        let (writer, reader) = (segment.writer().expect("a writer"), segment.reader().expect("a reader"));
        let from: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mut into = vec![0; len];
        assert_eq!((copied(&writer, &reader, &from, &mut into), &into), (len, &from));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |b| b.iter(|| copied(&writer, &reader, black_box(&from), &mut into)));
    }
    group.finish();
}

/// By the number of slots: all free, and all but two held by the reader.
fn by_slots(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish and take, by slots");
    for slots in [4, 64, 1024, 16_384] {
        let segment = segment(slots, 64, 1);
        let (writer, reader) = (segment.writer().expect("a writer"), segment.reader().expect("a reader"));
        let mut number = 0;
        let mut cycle = || {
            number += 1;
            assert_eq!(in_place(&writer, &reader, 64, number), number);
        };
        group.bench_function(BenchmarkId::new("all free", slots), |b| b.iter(&mut cycle));
        let mut held = Vec::new();
        for _ in 0..slots - 2 {
            writer.send(b"held").expect("a free slot");
            held.push(reader.take().expect("a live writer").expect("a sample"));
        }
        group.bench_function(BenchmarkId::new("all but two held", slots), |b| b.iter(&mut cycle));
        assert!(held.iter().all(|sample| sample[..] == *b"held"), "held samples stay as they are");
    }
    group.finish();
}

/// By the number of readers, all of which take each sample.
fn by_readers(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish, all take");
    for count in [1, 4, 16] {
        let segment = segment(64, 64, count);
        let writer = segment.writer().expect("a writer");
        let readers: Vec<_> = (0..count).map(|_| segment.reader().expect("a reader")).collect();
        let mut number: u64 = 0;
        group.bench_function(BenchmarkId::new("readers", count), |b| {
            b.iter(|| {
                number += 1;
                writer.send(&number.to_ne_bytes()).expect("a free slot");
                for reader in &readers {
                    let sample = reader.take().expect("a live writer").expect("a sample");
                    assert_eq!(black_box(&sample)[..], number.to_ne_bytes());
                }
            });
        });
    }
    group.finish();
}

/// A look when nothing is there.
fn empty_poll(c: &mut Criterion) {
    let mut group = c.benchmark_group("empty poll");
    for slots in [4, 16_384] {
        let segment = segment(slots, 64, 1);
        let (writer, reader) = (segment.writer().expect("a writer"), segment.reader().expect("a reader"));
        assert_eq!(in_place(&writer, &reader, 64, 7), 7);
        group.bench_function(BenchmarkId::new("slots", slots), |b| {
            b.iter(|| assert!(black_box(&reader).take().expect("a live writer").is_none()));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = by_payload, by_slots, by_readers, empty_poll
}
criterion_main!(benches);
