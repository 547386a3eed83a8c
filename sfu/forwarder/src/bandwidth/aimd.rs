//! Additive increase, multiplicative decrease of the delay-based estimate.

use super::BandwidthConfig;
use super::detector::Usage;

/// What is left of the rate that arrived when the path is overused.
const DECREASE: f64 = 0.85;
/// Growth a second while the path's capacity is unknown.
const GROWTH: f64 = 1.08;
/// Growth a second near the capacity: about a packet each response time.
const NEAR_BPS: f64 = 48_000.0;
/// Deviations around the capacity that count as near.
const DEVIATIONS: f64 = 3.0;
/// Two decreases are so far apart at least.
const DECREASE_EVERY_US: u64 = 200_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Increase,
    Hold,
}

#[derive(Clone, Debug)]
pub(super) struct Aimd {
    bps: f64,
    min_bps: f64,
    max_bps: f64,
    state: State,
    updated_us: Option<u64>,
    decreased_us: Option<u64>,
    /// Mean and variance, relative to it, of what arrived when the path was full.
    capacity_bps: Option<f64>,
    variance: f64,
}

impl Aimd {
    pub(super) fn new(config: &BandwidthConfig) -> Self {
        Self {
            bps: config.start_bps as f64,
            min_bps: config.min_bps as f64,
            max_bps: config.max_bps as f64,
            state: State::Increase,
            updated_us: None,
            decreased_us: None,
            capacity_bps: None,
            variance: 0.4,
        }
    }

    pub(super) fn bps(&self) -> u64 {
        self.bps as u64
    }

    /// Takes what a probe found.
    pub(super) fn raise_to(&mut self, bps: u64) {
        self.bps = self.bps.max(bps as f64).min(self.max_bps);
        if self.capacity_bps.is_some_and(|capacity_bps| (bps as f64) > capacity_bps) {
            self.capacity_bps = None;
        }
    }

    pub(super) fn update(&mut self, now_us: u64, usage: Usage, acknowledged_bps: Option<u64>) {
        let before_us = self.updated_us.replace(now_us).unwrap_or(now_us);
        let passed_s = (now_us.saturating_sub(before_us) as f64 / 1e6).min(1.0);
        match usage {
            Usage::Over => self.decrease(now_us, acknowledged_bps),
            Usage::Under => self.state = State::Hold,
            Usage::Normal => {
                if self.state == State::Hold {
                    self.state = State::Increase;
                } else {
                    self.increase(passed_s, acknowledged_bps);
                }
            }
        }
        self.bps = self.bps.clamp(self.min_bps, self.max_bps);
    }

    fn increase(&mut self, passed_s: f64, acknowledged_bps: Option<u64>) {
        let grown = if self.is_near(self.bps) {
            self.bps + NEAR_BPS * passed_s
        } else {
            (self.bps * GROWTH.powf(passed_s)).max(self.bps + 1_000.0 * passed_s)
        };
        // What is not used does not prove that it is there.
        let proven = acknowledged_bps.map_or(grown, |bps| bps as f64 * 1.5 + 10_000.0);
        self.bps = self.bps.max(grown.min(proven));
    }

    fn is_near(&self, bps: f64) -> bool {
        self.capacity_bps.is_some_and(|capacity_bps| {
            (bps - capacity_bps).abs() < DEVIATIONS * (self.variance * capacity_bps / 1_000.0).sqrt() * 1_000.0
        })
    }

    fn decrease(&mut self, now_us: u64, acknowledged_bps: Option<u64>) {
        self.state = State::Hold;
        if self.decreased_us.is_some_and(|at_us| now_us.saturating_sub(at_us) < DECREASE_EVERY_US) {
            return;
        }
        self.decreased_us = Some(now_us);
        let arrived = acknowledged_bps.map_or(self.bps, |bps| bps as f64);
        if !self.is_near(arrived) {
            self.capacity_bps = None;
        }
        self.note_capacity(arrived);
        self.bps = self.bps.min(arrived * DECREASE);
    }

    fn note_capacity(&mut self, bps: f64) {
        let mean = self.capacity_bps.map_or(bps, |mean| 0.95 * mean + 0.05 * bps);
        self.capacity_bps = Some(mean);
        let (mean_kbps, kbps) = (mean / 1_000.0, bps / 1_000.0);
        let deviation = (mean_kbps - kbps).powi(2) / mean_kbps.max(1.0);
        self.variance = (0.95 * self.variance + 0.05 * deviation).clamp(0.4, 2.5);
    }
}
