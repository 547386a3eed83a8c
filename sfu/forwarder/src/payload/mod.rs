//! What the payloads of video say to whoever forwards them: where frames begin, which stand alone, how they are counted.
//!
//! Of a picture nothing is looked at. A payload that says nothing of it (None) is a piece of a frame that began before.

pub mod av1;
pub mod h264;
pub mod vp8;
