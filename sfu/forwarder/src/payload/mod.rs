//! What the payloads of video say to whoever forwards them: where frames begin, which stand alone, how they are counted.
//!
//! Of a picture nothing is looked at but how large it is. A payload that says nothing of it (None) is a piece of a frame that began before.

pub mod av1;
mod bits;
pub mod h264;
pub mod vp8;
