//! Nonces that were used before.

/// Nonces behind the newest that are remembered: half a second of video in many packets.
const WINDOW: u32 = 1_024;
const WORDS: usize = WINDOW as usize / 64;

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    #[error("the nonce was used before")]
    Replayed,
    #[error("the nonce is too old to know whether it was used before")]
    TooOld,
}

/// Remembers which of a sender's newest nonces were used.
///
/// A nonce is four bytes that count up, by serial number arithmetic (RFC 1982). The documentation does not say which byte
/// is highest: @discordjs/voice, discord.py and songbird put it first, but since a server only hands the bytes to the
/// cipher, others may not. The first two packets tell: read the right way round they lie closer together.
///
/// Only what was decrypted may be [marked](Self::mark), so nobody else can move the window.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    state: State,
    /// By nonce modulo the window's size.
    used: [u64; WORDS],
}

#[derive(Clone, Copy, Debug)]
enum State {
    Empty,
    First([u8; 4]),
    Counting { order: Order, newest: u32 },
}

#[derive(Clone, Copy, Debug)]
enum Order {
    HighestFirst,
    LowestFirst,
}

impl Order {
    const fn read(self, nonce: [u8; 4]) -> u32 {
        match self {
            Self::HighestFirst => u32::from_be_bytes(nonce),
            Self::LowestFirst => u32::from_le_bytes(nonce),
        }
    }
    /// That in which two nonces of one sender lie closer together.
    const fn of(first: [u8; 4], second: [u8; 4]) -> Self {
        let highest = distance_of(u32::from_be_bytes(first), u32::from_be_bytes(second));
        let lowest = distance_of(u32::from_le_bytes(first), u32::from_le_bytes(second));
        if lowest < highest { Self::LowestFirst } else { Self::HighestFirst }
    }
}

const fn distance_of(first: u32, second: u32) -> u32 {
    (second.wrapping_sub(first) as i32).unsigned_abs()
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { state: State::Empty, used: [0; WORDS] }
    }
}

impl ReplayWindow {
    /// Whether a nonce may be used; to be asked before decrypting.
    pub fn check(&self, nonce: [u8; 4]) -> Result<(), NonceError> {
        match self.state {
            State::Empty => Ok(()),
            State::First(first) if first == nonce => Err(NonceError::Replayed),
            State::First(_) => Ok(()),
            State::Counting { order, newest } => self.check_number(order.read(nonce), newest),
        }
    }

    fn check_number(&self, number: u32, newest: u32) -> Result<(), NonceError> {
        let ahead = number.wrapping_sub(newest) as i32;
        if ahead > 0 {
            return Ok(());
        }
        if ahead.unsigned_abs() >= WINDOW {
            return Err(NonceError::TooOld);
        }
        let (word, bit) = place(number);
        if self.used[word] & bit == 0 { Ok(()) } else { Err(NonceError::Replayed) }
    }

    /// Notes the nonce of a packet that was decrypted.
    pub fn mark(&mut self, nonce: [u8; 4]) {
        match self.state {
            State::Empty => self.state = State::First(nonce),
            State::First(first) => {
                let order = Order::of(first, nonce);
                self.state = State::Counting { order, newest: order.read(first) };
                self.set(order.read(first));
                self.mark_number(order, order.read(first), order.read(nonce));
            }
            State::Counting { order, newest } => self.mark_number(order, newest, order.read(nonce)),
        }
    }

    fn mark_number(&mut self, order: Order, newest: u32, number: u32) {
        let ahead = number.wrapping_sub(newest) as i32;
        if ahead > 0 {
            if ahead.unsigned_abs() >= WINDOW {
                self.used = [0; WORDS];
            } else {
                // What lies between was not used yet.
                for skipped in 1..ahead.unsigned_abs() {
                    let (word, bit) = place(newest.wrapping_add(skipped));
                    self.used[word] &= !bit;
                }
            }
            self.state = State::Counting { order, newest: number };
        }
        if ahead.unsigned_abs() < WINDOW || ahead > 0 {
            self.set(number);
        }
    }
    const fn set(&mut self, number: u32) {
        let (word, bit) = place(number);
        self.used[word] |= bit;
    }

    /// The bytes of a nonce as far away from those in use as there is.
    ///
    /// One key serves both directions, so whoever sends to this client should not meet its nonces.
    pub(crate) fn opposite(&self) -> [u8; 4] {
        const HALF: u32 = 1 << 31;
        match self.state {
            State::Empty => HALF.to_be_bytes(),
            State::First(first) => u32::from_be_bytes(first).wrapping_add(HALF).to_be_bytes(),
            State::Counting { order: Order::HighestFirst, newest } => newest.wrapping_add(HALF).to_be_bytes(),
            State::Counting { order: Order::LowestFirst, newest } => newest.wrapping_add(HALF).to_le_bytes(),
        }
    }
}

const fn place(number: u32) -> (usize, u64) {
    let place = number % WINDOW;
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn take(window: &mut ReplayWindow, nonce: [u8; 4]) -> Result<(), NonceError> {
        window.check(nonce).map(|()| window.mark(nonce))
    }

    #[test]
    fn each_once_in_either_byte_order() {
        for bytes in [u32::to_be_bytes, u32::to_le_bytes] {
            for start in [0, 1, 254, 65_534, 0x00ff_ffff, u32::MAX - 2, 0x7fff_fffe, 0x1234_5678] {
                let mut window = ReplayWindow::default();
                for n in 0..3_000 {
                    let nonce = bytes(start.wrapping_add(n));
                    assert_eq!(take(&mut window, nonce), Ok(()), "{start} {n}");
                    assert_eq!(take(&mut window, nonce), Err(NonceError::Replayed), "{start} {n}");
                }
                assert_eq!(take(&mut window, bytes(start)), Err(NonceError::TooOld));
            }
        }
    }

    #[test]
    fn out_of_order_within_the_window() {
        let mut window = ReplayWindow::default();
        for n in [5_000, 4_999, 5_002, 6_000] {
            assert_eq!(take(&mut window, u32::to_be_bytes(n)), Ok(()));
        }
        for (n, expected) in [
            (5_001, Ok(())),
            (5_001, Err(NonceError::Replayed)),
            (5_002, Err(NonceError::Replayed)),
            (4_977, Ok(())),
            (4_976, Err(NonceError::TooOld)),
            (100_000, Ok(())),
            (6_000, Err(NonceError::TooOld)),
            (99_999, Ok(())),
        ] {
            assert_eq!(take(&mut window, u32::to_be_bytes(n)), expected, "{n}");
        }
    }

    proptest! {
        /// Against a set of all that were used.
        #[test]
        fn none_twice_and_all_that_are_new(
            start in any::<u32>(),
            little in any::<bool>(),
            steps in proptest::collection::vec(-1_500_i64..1_500, 1..600),
        ) {
            let bytes = if little { u32::to_le_bytes } else { u32::to_be_bytes };
            let mut window = ReplayWindow::default();
            prop_assert_eq!(take(&mut window, bytes(start)), Ok(()));
            prop_assert_eq!(take(&mut window, bytes(start.wrapping_add(1))), Ok(()));
            let (mut used, mut newest) = (HashSet::from([0, 1]), 1_i64);
            for step in steps {
                let number = newest + step;
                let taken = take(&mut window, bytes(start.wrapping_add(number as u32)));
                if number <= newest - i64::from(WINDOW) {
                    prop_assert_eq!(taken, Err(NonceError::TooOld));
                } else {
                    let expected = if used.contains(&number) { Err(NonceError::Replayed) } else { Ok(()) };
                    prop_assert_eq!(taken, expected);
                    used.insert(number);
                    newest = newest.max(number);
                }
            }
        }
    }
}
