//! AV1 payloads: the aggregation header (RTP Payload Format for AV1, section 4.4).

use crate::Video;

/// The first unit goes on with what the packet before began.
const CONTINUES: u8 = 0x80;
/// A sequence begins, which stands alone.
const NEW_SEQUENCE: u8 = 0x08;

/// Reads the beginning of a payload.
pub fn read(payload: &[u8]) -> Option<Video> {
    let first = *payload.first()?;
    let frame_start = first & CONTINUES == 0;
    Some(Video { frame_start, key_frame: frame_start && first & NEW_SEQUENCE != 0, ..Video::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_begin_where_the_header_says_so() {
        let read = |first| read(&[first, 0]).map(|video| (video.frame_start, video.key_frame));
        assert_eq!([0x18, 0x10, 0x98].map(read), [Some((true, true)), Some((true, false)), Some((false, false))]);
        assert_eq!(super::read(&[]), None);
    }
}
