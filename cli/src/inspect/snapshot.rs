//! A picture of a snapshot segment.

use seqslot::layout::control::{CLOSED_AT, ENTRY_LOCK, ENTRY_PID, OWNER_AT};
use seqslot::layout::head::Head;
use seqslot::layout::snapshot::{BUFFER_HIGH, BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT, SNAPSHOT_WRITER_AT, SnapshotGeometry};
use seqslot_core::{HeadError, Lock, Mapping as _, Memory};
use serde::Serialize;

use super::look::Mapping;
use super::words::{lock_word, words};

/// A snapshot segment.
#[derive(Debug, Serialize)]
pub struct Picture {
    pub buffers: u32,
    pub capacity: u32,
    pub stride: u32,
    pub payload_offset: u32,
    pub align: u32,
    pub always_wake: bool,
    pub total_bytes: usize,
    pub owner: Party,
    pub writer: Party,
    /// The writer left without another one coming.
    pub writer_left: bool,
    /// The newest generation; 0: nothing published yet.
    pub latest: u64,
    pub buffer_list: Vec<Buffer>,
}

/// Who holds, or held, an entry.
#[derive(Debug, Serialize)]
pub struct Party {
    pub pid: u32,
    /// Whether its lock is held; none if the system did not tell.
    pub alive: Option<bool>,
}

/// One buffer.
#[derive(Debug, Serialize)]
pub struct Buffer {
    pub index: u32,
    pub generation: u64,
    pub state: BufferState,
}

/// What a buffer's generation says beside the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BufferState {
    /// Never written, or being written just now.
    Busy,
    /// An older value.
    Older,
    /// The newest value.
    Latest,
    /// Written and not announced yet.
    Unannounced,
}

impl Picture {
    /// Reads it.
    ///
    /// # Errors
    /// The head's geometry cannot be.
    pub fn take(mapping: &Mapping, head: &Head) -> Result<Self, HeadError> {
        let memory = mapping.memory();
        let g = SnapshotGeometry::from_head(head, memory.len())?;
        let party = |at: usize, lock: Lock| {
            let [pid] = words(&memory, at + ENTRY_PID);
            let alive = lock_word(&memory, at + ENTRY_LOCK).and_then(|word| mapping.is_claimed(lock, word).ok());
            Party { pid, alive }
        };
        let [high] = words(&memory, LATEST_HIGH_AT);
        let [low] = words(&memory, LATEST_LOW_AT);
        let latest = join(high, low);
        let buffer_list = (0..g.buffers).map(|index| {
            let at = g.buffers_at + index as usize * g.stride as usize;
            let ([high], [low]) = (words(&memory, at + BUFFER_HIGH), words(&memory, at + BUFFER_LOW));
            Buffer { index, generation: join(high, low), state: state(join(high, low), latest) }
        });
        let [closed] = words(&memory, CLOSED_AT);
        Ok(Self {
            buffers: g.buffers,
            capacity: g.capacity,
            stride: g.stride,
            payload_offset: g.payload_offset,
            align: g.align,
            always_wake: g.always_wake,
            total_bytes: g.total_len,
            owner: party(OWNER_AT, Lock::OWNER),
            writer: party(SNAPSHOT_WRITER_AT, Lock::writer(0)),
            writer_left: closed & 1 != 0,
            latest,
            buffer_list: buffer_list.collect(),
        })
    }
}

fn join(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn state(generation: u64, latest: u64) -> BufferState {
    match generation {
        _ if generation as u32 == 0 => BufferState::Busy,
        _ if generation == latest => BufferState::Latest,
        _ if generation > latest => BufferState::Unannounced,
        _ => BufferState::Older,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_what_its_generation_says_beside_the_newest() {
        assert_eq!(state(0, 0), BufferState::Busy);
        assert_eq!(state(1 << 32, 7), BufferState::Busy);
        assert_eq!(state(7, 7), BufferState::Latest);
        assert_eq!(state(6, 7), BufferState::Older);
        assert_eq!(state(8, 7), BufferState::Unannounced);
    }
}
