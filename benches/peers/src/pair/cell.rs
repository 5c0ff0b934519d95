//! What every system is to the row of contended reads: a cell that holds the newest value.

use std::path::Path;

/// A value: every word of it is the number of the write.
pub type Value = [u64; 8];

/// A cell between two processes. The side that writes makes it.
pub trait Cell {
    /// Makes it, with value 0 in it.
    fn pen(name: &Path, room: *mut u8) -> impl Pen;
    /// Finds it.
    fn lens(name: &Path, room: *mut u8) -> impl Lens;
    /// Whether two reads can be told from a torn one: the bare limit does not care.
    const IS_WHOLE: bool = true;
}

/// The end that writes.
pub trait Pen {
    /// Publishes a value of this number.
    fn write(&mut self, number: u64);
}

/// The end that reads.
pub trait Lens {
    /// The newest value, in private memory; `None` if there was none to be had this time.
    fn read(&mut self) -> Option<&Value>;
}
