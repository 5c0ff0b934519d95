//! What a snapshot costs on one thread, beside memcpy: `cargo run --release -p seqslot-core --example snapshot_cost`.
//!
//! Medians over rounds of many calls. Each figure is checked to have moved the right bytes.

use std::hint::black_box;
use std::sync::atomic::AtomicU8;
use std::time::Instant;

use seqslot_core::{Memory, Observer, Publisher, Region, SnapshotConfig};

const ROUNDS: usize = 101;
const CALLS: u32 = 20_000;

#[repr(align(64))]
struct Bank([AtomicU8; 1 << 18]);

fn region() -> Region<'static> {
    let bank: &'static Bank = Box::leak(Box::new(Bank([const { AtomicU8::new(0) }; 1 << 18])));
    // SAFETY: 1. and 2. a region of its own for each size, with one segment in it.
    unsafe { Region::new(&bank.0) }.expect("aligned")
}

/// Median nanoseconds of one call.
fn time(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                call();
            }
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

#[derive(Clone, Copy, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C)]
struct Value<const N: usize>([u8; N]);

fn measure<const N: usize>() {
    let region = region();
    let raw = region.raw();
    let source: Vec<u8> = (0..N).map(|byte| byte as u8).collect();
    let mut target = vec![0_u8; N];
    let memcpy_known = {
        let (source, mut target) = (Value::<N>(source[..].try_into().expect("N bytes")), Value([0; N]));
        time(|| *black_box(&mut target) = *black_box(&source))
    };
    let memcpy = time(|| black_box(&mut target[..]).copy_from_slice(black_box(&source[..black_box(N)])));
    // SAFETY: offset 16 and N bytes are inside the region, which nobody else uses.
    let copy_in = time(|| unsafe { raw.copy_in(black_box(16), black_box(&source[..black_box(N)])) });
    target.fill(0);
    // SAFETY: as above.
    let copy_out = time(|| unsafe { raw.copy_out(black_box(16), black_box(&mut target[..black_box(N)])) });
    assert_eq!(target, source);

    let mut publisher = Publisher::<Value<N>>::format(region, SnapshotConfig::of::<Value<N>>()).expect("fits");
    let mut observer = Observer::<Value<N>>::attach(region).expect("formatted");
    let mut value = Value([3; N]);
    let publish = time(|| {
        publisher.publish(black_box(&value)).expect("of its size");
    });
    let both = time(|| {
        value.0[0] = value.0[0].wrapping_add(1);
        publisher.publish(black_box(&value)).expect("of its size");
        black_box(observer.snapshot().expect("published").value());
    });
    let seen = observer.snapshot().expect("published");
    assert_eq!(seen.0, value.0);
    let unchanged = time(|| {
        black_box(observer.snapshot().expect("published").generation());
    });
    // A reader that forgets what it has seen copies every time.
    let mut into = [0; N];
    let read = time(|| {
        black_box(observer.read_into(black_box(&mut into)).expect("published"));
    });
    assert_eq!(into, value.0);
    println!(
        "{N:>6} B  memcpy {memcpy:7.2} (known size {memcpy_known:7.2})  copy in {copy_in:7.2} out {copy_out:7.2}  \
         read {read:7.2} = memcpy x {:.2}  publish {publish:7.2}  publish + fresh {both:7.2}  unchanged {unchanged:5.2}",
        read / memcpy
    );
}

fn main() {
    measure::<16>();
    measure::<64>();
    measure::<128>();
    measure::<256>();
    measure::<1024>();
    measure::<2048>();
    measure::<4096>();
    measure::<16_384>();
    measure::<65_536>();
}
