//! Video of a publisher: its layers, and who gets which.

pub(crate) mod allocate;
pub(crate) mod cache;
pub(crate) mod down_track;
pub(crate) mod frame_gate;
pub(crate) mod key_frames;
pub(crate) mod track;

/// Ticks of a video timestamp a second.
pub(crate) const VIDEO_CLOCK_HZ: u32 = 90_000;
