//! Where data repeats itself, for [`zstd`](super::zstd).
//!
//! zstd's own search cannot be told to leave repeat offsets alone, so this one stands before it: hash chains over four
//! bytes with one step of lazy evaluation.

/// The bytes that a match may reach back: the window of every stream.
pub(crate) const WINDOW_LOG: u32 = 17;
pub(crate) const WINDOW_BYTES: usize = 1 << WINDOW_LOG;
/// Shorter ones take more to write than they save.
const MATCH_MIN_BYTES: usize = 4;
const HASHED_BYTES: usize = 4;
/// Earlier places with the same hash that are looked at.
const CANDIDATES: usize = 16;
/// Where nothing repeats, steps grow by one for so many bytes.
const HASTE_BYTES: usize = 256;

/// Plain bytes, then bytes that stand so far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) literals: u32,
    /// None at the end of a block.
    pub(crate) found: Option<Match>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// The search's tables, used again for each piece of data.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// By hash, the newest place and one, or 0.
    newest: Vec<u32>,
    /// By place, the one before with the same hash and one, or 0.
    earlier: Vec<u32>,
}

impl Search {
    /// Gives the sequences of data shorter than 4 GiB, in blocks of at most `block_bytes`.
    pub(crate) fn run(&mut self, data: &[u8], block_bytes: usize, mut emit: impl FnMut(Sequence)) {
        let places = data.len().next_power_of_two().clamp(1 << 8, WINDOW_BYTES);
        self.newest.clear();
        self.newest.resize(places.min(1 << 15), 0);
        self.earlier.clear();
        self.earlier.resize(places, 0);
        let mut start = 0;
        while start < data.len() {
            let end = (start + block_bytes).min(data.len());
            self.block(data, start, end, &mut emit);
            start = end;
        }
    }

    fn block(&mut self, data: &[u8], start: usize, end: usize, emit: &mut impl FnMut(Sequence)) {
        let (mut place, mut literals_from) = (start, start);
        while place + MATCH_MIN_BYTES <= end {
            let Some(mut found) = self.longest(data, place, end) else {
                self.insert(data, place);
                place += 1 + (place - literals_from) / HASTE_BYTES;
                continue;
            };
            self.insert(data, place);
            if let Some(next) = self.longest(data, place + 1, end).filter(|next| next.len > found.len + 1) {
                place += 1;
                self.insert(data, place);
                found = next;
            }
            emit(Sequence { literals: (place - literals_from) as u32, found: Some(found) });
            let behind = place + found.len as usize;
            (place + 1..behind).for_each(|inside| self.insert(data, inside));
            (place, literals_from) = (behind, behind);
        }
        emit(Sequence { literals: (end - literals_from) as u32, found: None });
    }

    fn slot(&self, data: &[u8], place: usize) -> Option<usize> {
        let bytes = data.get(place..)?.first_chunk::<HASHED_BYTES>()?;
        let mixed = u32::from_le_bytes(*bytes).wrapping_mul(2_654_435_761);
        // A power of two.
        Some((mixed >> 15) as usize & (self.newest.len() - 1))
    }

    fn insert(&mut self, data: &[u8], place: usize) {
        let Some(slot) = self.slot(data, place) else { return };
        let mask = self.earlier.len() - 1;
        self.earlier[place & mask] = std::mem::replace(&mut self.newest[slot], place as u32 + 1);
    }

    fn longest(&self, data: &[u8], place: usize, end: usize) -> Option<Match> {
        let mut next = self.newest[self.slot(data, place)?];
        let mask = self.earlier.len() - 1;
        let here = &data[place..end];
        let mut best: Option<Match> = None;
        for _ in 0..CANDIDATES {
            let Some(candidate) = (next as usize).checked_sub(1) else { break };
            let offset = place - candidate;
            // Beyond that, places are overwritten.
            if offset >= self.earlier.len() {
                break;
            }
            let len = here.iter().zip(&data[candidate..]).take_while(|(a, b)| a == b).count();
            if len >= MATCH_MIN_BYTES && best.is_none_or(|best| len > best.len as usize) {
                best = Some(Match { offset: offset as u32, len: len as u32 });
            }
            next = self.earlier[candidate & mask];
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(data: &[u8], block_bytes: usize) -> (Vec<u8>, usize) {
        let (mut out, mut sequences, mut block) = (Vec::new(), 0, 0);
        Search::default().run(data, block_bytes, |sequence| {
            sequences += 1;
            let literals = sequence.literals as usize;
            out.extend(&data[out.len()..out.len() + literals]);
            let Some(Match { offset, len }) = sequence.found else {
                assert!(out.len() - block <= block_bytes);
                block = out.len();
                return;
            };
            assert!(offset > 0 && offset as usize <= WINDOW_BYTES);
            (0..len).for_each(|_| out.push(out[out.len() - offset as usize]));
        });
        (out, sequences)
    }

    #[test]
    fn what_is_found_restores_the_data() {
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for len in [0, 1, 4, 5, 6, 100, 5_000, 400_000] {
            for letters in [1, 3, 40, 256] {
                let data: Vec<u8> = (0..len).map(|_| random(letters) as u8).collect();
                for block_bytes in [64, WINDOW_BYTES] {
                    let (out, sequences) = restored(&data, block_bytes);
                    assert!(out == data, "{len} of {letters}");
                    assert!(len < 5_000 || letters > 1 || block_bytes == 64 || sequences < 20);
                }
            }
        }
    }
}
