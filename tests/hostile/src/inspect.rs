//! What `seqslot inspect` shows, drawn by the command's own files over a hostile mapping.

#[path = "../../../cli/src/inspect/parties.rs"]
#[allow(missing_docs, reason = "the command's own file")]
mod parties;
#[path = "../../../cli/src/inspect/picture.rs"]
#[allow(missing_docs, reason = "the command's own file")]
mod picture;
#[path = "../../../cli/src/inspect/snapshot.rs"]
#[allow(missing_docs, reason = "the command's own file")]
mod snapshot;
#[path = "../../../cli/src/inspect/text.rs"]
mod text;
#[path = "../../../cli/src/inspect/words.rs"]
#[allow(unsafe_code, dead_code, reason = "the command's own file: plain copies of mapped words")]
mod words;

/// What the command's files call the mapping of this host.
mod look {
    pub type Mapping = crate::world::HostileMapping;
}

use seqslot_core::layout::head::{Head, Kind};
use seqslot_core::{HeadError, Mapping as _, Memory as _};
use serde::Serialize;

use look::Mapping;

/// As the command's report: the files above read its fields.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    object: Option<String>,
    layout: String,
    instance: String,
    type_hash: Option<String>,
    mapped_bytes: usize,
    #[serde(flatten)]
    body: Body,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Body {
    Slots(Box<picture::Picture>),
    Snapshot(snapshot::Picture),
}

/// Reads and draws everything that inspect shows; the text, and its JSON.
///
/// # Errors
/// What the bytes are not.
pub fn draw(mapping: &Mapping) -> Result<(String, String), HeadError> {
    let _ = words::start(&mapping.memory());
    let head = Head::of(mapping)?;
    let body = match head.kind {
        Kind::Slots => Body::Slots(Box::new(picture::Picture::take(mapping, true)?)),
        Kind::Snapshot => Body::Snapshot(snapshot::Picture::take(mapping, &head)?),
    };
    let report = Report {
        path: "region".to_owned(),
        object: None,
        layout: format!("{}.{}", seqslot_core::layout::VERSION_MAJOR, head.minor),
        instance: format!("{:02x?}", head.instance),
        type_hash: (head.type_hash != [0; 16]).then(|| format!("{:02x?}", head.type_hash)),
        mapped_bytes: mapping.memory().len(),
        body,
    };
    let json = serde_json::to_string(&report).expect("plain values");
    Ok((text::draw(&report, true), json))
}
