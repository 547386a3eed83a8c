//! Payloads of video after decryption: what is written over counters is read again, and nothing else changes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_forwarder::payload::{av1, h264, vp8};
use rookery_forwarder::{PictureId, Vp8};

fuzz_target!(|input: (u16, u8, u8, &[u8])| {
    let (picture, base, key, payload) = input;
    // A frame that stands alone begins.
    for video in [av1::read(payload), h264::read(payload), vp8::read(payload)].into_iter().flatten() {
        assert!(video.frame_start || !video.key_frame);
    }
    let Some(before) = vp8::read(payload) else { return };
    let had = before.vp8.expect("VP8 has counters");
    let picture_id = had.picture_id.map(|id| match id {
        PictureId::Short(_) => PictureId::Short((picture & 0x7f) as u8),
        PictureId::Long(_) => PictureId::Long(picture & 0x7fff),
    });
    let counters =
        Vp8 { picture_id, base_index: had.base_index.map(|_| base), key_index: had.key_index.map(|_| key & 0x1f) };
    let mut written = payload.to_vec();
    vp8::write(&mut written, counters);
    let after = vp8::read(&written).expect("it has the same form");
    assert_eq!(after.vp8, Some(counters));
    assert_eq!((after.frame_start, after.temporal), (before.frame_start, before.temporal));
    vp8::write(&mut written, had);
    assert_eq!(written, payload, "what was there comes back");
});
