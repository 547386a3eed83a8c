//! What a room gives up under load, step by step, and takes back. Members stay, whatever the load.

use crate::Layer;
use crate::config::OverloadConfig;
use crate::video::allocate::Caps;

/// How much a room has given up, from nothing to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Quality {
    #[default]
    Full,
    /// The highest temporal layer of video is left out: half of the frames.
    FewerFrames,
    /// Nobody gets more than the middle layer.
    MiddleVideo,
    /// Nobody gets more than the smallest layer.
    SmallVideo,
    /// No video, except in rooms of a stream, which are there for it.
    NoVideo,
    /// Half as many speakers are heard at once.
    FewerSpeakers,
    /// A quarter as many.
    FewSpeakers,
}

impl Quality {
    const ALL: [Self; 7] = [
        Self::Full,
        Self::FewerFrames,
        Self::MiddleVideo,
        Self::SmallVideo,
        Self::NoVideo,
        Self::FewerSpeakers,
        Self::FewSpeakers,
    ];

    fn worse(self) -> Self {
        Self::ALL.get(self as usize + 1).copied().unwrap_or(Self::FewSpeakers)
    }
    fn better(self) -> Self {
        Self::ALL.get((self as usize).wrapping_sub(1)).copied().unwrap_or(Self::Full)
    }

    pub(crate) fn caps(self, is_stream: bool) -> Caps {
        let temporal = if self >= Self::FewerFrames { 1 } else { u8::MAX };
        let layer = match self {
            Self::Full | Self::FewerFrames => Some(Layer(u8::MAX - 1)),
            Self::MiddleVideo => Some(Layer(1)),
            Self::SmallVideo => Some(Layer(0)),
            _ if is_stream => Some(Layer(0)),
            _ => None,
        };
        Caps { layer, temporal }
    }

    pub(crate) fn speakers(self, full: usize) -> usize {
        match self {
            Self::FewerSpeakers => full.div_ceil(2),
            Self::FewSpeakers => full.div_ceil(4),
            _ => full,
        }
    }
}

/// Follows the utilisation of whatever is scarce.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overload {
    quality: Quality,
    above_since_us: Option<u64>,
    below_since_us: Option<u64>,
}

impl Overload {
    pub(crate) fn quality(&self) -> Quality {
        self.quality
    }

    /// Takes a measurement, in thousandths of what there is; the new quality if it changes.
    pub(crate) fn note(&mut self, now_us: u64, utilisation_permille: u16, config: &OverloadConfig) -> Option<Quality> {
        let above = utilisation_permille >= config.down_permille;
        let below = utilisation_permille < config.up_permille;
        self.above_since_us = above.then_some(self.above_since_us.unwrap_or(now_us));
        self.below_since_us = below.then_some(self.below_since_us.unwrap_or(now_us));
        let passed =
            |since_us: Option<u64>, needed_us| since_us.is_some_and(|at| now_us.saturating_sub(at) >= needed_us);
        let next = if passed(self.above_since_us, config.down_after_us) {
            self.above_since_us = Some(now_us);
            self.quality.worse()
        } else if passed(self.below_since_us, config.up_after_us) {
            self.below_since_us = Some(now_us);
            self.quality.better()
        } else {
            self.quality
        };
        (next != self.quality).then(|| {
            self.quality = next;
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_down_quickly_and_up_slowly_and_stays_between() {
        let (config, mut overload) = (OverloadConfig::default(), Overload::default());
        let mut now_us = 0;
        let mut run = |seconds: u64, permille| {
            for _ in 0..seconds * 10 {
                now_us += 100_000;
                overload.note(now_us, permille, &config);
            }
            overload.quality()
        };
        assert_eq!(run(10, 700), Quality::Full);
        assert_eq!(run(2, 900), Quality::SmallVideo);
        assert_eq!(run(60, 700), Quality::SmallVideo, "neither high nor low");
        assert_eq!(run(10, 950), Quality::FewSpeakers, "and nothing beyond");
        assert_eq!(run(12, 300), Quality::NoVideo);
        assert_eq!(run(60, 300), Quality::Full);
    }

    #[test]
    fn somebody_is_always_heard_and_a_stream_always_seen() {
        for quality in Quality::ALL {
            assert!(quality.speakers(1) >= 1);
            assert!(quality.caps(true).layer.is_some());
        }
        assert_eq!(Quality::NoVideo.caps(false).layer, None);
        assert_eq!((Quality::FewerSpeakers.speakers(10), Quality::FewSpeakers.speakers(10)), (5, 3));
    }
}
