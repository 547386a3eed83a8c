//! The loss-based estimate: below 2 % it grows, above 10 % it shrinks by half of what was lost.

use super::BandwidthConfig;

/// Losses are looked at over so much time and so many packets.
const WINDOW_US: u64 = 200_000;
const PACKETS_MIN: u32 = 20;

#[derive(Clone, Debug)]
pub(super) struct LossControl {
    bps: f64,
    min_bps: f64,
    max_bps: f64,
    lost: u32,
    total: u32,
    since_us: Option<u64>,
}

impl LossControl {
    pub(super) fn new(config: &BandwidthConfig) -> Self {
        let (min_bps, max_bps) = (config.min_bps as f64, config.max_bps as f64);
        // Without losses it has nothing to say.
        Self { bps: max_bps, min_bps, max_bps, lost: 0, total: 0, since_us: None }
    }

    pub(super) fn bps(&self) -> u64 {
        self.bps as u64
    }

    pub(super) fn raise_to(&mut self, bps: u64) {
        self.bps = self.bps.max(bps as f64).min(self.max_bps);
    }

    /// `sending_bps` is what the other half allows.
    pub(super) fn update(&mut self, now_us: u64, lost: u32, total: u32, sending_bps: u64) {
        self.lost += lost;
        self.total += total;
        let since_us = *self.since_us.get_or_insert(now_us);
        let passed_us = now_us.saturating_sub(since_us);
        if passed_us < WINDOW_US || self.total < PACKETS_MIN {
            return;
        }
        let fraction = f64::from(self.lost) / f64::from(self.total);
        (self.lost, self.total, self.since_us) = (0, 0, Some(now_us));
        if fraction > 0.1 {
            self.bps = self.bps.min(sending_bps as f64) * (1.0 - 0.5 * fraction);
        } else if fraction < 0.02 {
            // 8 % a second, in steps of any length.
            self.bps *= 1.08_f64.powf((passed_us as f64 / 1e6).min(1.0));
        }
        self.bps = self.bps.clamp(self.min_bps, self.max_bps);
    }
}
