//! Which of 2^48 packets a sequence number of 16 bits means, and which of them were there before.

/// Packets behind the newest that are remembered: half a second of video in many packets.
pub(super) const INBOUND_WORDS: usize = 16;
/// Of what is sent: as far as the pacer may bring it out of order.
pub(super) const OUTBOUND_WORDS: usize = 1;

/// Why an index is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexError {
    Used,
    TooOld,
}

/// The newest index of a stream, and which of those before were used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<const WORDS: usize> {
    newest: u64,
    /// By index modulo the window's size.
    used: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    const SIZE: u64 = 64 * WORDS as u64;

    /// Of a stream of which only this packet is known.
    pub(super) fn new(first: u64) -> Self {
        let mut window = Self { newest: first, used: [0; WORDS] };
        window.set(first);
        window
    }

    /// The index that is meant by a number, if it is not further than half of all numbers from the newest. None before
    /// the beginning.
    ///
    /// Source: RFC 3711, section 3.3.1 and appendix A.
    pub(super) const fn estimate(&self, sequence_number: u16) -> Option<u64> {
        let ahead = sequence_number.wrapping_sub(self.newest as u16) as i16;
        self.newest.checked_add_signed(ahead as i64)
    }

    /// Whether an index may be used.
    pub(super) const fn check(&self, index: u64) -> Result<(), IndexError> {
        if index > self.newest {
            return Ok(());
        }
        if self.newest - index >= Self::SIZE {
            return Err(IndexError::TooOld);
        }
        if self.used[Self::word(index)] & Self::bit(index) != 0 { Err(IndexError::Used) } else { Ok(()) }
    }

    /// Notes that an index that was [checked](Self::check) is used.
    pub(super) fn mark(&mut self, index: u64) {
        if index > self.newest {
            if index - self.newest >= Self::SIZE {
                self.used = [0; WORDS];
            } else {
                for passed in self.newest + 1..=index {
                    self.used[Self::word(passed)] &= !Self::bit(passed);
                }
            }
            self.newest = index;
        }
        self.set(index);
    }

    const fn set(&mut self, index: u64) {
        self.used[Self::word(index)] |= Self::bit(index);
    }
    const fn word(index: u64) -> usize {
        (index / 64) as usize % WORDS
    }
    const fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_anew() {
        let mut window = Window::<INBOUND_WORDS>::new(65_530);
        assert_eq!(window.estimate(65_535), Some(65_535));
        assert_eq!(window.estimate(3), Some(65_539));
        window.mark(65_539);
        assert_eq!(window.estimate(65_531), Some(65_531));
        assert_eq!(window.estimate(2), Some(65_538));
        let early = Window::<INBOUND_WORDS>::new(2);
        assert_eq!(early.estimate(65_535), None);
    }

    proptest::proptest! {
        /// Against a list of all that was used.
        #[test]
        fn each_index_once(steps in proptest::collection::vec(-1_500_i64..1_500, 1..200)) {
            let mut used = vec![10_000_u64];
            let mut window = Window::<INBOUND_WORDS>::new(10_000);
            let mut newest = 10_000_u64;
            for step in steps {
                let index = newest.saturating_add_signed(step);
                let expected = if newest.saturating_sub(index) >= 1_024 {
                    Err(IndexError::TooOld)
                } else if used.contains(&index) {
                    Err(IndexError::Used)
                } else {
                    Ok(())
                };
                proptest::prop_assert_eq!(window.check(index), expected);
                if expected.is_ok() {
                    window.mark(index);
                    used.push(index);
                    newest = newest.max(index);
                }
            }
        }
    }
}
