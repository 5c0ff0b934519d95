//! Segments as zerodds-flatdata lays them out, to be found by a flink.

use super::{Image, Malformed};

const INVALID: &str = "InvalidHeader";
/// The crate publishes the flink first, stores the magic number, and then the rest.
const NOT_READY: &str = "NotReady";

const HEADER: usize = 0x20;
/// Four slots of 64 bytes of payload: 16 + 64, rounded up to 64.
const SLOTS: usize = 4;
const STRIDE: usize = 128;

/// A segment in which nothing is wrong: the first slot holds the sample "hello", of sequence number 0.
fn good() -> Image {
    Image::zeros(HEADER + SLOTS * STRIDE)
        .put(0x00, 0x5A44_5332_u32.to_le_bytes())
        .put(0x04, (SLOTS as u32).to_le_bytes())
        .put(0x08, (STRIDE as u32).to_le_bytes())
        .put(0x0C, 1_u32.to_le_bytes())
        .put(0x10, 1_u32.to_le_bytes())
        .put(HEADER + 4, 5_u32.to_le_bytes())
        .put(HEADER + 16, b"hello")
}

pub(super) fn files() -> Vec<Malformed> {
    let count = |count: u32| good().put(0x04, count.to_le_bytes());
    let stride = |stride: u32| good().put(0x08, stride.to_le_bytes());
    let len = HEADER + SLOTS * STRIDE;
    let mut files = vec![
        Malformed::new("count-0", NOT_READY, "no slots yet", count(0)),
        Malformed::new("stride-0", NOT_READY, "no size of slots yet", stride(0)),
        Malformed::new("good", "Ok", "nothing", good()),
        Malformed::new("long", "Ok", "bytes behind the last slot", good().resized(4096)),
        Malformed::new("fewer", "Ok", "fewer slots than there is room for", count(3)),
        Malformed::new("waiters-max", "Ok", "a count of waiters that nobody stands behind", good().put(0x14, [255; 4])),
        Malformed::new(
            "magic-old",
            INVALID,
            "the layout before, without the count of waiters",
            good().put(0, 0x5A44_5353_u32.to_le_bytes()),
        ),
        Malformed::new("zeros", NOT_READY, "nothing written yet", Image::zeros(len)),
        Malformed::new("magic-zero", INVALID, "no magic number, although the rest is there", good().put(0, [0; 4])),
        Malformed::new("magic-swapped", INVALID, "the other byte order", good().put(0, 0x5A44_5332_u32.to_be_bytes())),
        Malformed::new("cut-to-1", INVALID, "one byte", good().resized(1)),
        Malformed::new("cut-to-4", INVALID, "the magic number alone", good().resized(4)),
        Malformed::new("cut-to-31", INVALID, "a byte short of a header", good().resized(31)),
        Malformed::new("cut-to-32", INVALID, "a header that claims slots", good().resized(32)),
        Malformed::new("cut-by-1", INVALID, "a byte short of its slots", good().resized(len - 1)),
    ];
    for (name, alleged, why) in [
        ("count-1-more", SLOTS as u32 + 1, "a slot beyond the object"),
        ("count-million", 1_000_000, "a million slots"),
        ("count-wraps", 1 << 25, "slots whose bytes are 0 in 32 bits"),
        ("count-max", u32::MAX, "slots of all ones"),
    ] {
        files.push(Malformed::new(name, INVALID, why, count(alleged)));
    }
    for (name, alleged, why) in [
        ("stride-15", 15, "slots below a header's size"),
        ("stride-16", 16, "slots without a payload"),
        ("stride-65", 65, "slots that are not whole lines"),
        ("stride-130", 130, "slots that are not whole lines, and do not fit"),
        ("stride-1-gib", 1 << 30, "slots of a GiB"),
        ("stride-max", u32::MAX - 63, "the greatest slots"),
    ] {
        files.push(Malformed::new(name, INVALID, why, stride(alleged)));
    }
    files.push(Malformed::new(
        "sample-too-large",
        "SampleTooLarge",
        "a sample that claims more than its slot holds",
        good().put(HEADER + 4, u32::MAX.to_le_bytes()),
    ));
    files
}
