//! Go Live: a member's screen in a room of its own, to a limited audience, in a quality that the guild's tier allows.

use rookery_model::UserId;

use crate::Layer;
use crate::ids::LAYERS_MAX;
use crate::video::frame_gate::FrameGate;

/// What a deployment or a guild's tier lets streams be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPolicy {
    pub viewers_max: usize,
    pub best: VideoMode,
    /// A stream may take so much, in bits per second, for its largest layer.
    pub bps_max: u64,
}

/// The size and speed of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoMode {
    pub width: u16,
    pub height: u16,
    pub frames_per_second: u8,
}

impl VideoMode {
    pub const HD_30: Self = Self { width: 1_280, height: 720, frames_per_second: 30 };
    pub const FULL_HD_60: Self = Self { width: 1_920, height: 1_080, frames_per_second: 60 };
}

impl StreamPolicy {
    /// 720p at 30 frames a second, for 50 viewers.
    pub const STANDARD: Self = Self { viewers_max: 50, best: VideoMode::HD_30, bps_max: 4_000_000 };
    /// 1080p at 60 frames a second, for 50 viewers.
    pub const BOOSTED: Self = Self { viewers_max: 50, best: VideoMode::FULL_HD_60, bps_max: 9_000_000 };

    /// What a stream gets that asks for this: no side longer than the best mode's, whichever way the picture is turned, its
    /// proportions kept, and no more frames.
    pub fn grant(&self, asked: VideoMode) -> VideoMode {
        let (long, short) = (asked.width.max(asked.height).max(1), asked.width.min(asked.height).max(1));
        let (best_long, best_short) = (self.best.width.max(self.best.height), self.best.width.min(self.best.height));
        // As a fraction of two integers, the smaller one of both limits.
        let by_long = (u64::from(best_long), u64::from(long));
        let by_short = (u64::from(best_short), u64::from(short));
        let (to, from) = if by_long.0 * by_short.1 <= by_short.0 * by_long.1 { by_long } else { by_short };
        let scale = |side: u16| if to >= from { side } else { ((u64::from(side) * to / from) as u16 & !1).max(2) };
        VideoMode {
            width: scale(asked.width),
            height: scale(asked.height),
            frames_per_second: asked.frames_per_second.min(self.best.frames_per_second),
        }
    }
}

/// What a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomKind {
    /// A voice channel, a stage, or a call: everybody may have something to say.
    Voice,
    /// One member's stream, which others watch.
    Stream { streamer: UserId, policy: StreamPolicy },
}

/// Room over the granted rate, for key frames and for what a pacer of the publisher lets go at once.
const TOLERANCE_PERCENT: u64 = 150;
const BURST_US: i64 = 1_000_000;

/// Lets no more through than was granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policer {
    /// Bits, times a million.
    budget: i64,
    bps: i64,
    refilled_us: u64,
    /// By layer.
    gates: [FrameGate; LAYERS_MAX],
}

impl Policer {
    pub(crate) fn new(now_us: u64, policy: &StreamPolicy) -> Self {
        let bps = i64::try_from(policy.bps_max.saturating_mul(TOLERANCE_PERCENT) / 100).unwrap_or(i64::MAX / BURST_US);
        let bps = bps.min(10_000_000_000);
        Self { budget: bps * BURST_US, bps, refilled_us: now_us, gates: [FrameGate::default(); LAYERS_MAX] }
    }

    /// How many frames a second are let through of a layer.
    pub(crate) fn gate(&mut self, layer: Layer) -> Option<&mut FrameGate> {
        self.gates.get_mut(layer.index())
    }

    /// Whether a packet is within what was granted.
    pub(crate) fn admit(&mut self, now_us: u64, length_bytes: u16) -> bool {
        let passed_us = i64::try_from(now_us.saturating_sub(self.refilled_us)).unwrap_or(i64::MAX).min(BURST_US);
        self.refilled_us = now_us;
        self.budget = (self.budget + self.bps * passed_us).min(self.bps * BURST_US);
        let cost = i64::from(length_bytes) * 8 * 1_000_000;
        let fits = self.budget >= cost;
        if fits {
            self.budget -= cost;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_scaled_to_what_the_tier_allows() {
        let mode = |width, height, frames_per_second| VideoMode { width, height, frames_per_second };
        let grant = |asked| StreamPolicy::STANDARD.grant(asked);
        assert_eq!(grant(VideoMode::FULL_HD_60), VideoMode::HD_30);
        assert_eq!(grant(mode(1_080, 1_920, 15)), mode(720, 1_280, 15), "upright");
        assert_eq!(grant(mode(640, 360, 30)), mode(640, 360, 30), "never larger");
        assert_eq!(grant(mode(3_440, 1_440, 60)), mode(1_280, 534, 30));
        assert_eq!(grant(mode(0, 0, 0)), mode(0, 0, 0));
        assert_eq!(StreamPolicy::BOOSTED.grant(VideoMode::FULL_HD_60), VideoMode::FULL_HD_60);
    }

    #[test]
    fn more_bits_than_granted_do_not_pass() {
        let mut policer = Policer::new(0, &StreamPolicy { bps_max: 1_000_000, ..StreamPolicy::STANDARD });
        let passed: u64 = (0..10_000_u64).filter(|n| policer.admit(n * 1_000, 1_000)).map(|_| 8_000).sum();
        assert!((15_000_000..=16_600_000).contains(&passed), "{passed} bits in ten seconds and a burst");
    }
}
