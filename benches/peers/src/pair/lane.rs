//! What every system is to the rows of latency and streams: a lane in one direction.

use std::path::Path;

use super::other::Place;

/// Sizes of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of a sample: a multiple of eight.
    pub len: usize,
    /// Slots, or what a system calls so.
    pub slots: usize,
}

/// One direction of a system. Both sides have it; one sends, the other receives.
pub trait Lane: Sized {
    /// Makes it. `name` is a path that nobody else uses.
    fn create(name: &Path, shape: Shape) -> Self;
    /// Finds it on the other side.
    fn attach(place: &Place, shape: Shape) -> Self;
    /// Descriptors that the other side inherits, in the order in which it expects them.
    fn descriptors(&self) -> Vec<i32> {
        Vec::new()
    }
    /// The end that sends.
    fn sender(&self) -> impl Sender + '_;
    /// The end that receives.
    fn receiver(&self) -> impl Receiver + '_;
}

/// An end that sends.
pub trait Sender {
    /// Publishes one sample that is filled with `number`, polling for room.
    fn send(&mut self, number: u64);
    /// Publishes a sample for each number from `first`, `count` in all; in the way that is best for many.
    fn send_all(&mut self, first: u64, count: u64) {
        for number in first..first + count {
            self.send(number);
        }
    }
}

/// An end that receives.
pub trait Receiver {
    /// Polls until samples are there, and shows the bytes of each in turn: one, or several where that is best for many.
    fn receive(&mut self, look: &mut impl FnMut(&[u8]));
    /// Sleeps until samples are there, and shows the bytes of each. Where receiving sleeps anyway, the same.
    fn sleep(&mut self, look: &mut impl FnMut(&[u8])) {
        self.receive(look);
    }
}

/// Fills a payload with a number.
#[inline(always)]
pub fn fill(payload: &mut [u8], number: u64) {
    for word in payload.chunks_exact_mut(8) {
        word.copy_from_slice(&number.to_ne_bytes());
    }
}

/// Sum of all words of a payload.
#[inline(always)]
pub fn sum(payload: &[u8]) -> u64 {
    payload.chunks_exact(8).map(word).fold(0, u64::wrapping_add)
}

/// The first word of a payload.
#[inline(always)]
pub fn first(payload: &[u8]) -> u64 {
    word(&payload[..8])
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}
