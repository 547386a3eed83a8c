//! How much a receiver's path carries, from its reports about what arrived and when.
//!
//! A small form of Google's congestion control (draft-ietf-rmcat-gcc-02): the delay-based half sees queues grow before
//! anything is lost, the loss-based half sees short queues that do not grow; the more careful one decides. Growth beyond what is
//! sent anyway needs proof, which [`Probe`](probe::Probe)s give: a short burst above the estimate, whose spacing on arrival tells.
//!
//! `str0m` has such an estimator inside, `rtc` one that is not open; `goog_cc` is the whole of Google's code in one release of 2024, with
//! hundreds of assertions on the way of a peer's input. So there is one of our own, in a kilobyte for each receiver.

mod aimd;
mod detector;
mod groups;
mod history;
mod loss;
mod probe;
mod rate;
mod trend;

pub use history::SendHistory;
pub(crate) use rate::RateMeter;

use aimd::Aimd;
use detector::{Detector, Usage};
use groups::Groups;
use loss::LossControl;
use probe::Probe;
use trend::Trend;

/// Bounds of the estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct BandwidthConfig {
    pub min_bps: u64,
    pub start_bps: u64,
    pub max_bps: u64,
    /// Time between two probes at least, doubled after each that found nothing, up to sixteen times.
    pub probe_interval_us: u64,
}

impl Default for BandwidthConfig {
    fn default() -> Self {
        Self { min_bps: 50_000, start_bps: 600_000, max_bps: 20_000_000, probe_interval_us: 2_000_000 }
    }
}

/// What a receiver reports about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketReport {
    pub sent_us: u64,
    /// By the receiver's clock, of which only differences count; none if it did not arrive.
    pub arrived_us: Option<u64>,
    pub length_bytes: u32,
    /// Whether it belongs to a probe.
    pub probe: bool,
}

/// Estimates the bandwidth to one receiver.
#[derive(Clone, Debug)]
pub struct Estimator {
    config: BandwidthConfig,
    groups: Groups,
    trend: Trend,
    detector: Detector,
    aimd: Aimd,
    loss: LossControl,
    acknowledged: RateMeter,
    probe: Probe,
    /// Of REMB, for receivers that estimate themselves.
    told_bps: Option<u64>,
}

impl Estimator {
    pub fn new(config: &BandwidthConfig) -> Self {
        Self {
            groups: Groups::default(),
            trend: Trend::default(),
            detector: Detector::default(),
            aimd: Aimd::new(config),
            loss: LossControl::new(config),
            acknowledged: RateMeter::default(),
            probe: Probe::new(config),
            told_bps: None,
            config: config.clone(),
        }
    }

    /// Takes one feedback's reports, in the order in which the packets were sent.
    pub fn handle_reports(&mut self, now_us: u64, reports: impl IntoIterator<Item = PacketReport>) {
        let (mut lost, mut total) = (0_u32, 0_u32);
        let mut worst = None;
        for report in reports {
            total += 1;
            let Some(arrived_us) = report.arrived_us else {
                lost += 1;
                continue;
            };
            self.acknowledged.add(arrived_us, report.length_bytes);
            if report.probe {
                self.probe.note(report.sent_us, arrived_us, report.length_bytes);
            }
            if let Some(delta) = self.groups.note(report.sent_us, arrived_us) {
                let trend = self.trend.update(delta);
                let usage = self.detector.update(delta.arrived_us, delta.sent_delta_us, trend);
                worst = Some(worst.map_or(usage, |worst: Usage| worst.max(usage)));
            }
        }
        if total == 0 {
            return;
        }
        let acknowledged_bps = self.acknowledged.bps();
        self.loss.update(now_us, lost, total, self.aimd.bps());
        self.aimd.update(now_us, worst.unwrap_or(Usage::Normal), acknowledged_bps);
        if let Some(found_bps) = self.probe.take_result(now_us) {
            self.aimd.raise_to(found_bps);
            self.loss.raise_to(found_bps);
        }
        if self.detector.usage() == Usage::Over {
            self.probe.defer(now_us);
        }
    }

    /// Takes what a receiver says that it can take (REMB).
    pub fn handle_receiver_estimate(&mut self, bps: u64) {
        self.told_bps = Some(bps.clamp(self.config.min_bps, self.config.max_bps));
    }

    /// What may be sent.
    pub fn bps(&self) -> u64 {
        match self.told_bps {
            Some(told_bps) => told_bps,
            None => self.aimd.bps().min(self.loss.bps()).clamp(self.config.min_bps, self.config.max_bps),
        }
    }

    /// Whether a probe is worth it now: more is wanted than is estimated, and nothing speaks against trying.
    pub fn start_probe(&mut self, now_us: u64, wanted_bps: u64) -> Option<ProbePlan> {
        let quiet = self.detector.usage() != Usage::Over && self.told_bps.is_none();
        if !quiet || wanted_bps <= self.bps() {
            return None;
        }
        self.probe.start(now_us, self.bps(), wanted_bps)
    }
}

/// What to send for a probe: so many bytes at this rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    pub bytes: u32,
    pub bps: u64,
}

#[cfg(test)]
mod tests;
