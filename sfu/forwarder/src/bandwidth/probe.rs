//! Short bursts above the estimate, which show what the path carries beyond what is sent anyway.

use super::{BandwidthConfig, ProbePlan};

/// How long a burst takes.
const BURST_US: u64 = 15_000;
const PACKETS_MIN: u32 = 5;
/// A burst whose reports do not come within this time found nothing.
const REPORT_WITHIN_US: u64 = 1_000_000;
/// The share of a burst that has to be reported.
const REPORTED_PERCENT: u64 = 80;
const BACKOFF_MAX: u32 = 16;

#[derive(Clone, Debug)]
pub(super) struct Probe {
    interval_us: u64,
    max_bps: u64,
    backoff: u32,
    next_us: u64,
    burst: Option<Burst>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    started_us: u64,
    bytes_planned: u32,
    before_bps: u64,
    bytes: u32,
    packets: u32,
    first_sent_us: u64,
    last_sent_us: u64,
    /// Of all that left last at one moment.
    last_length: u32,
    first_arrived_us: u64,
    first_length: u32,
    last_arrived_us: u64,
}

impl Probe {
    pub(super) fn new(config: &BandwidthConfig) -> Self {
        Self { interval_us: config.probe_interval_us, max_bps: config.max_bps, backoff: 1, next_us: 0, burst: None }
    }

    pub(super) fn start(&mut self, now_us: u64, estimate_bps: u64, wanted_bps: u64) -> Option<ProbePlan> {
        if self.burst.is_some_and(|burst| now_us.saturating_sub(burst.started_us) > REPORT_WITHIN_US) {
            self.end(now_us, false);
        }
        if now_us < self.next_us || self.burst.is_some() {
            return None;
        }
        let bps = (estimate_bps * 2).min(wanted_bps.saturating_mul(2)).min(self.max_bps);
        let bytes = u32::try_from(bps * BURST_US / 8_000_000).unwrap_or(u32::MAX).max(PACKETS_MIN * 1_000);
        self.burst = Some(Burst {
            started_us: now_us,
            bytes_planned: bytes,
            before_bps: estimate_bps,
            bytes: 0,
            packets: 0,
            first_sent_us: u64::MAX,
            last_sent_us: 0,
            last_length: 0,
            first_arrived_us: u64::MAX,
            first_length: 0,
            last_arrived_us: 0,
        });
        Some(ProbePlan { bytes, bps })
    }

    /// Puts the next probe off: the path is full.
    pub(super) fn defer(&mut self, now_us: u64) {
        self.next_us = self.next_us.max(now_us + self.interval_us);
    }

    pub(super) fn note(&mut self, sent_us: u64, arrived_us: u64, length_bytes: u32) {
        let Some(burst) = &mut self.burst else { return };
        if sent_us < burst.started_us {
            return;
        }
        burst.bytes = burst.bytes.saturating_add(length_bytes);
        burst.packets += 1;
        burst.first_sent_us = burst.first_sent_us.min(sent_us);
        if sent_us == burst.last_sent_us {
            burst.last_length = burst.last_length.saturating_add(length_bytes);
        } else if sent_us > burst.last_sent_us {
            (burst.last_sent_us, burst.last_length) = (sent_us, length_bytes);
        }
        if arrived_us < burst.first_arrived_us {
            (burst.first_arrived_us, burst.first_length) = (arrived_us, length_bytes);
        }
        burst.last_arrived_us = burst.last_arrived_us.max(arrived_us);
    }

    /// What a burst found that has been reported.
    pub(super) fn take_result(&mut self, now_us: u64) -> Option<u64> {
        let burst = self.burst?;
        let reported = u64::from(burst.bytes) * 100 >= u64::from(burst.bytes_planned) * REPORTED_PERCENT;
        if !reported || burst.packets < PACKETS_MIN {
            return None;
        }
        let bits = |bytes: u32| f64::from(bytes) * 8.0 * 1e6;
        let sent_us = (burst.last_sent_us - burst.first_sent_us) as f64;
        let arrived_us = (burst.last_arrived_us - burst.first_arrived_us) as f64;
        // What left at once says how fast it arrived alone.
        let sent_bps = if sent_us > 0.0 { bits(burst.bytes - burst.last_length) / sent_us } else { f64::MAX };
        let arrived_bps = if arrived_us > 0.0 { bits(burst.bytes - burst.first_length) / arrived_us } else { f64::MAX };
        let slower = sent_bps.min(arrived_bps);
        // Clearly slower on arrival: that is the path, and a little below it there is no queue.
        let found = if arrived_bps < 0.9 * sent_bps { 0.95 * arrived_bps } else { slower };
        let found = if found.is_finite() && found < self.max_bps as f64 { found as u64 } else { 0 };
        self.end(now_us, found > burst.before_bps + burst.before_bps / 10);
        (found > burst.before_bps).then_some(found)
    }

    fn end(&mut self, now_us: u64, found_more: bool) {
        self.burst = None;
        self.backoff = if found_more { 1 } else { (self.backoff * 2).min(BACKOFF_MAX) };
        self.next_us = now_us + self.interval_us / if found_more { 4 } else { 1 } * u64::from(self.backoff);
    }
}
