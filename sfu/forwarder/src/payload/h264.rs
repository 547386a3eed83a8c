//! H.264 payloads (RFC 6184, section 5).

use smallvec::SmallVec;

use super::bits::Bits;
use crate::Video;

const TYPE: u8 = 0x1f;
/// Parameters of a sequence, with which pictures begin that stand alone: browsers send them before each.
const SEQUENCE_PARAMETERS: u8 = 7;
/// Several units in one packet, each behind its length.
const AGGREGATE: u8 = 24;
/// A piece of a unit, whose type and beginning its second byte tells.
const FRAGMENT: u8 = 28;
const FRAGMENT_START: u8 = 0x80;
/// Of the parameters so much is looked at: the picture's size stands near their beginning.
const PARAMETERS_MAX_BYTES: usize = 512;
/// Profiles whose parameters say how colours are sampled.
const CHROMA_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Reads the beginning of a payload.
pub fn read(payload: &[u8]) -> Option<Video> {
    let (&first, rest) = payload.split_first()?;
    let (starts, key_frame) = match first & TYPE {
        AGGREGATE => (true, units(rest).any(is_sequence)),
        FRAGMENT => {
            let second = *rest.first()?;
            let starts = second & FRAGMENT_START != 0;
            (starts, starts && second & TYPE == SEQUENCE_PARAMETERS)
        }
        unit => (true, unit == SEQUENCE_PARAMETERS),
    };
    Some(Video { frame_start: starts, key_frame, ..Video::default() })
}

fn is_sequence(unit: &[u8]) -> bool {
    unit.first().is_some_and(|first| first & TYPE == SEQUENCE_PARAMETERS)
}

/// Width and height of the picture that a payload begins, if it says: from the parameters of a sequence that a packet has whole.
pub fn size(payload: &[u8]) -> Option<(u16, u16)> {
    let (first, rest) = payload.split_first()?;
    let unit = match first & TYPE {
        AGGREGATE => units(rest).find(|unit| is_sequence(unit))?,
        SEQUENCE_PARAMETERS => payload,
        _ => return None,
    };
    // A 3 behind two zeros is there so that nothing looks like the beginning of a unit (section 7.4.1).
    let mut parameters: SmallVec<[u8; 64]> = SmallVec::new();
    for byte in unit.get(1..)?.iter().take(PARAMETERS_MAX_BYTES) {
        if !(*byte == 3 && parameters.ends_with(&[0, 0])) {
            parameters.push(*byte);
        }
    }
    size_of(&mut Bits::new(&parameters))
}

/// Sequence parameters (ITU-T H.264, section 7.3.2.1.1), up to where the picture's size stands.
fn size_of(bits: &mut Bits<'_>) -> Option<(u16, u16)> {
    let profile = bits.number(8)?;
    bits.skip(16)?;
    bits.golomb()?;
    let mut chroma_format = 1;
    if CHROMA_PROFILES.contains(&profile) {
        chroma_format = bits.golomb()?;
        if chroma_format == 3 && bits.bit()? {
            chroma_format = 0;
        }
        bits.golomb()?;
        bits.golomb()?;
        bits.skip(1)?;
        if bits.bit()? {
            skip_scaling(bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => drop(bits.golomb()?),
        1 => {
            bits.skip(1)?;
            bits.signed_golomb()?;
            bits.signed_golomb()?;
            let frames = bits.golomb().filter(|frames| *frames < 256)?;
            (0..frames).try_for_each(|_| bits.signed_golomb().map(drop))?;
        }
        _ => {}
    }
    bits.golomb()?;
    bits.skip(1)?;
    let (columns, rows) = (u64::from(bits.golomb()?) + 1, u64::from(bits.golomb()?) + 1);
    let has_frames_only = bits.bit()?;
    if !has_frames_only {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let fields = if has_frames_only { 1 } else { 2 };
    let (mut width, mut height) = (columns * 16, rows * 16 * fields);
    if bits.bit()? {
        let (across, down) = match chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let mut edge = || bits.golomb().map(u64::from);
        let (left, right, top, bottom) = (edge()?, edge()?, edge()?, edge()?);
        width = width.checked_sub((left + right) * across)?;
        height = height.checked_sub((top + bottom) * down * fields)?;
    }
    // What is beyond any picture is as large as can be.
    let side = |pixels| u16::try_from(pixels).unwrap_or(u16::MAX);
    Some((side(width), side(height)))
}

fn skip_scaling(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.bit()? {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.signed_golomb()?).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Some(())
}

/// The units in an aggregate.
fn units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (unit, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = after;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_key(payload: &[u8]) -> bool {
        let video = read(payload).unwrap_or_default();
        video.key_frame && video.frame_start
    }

    #[test]
    fn parameters_say_how_large_pictures_are() {
        // Constrained baseline, 640 by 360 in 40 by 23 blocks, of which 8 lines are cut off.
        let baseline = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0xc0];
        assert_eq!(size(&baseline), Some((640, 360)));
        let mut aggregate = vec![0x78, 0, baseline.len() as u8];
        aggregate.extend(baseline);
        aggregate.extend([0, 1, 0x68]);
        assert_eq!(size(&aggregate), Some((640, 360)));
        // High, 1,920 by 1,080, with timing behind it.
        let high = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
            0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        assert_eq!(size(&high), Some((1_920, 1_080)));
        for len in 0..8 {
            assert_eq!(size(&baseline[..len]), None, "{len}");
        }
        assert_eq!(size(&[0x41, 0x42, 0xc0]), None, "no parameters");
        assert_eq!(size(&[&[0x67, 0x42, 0, 0][..], &[0; 600][..]].concat()), None, "no numbers");
    }

    #[test]
    fn pictures_that_stand_alone_begin_with_their_parameters() {
        assert!(is_key(&[0x67, 1, 2]), "by themselves");
        assert!(is_key(&[0x78, 0, 2, 0x67, 1, 0, 1, 0x68]), "in an aggregate");
        assert!(is_key(&[0x78, 0, 1, 0x09, 0, 1, 0x67]), "behind a delimiter");
        assert!(!is_key(&[0x78, 0, 1, 0x68, 0, 9, 0x67]), "cut off");
        assert!(!is_key(&[0x7c, 0x85, 0]), "a piece of a picture");
        assert!(!is_key(&[0x41, 0]));
        assert!(!is_key(&[]) && !is_key(&[0x7c]));
        assert!(!read(&[0x7c, 0x45]).unwrap().frame_start, "its end");
    }
}
