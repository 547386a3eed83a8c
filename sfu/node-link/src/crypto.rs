//! Encryption, and datagrams that came before.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rookery_model::voice::LinkKey;

use crate::FIRST_BYTE;
use crate::drops::DropReason;

/// What stays readable.
pub(crate) const CLEAR_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// What a datagram has beside what it carries.
pub const OVERHEAD_BYTES: usize = CLEAR_BYTES + TAG_BYTES;
/// Counts have six bytes.
const COUNT_MAX: u64 = (1 << 48) - 1;
/// Counts behind the newest that are remembered: a fifth of a second of what one thread can send.
const WINDOW: u64 = 4_096;
const WORDS: usize = WINDOW as usize / 64;

fn key(key: &LinkKey) -> Box<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &key.0).expect("keys have 32 bytes");
    Box::new(LessSafeKey::new(key))
}

fn nonce(count: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&count.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// What goes out; no count is used twice.
pub(crate) struct Sealer {
    id: u64,
    key: Box<LessSafeKey>,
    count: u64,
}

impl Sealer {
    pub(crate) fn new(id: u64, seal: &LinkKey) -> Self {
        Self { id, key: key(seal), count: 0 }
    }

    /// Encrypts what `write` puts into a buffer behind what stays readable; the datagram's length.
    pub(crate) fn seal(
        &mut self,
        kind: u8,
        buffer: &mut [u8],
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let room = buffer.len().checked_sub(TAG_BYTES)?;
        let (clear, rest) = buffer.split_at_mut_checked(CLEAR_BYTES)?;
        let len = write(rest.get_mut(..room.checked_sub(CLEAR_BYTES)?)?)?;
        let count = self.count.checked_add(1).filter(|count| *count <= COUNT_MAX)?;
        self.count = count;
        clear[..8].copy_from_slice(&count.to_be_bytes());
        (clear[0], clear[1]) = (FIRST_BYTE, kind);
        clear[8..].copy_from_slice(&self.id.to_be_bytes());
        let (body, tag) = rest.split_at_mut_checked(len)?;
        let sealed = self.key.seal_in_place_separate_tag(nonce(count), Aad::from(&*clear), body).ok()?;
        tag.get_mut(..TAG_BYTES)?.copy_from_slice(sealed.as_ref());
        Some(CLEAR_BYTES + len + TAG_BYTES)
    }
}

/// What comes in; no count is taken twice.
pub(crate) struct Opener {
    key: Box<LessSafeKey>,
    newest: u64,
    /// By count modulo the window's size.
    used: Box<[u64; WORDS]>,
}

/// A datagram that was the other end's.
pub(crate) struct Opened<'a> {
    pub kind: u8,
    pub count: u64,
    pub body: &'a [u8],
}

impl Opener {
    pub(crate) fn new(open: &LinkKey) -> Self {
        Self { key: key(open), newest: 0, used: Box::new([0; WORDS]) }
    }

    /// Decrypts a datagram where it lies.
    pub(crate) fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<Opened<'a>, DropReason> {
        let (clear, rest) = datagram.split_at_mut_checked(CLEAR_BYTES).ok_or(DropReason::Malformed)?;
        let count = clear[2..8].iter().fold(0, |count, byte| count << 8 | u64::from(*byte));
        self.check(count)?;
        let body = self.key.open_in_place(nonce(count), Aad::from(&*clear), rest).map_err(|_| DropReason::BadTag)?;
        self.mark(count);
        Ok(Opened { kind: clear[1], count, body })
    }

    fn check(&self, count: u64) -> Result<(), DropReason> {
        match self.newest.checked_sub(count) {
            None => Ok(()),
            // No end counts from 0.
            Some(behind) if behind >= WINDOW || count == 0 => Err(DropReason::TooOld),
            Some(_) => {
                let (word, bit) = place(count);
                if self.used[word] & bit == 0 { Ok(()) } else { Err(DropReason::Replayed) }
            }
        }
    }

    fn mark(&mut self, count: u64) {
        if count > self.newest {
            if count - self.newest >= WINDOW {
                self.used.fill(0);
            } else {
                for skipped in self.newest + 1..count {
                    let (word, bit) = place(skipped);
                    self.used[word] &= !bit;
                }
            }
            self.newest = count;
        }
        let (word, bit) = place(count);
        self.used[word] |= bit;
    }
}

const fn place(count: u64) -> (usize, u64) {
    let place = count % WINDOW;
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn sealed(sealer: &mut Sealer, body: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 256];
        let len = sealer.seal(7, &mut buffer, |place| {
            place[..body.len()].copy_from_slice(body);
            Some(body.len())
        });
        buffer[..len.unwrap()].to_vec()
    }

    #[test]
    fn each_datagram_is_taken_once_and_unchanged() {
        let (mut sealer, mut opener) = (Sealer::new(9, &LinkKey([1; 32])), Opener::new(&LinkKey([1; 32])));
        let first = sealed(&mut sealer, b"sound");
        assert_eq!((first[0], first.len(), crate::link_id(&first)), (FIRST_BYTE, 5 + OVERHEAD_BYTES, Some(9)));
        let opened = |opener: &mut Opener, datagram: &[u8]| {
            let mut copy = datagram.to_vec();
            opener.open(&mut copy).map(|opened| (opened.kind, opened.count, opened.body.to_vec()))
        };
        for at in 0..first.len() {
            let mut changed = first.clone();
            changed[at] ^= 1;
            // Its first byte and name are looked at before, and are authenticated with the rest.
            assert!(opened(&mut opener, &changed).is_err(), "{at}");
            assert!(opened(&mut opener, &first[..at]).is_err(), "{at}");
        }
        assert_eq!(opened(&mut opener, &first), Ok((7, 1, b"sound".to_vec())));
        assert_eq!(opened(&mut opener, &first), Err(DropReason::Replayed));
        let mut other = Opener::new(&LinkKey([2; 32]));
        assert_eq!(opened(&mut other, &first), Err(DropReason::BadTag));
        for _ in 0..WINDOW {
            let next = sealed(&mut sealer, b"");
            assert!(opened(&mut opener, &next).is_ok());
        }
        assert_eq!(opened(&mut opener, &first), Err(DropReason::TooOld));
    }

    #[test]
    fn no_count_twice_even_at_the_end_of_them() {
        let mut sealer = Sealer { count: COUNT_MAX - 1, ..Sealer::new(9, &LinkKey([1; 32])) };
        assert_eq!(sealed(&mut sealer, b"")[2..8], [0xff; 6]);
        assert_eq!(sealer.seal(1, &mut [0; 64], |_| Some(0)), None);
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut sealer = Sealer::new(9, &LinkKey([1; 32]));
        for room in 0..OVERHEAD_BYTES + 4 {
            let written = sealer.seal(1, &mut vec![0; room], |place| (place.len() >= 4).then_some(4));
            assert_eq!(written, None, "{room}");
        }
        assert!(sealer.seal(1, &mut [0; OVERHEAD_BYTES + 4], |place| Some(place.len())).is_some());
    }

    proptest! {
        /// Against a set of all that were used.
        #[test]
        fn none_twice_and_all_that_are_new(steps in proptest::collection::vec(-6_000_i64..6_000, 1..400)) {
            let mut opener = Opener::new(&LinkKey([1; 32]));
            let (mut used, mut newest) = (HashSet::new(), 0_i64);
            for step in steps {
                let count = (newest + step).max(0);
                let taken = opener.check(count as u64).map(|()| opener.mark(count as u64));
                let is_old = count <= newest - WINDOW as i64 || (count == 0 && newest >= 0);
                if is_old {
                    prop_assert_eq!(taken, Err(DropReason::TooOld));
                } else {
                    let expected = if used.contains(&count) { Err(DropReason::Replayed) } else { Ok(()) };
                    prop_assert_eq!(taken, expected);
                    used.insert(count);
                    newest = newest.max(count);
                }
            }
        }
    }
}
