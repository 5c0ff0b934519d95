//! Cells: seqslot's snapshot, iceoryx2's blackboard, clock-bound's segment, the seqlock crate's lock, and a bare line.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use clock_bound_shm::{ClockErrorBound, ShmReader, ShmWrite, ShmWriter};
use iceoryx2::port::reader::{EntryHandle, Reader as BoardReader};
use iceoryx2::port::writer::{EntryHandleMut, Writer as BoardWriter};
use iceoryx2::prelude::{Node, ipc};
use iceoryx2::service::port_factory::blackboard::PortFactory;
use seqlock::SeqLock;
use seqslot::{SnapshotConfig, SnapshotReader, SnapshotWriter, platform};

use super::iceoryx::{node, service_name};
use crate::pair::cell::{Cell, Lens, Pen, Value};

/// seqslot's snapshot of so many buffers.
pub struct Snapshot<const BUFFERS: u32>;

impl<const BUFFERS: u32> Cell for Snapshot<BUFFERS> {
    fn pen(name: &Path, _room: *mut u8) -> impl Pen {
        let config = SnapshotConfig::of::<Value>().buffers(BUFFERS);
        let mut writer = SnapshotWriter::<Value>::create(platform(), name, config).expect("a segment");
        writer.publish(&[0; 8]).expect("our segment");
        writer
    }

    fn lens(name: &Path, _room: *mut u8) -> impl Lens {
        SnapshotReader::<Value>::attach(platform(), name).expect("the segment")
    }
}

impl Pen for SnapshotWriter<Value> {
    #[inline(always)]
    fn write(&mut self, number: u64) {
        self.publish(&[number; 8]).expect("our segment");
    }
}

impl Lens for SnapshotReader<Value> {
    #[inline(always)]
    fn read(&mut self) -> Option<&Value> {
        self.snapshot().ok().map(|snapshot| snapshot.value())
    }
}

/// iceoryx2's blackboard of one entry.
pub struct Blackboard;

struct BoardPen {
    entry: EntryHandleMut<ipc::Service, u32, Value>,
    _kept: (BoardWriter<ipc::Service, u32>, PortFactory<ipc::Service, u32>, Node<ipc::Service>),
}

struct BoardLens {
    entry: EntryHandle<ipc::Service, u32, Value>,
    value: Value,
    _kept: (BoardReader<ipc::Service, u32>, PortFactory<ipc::Service, u32>, Node<ipc::Service>),
}

impl Cell for Blackboard {
    fn pen(name: &Path, _room: *mut u8) -> impl Pen {
        let node = node(name);
        let service = node.service_builder(&service_name(name)).blackboard_creator::<u32>().add::<Value>(0, [0; 8]);
        let service = service.create().expect("a service");
        let writer = service.writer_builder().create().expect("a writer");
        BoardPen { entry: writer.entry::<Value>(&0).expect("its entry"), _kept: (writer, service, node) }
    }

    fn lens(name: &Path, _room: *mut u8) -> impl Lens {
        let node = node(name);
        let service = node.service_builder(&service_name(name)).blackboard_opener::<u32>().open().expect("the service");
        let reader = service.reader_builder().create().expect("a reader");
        BoardLens { entry: reader.entry::<Value>(&0).expect("its entry"), value: [0; 8], _kept: (reader, service, node) }
    }
}

impl Pen for BoardPen {
    #[inline(always)]
    fn write(&mut self, number: u64) {
        self.entry.update_with_copy([number; 8]);
    }
}

impl Lens for BoardLens {
    #[inline(always)]
    fn read(&mut self) -> Option<&Value> {
        self.value = *self.entry.get();
        Some(&self.value)
    }
}

/// clock-bound's segment. Its value is a record of 64 bytes, one word of which carries the number.
pub struct ClockBound;

struct Daemon {
    writer: ShmWriter,
    record: ClockErrorBound,
}

struct Client {
    reader: ShmReader,
    value: Value,
}

impl Cell for ClockBound {
    fn pen(name: &Path, _room: *mut u8) -> impl Pen {
        let mut pen = Daemon { writer: ShmWriter::new(name).expect("a segment"), record: ClockErrorBound::default() };
        pen.write(0);
        pen
    }

    fn lens(name: &Path, _room: *mut u8) -> impl Lens {
        let name = CString::new(name.as_os_str().as_bytes()).expect("no nul");
        Client { reader: ShmReader::new(&name).expect("the segment"), value: [0; 8] }
    }
}

impl Pen for Daemon {
    #[inline(always)]
    fn write(&mut self, number: u64) {
        self.record.disruption_marker = number;
        self.writer.write(&self.record);
    }
}

impl Lens for Client {
    #[inline(always)]
    fn read(&mut self) -> Option<&Value> {
        self.value = [self.reader.snapshot().ok()?.disruption_marker; 8];
        Some(&self.value)
    }
}

/// The seqlock crate's lock, in memory that both sides map: the two are the same program, and a lock that is never fought for by two
/// writers keeps nothing outside itself.
pub struct Lock;

struct Locked {
    lock: &'static SeqLock<Value>,
    value: Value,
}

impl Locked {
    fn of(room: *mut u8) -> Self {
        // SAFETY: the room is longer than a lock, aligned to lines, and a new lock was written there before the other side was told;
        // the mapping outlives the pen and the lens, which do not leave the functions that have the desk.
        Self { lock: unsafe { &*room.cast::<SeqLock<Value>>() }, value: [0; 8] }
    }
}

impl Cell for Lock {
    fn pen(_name: &Path, room: *mut u8) -> impl Pen {
        // SAFETY: nobody has been told of the room yet; longer than a lock, and aligned to lines.
        unsafe { room.cast::<SeqLock<Value>>().write(SeqLock::new([0; 8])) };
        Locked::of(room)
    }

    fn lens(_name: &Path, room: *mut u8) -> impl Lens {
        Locked::of(room)
    }
}

impl Pen for Locked {
    #[inline(always)]
    fn write(&mut self, number: u64) {
        *self.lock.lock_write() = [number; 8];
    }
}

impl Lens for Locked {
    #[inline(always)]
    fn read(&mut self) -> Option<&Value> {
        self.value = self.lock.read();
        Some(&self.value)
    }
}

/// One line that is stored to and loaded from, whole or not: the price of its transfer.
pub struct Line;

struct Bare {
    line: &'static [AtomicU64; 8],
    value: Value,
}

impl Bare {
    fn of(room: *mut u8) -> Self {
        // SAFETY: inside the desk's room, aligned to lines, only ever used as atomics of this width; as long-lived as a lock above.
        Self { line: unsafe { &*room.cast::<[AtomicU64; 8]>() }, value: [0; 8] }
    }
}

impl Cell for Line {
    const IS_WHOLE: bool = false;

    fn pen(_name: &Path, room: *mut u8) -> impl Pen {
        Bare::of(room)
    }

    fn lens(_name: &Path, room: *mut u8) -> impl Lens {
        Bare::of(room)
    }
}

impl Pen for Bare {
    #[inline(always)]
    fn write(&mut self, number: u64) {
        for word in self.line {
            // ORDERING: Relaxed; nothing else goes with it.
            word.store(number, Ordering::Relaxed);
        }
    }
}

impl Lens for Bare {
    #[inline(always)]
    fn read(&mut self) -> Option<&Value> {
        for (value, word) in self.value.iter_mut().zip(self.line) {
            // ORDERING: Relaxed; nothing else comes with it.
            *value = word.load(Ordering::Relaxed);
        }
        Some(&self.value)
    }
}
