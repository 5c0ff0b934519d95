//! What the parties of a round tell each other outside the segment: a file of words that outlives them all.
//!
//! | words of a party | who writes | what |
//! |---|---|---|
//! | 0 | party | it is ready: it has joined |
//! | 1, 2 | writer | commits begun; commits that returned |
//! | 3 | director | what the party is to do: [`Order`] |
//! | 4 | party | it is done, its results are final |
//! | 5, 6 | reader | samples taken, samples it was told it missed |
//! | 7 | recoverer | it is inside a recovery |
//! | 8 | party | its index in the segment, plus one |
//! | 16 + 3w, +1, +2 | reader | of writer w: first number seen ([`NONE`]), next due, commits begun when this reader had joined |

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::MmapRaw;

/// Most writers of a round, one after the other included.
pub const WRITERS: usize = 32;
/// Most parties of a round: the writers first, then everybody else.
pub const PARTIES: usize = 128;
/// Nothing seen.
pub const NONE: u32 = u32::MAX;

const WORDS: usize = 128;
const READY: usize = 0;
const BEGUN: usize = 1;
const RETURNED: usize = 2;
const ORDER: usize = 3;
const DONE: usize = 4;
const TAKEN: usize = 5;
const MISSED: usize = 6;
const INSIDE: usize = 7;
const INDEX: usize = 8;
const STREAMS: usize = 16;

/// What the director wants of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Order {
    /// Go on.
    GoOn = 0,
    /// Finish: writers stop writing, readers read what is there; then end.
    Finish = 1,
    /// Recoverers: no pauses.
    Hurry = 2,
    /// Readers: end at once, whatever there is to read. To others it is as `Finish`.
    Leave = 3,
}

/// What a reader saw of one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    pub first: u32,
    pub next: u32,
    pub begun_at_join: u32,
}

impl Stream {
    pub const NEW: Self = Self { first: NONE, next: 0, begun_at_join: 0 };
}

/// The file, mapped.
pub struct Board(MmapRaw);

impl Board {
    /// All zero, whatever was there.
    pub fn create(path: &Path) -> Result<Self, Box<dyn Error>> {
        let _ = std::fs::remove_file(path);
        let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len((PARTIES * WORDS * 4) as u64)?;
        Ok(Self(MmapRaw::map_raw(&file)?))
    }

    pub fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let board = Self(MmapRaw::map_raw(&file)?);
        if board.0.len() == PARTIES * WORDS * 4 { Ok(board) } else { Err("not a board".into()) }
    }

    /// One party's words.
    pub fn party(&self, number: usize) -> Party<'_> {
        assert!(number < PARTIES);
        Party { board: self, number }
    }

    fn word(&self, party: usize, index: usize) -> &AtomicU32 {
        assert!(party < PARTIES && index < WORDS);
        // SAFETY: inside the mapping, whose length was set or checked to hold all parties' words.
        let word = unsafe { self.0.as_mut_ptr().cast::<AtomicU32>().add(party * WORDS + index) };
        // SAFETY: mapped as long as `self`, aligned to 4, only ever accessed as this atomic, by all processes.
        unsafe { &*word }
    }
}

/// One party's words.
#[derive(Clone, Copy)]
pub struct Party<'b> {
    board: &'b Board,
    pub number: usize,
}

impl Party<'_> {
    fn get(self, index: usize) -> u32 {
        // ORDERING: Acquire; pairs with `set`: who sees a word sees what its writer did before it.
        self.board.word(self.number, index).load(Ordering::Acquire)
    }

    fn set(self, index: usize, value: u32) {
        // ORDERING: Release; pairs with `get`.
        self.board.word(self.number, index).store(value, Ordering::Release);
    }

    pub fn is_ready(self) -> bool {
        self.get(READY) != 0
    }

    /// In the party: joined, with this index.
    pub fn ready(self, index: u32) {
        self.set(INDEX, index + 1);
        self.set(READY, 1);
    }

    /// Its index in the segment; `None` before it joined.
    pub fn index(self) -> Option<u32> {
        self.get(INDEX).checked_sub(1)
    }

    /// Commits begun, commits that returned.
    pub fn commits(self) -> (u32, u32) {
        // In this order: what returned had begun.
        let returned = self.get(RETURNED);
        (self.get(BEGUN), returned)
    }

    pub fn begin(self, count: u32) {
        self.set(BEGUN, count);
    }

    pub fn returned(self, count: u32) {
        self.set(RETURNED, count);
    }

    pub fn order(self) -> Order {
        match self.get(ORDER) {
            0 => Order::GoOn,
            2 => Order::Hurry,
            3 => Order::Leave,
            _ => Order::Finish,
        }
    }

    pub fn tell(self, order: Order) {
        self.set(ORDER, order as u32);
    }

    pub fn is_done(self) -> bool {
        self.get(DONE) != 0
    }

    pub fn done(self) {
        self.set(DONE, 1);
    }

    /// Samples taken and missed.
    pub fn counts(self) -> (u32, u32) {
        (self.get(TAKEN), self.get(MISSED))
    }

    pub fn count(self, taken: u32, missed: u32) {
        self.set(TAKEN, taken);
        self.set(MISSED, missed);
    }

    pub fn is_inside(self) -> bool {
        self.get(INSIDE) != 0
    }

    pub fn inside(self, is_inside: bool) {
        self.set(INSIDE, u32::from(is_inside));
    }

    pub fn stream(self, writer: usize) -> Stream {
        let at = STREAMS + 3 * writer;
        Stream { first: self.get(at), next: self.get(at + 1), begun_at_join: self.get(at + 2) }
    }

    pub fn set_stream(self, writer: usize, stream: Stream) {
        let at = STREAMS + 3 * writer;
        for (nth, value) in [stream.first, stream.next, stream.begun_at_join].into_iter().enumerate() {
            self.set(at + nth, value);
        }
    }
}
