//! Locators and slot headers: the same bytes, both ways.

use crate::outcome::{Outcome, ensure};
use crate::random::Random;

/// Locators compared.
const COUNT: u64 = 20_000;

/// Encodes and decodes random locators on both sides, and random bytes; how many.
pub fn compare(seed: u64) -> Outcome<u64> {
    let mut random = Random::new(seed);
    for _ in 0..COUNT {
        whole(&mut random)?;
        spoilt(&mut random)?;
        header(&mut random)?;
    }
    Ok(COUNT)
}

fn draw(random: &mut Random) -> (zerodds_flatdata::ShmLocator, seqslot::ShmLocator) {
    let path: String = (0..random.below(262)).map(|_| random.one(&['/', 'a', 'Z', '7', '_', '\u{e9}', '.'])).collect();
    let [hostname_hash, uid, slot_count, slot_size] = std::array::from_fn(|_| random.next() as u32);
    (
        zerodds_flatdata::ShmLocator { hostname_hash, uid, slot_count, slot_size, segment_path: path.clone() },
        seqslot::ShmLocator { hostname_hash, uid, slot_count, slot_size, segment_path: path },
    )
}

/// The name of an error or of nothing.
fn named<T, E: std::fmt::Debug>(result: &Result<T, E>) -> String {
    result.as_ref().map_or_else(|error| format!("{error:?}"), |_| "Ok".into())
}

fn is_same(theirs: &zerodds_flatdata::ShmLocator, ours: &seqslot::ShmLocator) -> bool {
    let as_theirs = (theirs.hostname_hash, theirs.uid, theirs.slot_count, theirs.slot_size, theirs.segment_path.as_str());
    as_theirs == (ours.hostname_hash, ours.uid, ours.slot_count, ours.slot_size, ours.segment_path.as_str())
}

fn whole(random: &mut Random) -> Outcome<()> {
    let (theirs, ours) = draw(random);
    let (their_bytes, our_bytes) = (theirs.to_bytes_le(), ours.to_bytes_le());
    ensure(named(&their_bytes) == named(&our_bytes), || format!("{theirs:?} encodes to {their_bytes:?} and {our_bytes:?}"))?;
    let (Ok(their_bytes), Ok(our_bytes)) = (their_bytes, our_bytes) else { return Ok(()) };
    ensure(their_bytes == our_bytes, || format!("{theirs:?} encodes to {their_bytes:?} and {our_bytes:?}"))?;
    let (by_theirs, by_ours) = (zerodds_flatdata::ShmLocator::from_bytes_le(&our_bytes), seqslot::ShmLocator::from_bytes_le(&their_bytes));
    ensure(by_theirs.as_ref() == Ok(&theirs) && by_ours.as_ref() == Ok(&ours), || {
        format!("{their_bytes:?} decodes to {by_theirs:?} and {by_ours:?}")
    })?;
    let host = ["node1", "node2", ""][random.below(3) as usize];
    let hashes = (zerodds_flatdata::fnv1a_32(host.as_bytes()), seqslot::fnv1a_32(host.as_bytes()));
    ensure(hashes.0 == hashes.1, || format!("{host} hashes to {hashes:?}"))?;
    let (mut theirs, mut ours) = (theirs, ours);
    (theirs.hostname_hash, ours.hostname_hash) = hashes;
    let uid = if random.once_in(2) { ours.uid } else { ours.uid.wrapping_add(1) };
    for name in [host, "elsewhere"] {
        let told = (zerodds_flatdata::is_same_host(name, uid, &theirs), seqslot::is_same_host(name, uid, &ours));
        ensure(told.0 == told.1, || format!("{name} is the same host or not: {told:?}"))?;
    }
    Ok(())
}

/// Bytes that were cut or changed: what ours takes, theirs takes for the same; what theirs refuses, ours refuses for the same reason.
/// Ours refuses more: a path without its NUL or with one inside, and bytes behind the padding.
fn spoilt(random: &mut Random) -> Outcome<()> {
    let Ok(mut bytes) = draw(random).1.to_bytes_le() else { return Ok(()) };
    if random.once_in(2) {
        bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
    }
    for _ in 0..random.below(4).min(bytes.len() as u64) {
        let at = random.below(bytes.len().min(40) as u64) as usize;
        bytes[at] = random.next() as u8;
    }
    let (theirs, ours) = (zerodds_flatdata::ShmLocator::from_bytes_le(&bytes), seqslot::ShmLocator::from_bytes_le(&bytes));
    let is_alike = match (&theirs, &ours) {
        (Ok(theirs), Ok(ours)) => is_same(theirs, ours),
        (Ok(_), Err(error)) => ["MissingNul", "InteriorNul", "TrailingBytes"].contains(&format!("{error:?}").as_str()),
        (Err(_), Err(error)) => named(&theirs) == named(&ours) || ["MissingNul", "InteriorNul"].contains(&format!("{error:?}").as_str()),
        (Err(_), Ok(_)) => false,
    };
    ensure(is_alike, || format!("{bytes:?} decodes to {theirs:?} and {ours:?}"))
}

fn header(random: &mut Random) -> Outcome<()> {
    let [sequence_number, sample_size, reader_mask] = std::array::from_fn(|_| random.next() as u32);
    let theirs = zerodds_flatdata::SlotHeader { sequence_number, sample_size, reader_mask, _reserved: 0 };
    let ours = seqslot::SlotHeader { sequence_number, sample_size, reader_mask, _reserved: 0 };
    ensure(theirs.to_bytes_le() == ours.to_bytes_le(), || format!("{theirs:?} and {ours:?} are different bytes"))?;
    let back = seqslot::SlotHeader::from_bytes_le(&theirs.to_bytes_le());
    ensure(back == Some(ours), || format!("{theirs:?} is read as {back:?}"))
}
