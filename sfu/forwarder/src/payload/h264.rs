//! H.264 payloads (RFC 6184, section 5).

use crate::Video;

const TYPE: u8 = 0x1f;
/// Parameters of a sequence, with which pictures begin that stand alone: browsers send them before each.
const SEQUENCE_PARAMETERS: u8 = 7;
/// Several units in one packet, each behind its length.
const AGGREGATE: u8 = 24;
/// A piece of a unit, whose type and beginning its second byte tells.
const FRAGMENT: u8 = 28;
const FRAGMENT_START: u8 = 0x80;

/// Reads the beginning of a payload.
pub fn read(payload: &[u8]) -> Option<Video> {
    let (&first, rest) = payload.split_first()?;
    let (starts, key_frame) = match first & TYPE {
        AGGREGATE => (true, units(rest).any(|unit| unit == SEQUENCE_PARAMETERS)),
        FRAGMENT => {
            let second = *rest.first()?;
            let starts = second & FRAGMENT_START != 0;
            (starts, starts && second & TYPE == SEQUENCE_PARAMETERS)
        }
        unit => (true, unit == SEQUENCE_PARAMETERS),
    };
    Some(Video { frame_start: starts, key_frame, ..Video::default() })
}

/// The types of the units in an aggregate.
fn units(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (unit, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = after;
        Some(unit.first()? & TYPE)
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
