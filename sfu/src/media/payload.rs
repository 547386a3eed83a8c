//! Payloads by the codec that a member agreed to.

use rookery_forwarder::payload::{av1, h264, vp8};
use rookery_forwarder::{Video, Vp8};
use rookery_webrtc::Codec;

/// Reads the beginning of a payload. One that says nothing is a piece of a frame that began before.
pub(super) fn read(codec: Codec, payload: &[u8]) -> Video {
    match codec {
        Codec::Vp8 => vp8::read(payload).unwrap_or_default(),
        Codec::H264 => h264::read(payload).unwrap_or_default(),
        Codec::Av1 => av1::read(payload).unwrap_or_default(),
        Codec::Opus => Video::default(),
    }
}

/// Writes the counters of a payload descriptor over those that are there, in the same form.
pub(super) fn rewrite(codec: Codec, payload: &mut [u8], counters: Vp8) {
    if codec == Codec::Vp8 {
        vp8::write(payload, counters);
    }
}
