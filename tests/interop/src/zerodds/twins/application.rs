use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Samples that the writer sends.
const SAMPLES: u64 = 3000;
/// Readers, each a thread with an allocator of its own.
const READERS: u8 = 2;
/// The mask of all of them.
const ACTIVE: ReaderMask = (1 << READERS) - 1;
/// Bytes of a sample.
const LEN: usize = 24;
/// Longest wait: an application that comes to it is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an application came to: the same over every library.
#[derive(Debug, PartialEq, Eq)]
pub struct Came {
    /// Samples read by each reader.
    pub read: Vec<u64>,
    /// Sum of what they carried.
    pub sums: Vec<u64>,
    /// Loans that were given back.
    pub discarded: u64,
    /// Commits through the backend that counts.
    pub counted: u64,
}

/// A backend over another, as an application may have one: it counts commits.
struct Counting<B> {
    inner: B,
    commits: AtomicU64,
}

impl<B: SlotBackend> SlotBackend for Counting<B> {
    fn reserve_slot(&self, active_readers_mask: ReaderMask) -> Result<SlotHandle, SlotError> {
        self.inner.reserve_slot(active_readers_mask)
    }

    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.inner.commit_slot(handle, bytes)
    }

    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError> {
        self.inner.discard_slot(handle)
    }

    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        self.inner.slot_data_ptr(handle)
    }

    fn commit_in_place(&self, handle: SlotHandle, len: usize) -> Result<u32, SlotError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.inner.commit_in_place(handle, len)
    }

    fn read_slot(&self, handle: SlotHandle) -> Result<(SlotHeader, Vec<u8>), SlotError> {
        self.inner.read_slot(handle)
    }

    fn mark_read(&self, handle: SlotHandle, reader_index: u8) -> Result<(), SlotError> {
        self.inner.mark_read(handle, reader_index)
    }

    fn mark_reader_disconnected(&self, reader_index: u8) -> Result<(), SlotError> {
        self.inner.mark_reader_disconnected(reader_index)
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        self.inner.slot_count()
    }

    fn slot_total_size(&self) -> usize {
        self.inner.slot_total_size()
    }

    fn slot_capacity(&self) -> usize {
        self.inner.slot_capacity()
    }

    fn notify_generation(&self) -> u64 {
        self.inner.notify_generation()
    }

    fn wait_for_change(&self, last: u64, timeout: Duration) {
        self.inner.wait_for_change(last, timeout);
    }
}

/// A free slot, waited for.
fn reserve(slots: &dyn SlotBackend) -> Result<SlotHandle, SlotError> {
    loop {
        let generation = slots.notify_generation();
        match slots.reserve_slot(ACTIVE) {
            Err(SlotError::NoFreeSlot) => slots.wait_for_change(generation, PATIENCE),
            answer => return answer,
        }
    }
}

/// Sends every sample: copied and in place by turns, and now and then a loan is given back.
fn write(slots: &dyn SlotBackend) -> Result<u64, SlotError> {
    let mut discarded = 0;
    for number in 0..SAMPLES {
        if number % 100 == 7 {
            slots.discard_slot(reserve(slots)?)?;
            discarded += 1;
        }
        let handle = reserve(slots)?;
        let mut bytes = [number as u8; LEN];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        if number % 2 == 0 {
            slots.commit_slot(handle, &bytes)?;
        } else {
            let (data, capacity) = slots.slot_data_ptr(handle)?;
            assert!(capacity >= LEN);
            // SAFETY: the loan is out, and `LEN` bytes are within its capacity.
            unsafe { data.copy_from_nonoverlapping(bytes.as_ptr(), LEN) };
            slots.commit_in_place(handle, LEN)?;
        }
    }
    Ok(discarded)
}

/// Takes every sample once, in whatever order it comes.
fn read(path: &Path, reader: u8) -> Result<(u64, u64), SlotError> {
    let slots = match PosixSlotAllocator::attach(path) {
        Ok(slots) => slots,
        Err(PosixSlotError::Slot(error)) => return Err(error),
        Err(error) => panic!("{error}"),
    };
    let mut seen: HashMap<u64, SlotHandle> = HashMap::new();
    let mut sum = 0;
    while (seen.len() as u64) < SAMPLES {
        let generation = slots.notify_generation();
        let Some(handle) = slots.next_unread_slot(reader)? else {
            slots.wait_for_change(generation, PATIENCE);
            continue;
        };
        let (header, bytes) = slots.read_slot(handle)?;
        assert_eq!((header.sample_size as usize, bytes.len()), (LEN, LEN));
        let (data, len) = slots.slot_read_ptr(handle)?;
        // SAFETY: this reader counts and has not marked the sample yet.
        assert_eq!(unsafe { std::slice::from_raw_parts(data, len) }, bytes);
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default());
        assert!(bytes[8..].iter().all(|byte| *byte == number as u8), "a torn sample");
        assert_eq!(seen.insert(number, handle), None, "twice the same");
        sum += number;
        slots.mark_read(handle, reader)?;
    }
    Ok((seen.len() as u64, sum))
}

/// Runs the application on a segment at `path`.
pub fn run(path: &Path) -> Result<Came, Box<dyn std::error::Error + Send + Sync>> {
    let owner = PosixSlotAllocator::create(path, 8, 64)?;
    assert_eq!(owner.segment_path(), path.to_string_lossy());
    let counting = Arc::new(Counting { inner: owner, commits: AtomicU64::new(0) });
    let shared: Arc<dyn SlotBackend> = counting.clone();
    let mut threads = Vec::new();
    for reader in 0..READERS {
        let path = path.to_owned();
        threads.push(std::thread::spawn(move || read(&path, reader)));
    }
    let discarded = write(&*shared)?;
    let mut came = Came { read: Vec::new(), sums: Vec::new(), discarded, counted: counting.commits.load(Ordering::Relaxed) };
    for thread in threads {
        let (read, sum) = thread.join().map_err(|_| "a reader panicked")??;
        came.read.push(read);
        came.sums.push(sum);
    }
    Ok(came)
}
