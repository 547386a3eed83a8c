//! Headers of codecs, bit by bit.

/// What is left to read.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// A number of up to 32 bits, the highest first.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        debug_assert!(bits <= 32, "it does not fit");
        (0..bits).try_fold(0_u32, |number, _| Some(number << 1 | u32::from(self.bit()?)))
    }

    pub(super) fn skip(&mut self, bits: u32) -> Option<()> {
        (0..bits).try_for_each(|_| self.bit().map(drop))
    }

    /// An unsigned number as H.264 codes it (section 9.1), and AV1 (section 4.10.3).
    pub(super) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.number(zeros)?)
    }

    /// A signed one.
    pub(super) fn signed_golomb(&mut self) -> Option<i64> {
        let number = i64::from(self.golomb()?);
        Some(if number % 2 == 0 { -(number / 2) } else { number / 2 + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_up_to_the_end_and_not_beyond() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010]);
        // 1, 010, 011, 00100, 0010…
        let read: Vec<_> = (0..4).map(|_| bits.golomb()).collect();
        assert_eq!(read, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(bits.golomb(), None);
        let mut bits = Bits::new(&[0b0110_0100]);
        assert_eq!((bits.signed_golomb(), bits.signed_golomb()), (Some(-1), Some(2)));
        let mut bits = Bits::new(&[0xab, 0xcd]);
        assert_eq!((bits.number(12), bits.number(4), bits.number(1)), (Some(0xabc), Some(0xd), None));
        assert_eq!(Bits::new(&[0; 9]).golomb(), None);
    }
}
