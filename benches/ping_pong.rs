//! Two processes on two CPUs: one-way latency and the stream, beside the least that two cache lines can do.
//!
//! The bench runs itself again as the other side, each side on a CPU of its own. A table of several rounds, in which the
//! courts take turns so that what the machine does besides hits all of them, comes before criterion's own figures.
#![allow(missing_docs, reason = "criterion's macros")]

mod support;

use std::fs::OpenOptions;
use std::hint::spin_loop;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use criterion::Criterion;
use portable_atomic::{AtomicU64, Ordering};
use seqslot::{Config, Reader, Segment, TakeError, Writer};
use seqslot_core::Sample;

/// Tells the other side what it is: the court's kind and path.
const ROLE: &str = "SEQSLOT_PING_PONG";
/// CPUs of this side and of the other.
const CPUS: [usize; 2] = [0, 1];
const SLOTS: u64 = 64;
/// In the first word of a streamed sample: the last one, answer with the sum.
const LAST: u64 = 1 << 63;
/// In a bare line: it is over.
const OVER: u64 = u64::MAX;
const PATIENCE: Duration = Duration::from_secs(20);

/// A pair of segments, one for each direction.
struct Pair {
    there: Segment,
    back: Segment,
}

impl Pair {
    fn paths(path: &Path) -> [PathBuf; 2] {
        [path.with_extension("there"), path.with_extension("back")]
    }

    fn create(path: &Path, len: usize) -> Self {
        let config = Config::slots(SLOTS, len as u64).writers(1).readers(1);
        let [there, back] = Self::paths(path).map(|path| seqslot::create(path, &config).expect("a segment"));
        Self { there, back }
    }

    fn attach(path: &Path) -> Self {
        let [there, back] = Self::paths(path).map(|path| seqslot::attach_timeout(path, PATIENCE).expect("the segment"));
        Self { there, back }
    }
}

/// Publishes a sample of `len` bytes that begins with `number` and is filled with it.
fn publish(writer: &Writer<'_>, len: usize, number: u64) {
    let mut loan = loop {
        match writer.try_loan() {
            Ok(loan) => break loan,
            Err(_) => spin_loop(),
        }
    };
    for word in loan[..len].chunks_exact_mut(8) {
        word.copy_from_slice(&number.to_ne_bytes());
    }
    loan.commit_len(len).expect("our loan");
}

/// Spins for the next sample; `None` once the other side has closed.
fn next<'r, 's>(reader: &'r Reader<'s>) -> Option<Sample<'r, &'s Segment>> {
    loop {
        match reader.take() {
            Ok(Some(sample)) => return Some(sample),
            Ok(None) => spin_loop(),
            Err(TakeError::Closed) => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn first_word(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"))
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).map(first_word).fold(0, u64::wrapping_add)
}

/// The other side of a pair: sends every sample back, or, of a stream, the sum at its end.
fn other_side(path: &Path, is_stream: bool) {
    let pair = Pair::attach(path);
    let reader = pair.there.reader().expect("a reader");
    let writer = pair.back.writer().expect("a writer");
    writer.send(&[0; 8]).expect("a free slot");
    let mut total = 0_u64;
    while let Some(sample) = next(&reader) {
        let (number, len) = (first_word(&sample), sample.len());
        total = total.wrapping_add(if is_stream { sum(&sample) } else { 0 });
        drop(sample);
        if !is_stream {
            publish(&writer, len, number);
        } else if number & LAST != 0 {
            publish(&writer, len, total);
            total = 0;
        }
    }
}

/// A process that is the other side of a court.
struct Other(Child);

impl Other {
    fn start(kind: &str, path: &Path) -> Self {
        let exe = std::env::current_exe().expect("this program");
        Self(Command::new(exe).env(ROLE, format!("{kind}:{}", path.display())).spawn().expect("this program again"))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let status = self.0.wait();
        assert!(std::thread::panicking() || status.is_ok_and(|status| status.success()), "the other side failed");
    }
}

/// Plays `work` against the other side of a fresh pair for samples of `len` bytes.
fn on_pair<R>(kind: &str, len: usize, work: impl FnOnce(&Writer<'_>, &Reader<'_>) -> R) -> R {
    let path = support::path(&format!("{kind}-{len}"));
    let pair = Pair::create(&path, len);
    let reader = pair.back.reader().expect("a reader");
    let other = Other::start(kind, &path);
    // Its first sample says that it has joined.
    drop(reader.take_timeout(PATIENCE).expect("the other side starts"));
    let writer = pair.there.writer().expect("a writer");
    let result = work(&writer, &reader);
    // Closes the stream, which ends the other side.
    drop(writer);
    drop(other);
    result
}

/// `trips` there and back.
fn trips(writer: &Writer<'_>, reader: &Reader<'_>, len: usize, trips: u64) -> Duration {
    let start = Instant::now();
    for number in 0..trips {
        publish(writer, len, number);
        let answer = next(reader).expect("the other side lives");
        assert!(first_word(&answer) == number && answer.len() == len, "another sample than was sent");
    }
    start.elapsed()
}

/// `count` samples one way, and the sum of them all back.
fn stream(writer: &Writer<'_>, reader: &Reader<'_>, len: usize, count: u64) -> Duration {
    let start = Instant::now();
    for number in 1..count {
        publish(writer, len, number);
    }
    publish(writer, len, LAST | count);
    let answer = next(reader).expect("the other side lives");
    let elapsed = start.elapsed();
    let words = len as u64 / 8;
    let expected = (count * (count + 1) / 2).wrapping_add(LAST).wrapping_mul(words);
    assert_eq!(first_word(&answer), expected, "samples were lost, or torn");
    elapsed
}

/// Two words on lines of their own, in a mapping that both processes share: what nothing can be quicker than.
struct Bare {
    base: *mut u8,
}

impl Bare {
    const LEN: usize = 4096;

    /// Where both look: memory, where the system has such a directory.
    fn path() -> PathBuf {
        let dir = Path::new("/dev/shm");
        let name = format!("seqslot-bench-bare-{}", std::process::id());
        if dir.is_dir() { dir.join(name) } else { std::env::temp_dir().join(name) }
    }

    fn map(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).expect("a file");
        file.set_len(Self::LEN as u64).expect("a page");
        // SAFETY: a new mapping at an address that the kernel picks; it stays when the descriptor is closed.
        let base = unsafe {
            libc::mmap(core::ptr::null_mut(), Self::LEN, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(base, libc::MAP_FAILED);
        Self { base: base.cast() }
    }

    /// This side's word, and the other's.
    fn words(&self) -> [&AtomicU64; 2] {
        [0, 128].map(|at| {
            // SAFETY: inside the page.
            let word = unsafe { self.base.add(at) };
            // SAFETY: aligned, mapped as long as `self`, and only ever used as an atomic of this width.
            unsafe { &*word.cast::<AtomicU64>() }
        })
    }

    fn answer_until_over(&self) {
        let [there, back] = self.words();
        let mut seen = 0;
        while seen != OVER {
            // ORDERING: Acquire and Release, partners of each other in the two processes; they carry nothing but are what slots use.
            let now = there.load(Ordering::Acquire);
            if now == seen {
                spin_loop();
            } else {
                seen = now;
                back.store(now, Ordering::Release);
            }
        }
    }

    /// `trips` there and back.
    fn trips(&self, trips: u64) -> Duration {
        let [there, back] = self.words();
        // ORDERING: as above.
        let first = back.load(Ordering::Acquire) + 1;
        let start = Instant::now();
        for number in first..first + trips {
            there.store(number, Ordering::Release);
            while back.load(Ordering::Acquire) != number {
                spin_loop();
            }
        }
        start.elapsed()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, which nothing borrows any more.
        unsafe { libc::munmap(self.base.cast(), Self::LEN) };
    }
}

/// Plays `work` on bare lines.
fn on_bare<R>(work: impl FnOnce(&Bare) -> R) -> R {
    let path = Bare::path();
    let bare = Bare::map(&path);
    let other = Other::start("bare", &path);
    assert!(!bare.trips(1).is_zero(), "the other side has started");
    let result = work(&bare);
    bare.words()[0].store(OVER, Ordering::Release);
    drop(other);
    std::fs::remove_file(&path).expect("our file");
    result
}

/// One line of the table.
struct Row {
    what: &'static str,
    unit: &'static str,
    figures: Vec<f64>,
    /// Each figure by that of the bare lines in the same round: more telling than either where the machine is busy.
    of_bare: Vec<f64>,
}

impl Row {
    fn new(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, figures: Vec::new(), of_bare: Vec::new() }
    }

    fn push(&mut self, figure: f64, bare: f64) {
        self.figures.push(figure);
        self.of_bare.push(figure / bare);
    }

    fn print(&mut self) {
        self.figures.sort_by(f64::total_cmp);
        self.of_bare.sort_by(f64::total_cmp);
        let [first, median, last] = [0, self.figures.len() / 2, self.figures.len() - 1].map(|at| self.figures[at]);
        let of_bare = self.of_bare.get(self.of_bare.len() / 2).map_or(String::new(), |median| format!("{median:.2}"));
        println!("| {:<22} | {first:>8.1} | {median:>8.1} | {last:>8.1} | {:<10} | {of_bare:>7} |", self.what, self.unit);
    }
}

/// The courts in turns, round after round.
fn table(rounds: usize, count: u64) {
    let mut rows = [
        Row::new("two bare cache lines", "ns one way"),
        Row::new("slots, 32 B", "ns one way"),
        Row::new("slots, 64 B", "ns one way"),
        Row::new("stream, 64 B", "million/s"),
    ];
    let one_way = |elapsed: Duration| elapsed.as_nanos() as f64 / count as f64 / 2.0;
    for _ in 0..rounds {
        let bare = one_way(on_bare(|bare| bare.trips(count)));
        rows[0].push(bare, bare);
        for (row, len) in [(1, 32), (2, 64)] {
            rows[row].push(one_way(on_pair("echo", len, |writer, reader| trips(writer, reader, len, count))), bare);
        }
        let elapsed = on_pair("stream", 64, |writer, reader| stream(writer, reader, 64, count * 4));
        rows[3].figures.push(count as f64 * 4.0 / elapsed.as_secs_f64() / 1e6);
    }
    println!("{rounds} rounds between processes");
    println!("| {:<22} | {:>8} | {:>8} | {:>8} | {:<10} | {:>7} |", "", "least", "median", "most", "", "of bare");
    rows.iter_mut().for_each(Row::print);
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("between processes");
    on_bare(|bare| group.bench_function("two bare cache lines, there and back", |b| b.iter_custom(|iters| bare.trips(iters))));
    for len in [32, 64] {
        on_pair("echo", len, |writer, reader| {
            group.bench_function(format!("{len} B there and back"), |b| b.iter_custom(|iters| trips(writer, reader, len, iters)));
        });
    }
    on_pair("stream", 64, |writer, reader| {
        group.bench_function("stream of 64 B, a sample", |b| b.iter_custom(|iters| stream(writer, reader, 64, iters)));
    });
    group.finish();
}

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        support::pin(CPUS[1]);
        let (kind, path) = role.split_once(':').expect("kind and path");
        match kind {
            "bare" => Bare::map(Path::new(path)).answer_until_over(),
            kind => other_side(Path::new(path), kind == "stream"),
        }
        return;
    }
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        println!("ping_pong needs two CPUs");
        return;
    }
    support::pin(CPUS[0]);
    if !support::is_list() {
        let (rounds, count) = if support::is_test() { (1, 1000) } else { (15, 20_000) };
        table(rounds, count);
    }
    let mut criterion = support::criterion();
    benches(&mut criterion);
    criterion.final_summary();
}
