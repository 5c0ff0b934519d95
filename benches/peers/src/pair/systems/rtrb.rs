//! rtrb: a ring between threads of one process. It cannot be shared between processes, so its figures are of two threads.

use std::collections::HashMap;
use std::hint::spin_loop;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;

/// A sample.
type Words<const WORDS: usize> = [u64; WORDS];
/// Ends that wait for the other side, by name: what a thread cannot find by a path.
type Ends = HashMap<PathBuf, Box<dyn std::any::Any + Send>>;

static PRODUCERS: Mutex<Option<Ends>> = Mutex::new(None);
static CONSUMERS: Mutex<Option<Ends>> = Mutex::new(None);

/// A ring for one direction.
pub struct Ring<const WORDS: usize>(PathBuf);

fn put<T: Send + 'static>(ends: &Mutex<Option<Ends>>, name: &Path, end: T) {
    ends.lock().expect("no panic").get_or_insert_default().insert(name.into(), Box::new(end));
}

fn take<T: 'static>(ends: &Mutex<Option<Ends>>, name: &Path) -> T {
    let end = ends.lock().expect("no panic").as_mut().and_then(|ends| ends.remove(name)).expect("an end that nobody has");
    *end.downcast().expect("an end of this type")
}

impl<const WORDS: usize> Lane for Ring<WORDS> {
    fn create(name: &Path, shape: Shape) -> Self {
        let (producer, consumer) = RingBuffer::<Words<WORDS>>::new(shape.slots);
        put(&PRODUCERS, name, producer);
        put(&CONSUMERS, name, consumer);
        Self(name.into())
    }

    fn attach(place: &Place, _shape: Shape) -> Self {
        Self(place.name.clone())
    }

    fn sender(&self) -> impl Sender + '_ {
        Push::<WORDS>(take(&PRODUCERS, &self.0))
    }

    fn receiver(&self) -> impl Receiver + '_ {
        Pop::<WORDS>(take(&CONSUMERS, &self.0))
    }
}

struct Push<const WORDS: usize>(Producer<Words<WORDS>>);

impl<const WORDS: usize> Sender for Push<WORDS> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        loop {
            // In place: a chunk of one.
            if let Ok(mut chunk) = self.0.write_chunk_uninit(1) {
                let (slot, _) = chunk.as_mut_slices();
                let start = slot[0].as_mut_ptr().cast::<u8>();
                // SAFETY: the slot is ours until the commit; its memory was handed out by the allocator and is only written here.
                fill(unsafe { core::slice::from_raw_parts_mut(start, WORDS * 8) }, number);
                // SAFETY: the one slot of the chunk was filled in the line before.
                unsafe { chunk.commit_all() };
                return;
            }
            spin_loop();
        }
    }
}

struct Pop<const WORDS: usize>(Consumer<Words<WORDS>>);

impl<const WORDS: usize> Receiver for Pop<WORDS> {
    #[inline(always)]
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        let there = self.0.slots();
        if let Ok(chunk) = self.0.read_chunk(there) {
            let (first, second) = chunk.as_slices();
            for words in first.iter().chain(second) {
                // SAFETY: the same words, as bytes.
                look(unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<u8>(), WORDS * 8) });
            }
            chunk.commit_all();
        }
    }
}
