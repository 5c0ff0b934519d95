//! A sample of the soak, and what a reader makes of the samples it gets: nothing lost, doubled, torn or out of order.

use std::error::Error;

use super::board::{Board, NONE, Party, Stream, WRITERS};
use super::plan::Policy;

/// Bytes of a slot.
pub const CAPACITY: usize = 256;
const HEAD: usize = 16;

/// Bytes of a sample: different ones, so that a size that belongs to another sample is seen.
fn len(round: u32, number: u32) -> usize {
    HEAD + (mix(round, number) >> 8) as usize % (CAPACITY - HEAD + 1)
}

fn mix(round: u32, number: u32) -> u32 {
    (round.wrapping_mul(0x9E37_79B9) ^ number.wrapping_mul(0x85EB_CA6B)).rotate_left(13).wrapping_mul(0xC2B2_AE35)
}

/// Fills `slot` with sample `number` of writer `writer` in `round`; its length.
pub fn encode(slot: &mut [u8], round: u32, writer: usize, number: u32) -> usize {
    let len = len(round, number);
    let check = mix(round, number) ^ writer as u32;
    for (part, word) in slot.chunks_exact_mut(4).zip([round, writer as u32, number, check]) {
        part.copy_from_slice(&word.to_ne_bytes());
    }
    // The rest depends on all of it, and on where it stands.
    for (at, byte) in slot[HEAD..len].iter_mut().enumerate() {
        *byte = (check.rotate_left(at as u32 % 32) as u8).wrapping_add(at as u8);
    }
    len
}

/// Round, writer and number of a sample that is whole.
fn decode(bytes: &[u8]) -> Result<(u32, usize, u32), Box<dyn Error>> {
    let word = |nth: usize| bytes.get(4 * nth..4 * nth + 4).map(|part| u32::from_ne_bytes([part[0], part[1], part[2], part[3]]));
    let (Some(round), Some(writer), Some(number)) = (word(0), word(1), word(2)) else {
        return Err(format!("a sample of {} bytes", bytes.len()).into());
    };
    let mut expected = [0; CAPACITY];
    let len = encode(&mut expected, round, writer as usize, number);
    if bytes == &expected[..len] && (writer as usize) < WRITERS {
        Ok((round, writer as usize, number))
    } else {
        Err(format!("torn: {} bytes {bytes:?} came for sample {number} of writer {writer} in round {round}", bytes.len()).into())
    }
}

/// What one reader has seen of the writers of one round.
pub struct Seen {
    round: u32,
    policy: Policy,
    streams: [Stream; WRITERS],
    pub taken: u32,
}

impl Seen {
    /// Of a reader that has just joined.
    pub fn from_now_on(round: u32, policy: Policy, board: &Board) -> Self {
        let streams = std::array::from_fn(|writer| Stream { begun_at_join: board.party(writer).commits().0, ..Stream::NEW });
        Self { round, policy, streams, taken: 0 }
    }

    /// Checks one sample.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let (round, writer, number) = decode(bytes)?;
        if round != self.round {
            return Err(format!("sample {number} of writer {writer} is of round {round}").into());
        }
        let stream = &mut self.streams[writer];
        let is_due = match (stream.first, self.policy) {
            (NONE, _) => true,
            (_, Policy::Overwrite) => number >= stream.next,
            _ => number == stream.next,
        };
        if !is_due {
            let what = if number < stream.next { "doubled or out of order" } else { "after a loss" };
            return Err(format!("sample {number} of writer {writer} came where {} was due: {what}", stream.next).into());
        }
        if stream.first == NONE {
            stream.first = number;
        }
        stream.next = number + 1;
        self.taken += 1;
        Ok(())
    }

    /// Puts it where the director looks.
    pub fn post(&self, party: Party<'_>, missed: u32) {
        for (writer, stream) in self.streams.iter().enumerate() {
            party.set_stream(writer, *stream);
        }
        party.count(self.taken, missed);
    }

    /// Compares it with what the writers say, at the end of a round; `missed` is what this reader was told, `killed` how many writers
    /// were killed.
    pub fn settle(&self, board: &Board, missed: u32, killed: u32) -> Result<(), Box<dyn Error>> {
        settle(&self.streams, self.policy, board, (self.taken, missed), killed)
    }
}

/// [`Seen::settle`] of a reader in another process.
pub fn settle_party(party: Party<'_>, policy: Policy, board: &Board, killed: u32) -> Result<(), Box<dyn Error>> {
    let streams = std::array::from_fn(|writer| party.stream(writer));
    settle(&streams, policy, board, party.counts(), killed)
}

fn settle(
    streams: &[Stream; WRITERS],
    policy: Policy,
    board: &Board,
    (taken, missed): (u32, u32),
    killed: u32,
) -> Result<(), Box<dyn Error>> {
    let (mut least, mut most) = (0, killed);
    for (writer, stream) in streams.iter().enumerate() {
        let (begun, returned) = board.party(writer).commits();
        least += returned.saturating_sub(stream.begun_at_join);
        most += begun;
        if policy != Policy::Overwrite {
            settle_stream(*stream, begun, returned).map_err(|error| format!("writer {writer}: {error}"))?;
        }
    }
    if policy != Policy::Overwrite && missed != 0 {
        return Err(format!("{missed} samples were called missed where none may be").into());
    }
    // What is dropped is counted: a position that a death burnt may count, too.
    if taken + missed < least || taken + missed > most {
        return Err(format!("{taken} samples taken and {missed} missed, of {least} to {most} that were committed").into());
    }
    Ok(())
}

/// A reader gets everything from its join on, so not less than what was begun after it; and nothing that was never begun.
fn settle_stream(stream: Stream, begun: u32, returned: u32) -> Result<(), String> {
    let Stream { first, next, begun_at_join } = stream;
    if first == NONE {
        return if returned <= begun_at_join {
            Ok(())
        } else {
            Err(format!("{returned} were committed, {begun_at_join} begun when the reader had joined, and none came"))
        };
    }
    if first > begun_at_join {
        return Err(format!("the first sample was {first}, though only {begun_at_join} were begun when the reader had joined"));
    }
    if next < returned || next > begun {
        return Err(format!("{next} samples came of {returned} committed and {begun} begun"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(policy: Policy) -> Seen {
        Seen { round: 7, policy, streams: [Stream::NEW; WRITERS], taken: 0 }
    }

    fn sample(number: u32) -> Vec<u8> {
        let mut bytes = vec![0; CAPACITY];
        let len = encode(&mut bytes, 7, 3, number);
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn order_gaps_and_doubles_are_told_apart() {
        let mut plain = seen(Policy::Fail);
        assert!(plain.accept(&sample(4)).is_ok() && plain.accept(&sample(5)).is_ok());
        assert!(plain.accept(&sample(5)).is_err() && plain.accept(&sample(7)).is_err());
        let mut overwriting = seen(Policy::Overwrite);
        assert!(overwriting.accept(&sample(4)).is_ok() && overwriting.accept(&sample(7)).is_ok());
        assert!(overwriting.accept(&sample(6)).is_err());
    }

    #[test]
    fn any_changed_byte_and_any_other_length_is_torn() {
        let whole = sample(9);
        assert!(decode(&whole).is_ok());
        for at in 0..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            assert!(decode(&torn).is_err(), "byte {at}");
        }
        assert!(decode(&whole[..whole.len() - 1]).is_err() && decode(&[]).is_err());
    }

    #[test]
    fn what_was_committed_after_the_join_must_come() {
        let stream = |first, next, begun_at_join| Stream { first, next, begun_at_join };
        assert!(settle_stream(stream(NONE, 0, 3), 4, 3).is_ok());
        assert!(settle_stream(stream(NONE, 0, 3), 4, 4).is_err());
        assert!(settle_stream(stream(3, 9, 3), 9, 8).is_ok());
        assert!(settle_stream(stream(4, 9, 3), 9, 8).is_err());
        assert!(settle_stream(stream(0, 7, 3), 9, 8).is_err());
        assert!(settle_stream(stream(0, 10, 3), 9, 8).is_err());
    }
}
