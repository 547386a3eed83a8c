//! What goes to one receiver: how much it can take, what waits, and what it watches.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::bandwidth::{BandwidthConfig, Estimator, SendHistory};
use crate::config::{PacerConfig, VideoConfig};
use crate::packet::Header;
use crate::{Layer, MemberKey};

/// How a receiver tells what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Feedback {
    /// Not at all, as bots' libraries.
    #[default]
    None,
    /// Its own estimate (REMB).
    ReceiverEstimate,
    /// Arrival times by transport-wide sequence numbers, which every packet to it carries.
    TransportWide,
}

/// A packet that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub publisher: MemberKey,
    pub layer: Layer,
    /// Under which it arrived.
    pub incoming: u16,
    pub header: Header,
    pub length_bytes: u16,
    /// Links that it has crossed.
    pub hops: u8,
    pub queued_us: u64,
    /// For retransmissions in a stream of their own, the number of what they replace.
    pub original: Option<u16>,
    pub retransmission: bool,
}

/// Spreads bursts over time. Audio passes at once, and is counted.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// Bits, times a million.
    budget: i64,
    refilled_us: u64,
    queue: VecDeque<Waiting>,
    retransmissions: VecDeque<Waiting>,
}

const MICRO: i64 = 1_000_000;
/// Retransmissions that wait for one receiver.
const RETRANSMISSIONS_MAX: usize = 64;

impl Pacer {
    fn refill(&mut self, now_us: u64, bps: u64, burst_us: u64) {
        let bps = i64::try_from(bps.min(10_000_000_000)).unwrap_or(i64::MAX / MICRO);
        let burst_us = i64::try_from(burst_us).unwrap_or(MICRO);
        let passed_us = i64::try_from(now_us.saturating_sub(self.refilled_us)).unwrap_or(MICRO).min(MICRO);
        self.refilled_us = self.refilled_us.max(now_us);
        self.budget = (self.budget + bps * passed_us).min(bps * burst_us);
    }

    fn charge(&mut self, length_bytes: u16) {
        // Half a second of a slow path's debt at most, or audio alone could silence video for long.
        self.budget = (self.budget - i64::from(length_bytes) * 8 * MICRO).max(-400_000 * MICRO);
    }

    fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.retransmissions.is_empty()
    }

    /// The next packet that may go now.
    fn pop(&mut self) -> Option<Waiting> {
        if self.budget < 0 {
            return None;
        }
        let waiting = self.retransmissions.pop_front().or_else(|| self.queue.pop_front())?;
        self.charge(waiting.length_bytes);
        Some(waiting)
    }
}

/// Whether a packet goes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    Waits,
    /// Too much waits already.
    Full,
}

/// A burst under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeRun {
    pub left_bytes: u32,
    pub bps: u64,
    pub sent_us: u64,
}

/// The way to one receiver.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub estimator: Option<Box<Estimator>>,
    pub history: Option<SendHistory>,
    pub pacer: Pacer,
    pub subscriptions: SmallVec<[MemberKey; 2]>,
    /// What it would take if there were enough.
    pub wanted_bps: u64,
    /// The estimate by which layers were chosen last.
    pub allocated_bps: u64,
    pub probe: Option<ProbeRun>,
    /// Whether it is in the room's list of those for whom something waits.
    pub listed: bool,
    /// Whether it is the way to another node.
    pub is_link: bool,
}

impl Outlet {
    pub(crate) fn new(feedback: Feedback, config: &BandwidthConfig) -> Self {
        let estimator = (feedback != Feedback::None).then(|| Box::new(Estimator::new(config)));
        let history = (feedback == Feedback::TransportWide).then(SendHistory::default);
        Self {
            estimator,
            history,
            pacer: Pacer::default(),
            subscriptions: SmallVec::new(),
            wanted_bps: 0,
            allocated_bps: 0,
            probe: None,
            listed: false,
            is_link: false,
        }
    }

    pub(crate) fn bps(&self, config: &VideoConfig) -> u64 {
        let assumed_bps = if self.is_link { config.link_bps } else { config.unreported_bps };
        self.estimator.as_ref().map_or(assumed_bps, |estimator| estimator.bps())
    }

    fn pace_bps(&self, pacer: &PacerConfig, video: &VideoConfig) -> u64 {
        let bps = self.bps(video) * u64::from(pacer.rate_percent) / 100;
        self.probe.map_or(bps, |probe| probe.bps.max(bps))
    }

    /// The transport-wide number of a packet that goes now.
    #[inline]
    pub(crate) fn number(&mut self, now_us: u64, length_bytes: u16, probe: bool) -> Option<u16> {
        self.history.as_mut().map(|history| history.push(now_us, length_bytes, probe))
    }

    /// Counts a packet of audio, which never waits.
    #[inline]
    pub(crate) fn pass_audio(&mut self, now_us: u64, length_bytes: u16) -> Option<u16> {
        self.pacer.charge(length_bytes);
        self.number(now_us, length_bytes, false)
    }

    /// Whether a packet of video goes now.
    pub(crate) fn admit(
        &mut self,
        now_us: u64,
        waiting: impl FnOnce() -> Waiting,
        length_bytes: u16,
        pacer: &PacerConfig,
        video: &VideoConfig,
    ) -> Admission {
        let bps = self.pace_bps(pacer, video);
        self.pacer.refill(now_us, bps, pacer.burst_us);
        if self.pacer.budget >= 0 && !self.pacer.is_waiting() {
            self.pacer.charge(length_bytes);
            return Admission::Now;
        }
        if self.pacer.queue.len() >= pacer.queue_packets_max {
            return Admission::Full;
        }
        self.pacer.queue.push_back(waiting());
        Admission::Waits
    }

    /// Puts a retransmission before everything else that waits; false if too many do.
    pub(crate) fn queue_retransmission(&mut self, waiting: Waiting) -> bool {
        let fits = self.pacer.retransmissions.len() < RETRANSMISSIONS_MAX;
        if fits {
            self.pacer.retransmissions.push_back(waiting);
        }
        fits
    }

    /// The next packet that may go now.
    pub(crate) fn pop(&mut self, now_us: u64, pacer: &PacerConfig, video: &VideoConfig) -> Option<Waiting> {
        let bps = self.pace_bps(pacer, video);
        self.pacer.refill(now_us, bps, pacer.burst_us);
        self.pacer.pop()
    }

    /// Whether a packet of video waits for its first time.
    pub(crate) fn holds(&self, publisher: MemberKey, outgoing: u16) -> bool {
        self.pacer.queue.iter().any(|waiting| waiting.publisher == publisher && waiting.header.sequence == outgoing)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.pacer.is_waiting() || self.probe.is_some()
    }

    /// Forgets what waits of a publisher.
    pub(crate) fn forget(&mut self, publisher: MemberKey) {
        self.pacer.queue.retain(|waiting| waiting.publisher != publisher);
        self.pacer.retransmissions.retain(|waiting| waiting.publisher != publisher);
    }

    pub(crate) fn waiting_packets(&self) -> usize {
        self.pacer.queue.len() + self.pacer.retransmissions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ssrc;

    fn waiting() -> Waiting {
        let header = Header { ssrc: Ssrc(1), sequence: 0, timestamp: 0, marker: false, vp8: None };
        Waiting {
            publisher: MemberKey { index: 0, generation: 0 },
            layer: Layer(0),
            incoming: 0,
            header,
            length_bytes: 1_200,
            hops: 0,
            queued_us: 0,
            original: None,
            retransmission: false,
        }
    }

    fn outlet(bps: u64) -> (Outlet, PacerConfig, VideoConfig) {
        let video = VideoConfig { unreported_bps: bps, ..VideoConfig::default() };
        let pacer = PacerConfig { rate_percent: 100, ..PacerConfig::default() };
        (Outlet::new(Feedback::None, &BandwidthConfig::default()), pacer, video)
    }

    #[test]
    fn a_burst_is_spread_over_the_rate() {
        let (mut outlet, pacer, video) = outlet(960_000);
        let mut sent = 0;
        for _ in 0..100 {
            sent += u32::from(outlet.admit(1_000_000, waiting, 1_200, &pacer, &video) == Admission::Now);
        }
        assert!(sent <= 3, "{sent} at once");
        let mut ended_us = 0;
        for tick in 1..400_u64 {
            while outlet.pop(1_000_000 + tick * 5_000, &pacer, &video).is_some() {
                ended_us = tick * 5_000;
            }
        }
        // 120,000 bytes are 960,000 bits.
        assert!((900_000..=1_050_000).contains(&ended_us), "{ended_us}");
    }

    #[test]
    fn the_queue_is_bounded_and_retransmissions_go_first() {
        let (mut outlet, pacer, video) = outlet(100_000);
        let results: Vec<_> = (0..300).map(|_| outlet.admit(0, waiting, 1_200, &pacer, &video)).collect();
        assert_eq!(results.iter().filter(|r| **r == Admission::Full).count(), 300 - 256 - 1);
        for _ in 0..RETRANSMISSIONS_MAX {
            assert!(outlet.queue_retransmission(Waiting { retransmission: true, ..waiting() }));
        }
        assert!(!outlet.queue_retransmission(waiting()));
        assert!(outlet.pop(10_000_000, &pacer, &video).unwrap().retransmission);
        outlet.forget(waiting().publisher);
        assert_eq!(outlet.waiting_packets(), 0);
    }

    #[test]
    fn audio_takes_from_what_video_may_use() {
        let (mut outlet, pacer, video) = outlet(960_000);
        for n in 0..200_u64 {
            outlet.pass_audio(n * 1_000, 150);
        }
        assert_eq!(outlet.admit(200_000, waiting, 1_200, &pacer, &video), Admission::Waits);
    }
}
