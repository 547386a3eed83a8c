//! Counters of VP8 payload descriptors, continuous over switches of layers and over frames left out.

use crate::packet::Vp8;

/// Distances between incoming and outgoing counters, for one receiver of one publisher.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vp8Rewriter {
    started: bool,
    picture_offset: u16,
    base_offset: u8,
    key_offset: u8,
    last_picture: u16,
    last_base: u8,
    last_key: u8,
    /// The incoming number of the picture that was left out last.
    skipped: Option<u16>,
}

impl Vp8Rewriter {
    /// Goes on with another stream, which begins with this and of which nothing counts as left out.
    pub(crate) fn switch(&mut self, first: Vp8) {
        if self.started {
            if let Some(id) = first.picture_id {
                self.picture_offset = id.value().wrapping_sub(self.last_picture.wrapping_add(1));
            }
            self.base_offset = first.base_index.unwrap_or(0).wrapping_sub(self.last_base.wrapping_add(1));
            self.key_offset = first.key_index.unwrap_or(0).wrapping_sub(self.last_key.wrapping_add(1));
        }
        self.skipped = None;
    }

    /// The counters that go out for these, `pictures` having been left out before.
    pub(crate) fn map(&mut self, incoming: Vp8, pictures: u16, late: bool) -> Vp8 {
        let picture_id =
            incoming.picture_id.map(|id| id.with(id.value().wrapping_sub(self.picture_offset).wrapping_sub(pictures)));
        let base_index = incoming.base_index.map(|index| index.wrapping_sub(self.base_offset));
        let key_index = incoming.key_index.map(|index| index.wrapping_sub(self.key_offset) & 0x1f);
        if !late {
            self.started = true;
            self.last_picture = picture_id.map_or(self.last_picture, |id| id.value());
            self.last_base = base_index.unwrap_or(self.last_base);
            self.last_key = key_index.unwrap_or(self.last_key);
        }
        Vp8 { picture_id, base_index, key_index }
    }

    /// Whether a packet that is left out is the first of its picture that is.
    pub(crate) fn skip(&mut self, incoming: Option<Vp8>, frame_start: bool) -> bool {
        match incoming.and_then(|vp8| vp8.picture_id) {
            Some(id) => self.skipped.replace(id.value()) != Some(id.value()),
            None => frame_start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PictureId;

    fn vp8(picture: u16, base: u8, key: u8) -> Vp8 {
        Vp8 { picture_id: Some(PictureId::Long(picture)), base_index: Some(base), key_index: Some(key) }
    }

    #[test]
    fn counters_go_on_over_a_switch() {
        let mut rewriter = Vp8Rewriter::default();
        rewriter.switch(vp8(100, 7, 1));
        assert_eq!(rewriter.map(vp8(100, 7, 1), 0, false), vp8(100, 7, 1));
        assert_eq!(rewriter.map(vp8(101, 8, 1), 0, false), vp8(101, 8, 1));
        rewriter.switch(vp8(32_767, 200, 31));
        assert_eq!(rewriter.map(vp8(32_767, 200, 31), 0, false), vp8(102, 9, 2));
        assert_eq!(rewriter.map(vp8(0, 201, 31), 0, false), vp8(103, 10, 2));
    }

    #[test]
    fn frames_left_out_leave_no_gap_between_pictures() {
        let mut rewriter = Vp8Rewriter::default();
        rewriter.switch(vp8(100, 7, 1));
        rewriter.map(vp8(100, 7, 1), 0, false);
        assert!(rewriter.skip(Some(vp8(101, 7, 1)), true));
        assert!(!rewriter.skip(Some(vp8(101, 7, 1)), false), "the same picture");
        assert_eq!(rewriter.map(vp8(102, 8, 1), 1, false), vp8(101, 8, 1));
    }

    #[test]
    fn short_numbers_stay_short() {
        let short = |picture| Vp8 { picture_id: Some(PictureId::Short(picture)), base_index: None, key_index: None };
        let mut rewriter = Vp8Rewriter::default();
        rewriter.switch(short(126));
        assert_eq!(rewriter.map(short(126), 0, false), short(126));
        assert_eq!(rewriter.map(short(0), 1, false), short(127));
    }
}
