//! AV1 payloads: the aggregation header (RTP Payload Format for AV1, section 4.4).

use crate::Video;

use super::bits::Bits;

/// The first unit goes on with what the packet before began.
const CONTINUES: u8 = 0x80;
/// A sequence begins, which stands alone.
const NEW_SEQUENCE: u8 = 0x08;
/// Of a unit's first byte: its type, and what follows.
const TYPE: u8 = 0x78;
const SEQUENCE: u8 = 0x08;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// Reads the beginning of a payload.
pub fn read(payload: &[u8]) -> Option<Video> {
    let first = *payload.first()?;
    let frame_start = first & CONTINUES == 0;
    Some(Video { frame_start, key_frame: frame_start && first & NEW_SEQUENCE != 0, ..Video::default() })
}

/// Width and height of the picture that a payload begins, if it says: from the header of a sequence that a packet has whole.
pub fn size(payload: &[u8]) -> Option<(u16, u16)> {
    let (&first, rest) = payload.split_first()?;
    if first & CONTINUES != 0 || first & NEW_SEQUENCE == 0 {
        return None;
    }
    let unit = elements(first >> 4 & 0x03, rest).find(|unit| unit.first().is_some_and(|b| b & TYPE == SEQUENCE))?;
    let has = |flag: u8| unit.first().is_some_and(|byte| byte & flag != 0);
    let mut body = unit.get(if has(HAS_EXTENSION) { 2 } else { 1 }..)?;
    if has(HAS_SIZE) {
        let (length, after) = leb128(body)?;
        body = after.get(..length)?;
    }
    size_of(&mut Bits::new(body))
}

/// The units of a packet, as many as `count` says, the last of which has no length; with 0 each has one.
fn elements(count: u8, mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut n = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Units of no length may be more than the count can say.
        n = u8::saturating_add(n, 1);
        if n == count {
            return Some(std::mem::take(&mut rest));
        }
        let (length, after) = leb128(rest)?;
        let (unit, after) = after.split_at_checked(length)?;
        rest = after;
        Some(unit)
    })
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0;
    for (n, byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(n + 1..)?));
        }
    }
    None
}

/// A sequence's header (AV1 Bitstream, section 5.5), up to where the picture's size stands.
fn size_of(bits: &mut Bits<'_>) -> Option<(u16, u16)> {
    bits.skip(4)?;
    let is_reduced = bits.bit()?;
    if is_reduced {
        bits.skip(5)?;
    } else {
        let mut delay_bits = None;
        if bits.bit()? {
            bits.skip(64)?;
            if bits.bit()? {
                bits.golomb()?;
            }
            if bits.bit()? {
                delay_bits = Some(bits.number(5)? + 1);
                bits.skip(42)?;
            }
        }
        let has_display_delay = bits.bit()?;
        for _ in 0..=bits.number(5)? {
            bits.skip(12)?;
            if bits.number(5)? > 7 {
                bits.skip(1)?;
            }
            if let Some(delay_bits) = delay_bits
                && bits.bit()?
            {
                bits.skip(2 * delay_bits + 1)?;
            }
            if has_display_delay && bits.bit()? {
                bits.skip(4)?;
            }
        }
    }
    let (across, down) = (bits.number(4)? + 1, bits.number(4)? + 1);
    let (width, height) = (bits.number(across)? + 1, bits.number(down)? + 1);
    let side = |pixels| u16::try_from(pixels).unwrap_or(u16::MAX);
    Some((side(width), side(height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_say_how_large_pictures_are() {
        // Profile 0, one operating point at level 5; 11 and 10 bits for the sides.
        let header = [0x00, 0x00, 0x00, 0x2d, 0x4c, 0xff, 0xb3, 0xc0, 0x00];
        let unit = [&[0x08][..], &header[..]].concat();
        let alone = [&[0x18][..], &unit[..]].concat();
        assert_eq!(size(&alone), Some((1_280, 720)));
        // Behind a delimiter, each with its length; and with one of its own.
        let listed = [&[0x08, 2, 0x12, 0, unit.len() as u8][..], &unit[..]].concat();
        assert_eq!(size(&listed), Some((1_280, 720)));
        let sized = [&[0x18, 0x0a, header.len() as u8][..], &header[..]].concat();
        assert_eq!(size(&sized), Some((1_280, 720)));
        assert_eq!(size(&[&[0x10][..], &unit[..]].concat()), None, "no new sequence");
        // With timing, a decoder's model, a higher tier and a delay.
        let long = [
            0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x48, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x21,
            0x00, 0x00, 0x04, 0x2a, 0x67, 0xfd, 0x9e, 0x00,
        ];
        assert_eq!(size(&[&[0x18, 0x08][..], &long[..]].concat()), Some((1_280, 720)));
        for len in 0..8 {
            assert_eq!(size(&alone[..len]), None, "{len}");
        }
    }

    #[test]
    fn sequences_begin_where_the_header_says_so() {
        let read = |first| read(&[first, 0]).map(|video| (video.frame_start, video.key_frame));
        assert_eq!([0x18, 0x10, 0x98].map(read), [Some((true, true)), Some((true, false)), Some((false, false))]);
        assert_eq!(super::read(&[]), None);
    }

    #[test]
    fn units_of_no_length_end_with_the_packet() {
        let mut payload = [0; 1_200];
        payload[0] = NEW_SEQUENCE;
        assert_eq!(size(&payload), None);
    }
}
