//! ClockBound segments, layouts 2 and 3.

use super::{Image, Malformed};

const NOT_INITIALIZED: &str = "SegmentNotInitialized";
const MALFORMED: &str = "SegmentMalformed";
const VERSION: &str = "SegmentVersionNotSupported";

/// Offsets of a layout's fields from the start of the segment, and its length.
struct Layout {
    tag: &'static str,
    version: u16,
    len: usize,
    as_of: usize,
    void_after: usize,
    bound: usize,
    drift: usize,
    status: usize,
    support: usize,
}

const V2: Layout = Layout { tag: "v2", version: 0x0002, len: 80, as_of: 16, void_after: 32, bound: 48, drift: 64, status: 68, support: 72 };
const V3: Layout =
    Layout { tag: "v3", version: 0x0303, len: 104, as_of: 24, void_after: 40, bound: 72, drift: 88, status: 92, support: 96 };

/// A segment in which nothing is wrong.
fn good(layout: &Layout) -> Image {
    let image = Image::zeros(layout.len)
        .put(0, 0x414D_5A4E_u32.to_le_bytes())
        .put(4, 0x4342_0200_u32.to_le_bytes())
        .put(8, (layout.len as u32).to_le_bytes())
        .put(12, layout.version.to_le_bytes())
        .put(14, 4_u16.to_le_bytes())
        .put(layout.as_of, 100_i64.to_le_bytes())
        .put(layout.void_after, 1_100_i64.to_le_bytes())
        .put(layout.bound, 5_000_i64.to_le_bytes())
        .put(layout.drift, 15_000_u32.to_le_bytes())
        .put(layout.status, 1_i32.to_le_bytes())
        .put(layout.support, [1]);
    if layout.version == V3.version {
        // A counter of 2^30 ticks a second, by and large: 2^63 / 2^(64 + 29); an error of 2^-20.
        return image
            .put(16, 1_u64.to_le_bytes())
            .put(56, (1_u64 << 63).to_le_bytes())
            .put(64, (1_u64 << 44).to_le_bytes())
            .put(97, [29, 0]);
    }
    image
}

pub(super) fn files() -> Vec<Malformed> {
    let mut files = Vec::new();
    for layout in [&V2, &V3] {
        let mut add =
            |name: &str, answer, why, image: Image| files.push(Malformed::new(format!("{}-{name}", layout.tag), answer, why, image));
        lengths(layout, &mut add);
        headers(layout, &mut add);
        values(layout, &mut add);
    }
    files.push(Malformed::new("empty", NOT_INITIALIZED, "nothing in it yet", []));
    files.push(Malformed::new("zeros", NOT_INITIALIZED, "4,096 zeros", vec![0; 4096]));
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    files.push(Malformed::new("noise", MALFORMED, "anything", noise));
    for (name, at, answer, why) in [
        ("v3-period-shift-255", 97, "Ok", "a period of 2^-256 s: time stands still, and nothing overflows"),
        ("v3-error-shift-255", 98, "Ok", "an error of the period that is next to none"),
    ] {
        files.push(Malformed::new(name, answer, why, good(&V3).put(at, [255])));
    }
    let still = good(&V3).put(56, [0; 8]);
    files.push(Malformed::new("v3-period-zero", "Ok", "a counter that moves no time: a clock that `now` refuses", still));
    files
}

fn lengths(layout: &Layout, add: &mut impl FnMut(&str, &'static str, &'static str, Image)) {
    let good = good(layout);
    add("good", "Ok", "nothing", good.clone());
    add("long", "Ok", "bytes behind the segment, which its size does not count", good.clone().resized(8192));
    add(
        "larger",
        "Ok",
        "a size that counts more bytes than the layout has, and the file has them",
        good.clone().resized(4096).put(8, 4096_u32.to_le_bytes()),
    );
    for (name, len) in [("cut-to-1", 1), ("cut-to-15", 15)] {
        add(name, NOT_INITIALIZED, "less than a header: its daemon is still at it", good.clone().resized(len));
    }
    for (name, len, why) in [("cut-to-16", 16, "a header that claims a payload"), ("cut-by-1", layout.len - 1, "a byte short of a segment")]
    {
        add(name, MALFORMED, why, good.clone().resized(len));
    }
    for (name, size, why) in [
        ("size-0", 0, "a size of nothing"),
        ("size-15", 15, "a size below a header's"),
        ("size-16", 16, "a size without a payload"),
        ("size-1-less", layout.len as u32 - 1, "a size a byte short"),
        ("size-1-more", layout.len as u32 + 1, "a size a byte beyond the file"),
        ("size-1-gib", 1 << 30, "a size far beyond the file"),
        ("size-max", u32::MAX, "a size of all ones"),
    ] {
        add(name, MALFORMED, why, good.clone().put(8, size.to_le_bytes()));
    }
}

fn headers(layout: &Layout, add: &mut impl FnMut(&str, &'static str, &'static str, Image)) {
    let good = good(layout);
    add("magic-0", MALFORMED, "the first magic number", good.clone().put(0, [0]));
    add("magic-1", MALFORMED, "the second magic number", good.clone().put(7, [0x44]));
    add(
        "magic-swapped",
        MALFORMED,
        "the other byte order",
        good.clone().put(0, 0x414D_5A4E_u32.to_be_bytes()).put(4, 0x4342_0200_u32.to_be_bytes()),
    );
    add("magic-zero", NOT_INITIALIZED, "no magic numbers yet", good.clone().put(0, [0; 8]));
    add("version-0", NOT_INITIALIZED, "wiped, or not finished", good.clone().put(12, [0, 0]));
    for (name, version, why) in [
        ("version-1", 0x0001_u16, "a layout before these"),
        ("version-3-alone", 0x0003, "layout 3 that names no least version"),
        ("version-4", 0x0004, "a layout after these"),
        ("version-2-to-3", 0x0203, "a range that no daemon writes"),
        ("version-3-to-2", 0x0302, "a range upside down"),
        ("version-3-to-4", 0x0304, "a later layout"),
        ("version-4-to-4", 0x0404, "a later layout alone"),
        ("version-max", 0xFFFF, "all ones"),
        ("version-0-min-3", 0x0300, "no layout, but a least version"),
    ] {
        add(name, VERSION, why, good.clone().put(12, version.to_le_bytes()));
    }
    for (name, generation, answer, why) in [
        ("generation-0", 0_u16, NOT_INITIALIZED, "never written"),
        ("generation-1", 1, NOT_INITIALIZED, "in its first update: there is no value yet"),
        ("generation-2", 2, "Ok", "written once, or come round"),
        ("generation-5", 5, NOT_INITIALIZED, "in an update"),
        ("generation-65534", 65_534, "Ok", "the last even one"),
        ("generation-65535", 65_535, NOT_INITIALIZED, "in the update before it comes round"),
    ] {
        add(name, answer, why, good.clone().put(14, generation.to_le_bytes()));
    }
    add(
        "wiped",
        NOT_INITIALIZED,
        "wiped by its daemon: version and generation 0, no payload",
        Image::zeros(layout.len).put(0, &good.0[..12]),
    );
}

fn values(layout: &Layout, add: &mut impl FnMut(&str, &'static str, &'static str, Image)) {
    let good = good(layout);
    for (name, status) in [("status-4", 4_i32), ("status-minus-1", -1), ("status-max", i32::MAX), ("status-min", i32::MIN)] {
        add(name, MALFORMED, "a clock status that there is not", good.clone().put(layout.status, status.to_le_bytes()));
    }
    for (name, status) in [("status-0", 0_i32), ("status-2", 2), ("status-3", 3)] {
        add(name, "Ok", "a clock status that there is", good.clone().put(layout.status, status.to_le_bytes()));
    }
    for (name, flag) in [("support-2", 2), ("support-7", 7), ("support-255", 255)] {
        add(name, MALFORMED, "a truth value that is neither 0 nor 1", good.clone().put(layout.support, [flag]));
    }
    for (name, at) in [("as-of", layout.as_of), ("void-after", layout.void_after)] {
        for (what, nanoseconds) in [("nsec-minus-1", -1_i64), ("nsec-1e9", 1_000_000_000), ("nsec-max", i64::MAX), ("nsec-min", i64::MIN)] {
            let why = "nanoseconds that are not from 0 to 999,999,999";
            add(&format!("{name}-{what}"), MALFORMED, why, good.clone().put(at + 8, nanoseconds.to_le_bytes()));
        }
    }
    for (name, bound) in [("bound-minus-1", -1_i64), ("bound-min", i64::MIN)] {
        add(name, MALFORMED, "a bound below 0", good.clone().put(layout.bound, bound.to_le_bytes()));
    }
    let why = "far from here, but a value: the arithmetic refuses what it cannot count";
    add("bound-max", "Ok", why, good.clone().put(layout.bound, i64::MAX.to_le_bytes()));
    add("drift-1e9", "Ok", "a drift that `now` refuses", good.clone().put(layout.drift, 1_000_000_000_u32.to_le_bytes()));
    add("as-of-min", "Ok", why, good.clone().put(layout.as_of, i64::MIN.to_le_bytes()));
    add("as-of-max", "Ok", why, good.put(layout.as_of, i64::MAX.to_le_bytes()));
}
