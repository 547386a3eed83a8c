//! How many frames a second of a stream are sent on.
//!
//! A frame of a higher temporal layer, or one that no other needs, can be left out: those that stay decode as before. So of
//! what is too fast as many of these are left out as it takes. Where frames of the lowest layer alone are too many, leaving
//! some out would break the others: then nothing of the layer goes anywhere, until a key frame of one that is slow enough.
//!
//! Frames are told apart, and their pace is taken, by RTP timestamps: what the network holds up does not make a stream fast. A
//! publisher's clock is believed as far as it agrees with the time that passes here.

use crate::packet::{Packet, Video};
use crate::video::VIDEO_CLOCK_HZ;

/// What a frame costs of a budget that is filled by a frame rate times ticks of the clock.
const FRAME: i64 = VIDEO_CLOCK_HZ as i64;
/// Frames that may come at once without one being left out.
const BURST: i64 = 4;
/// The lowest layer may be so much over the rate: a clock that is a little fast.
const TOLERANCE_PERCENT: i64 = 120;
/// And run so far ahead of it before it is cut off, and be so far back in it before it may come again.
const PATIENCE_SECONDS: i64 = 2;
/// Ticks by which the publisher's clock may be ahead of the time that passed here: what waited on the way and came at once.
const AHEAD_MAX: u64 = VIDEO_CLOCK_HZ as u64;
/// The highest temporal layer that packets tell of.
const TEMPORAL_MAX: u8 = 3;
/// Frames whose packets may still come.
const REMEMBERED: usize = 8;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Pace {
    #[default]
    Fits,
    /// It is of a frame that is left out, which nobody misses.
    LeftOut,
    /// It is of a layer that is too fast as a whole.
    TooFast,
}

/// Lets no more frames of one layer through than were granted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameGate {
    /// What frames that can be left out may still take; those that cannot take it too, down to less than nothing.
    spare: i64,
    /// What the lowest layer may still take.
    base: i64,
    is_cut_off: bool,
    /// Temporal layers from this one on wait for a frame that needs only what is lower.
    waits_from: Option<u8>,
    recent: [Option<(u32, Pace)>; REMEMBERED],
    newest: usize,
    /// Since when the publisher's clock is held against the time that passes, and what it has passed.
    begun_us: Option<u64>,
    ticks: u64,
}

impl FrameGate {
    /// Takes a packet; and whether the layer is cut off with this one.
    pub(crate) fn take(&mut self, now_us: u64, packet: &Packet, video: &Video, frames_per_second: u8) -> (Pace, bool) {
        let timestamp = packet.timestamp;
        if let Some((_, pace)) = self.recent.iter().flatten().find(|(known, _)| *known == timestamp) {
            return (*pace, false);
        }
        let rate = i64::from(frames_per_second);
        let full = PATIENCE_SECONDS * rate * FRAME;
        let Some(begun_us) = self.begun_us else {
            self.begun_us = Some(now_us);
            (self.spare, self.base) = (BURST * FRAME, full);
            return (self.decide(timestamp, video, full), false);
        };
        let newest = self.recent[self.newest].map_or(timestamp, |(newest, _)| newest);
        let passed = timestamp.wrapping_sub(newest);
        if passed >= 1 << 31 {
            // Of a frame before those that are remembered: whether it has a number still is known further on.
            return (if self.is_cut_off { Pace::TooFast } else { Pace::Fits }, false);
        }
        let limit = now_us.saturating_sub(begun_us).saturating_mul(u64::from(VIDEO_CLOCK_HZ)) / 1_000_000 + AHEAD_MAX;
        let passed = u64::from(passed).min(limit.saturating_sub(self.ticks));
        self.ticks += passed;
        // A minute fills any budget.
        let passed = i64::try_from(passed.min(60 * u64::from(VIDEO_CLOCK_HZ))).unwrap_or(i64::MAX);
        self.spare = (self.spare + passed * rate).min(BURST * FRAME);
        self.base = (self.base + passed * rate * TOLERANCE_PERCENT / 100).min(full);
        let was_cut_off = self.is_cut_off;
        let pace = self.decide(timestamp, video, full);
        (pace, self.is_cut_off && !was_cut_off)
    }

    /// Decides about the first packet that comes of a frame.
    fn decide(&mut self, timestamp: u32, video: &Video, full: i64) -> Pace {
        let pace = if video.temporal > 0 { self.decide_higher(video) } else { self.decide_lowest(video, full) };
        self.newest = (self.newest + 1) % REMEMBERED;
        self.recent[self.newest] = Some((timestamp, pace));
        pace
    }

    fn decide_lowest(&mut self, video: &Video, full: i64) -> Pace {
        let begins_anew = video.key_frame && video.frame_start;
        // For a while it was slow enough, or nothing came.
        if self.is_cut_off && begins_anew && self.base * 2 >= full {
            self.is_cut_off = false;
        }
        if begins_anew {
            self.waits_from = None;
        }
        let owed = -(full / PATIENCE_SECONDS);
        self.spare = (self.spare - FRAME).max(owed);
        self.is_cut_off |= self.base < FRAME;
        self.base = (self.base - FRAME).max(0);
        if self.is_cut_off { Pace::TooFast } else { Pace::Fits }
    }

    fn decide_higher(&mut self, video: &Video) -> Pace {
        if self.is_cut_off {
            return Pace::TooFast;
        }
        let waits = self.waits_from.is_some_and(|from| video.temporal >= from);
        if waits && !video.temporal_sync {
            return Pace::LeftOut;
        }
        if self.spare < FRAME {
            self.waits_from = Some(self.waits_from.map_or(video.temporal, |from| from.min(video.temporal)));
            return Pace::LeftOut;
        }
        self.spare -= FRAME;
        if self.waits_from == Some(video.temporal) {
            // Its own layer goes on from here; what is above may still need what was left out.
            self.waits_from = Some(video.temporal.saturating_add(1)).filter(|from| *from <= TEMPORAL_MAX);
        }
        Pace::Fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ssrc;
    use crate::packet::Payload;

    const KEY: Video = Video { frame_start: true, key_frame: true, temporal: 0, temporal_sync: false, vp8: None };

    fn layer(temporal: u8, temporal_sync: bool) -> Video {
        Video { key_frame: false, temporal, temporal_sync, ..KEY }
    }

    /// A publisher, its clock and the time here.
    struct Source {
        gate: FrameGate,
        now_us: u64,
        timestamp: u32,
        cuts: usize,
    }

    impl Source {
        fn new() -> Self {
            // Its clock goes round soon.
            Self { gate: FrameGate::default(), now_us: 7_000_000, timestamp: u32::MAX - 45_000, cuts: 0 }
        }

        fn packet(&mut self, timestamp: u32, video: Video) -> Pace {
            let payload = Payload::Video(video);
            let packet =
                Packet { ssrc: Ssrc(1), sequence: 0, timestamp, marker: true, length_bytes: 900, hops: 0, payload };
            let (pace, is_cut) = self.gate.take(self.now_us, &packet, &video, 30);
            self.cuts += usize::from(is_cut);
            pace
        }

        /// A frame of two packets, the next one so many ticks later.
        fn frame(&mut self, video: Video, ticks: u32) -> Pace {
            let pace = self.packet(self.timestamp, video);
            let rest = Video { frame_start: false, key_frame: false, ..video };
            assert_eq!(self.packet(self.timestamp, rest), pace, "a frame is whole or not there");
            self.timestamp = self.timestamp.wrapping_add(ticks);
            self.now_us += u64::from(ticks) * 100 / 9;
            pace
        }

        /// So many seconds of such frames a second, of which the first needs no other; how many are sent on.
        fn run(&mut self, seconds: u32, fps: u32, pattern: &[Video]) -> usize {
            let frames = 0..seconds * fps;
            let video = |n: u32| if n == 0 { KEY } else { pattern[n as usize % pattern.len()] };
            frames.filter(|n| self.frame(video(*n), 90_000 / fps) == Pace::Fits).count()
        }
    }

    #[test]
    fn at_the_granted_rate_and_a_little_over_it_nothing_is_left_out() {
        for fps in [5, 24, 30, 33, 36] {
            let mut source = Source::new();
            assert_eq!(source.run(120, fps, &[layer(0, false)]), (120 * fps) as usize, "{fps} a second");
        }
        let mut source = Source::new();
        assert_eq!(source.run(120, 30, &[layer(0, false), layer(1, true)]), 3_600, "in two layers");
    }

    #[test]
    fn of_two_layers_only_as_many_frames_of_the_higher_one_are_sent_on_as_fit() {
        let pattern = [layer(0, false), layer(1, true)];
        for (fps, least) in [(60, 300), (45, 290), (40, 290), (32, 290)] {
            let mut source = Source::new();
            let sent = source.run(10, fps, &pattern);
            assert!((least..=305).contains(&sent), "{sent} of {fps} a second");
            assert_eq!(source.cuts, 0);
        }
    }

    #[test]
    fn nothing_is_sent_on_that_needs_what_was_left_out() {
        // As encoders do it: 0 2 1 2, where of the third layer every second frame needs the second layer, which needs itself.
        let pattern = [layer(0, false), layer(2, true), layer(1, false), layer(2, false)];
        let mut source = Source::new();
        // The newest frame of each layer that was sent on, as a decoder has it; and whether the newest of all was.
        let (mut has_second, mut lost) = (true, 0);
        for n in 0..1_200_usize {
            let mut video = if n == 0 { KEY } else { pattern[n % 4] };
            // Now and then the second layer begins anew.
            video.temporal_sync |= n % 40 == 2;
            let fits = source.frame(video, 1_500) == Pace::Fits;
            lost += usize::from(!fits);
            match (video.temporal, video.temporal_sync) {
                (0, _) => assert!(fits, "all others need it"),
                (1, is_sync) => {
                    assert!(!fits || is_sync || has_second, "frame {n} needs one that was left out");
                    has_second = fits;
                }
                (_, is_sync) => assert!(!fits || is_sync || has_second, "frame {n} needs one that was left out"),
            }
        }
        assert!((590..=900).contains(&lost), "{lost} of 60 a second");
        assert_eq!(source.cuts, 0);
    }

    #[test]
    fn a_lowest_layer_that_is_too_fast_goes_nowhere_until_it_begins_anew_and_slower() {
        let mut source = Source::new();
        let sent = source.run(10, 60, &[layer(0, false)]);
        assert!((120..=180).contains(&sent), "{sent} before it was noticed");
        assert_eq!(source.cuts, 1);
        assert_eq!(source.frame(layer(1, true), 1_500), Pace::TooFast);
        assert_eq!(source.frame(KEY, 1_500), Pace::TooFast, "it is no slower");
        // Slower, but it does not begin anew.
        assert!((0..300).all(|_| source.frame(layer(0, false), 3_000) == Pace::TooFast));
        assert_eq!(source.run(10, 30, &[layer(0, false)]), 300);
        assert_eq!(source.cuts, 1);
    }

    #[test]
    fn what_the_network_held_up_is_not_fast() {
        let mut source = Source::new();
        assert_eq!(source.run(10, 30, &[layer(0, false), layer(1, true)]), 300);
        // A second of it comes at once, a second late.
        source.now_us += 1_000_000;
        for n in 0..30 {
            assert_eq!(source.packet(source.timestamp.wrapping_add(n * 3_000), layer((n % 2) as u8, true)), Pace::Fits);
        }
        assert_eq!(source.cuts, 0);
    }

    #[test]
    fn a_clock_that_runs_ahead_makes_nothing_slower() {
        let mut source = Source::new();
        let mut sent = 0;
        // 60 frames a second that say they are 30.
        for _ in 0..1_200 {
            sent += usize::from(source.frame(layer(0, false), 3_000) == Pace::Fits);
            source.now_us -= 16_667;
        }
        assert_eq!(source.cuts, 1);
        assert!(sent < 400, "{sent} were sent on");
        // And one that jumps fills no budget twice.
        let mut source = Source::new();
        let jumps = (0..1_000_u32).filter(|n| {
            let fits = source.packet(n.wrapping_mul(90_000_000), layer(1, true)) == Pace::Fits;
            source.now_us += 16_667;
            fits
        });
        let sent = jumps.count();
        assert!((450..=600).contains(&sent), "{sent} in sixteen seconds and what it may be ahead");
    }

    #[test]
    fn late_packets_are_as_their_frame_was() {
        let mut source = Source::new();
        let mut paces = Vec::new();
        for n in 0..40_u32 {
            let timestamp = source.timestamp;
            paces.push((timestamp, source.frame(layer((n % 2) as u8, true), 1_500)));
            if n >= 3 {
                let (late, pace) = paces[n as usize - 3];
                assert_eq!(source.packet(late, layer(((n - 3) % 2) as u8, true)), pace);
            }
        }
        assert!(paces.iter().any(|(_, pace)| *pace == Pace::LeftOut));
    }
}
