//! What clients send when they stop speaking.

/// An Opus frame of silence. Five of them end what somebody says, lest decoders make up what comes after.
///
/// Source: "Voice Data Interpolation" of the API's documentation.
pub const SILENCE_FRAME: [u8; 3] = [0xf8, 0xff, 0xfe];

/// How many of them there are.
pub const SILENCE_FRAMES: usize = 5;

/// Whether a payload is one. It is never encrypted end to end, so it can be told from others in every channel.
pub fn is_silence(payload: &[u8]) -> bool {
    payload == SILENCE_FRAME
}
