//! Snapshots: one writer publishes the newest state, any number of readers take consistent copies of it without writing a byte.
//!
//! K buffers, each with a generation, and `latest`, the newest generation; generation G lives in buffer G mod K. A reader copies
//! the buffer of `latest` and accepts the copy if the buffer's generation was the same before and after, so that it must try
//! again only if the writer went round all the buffers meanwhile.
//!
//! A generation has 64 bits in two words. The low word 0 is BUSY (being written, or never written), so from `u32::MAX` the low word
//! goes on at K, which keeps G mod K in step, and the high word counts these laps. `latest` 0 means: nothing published yet.
//!
//! # Steps
//!
//! | publish(G), b = buffer of G | read |
//! |---|---|
//! | W1 b.low := BUSY, Release | R1 l = latest.low; fence Acquire; h = latest.high. {h, l} is the cached generation: unchanged |
//! | W2 fence Release | R2 g = b.low, h = b.high, b = buffer of l; fence Acquire; g != l: look at `latest` again, and try again |
//! | W3 data, Relaxed | R3 data, Relaxed; fence Acquire |
//! | W4 b.high := G.high, Release | R4 b.low != g: again; fence Acquire |
//! | W5 b.low := G.low, Release | R5 b.high != h: again; else the data is generation {h, g} |
//! | W6 latest.high := G.high, Release | |
//! | W7 latest.low := G.low, Release | |
//!
//! Readers use Relaxed loads and fences only, which is what read-only mappings allow.
//!
//! # Edges
//!
//! | edge | release side | acquire side | what it carries |
//! |---|---|---|---|
//! | latest | W7 | fence in R1 | the buffer (W1 to W5) of that generation: its data, its high word; `latest.high` |
//! | torn | fence W2 | fence in R3 | a read of newer data implies that R4 sees BUSY or a newer generation |
//! | recycle | W1, W5 | fence in R2 | a reader that meets BUSY or a newer generation sees the newer `latest` that allowed it, so that trying again helps |
//! | lap | W4, W5, W6 | fences in R2, R4 | where the low word went all the way round (2^32 publications during one read), the high word tells: seen in R2 it brings the data, after R4 it differs |
//! | left | the writer's drop | fence in `has_left` | its last publication |
//!
//! # What a reader may meet
//!
//! | b.low | `latest` looked at again | what it is |
//! |---|---|---|
//! | l | not looked at | copy, then R4 and R5 decide |
//! | BUSY or another | moved on | overtaken: try again |
//! | BUSY or another | the same | no writer leaves this behind (edge "recycle"), but in a lap: try again, and met twice in a row it is damaged |
//! | a value that belongs to another buffer | not looked at | damaged |
//!
//! `latest.low` chooses the buffer; the buffer's own high word is the one that counts, because a writer that died between W6 and
//! W7 left a `latest.high` that is one ahead.
//!
//! # The death of a writer, and the next one
//!
//! Until W5 the buffer of the dead writer's generation G is BUSY; `latest` and its buffer are untouched, and the next writer uses G: no reader
//! ever saw it. After W5 the value is complete, only its announcement is missing: the next writer first announces it
//! (W6, W7) and goes on with the one after it. So each generation is given to one value only: a buffer that holds G is never
//! written again before `latest` has reached G, and from then on G lies behind.

mod bare;
mod config;
mod decide;
mod pen;
mod reader;
mod value;
#[allow(unsafe_code, reason = "words and payloads at offsets of the checked geometry")]
mod view;
mod writer;

pub use bare::{Observer, Publisher};
pub use config::SnapshotConfig;
pub use reader::{Freshness, Snapshot, SnapshotReader, WriterLife};
pub use value::{SnapshotCache, SnapshotValue};
pub use view::{SnapshotRead, SnapshotResume, SnapshotView};
pub use writer::SnapshotWriter;

/// How often a reader tries before it answers [`Contended`](crate::SnapshotError::Contended). Each failed try means that the writer
/// published as often as there are buffers, less one, while the reader copied once.
pub const SNAPSHOT_TRIES_MAX: u32 = 128;
