//! Writers and readers of the published slot face: loans and samples by handle, reader indices given by the user.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use seqslot_core::{Entry, Exclusion, Exclusive, Ordering, Segment, SlotBackend, SlotError, SlotFace, SlotHandle, WriterIndex};
use seqslot_os_mock::{MockMemory, MockOs, bounded};

use crate::env::{Env, LONG, SHORT};
use crate::model::{Parked, Taken, byte};
use crate::plan::SLOTS;

/// A mutex that a simulated death does not poison.
#[derive(Debug)]
pub(crate) struct Guarded<T>(Mutex<T>);

impl<T> Exclusive<T> for Guarded<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Names [`Guarded`].
#[derive(Debug)]
pub(crate) struct Mutexes;

impl Exclusion for Mutexes {
    type Of<T> = Guarded<T>;
}

pub(crate) type Face = SlotFace<MockOs, Mutexes>;

/// The face over a segment.
pub(crate) fn over(segment: Segment<MockOs>) -> Face {
    SlotFace::new(segment).unwrap_or_else(|error| panic!("the face over a segment: {error}"))
}

/// The readers that every reserve asks for.
pub(crate) fn mask(env_readers: u32) -> u32 {
    if env_readers >= 32 { u32::MAX } else { (1 << env_readers) - 1 }
}

/// The whole life of a writer's process.
pub(crate) fn write(env: &Env) {
    while let Some(segment) = env.attach(SLOTS) {
        let face = over(segment);
        let mut entry = None;
        for _ in 0..env.session() {
            if env.stops() {
                break;
            }
            publish(env, &face, &mut entry);
        }
        if let Some((writer, _)) = entry {
            env.model().writer_leaves(env.pid, writer);
        }
        bounded("close", SHORT, || drop(face));
    }
}

/// Which writer entry this face has, by its pid, and the next sequence number.
fn entry_of(env: &Env, face: &Face) -> (u32, u32) {
    let view = face.segment().view();
    let entries =
        (0..face.segment().geometry().writers).filter_map(WriterIndex::new).filter_map(|index| Some((index, view.writer_entry(index)?)));
    // The pid of a former holder stays in a clean entry, until the next one takes it: so it is looked at again behind the state.
    let pid_is_mine = |entry: &Entry<'_, MockMemory>| entry.pid().load(Ordering::Relaxed) == env.pid;
    let is_in_use = |entry: &Entry<'_, MockMemory>| entry.state().load(Ordering::Relaxed) & 3 != 0;
    let mine = entries.into_iter().filter(|(_, entry)| pid_is_mine(entry) && is_in_use(entry) && pid_is_mine(entry));
    let (index, entry) = mine.max_by_key(|(index, _)| *index).unwrap_or_else(|| panic!("{} has a loan and no writer entry", env.pid));
    (index.get(), entry.head().load(Ordering::Relaxed))
}

fn publish(env: &Env, face: &Face, entry: &mut Option<(u32, u32)>) {
    let last = bounded("notify_generation", SHORT, || face.notify_generation());
    let handle = match bounded("reserve_slot", SHORT, || face.reserve_slot(mask(env.plan().readers))) {
        Ok(handle) => handle,
        Err(SlotError::NoFreeSlot | SlotError::NoWriterEntry) => return wait(env, face, last),
        Err(SlotError::Os(error)) => return env.refused(&error),
        Err(error) => panic!("reserve_slot: {error}"),
    };
    let (writer, sequence) = *entry.get_or_insert_with(|| {
        let found = entry_of(env, face);
        env.model().writer_joined(env.pid, found.0);
        found
    });
    env.model().loaned(env.pid, handle.slot_index);
    if env.chance(15) {
        env.model().ends_loan(env.pid, handle.slot_index);
        let told = bounded("discard_slot", SHORT, || face.discard_slot(handle));
        return assert_eq!(told, Ok(()), "discard_slot");
    }
    let id = env.model().next_id();
    let len = env.below(u64::from(env.plan().capacity) + 1) as usize;
    let bytes: Vec<u8> = (0..len).map(|at| byte(id, at)).collect();
    let in_place = env.chance(50);
    if in_place {
        fill(face, handle, &bytes);
    }
    if in_place || len > 0 {
        // Still on loan: looked at before the model is told that the commit has begun.
        let stays = bounded("slot_data_ptr", SHORT, || face.slot_data_ptr(handle).is_ok());
        assert!(stays, "the loan was lost");
    }
    env.model().ends_loan(env.pid, handle.slot_index);
    env.model().begins_commit(env.pid, writer, sequence, id, len);
    let told = bounded("commit", SHORT, || if in_place { face.commit_in_place(handle, len) } else { face.commit_slot(handle, &bytes) });
    assert_eq!(told, Ok(sequence), "commit");
    env.model().committed(writer, sequence);
    *entry = Some((writer, sequence.wrapping_add(1)));
}

/// Fills what is on loan in two goes.
fn fill(face: &Face, handle: SlotHandle, bytes: &[u8]) {
    for (at, part) in [(0, &bytes[..bytes.len() / 2]), (bytes.len() / 2, &bytes[bytes.len() / 2..])] {
        let (to, len) =
            bounded("slot_data_ptr", SHORT, || face.slot_data_ptr(handle)).unwrap_or_else(|error| panic!("slot_data_ptr: {error}"));
        assert!(at + part.len() <= len, "a slot of {len} bytes");
        // SAFETY: `to` is valid for `len` bytes as long as the loan, which nobody else has; in bounds, as asserted.
        let to = unsafe { to.add(at) };
        // SAFETY: as above; `part` is private memory.
        unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
    }
}

/// Waits until something has changed since `last` was read, or does something else.
fn wait(env: &Env, face: &Face, last: u64) {
    if env.chance(30) {
        return env.idle();
    }
    let timeout = env.some_time(Duration::from_secs(2));
    env.model().parked.insert(env.pid, Parked::Change(last));
    bounded("wait_for_change", LONG, || face.wait_for_change(last, timeout));
    env.model().parked.remove(&env.pid);
}

/// The whole life of the process of reader `index`, which is `key` in the model.
pub(crate) fn read(env: &Env, index: u32, key: usize) {
    // Even at the end of the run: its index is owed what was committed, whether it has ever come or not.
    let face = over(env.attach_at_last(SLOTS));
    let mut nothing = 0;
    while nothing < 8 {
        let is_last = env.stops() && env.shared.writing.get() == 0;
        let last = bounded("notify_generation", SHORT, || face.notify_generation());
        let began = env.model().tick();
        match bounded("next_unread_slot", SHORT, || face.next_unread_slot(index as u8)) {
            Ok(Some(handle)) => take(env, &face, index, key, handle),
            Ok(None) => {
                env.model().nothing(key, began);
                nothing += u32::from(is_last);
                if is_last { env.idle() } else { wait(env, &face, last) }
            }
            Err(SlotError::Os(error)) => env.refused(&error),
            // Its dead predecessor, or an eviction, is just being seen to.
            Err(SlotError::ReaderTaken) => env.idle(),
            Err(error) => panic!("next_unread_slot: {error}"),
        }
    }
    let now = env.model().tick();
    env.model().nothing_is_left(key, now);
    env.model().leaves(key);
    bounded("leave", SHORT, || drop(face));
}

fn take(env: &Env, face: &Face, index: u32, key: usize, handle: SlotHandle) {
    let promised = !env.model().is_evicted(key);
    let words = face.segment().view().slot(handle.slot_index).map(|slot| slot.words());
    let (header, bytes) = match bounded("read_slot", SHORT, || face.read_slot(handle)) {
        Ok(found) => found,
        Err(SlotError::StaleHandle) if !promised => return,
        Err(error) => panic!("read_slot: {error}"),
    };
    let writer = words.map_or(u32::MAX, |words| words.writer.wrapping_sub(1));
    let taken = Taken { writer, sequence: header.sequence_number, slot: handle.slot_index, len: bytes.len() };
    let is = env.model().took(key, taken);
    if let Some(is) = is {
        let wrong = (0..is.len).find(|&at| bytes[at] != byte(is.id, at));
        assert_eq!(wrong, None, "bytes of {is:?}");
        for _ in 0..env.below(3) {
            env.idle();
        }
        let again = bounded("next_unread_slot", SHORT, || face.next_unread_slot(index as u8));
        assert_eq!(again, Ok(Some(handle)), "the same one until it is marked");
        let again = bounded("read_slot", SHORT, || face.read_slot(handle));
        assert_eq!(again.map(|(_, bytes)| bytes), Ok(bytes), "a sample changed before it was marked");
        env.model().releases(key, is.slot);
    }
    match bounded("mark_read", SHORT, || face.mark_read(handle, index as u8)) {
        Ok(()) => {}
        Err(SlotError::Os(error)) => env.refused(&error),
        Err(SlotError::StaleHandle | SlotError::ReaderTaken) if !promised => env.idle(),
        Err(error) => panic!("mark_read: {error}"),
    }
}
