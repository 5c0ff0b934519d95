//! Rounds in which the owner of a segment is killed, or ends: those attached go on, and the path is taken over.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seqslot::{Config, CreateError, OwnedReader, Segment};

use super::HANG;
use super::SLOTS;
use super::board::{Board, Order};
use super::cast::Cast;
use super::plan::{Draw, Policy, Role};
use super::round::Audience;
use super::sample::{CAPACITY, Seen};
use super::totals::Totals;

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

/// Objects that were named by a flink of ours at some time.
#[derive(Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// Notes what `flink` names now.
    pub fn note(&mut self, flink: &Path) {
        // None there, or half a one: there is no object either.
        if let Ok(name) = std::fs::read_to_string(flink) {
            self.0.insert(name.trim_start_matches('/').to_owned());
        }
    }

    /// Fails if one of them is still there; how many there were.
    pub fn check_gone(&self) -> Fallible<usize> {
        let left: Vec<_> = self.0.iter().filter(|name| Path::new("/dev/shm").join(name).exists()).collect();
        if left.is_empty() { Ok(self.0.len()) } else { Err(format!("left behind in /dev/shm: {left:?}").into()) }
    }
}

/// Plays one such round at `path`.
pub fn play(path: &Path, draw: &mut Draw, number: u32, files: (&Board, &Path), names: &mut Names, totals: &mut Totals) -> Fallible {
    let (board, board_file) = files;
    let mut cast = Cast::new(board, board_file, path, Policy::Block, number);
    let owner = cast.start(Role::Owner)?;
    let life = Duration::from_micros(draw.below(6_000).into());
    match draw.below(4) {
        0 => kill_early(&mut cast, owner, life)?,
        _ => with_peers(&mut cast, owner, (path, number, life, draw.below(4) == 0), names, totals)?,
    }
    totals.killed_if(Role::Owner, !cast.party(owner).is_done());
    names.note(path);
    let segment = seqslot::create(path, &config()).map_err(|error| format!("over a dead owner: {error}"))?;
    totals.takeovers += 1;
    names.note(path);
    let (reader, writer) = (segment.reader()?, segment.writer()?);
    writer.send(b"new")?;
    if reader.take()?.as_deref() != Some(&b"new"[..]) {
        return Err("the segment that took the path over does not work".into());
    }
    drop((reader, writer));
    drop(segment);
    if path.exists() { Err("the path is still there after its owner's end".into()) } else { Ok(()) }
}

fn config() -> Config {
    Config::slots(SLOTS.into(), CAPACITY as u64).writers(4).readers(4)
}

/// Killed at any instant of its start, of create, or a little later.
fn kill_early(cast: &mut Cast<'_>, owner: usize, life: Duration) -> Fallible {
    std::thread::sleep(life);
    cast.kill(owner)?;
    cast.reap(owner)?;
    Ok(())
}

/// With a writer in another process and a reader in this one, which go on without the owner.
fn with_peers(
    cast: &mut Cast<'_>,
    owner: usize,
    (path, number, life, ends_well): (&Path, u32, Duration, bool),
    names: &mut Names,
    totals: &mut Totals,
) -> Fallible {
    wait_ready(cast, owner)?;
    names.note(path);
    let segment: Arc<Segment> = Arc::new(seqslot::attach(path)?);
    let reader = OwnedReader::join(segment.clone())?;
    let mut audience = Audience::new(&reader, Seen::from_now_on(number, Policy::Block, cast.board));
    let writer = cast.start(Role::Writer)?;
    audience.read_for(life)?;
    let refused = seqslot::create(path, &config()).err();
    if refused != Some(CreateError::AlreadyExists { pid: cast.pid(owner) }) {
        return Err(format!("create over a living owner: {refused:?}").into());
    }
    if ends_well {
        cast.end(&[owner], Order::Finish, || audience.read_for(Duration::from_micros(200)))?;
        totals.restarts += 1;
    } else {
        cast.kill(owner)?;
        cast.reap(owner)?;
    }
    if segment.owner_lives()? {
        return Err("the owner is dead and said to live".into());
    }
    // The writer came by the path, which goes with an owner that ends well: then it may not have found it.
    let start = Instant::now();
    while !ends_well && (!cast.party(writer).is_ready() || cast.party(writer).commits().1 < 4 * SLOTS) {
        audience.read_for(Duration::from_micros(200))?;
        cast.check()?;
        if start.elapsed() > HANG {
            return Err("a writer does not go on without the owner".into());
        }
    }
    if ends_well && !cast.party(writer).is_ready() {
        cast.kill(writer)?;
        cast.reap(writer)?;
    } else {
        cast.end(&[writer], Order::Finish, || audience.read_for(Duration::from_micros(200)))?;
    }
    segment.recover()?;
    audience.drain()?;
    audience.settle(cast.board, 2)?;
    totals.samples += u64::from(audience.seen.taken);
    Ok(())
}

fn wait_ready(cast: &mut Cast<'_>, at: usize) -> Fallible {
    let start = Instant::now();
    while !cast.party(at).is_ready() {
        cast.check()?;
        if start.elapsed() > HANG {
            return Err("the owner is not ready".into());
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}
