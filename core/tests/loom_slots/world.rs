//! The world of one execution: a segment's words, the kernel's locks, and the queue of sleepers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex as PlainMutex;
use std::sync::atomic::AtomicUsize;

use loom::sync::atomic::AtomicU32;
use loom::sync::{Condvar, Mutex};
use seqslot_core::layout::control::SCARCE;
use seqslot_core::layout::head::{FLAG_OVERWRITE, HEAD_LEN, READY_AT};
use seqslot_core::layout::slots::{SlotsGeometry, SlotsShape};
use seqslot_core::{Config, Created, Lock, Memory, Ordering, Reader, Segment, SlotError, SlotFace, SlotsView, Writer, WriterIndex};

use crate::fences::{Light, Point};
use crate::loom_memory::{Builder, LoomMemory};
use crate::mutation::Kind;
use crate::party::Party;
use crate::platform::Alone;

/// Bytes of a sample.
pub const CAPACITY: u32 = 4;
/// At most so many processes attach.
const PARTIES: usize = 8;
/// The head's count of slots.
const COUNT_AT: usize = 32;
/// Locks of a segment.
const LOCKS: usize = Lock::EVICTION.number() as usize + 1;

/// What a segment is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Plain,
    Overwriting,
    Faces,
}

/// The shape of a model's segment, and what every word of it is.
pub struct Plan {
    config: Config,
    pub geometry: SlotsGeometry,
    kinds: Vec<Kind>,
    /// Offsets of the words that loom sees.
    pub modelled: Vec<usize>,
    plain: Vec<usize>,
    watched: Vec<Kind>,
    exchanged: Vec<Kind>,
    is_fencing_the_last_first: bool,
}

impl Plan {
    pub fn new(slots: u32, writers: u32, readers: u32) -> Self {
        Self::lay_out(slots, writers, readers, Sort::Plain, |_| true)
    }

    /// The seeds' face is used: loom sees the change counters, and payloads are words that may be copied.
    pub fn for_faces(slots: u32, writers: u32, readers: u32) -> Self {
        Self::lay_out(slots, writers, readers, Sort::Faces, |_| true)
    }

    /// Samples may be overwritten.
    pub fn overwriting(slots: u32, writers: u32, readers: u32) -> Self {
        Self::lay_out(slots, writers, readers, Sort::Overwriting, |_| true)
    }

    /// Loom sees the words of these slots only; the others change before the threads start and not again.
    pub fn with_slots(slots: u32, writers: u32, readers: u32, seen: &[u32]) -> Self {
        Self::lay_out(slots, writers, readers, Sort::Plain, |slot| seen.contains(&slot))
    }

    /// Loads of words of these kinds are never forgotten over later ones (which takes more executions): where a thread loads a word
    /// before it stores to it, or several threads load it.
    pub fn watching(self, kinds: &[Kind]) -> Self {
        Self { watched: kinds.to_vec(), ..self }
    }

    /// Stores to words of these kinds are exchanges: where a store may run beside another's read-modify-write, of which loom does
    /// not say which came first (a later load could answer either). Every machine's store is in one order with them.
    pub fn exchanging(self, kinds: &[Kind]) -> Self {
        Self { exchanged: kinds.to_vec(), ..self }
    }

    /// In this segment whoever commits or releases makes full fences, as where the platform has no heavy ones.
    pub fn with_full_fences(self) -> Self {
        Self { config: self.config.full_fences(), ..self }
    }

    /// A heavy fence comes to the party that was made last first, if so: a model with several parties that make light ones tries both.
    pub fn fencing_the_last_first(self, last_first: bool) -> Self {
        Self { is_fencing_the_last_first: last_first, ..self }
    }

    pub fn is_fencing_the_last_first(&self) -> bool {
        self.is_fencing_the_last_first
    }

    pub fn is_exchanged(&self, at: usize) -> bool {
        self.exchanged.contains(&self.kind(at))
    }

    fn lay_out(slots: u32, writers: u32, readers: u32, sort: Sort, seen: impl Fn(u32) -> bool) -> Self {
        let overwrite = sort == Sort::Overwriting;
        let flags = if overwrite { FLAG_OVERWRITE } else { 0 };
        let shape = SlotsShape { slots, capacity: CAPACITY, writers, readers, align: 32, flags };
        let geometry = SlotsGeometry::new(shape).expect("a small segment");
        let config = Config::slots(u64::from(slots), u64::from(CAPACITY)).writers(writers).readers(readers);
        let config = if overwrite { config.overwrite() } else { config };
        let kinds = (0..geometry.total_len).step_by(4).map(|at| match Kind::of(&geometry, at) {
            // Only ever added to, and summed up by the seeds' face.
            Kind::Changes | Kind::EntryChanges | Kind::MarksBegun | Kind::MarksEnded if sort != Sort::Faces => Kind::ForPeople,
            kind => kind,
        });
        let kinds: Vec<Kind> = kinds.collect();
        // SAFETY: the memory is the world's own and lives as long as its handles; nothing is read or written through this view.
        let empty = unsafe { SlotsView::new(Builder::new(geometry.total_len).build(), geometry) }.expect("the geometry's own length");
        // The head is written before anybody reads it.
        let (mut modelled, mut plain) = (Vec::new(), (0..HEAD_LEN).step_by(4).collect::<Vec<_>>());
        empty.for_each_word(|at| {
            let unseen = at >= geometry.slots_at && !seen(((at - geometry.slots_at) / geometry.stride as usize) as u32);
            if unseen || kinds[at / 4] == Kind::ForPeople { plain.push(at) } else { modelled.push(at) }
        });
        if sort == Sort::Faces {
            modelled.extend((0..geometry.total_len).step_by(4).filter(|&at| kinds[at / 4] == Kind::Payload));
        }
        Self { config, geometry, kinds, modelled, plain, watched: Vec::new(), exchanged: Vec::new(), is_fencing_the_last_first: false }
    }

    fn has_lock(&self, number: u8) -> bool {
        match u32::from(number) {
            reader @ 0..32 => reader < self.geometry.readers,
            writer @ 32..64 => writer - 32 < self.geometry.writers,
            _ => true,
        }
    }

    pub fn kind(&self, at: usize) -> Kind {
        self.kinds[at / 4]
    }

    /// Loom sees the head being written: that the segment is ready, and one word of what is carried.
    pub fn seen_being_made(mut self) -> Self {
        let seen = [READY_AT, COUNT_AT];
        self.plain.retain(|at| !seen.contains(at));
        self.modelled.extend(seen);
        self
    }

    /// The world of one execution.
    pub fn world(self: &Arc<Self>) -> World {
        let shared = self.shared();
        let segment = self.make(Party::new(shared.clone(), "creator"));
        World { shared, segment, attached: PlainMutex::default() }
    }

    /// A memory in which nothing is made yet: the process that makes the segment, and one that looks for it.
    pub fn unmade(self: &Arc<Self>) -> (Party, Party) {
        let shared = self.shared();
        (Party::new(shared.clone(), "creator"), Party::new(shared, "finder"))
    }

    /// Makes the segment.
    pub fn make(&self, creator: Party) -> Segment<Party> {
        let owner = creator.claim_lock(Lock::OWNER).expect("a new world");
        let created = Created { mapping: creator.clone(), owner };
        // SAFETY: a fresh world, laid out once.
        unsafe { Segment::format(creator, created, &self.config) }.expect("formats")
    }

    fn shared(self: &Arc<Self>) -> Arc<Shared> {
        let g = &self.geometry;
        let mut builder = Builder::new(g.total_len).words(self.modelled.iter().copied()).plain(self.plain.iter().copied());
        for slot in 0..g.slots as usize {
            builder = builder.payload(g.slots_at + slot * g.stride as usize + g.payload_offset as usize, CAPACITY as usize);
        }
        let watched = self.modelled.iter().filter(|&&at| self.watched.contains(&self.kind(at)));
        Arc::new(Shared {
            plan: self.clone(),
            memory: builder.build(),
            fences: Point::new(),
            lights: (0..PARTIES).map(|_| Light::new()).collect(),
            watched: watched.map(|&at| (at, (0..PARTIES).map(|_| Point::new()).collect())).collect(),
            parties: AtomicUsize::new(0),
            sleepers: Mutex::new(Vec::new()),
            alarm: Condvar::new(),
            locks: (0..LOCKS as u8).map(|number| self.has_lock(number).then(|| AtomicU32::new(0))).collect(),
        })
    }
}

/// Somebody asleep on a word.
pub struct Sleeper {
    pub at: usize,
    pub mask: u32,
    pub ticket: usize,
    pub woken: bool,
}

pub struct Shared {
    pub plan: Arc<Plan>,
    pub memory: LoomMemory,
    /// Where full fences meet.
    pub fences: Point,
    /// Where the light fences of each party meet others' heavy ones.
    pub lights: Vec<Light>,
    /// Where others' stores meet each party's loads, for the words that are watched.
    pub watched: HashMap<usize, Vec<Point>>,
    parties: AtomicUsize,
    /// The kernel's queue of sleepers: its lock orders a wait's look at the word against wakes.
    pub sleepers: Mutex<Vec<Sleeper>>,
    pub alarm: Condvar,
    /// The kernel's locks, 1 while out.
    locks: Vec<Option<AtomicU32>>,
}

impl Shared {
    /// The number of one more party.
    pub fn enrol(&self) -> usize {
        let number = self.parties.fetch_add(1, Ordering::Relaxed);
        assert!(number < PARTIES, "too many parties");
        number
    }

    pub fn parties(&self) -> usize {
        self.parties.load(Ordering::Relaxed)
    }

    pub fn lock(&self, lock: Lock) -> &AtomicU32 {
        self.locks[lock.number() as usize].as_ref().expect("a lock of an entry of the segment")
    }
}

/// A process's segment. The world keeps it; every handle is gone before the world is, which a model declares first.
pub type Attached = &'static Segment<Party>;

/// The seeds' face of a process with one thread.
pub type Face = SlotFace<Party, Alone>;

/// A segment and those attached to it.
pub struct World {
    shared: Arc<Shared>,
    segment: Segment<Party>,
    /// Made by `Box::into_raw`, freed with the world.
    attached: PlainMutex<Vec<*mut Segment<Party>>>,
}

impl Drop for World {
    fn drop(&mut self) {
        for segment in self.attached.get_mut().expect("no panic").drain(..) {
            // SAFETY: it came from a box, once, and the handles to it are gone (see `Attached`).
            drop(unsafe { Box::from_raw(segment) });
        }
    }
}

impl World {
    /// Attaches one more process, called `name`.
    pub fn attach(&self, name: &'static str) -> Attached {
        let party = Party::new(self.shared.clone(), name);
        let segment = Box::into_raw(Box::new(Segment::adopt(party.clone(), party).expect("attaches")));
        self.attached.lock().expect("no panic").push(segment);
        // SAFETY: from a box, never borrowed uniquely, and freed when no handle is left (see `Attached`).
        unsafe { &*segment }
    }

    /// A process with a writer.
    pub fn writer(&self, name: &'static str) -> Writer<Attached> {
        Writer::join(self.attach(name)).expect("a free entry")
    }

    /// A process with a reader.
    pub fn reader(&self, name: &'static str) -> Reader<Attached> {
        Reader::join(self.attach(name)).expect("a free entry")
    }

    /// A process that uses the seeds' face.
    pub fn face(&self, name: &'static str) -> Face {
        self.try_face(name).expect("no other kind of writer")
    }

    /// A process that uses the seeds' face, if it may.
    pub fn try_face(&self, name: &'static str) -> Result<Face, SlotError> {
        let party = Party::new(self.shared.clone(), name);
        SlotFace::new(Segment::adopt(party.clone(), party).expect("attaches"))
    }

    pub fn view(&self) -> &SlotsView<Party> {
        self.segment.view()
    }

    /// Sets the first word of a level of the free map, as nobody's deed: hints may be wrong.
    pub fn set_marks(&self, level: usize, bits: u32) {
        self.set(self.view().free_word(level, 0).expect("a word of the map").at(), bits);
    }

    /// Stores to a word, before the threads start.
    fn set(&self, at: usize, value: u32) {
        // SAFETY: the offset is that of a word of this memory.
        unsafe { self.shared.memory.store(at, value, Ordering::Relaxed) };
    }

    /// Slot `index`, which nobody owns, has had so many generations.
    pub fn set_generation(&self, index: u32, generation: u32) {
        self.set(self.view().slot(index).expect("a slot").state().at(), generation);
    }

    /// Who owes slot `index` a read, as if others had read it.
    pub fn set_unread(&self, index: u32, unread: u32) {
        self.set(self.view().slot(index).expect("a slot").unread().at(), unread);
    }

    /// Slots count as scarce.
    pub fn set_scarce(&self) {
        self.set(self.view().flags().at(), SCARCE);
    }

    /// Writer `index`, whom nobody has been yet, has come as far as `position`: its ring is full of positions that hold no sample.
    pub fn set_position(&self, index: u32, position: u32) {
        let (view, writer) = (self.view(), WriterIndex::new(index).expect("in bounds"));
        let (ring, ring_len) = (view.ring(writer).expect("a ring"), view.geometry().ring_len);
        for before in (1..=ring_len).map(|back| position.wrapping_sub(back)) {
            self.set(ring.tag(before).at(), before);
            self.set(ring.index(before).at(), u32::MAX);
        }
        self.set(view.writer_entry(writer).expect("an entry").head().at(), position.wrapping_sub(ring_len));
    }

    /// Nothing is lost: no slot is owned, and nobody who counts owes a read.
    pub fn assert_nothing_stuck(&self) {
        let view = self.view();
        for slot in view.slots() {
            let words = slot.words();
            let active = view.active().load(Ordering::Relaxed);
            assert_eq!(words.state >> 26, 0, "slot {} is owned for ever: {words:?}", slot.index());
            assert_eq!(words.unread & active, 0, "slot {} is owed for ever: {words:?}", slot.index());
            assert_eq!(words.pins, 0, "slot {} is pinned for ever: {words:?}", slot.index());
        }
    }
}
