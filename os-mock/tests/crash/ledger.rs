//! What was sent and what was received: every sample has a number, its bytes follow from the number, and the sender notes before a
//! commit that it tries and behind it that it was acknowledged.

use std::cell::RefCell;

/// Capacity of the scenes' slots.
pub const CAPACITY: usize = 24;

/// The bytes of sample `id`.
pub fn bytes(id: u32) -> Vec<u8> {
    let len = 5 + id as usize * 7 % (CAPACITY - 5);
    let mut bytes: Vec<u8> = (0..len).map(|at| (id as usize * 31 + at * 13 + 5) as u8).collect();
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    bytes
}

/// How far a sample has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its commit was begun: it may have been published.
    Tried,
    /// Its commit returned.
    Acknowledged,
    /// It was given up before its commit.
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    session: u32,
    fate: Fate,
}

/// All samples of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    sent: RefCell<Vec<Sent>>,
    sessions: RefCell<u32>,
}

impl Ledger {
    /// A writer begins.
    pub fn session(&self) -> u32 {
        let mut sessions = self.sessions.borrow_mut();
        *sessions += 1;
        *sessions
    }

    /// A sample is about to be committed.
    pub fn tries(&self, session: u32) -> u32 {
        self.add(session, Fate::Tried)
    }

    /// A sample that will never be committed.
    pub fn never(&self, session: u32) -> u32 {
        self.add(session, Fate::Never)
    }

    fn add(&self, session: u32, fate: Fate) -> u32 {
        let mut sent = self.sent.borrow_mut();
        sent.push(Sent { session, fate });
        sent.len() as u32 - 1
    }

    /// Its commit returned.
    pub fn acknowledge(&self, id: u32) {
        self.sent.borrow_mut()[id as usize].fate = Fate::Acknowledged;
    }

    pub fn is_acknowledged(&self, id: u32) -> bool {
        self.sent.borrow().get(id as usize).is_some_and(|sent| sent.fate == Fate::Acknowledged)
    }

    /// How many samples there are: who joins now gets those from here on.
    pub fn now(&self) -> u32 {
        self.sent.borrow().len() as u32
    }

    /// How many were acknowledged, and how many tried besides.
    pub fn counts(&self) -> (u32, u32) {
        let sent = self.sent.borrow();
        let count = |fate| sent.iter().filter(|sent| sent.fate == fate).count() as u32;
        (count(Fate::Acknowledged), count(Fate::Tried))
    }
}

/// What one reader has received.
#[derive(Debug)]
pub struct Log {
    /// The first sample committed after its join.
    joined: u32,
    got: RefCell<Vec<u32>>,
    /// Writer index and sequence number of the last from each.
    sequences: RefCell<std::collections::BTreeMap<u32, u32>>,
}

impl Log {
    pub fn new(ledger: &Ledger) -> Self {
        Self { joined: ledger.now(), got: RefCell::default(), sequences: RefCell::default() }
    }

    /// A sample came: its number, checked byte by byte.
    pub fn receives(&self, found: &[u8], writer: u32, sequence: u32) -> u32 {
        assert!(found.len() >= 5, "{found:?} is no sample of ours");
        let id = u32::from_le_bytes(found[..4].try_into().expect("four bytes"));
        assert_eq!(found, bytes(id), "the bytes of sample {id}");
        assert!(!self.got.borrow().contains(&id), "sample {id} came twice");
        self.got.borrow_mut().push(id);
        if let Some(before) = self.sequences.borrow_mut().insert(writer, sequence) {
            let step = sequence.wrapping_sub(before) as i32;
            assert!(step > 0, "writer {writer}: sequence {sequence} after {before}");
        }
        id
    }

    /// Checks everything received so far against what was sent. Where samples may be overwritten, `missed` is how many the reader was told
    /// of; else all must be there.
    pub fn check(&self, ledger: &Ledger, missed: Option<u32>) {
        let (sent, got) = (ledger.sent.borrow(), self.got.borrow());
        let mut last = std::collections::BTreeMap::new();
        for &id in got.iter() {
            let of = sent.get(id as usize).unwrap_or_else(|| panic!("sample {id} was never sent"));
            assert_ne!(of.fate, Fate::Never, "sample {id} was given up, and came");
            assert!(id >= self.joined || of.fate == Fate::Tried, "sample {id} was committed before the join");
            let before = last.insert(of.session, id);
            assert!(before < Some(id), "sample {id} came after {before:?} of the same writer");
        }
        let due = sent.iter().enumerate().skip(self.joined as usize);
        let lost: Vec<usize> =
            due.filter(|(id, of)| of.fate == Fate::Acknowledged && !got.contains(&(*id as u32))).map(|(id, _)| id).collect();
        match missed {
            None => assert!(lost.is_empty(), "acknowledged samples {lost:?} never came; {got:?} did"),
            Some(missed) => {
                let unsure = sent.iter().filter(|of| of.fate == Fate::Tried).count() as u32;
                let lost = lost.len() as u32;
                assert!((lost..=lost + unsure).contains(&missed), "{lost} samples were lost, {missed} told of, {unsure} unsure");
            }
        }
    }
}
