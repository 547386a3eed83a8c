//! VP8 payload descriptors (RFC 7741, section 4.2).

use crate::{PictureId, Video, Vp8};

/// Of the first byte: more follows, a partition begins, and its number.
const EXTENDED: u8 = 0x80;
const PARTITION_START: u8 = 0x10;
/// No other frame needs this one.
const NON_REFERENCE: u8 = 0x20;
const PARTITION: u8 = 0x07;
/// Of the second byte: what follows.
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_BASE_INDEX: u8 = 0x40;
const HAS_TEMPORAL: u8 = 0x20;
const HAS_KEY_INDEX: u8 = 0x10;
/// Of a picture's number: it has 15 bits.
const LONG: u8 = 0x80;

/// Where the parts of a descriptor are.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    picture_id: Option<(usize, PictureId)>,
    base_index: Option<(usize, u8)>,
    /// Temporal layer, synchronisation and key frame index share a byte.
    temporal: Option<(usize, u8)>,
    has_layers: bool,
    has_key_index: bool,
    bytes: usize,
}

impl Layout {
    fn of(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut layout = Self { bytes: 1, ..Self::default() };
        if first & EXTENDED == 0 {
            return Some(layout);
        }
        let flags = *payload.get(1)?;
        let mut at = 2;
        if flags & HAS_PICTURE_ID != 0 {
            let high = *payload.get(at)?;
            let id = if high & LONG != 0 {
                PictureId::Long(u16::from_be_bytes([high & !LONG, *payload.get(at + 1)?]))
            } else {
                PictureId::Short(high)
            };
            layout.picture_id = Some((at, id));
            at += if high & LONG != 0 { 2 } else { 1 };
        }
        if flags & HAS_BASE_INDEX != 0 {
            layout.base_index = Some((at, *payload.get(at)?));
            at += 1;
        }
        if flags & (HAS_TEMPORAL | HAS_KEY_INDEX) != 0 {
            layout.temporal = Some((at, *payload.get(at)?));
            layout.has_layers = flags & HAS_TEMPORAL != 0;
            layout.has_key_index = flags & HAS_KEY_INDEX != 0;
            at += 1;
        }
        layout.bytes = at;
        Some(layout)
    }

    fn counters(&self) -> Vp8 {
        Vp8 {
            picture_id: self.picture_id.map(|(_, id)| id),
            base_index: self.base_index.map(|(_, index)| index),
            key_index: self.temporal.filter(|_| self.has_key_index).map(|(_, byte)| byte & 0x1f),
        }
    }
}

/// Reads the beginning of a payload.
pub fn read(payload: &[u8]) -> Option<Video> {
    let layout = Layout::of(payload)?;
    let first = *payload.first()?;
    let frame_start = first & PARTITION_START != 0 && first & PARTITION == 0;
    // The first bit of a frame says whether it needs others.
    let key_frame = frame_start && payload.get(layout.bytes).is_some_and(|byte| byte & 1 == 0);
    let (temporal, temporal_sync) = match layout.temporal.filter(|_| layout.has_layers) {
        Some((_, byte)) => (byte >> 6, byte & 0x20 != 0),
        // What no other frame needs is as good as a layer above, which needs only the lowest one.
        None if first & NON_REFERENCE != 0 => (1, true),
        None => (0, false),
    };
    Some(Video { frame_start, key_frame, temporal, temporal_sync, vp8: Some(layout.counters()) })
}

/// Width and height of the picture that a payload begins, if it says: from the header of a key frame (RFC 6386, section 9.1).
pub fn size(payload: &[u8]) -> Option<(u16, u16)> {
    let video = read(payload).filter(|video| video.key_frame)?;
    debug_assert!(video.frame_start, "it would not be known");
    let frame = payload.get(Layout::of(payload)?.bytes..)?;
    let [_, _, _, 0x9d, 0x01, 0x2a, width @ .., height_low, height_high] = frame.first_chunk::<10>()? else {
        return None;
    };
    let side = |bytes| u16::from_le_bytes(bytes) & 0x3fff;
    Some((side(*width), side([*height_low, *height_high])))
}

/// Writes counters over those that a payload has, in the form in which it has them.
pub fn write(payload: &mut [u8], counters: Vp8) {
    let Some(layout) = Layout::of(payload) else { return };
    match (layout.picture_id, counters.picture_id) {
        (Some((at, PictureId::Short(_))), Some(PictureId::Short(id))) => payload[at] = id & !LONG,
        (Some((at, PictureId::Long(_))), Some(PictureId::Long(id))) => {
            let [high, low] = id.to_be_bytes();
            (payload[at], payload[at + 1]) = (high | LONG, low);
        }
        _ => {}
    }
    if let (Some((at, _)), Some(index)) = (layout.base_index, counters.base_index) {
        payload[at] = index;
    }
    if let (Some((at, byte)), true, Some(index)) = (layout.temporal, layout.has_key_index, counters.key_index) {
        payload[at] = (byte & 0xe0) | (index & 0x1f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_with_all_counters_and_others_written_over_them() {
        // Extended, start of partition 0; all four fields; 15 bits of picture; layer 1 with synchronisation, key index 3.
        let mut payload = [0x90, 0xf0, 0x81, 0x02, 7, 0x63, 0x00, 0xaa];
        let video = read(&payload).unwrap();
        let counters = Vp8 { picture_id: Some(PictureId::Long(0x102)), base_index: Some(7), key_index: Some(3) };
        let expected =
            Video { frame_start: true, key_frame: true, temporal: 1, temporal_sync: true, vp8: Some(counters) };
        assert_eq!(video, expected);
        let other = Vp8 { picture_id: Some(PictureId::Long(0x7fff)), base_index: Some(9), key_index: Some(31) };
        write(&mut payload, other);
        assert_eq!(payload, [0x90, 0xf0, 0xff, 0xff, 9, 0x7f, 0x00, 0xaa]);
        assert_eq!(read(&payload).unwrap().vp8, Some(other));
    }

    #[test]
    fn key_frames_say_how_large_they_are() {
        let frame = [0x10, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x47, 0x38, 0x84, 0x00];
        assert_eq!(size(&frame), Some((1_920, 1_080)), "without what scales it up");
        for len in 0..11 {
            assert_eq!(size(&frame[..len]), None, "{len}");
        }
        let mut other = frame;
        other[1] |= 1;
        assert_eq!(size(&other), None, "no key frame");
    }

    #[test]
    fn short_numbers_and_none_at_all() {
        let mut short = [0x80, 0x80, 5, 0x01];
        assert_eq!(read(&short).unwrap().vp8.unwrap().picture_id, Some(PictureId::Short(5)));
        write(&mut short, Vp8 { picture_id: Some(PictureId::Short(6)), base_index: Some(1), key_index: Some(1) });
        assert_eq!(short, [0x80, 0x80, 6, 0x01]);
        let video = read(&[0x10, 0x01]).unwrap();
        assert_eq!((video.frame_start, video.key_frame, video.vp8), (true, false, Some(Vp8::default())));
        assert!(!read(&[0x11, 0x00]).unwrap().frame_start, "another partition");
    }

    #[test]
    fn what_no_other_frame_needs_is_a_layer_of_its_own() {
        let layer = |payload: &[u8]| read(payload).map(|video| (video.temporal, video.temporal_sync));
        assert_eq!(layer(&[0x30, 0x01]), Some((1, true)));
        assert_eq!(layer(&[0xb0, 0x80, 5, 0x01]), Some((1, true)));
        assert_eq!(layer(&[0xb0, 0x20, 0x00, 0x01]), Some((0, false)), "of the lowest layer, as it says");
        assert_eq!(layer(&[0x90, 0x10, 0xc3, 0x01]), Some((0, false)), "a key frame's number, and no layers");
    }

    #[test]
    fn what_is_cut_off_says_nothing_and_is_left_alone() {
        let whole = [0x90, 0xf0, 0x81, 0x02, 7, 0x63];
        for len in 0..whole.len() {
            let mut cut = whole;
            assert_eq!(read(&cut[..len]), None, "{len}");
            write(&mut cut[..len], Vp8 { picture_id: Some(PictureId::Long(1)), base_index: Some(1), key_index: None });
            assert_eq!(cut, whole);
        }
    }
}
