//! VMClock pages.

use super::{Image, Malformed};

const MALFORMED: &str = "Malformed";

/// Bytes of the structure that ClockBound reads.
const LEN: usize = 104;

/// A page in which nothing is wrong.
fn good() -> Image {
    Image::zeros(4096)
        .put(0x00, 0x4B4C_4356_u32.to_le_bytes())
        .put(0x04, 4096_u32.to_le_bytes())
        .put(0x08, 1_u16.to_le_bytes())
        .put(0x0A, [1, 1])
        .put(0x0C, 4_u32.to_le_bytes())
        .put(0x10, 7_u64.to_le_bytes())
        .put(0x22, [2])
}

pub(super) fn files() -> Vec<Malformed> {
    let size = |size: u32| good().put(4, size.to_le_bytes());
    let mut files = vec![
        Malformed::new("good", "Ok", "nothing", good()),
        Malformed::new("short-but-whole", "Ok", "as long as the structure, not as a page", size(LEN as u32).resized(LEN)),
        Malformed::new("sequence-0", "Ok", "never changed since it was made", good().put(0x0C, [0; 4])),
        Malformed::new("sequence-odd", "Busy", "in an update, for ever", good().put(0x0C, [5])),
        Malformed::new("empty", MALFORMED, "nothing in it yet", []),
        Malformed::new("cut-to-15", MALFORMED, "a byte short of a header", good().resized(15)),
        Malformed::new("cut-to-16", MALFORMED, "a header that claims a body", good().resized(16)),
        Malformed::new("magic", MALFORMED, "the magic number", good().put(0, [0x57])),
        Malformed::new("version-0", "VersionNotSupported", "no version", good().put(8, [0])),
        Malformed::new("version-2", "VersionNotSupported", "a later version", good().put(8, [2])),
        Malformed::new("status-5", MALFORMED, "a clock status that there is not", good().put(0x22, [5])),
        Malformed::new("status-255", MALFORMED, "a clock status that there is not", good().put(0x22, [255])),
    ];
    for (name, alleged, why) in [
        ("size-0", 0, "a size of nothing"),
        ("size-16", 16, "a size without a body"),
        ("size-1-more", 4097, "a size a byte beyond the file"),
        ("size-max", u32::MAX, "a size of all ones"),
    ] {
        files.push(Malformed::new(name, MALFORMED, why, size(alleged)));
    }
    files
}
