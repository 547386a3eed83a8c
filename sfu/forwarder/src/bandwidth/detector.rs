//! Whether a trend means that the path is overused, against a threshold that follows how much trends vary anyway.

/// How the path is used. Ordered by how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Usage {
    #[default]
    Normal,
    /// Queues empty: waiting for that is better than growing.
    Under,
    Over,
}

const K_UP: f64 = 0.0087;
const K_DOWN: f64 = 0.039;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// A trend so far above the threshold is an outlier, which the threshold does not follow.
const OUTLIER: f64 = 15.0;
/// How long a trend has been over the threshold before it counts.
const OVER_US: f64 = 10_000.0;

#[derive(Clone, Debug)]
pub(super) struct Detector {
    threshold: f64,
    updated_us: Option<u64>,
    over_for_us: Option<f64>,
    overs: u32,
    previous: f64,
    usage: Usage,
}

impl Default for Detector {
    fn default() -> Self {
        Self { threshold: 12.5, updated_us: None, over_for_us: None, overs: 0, previous: 0.0, usage: Usage::Normal }
    }
}

impl Detector {
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn update(&mut self, now_us: u64, sent_delta_us: f64, trend: f64) -> Usage {
        if trend > self.threshold {
            self.over_for_us = Some(self.over_for_us.map_or(sent_delta_us / 2.0, |for_us| for_us + sent_delta_us));
            self.overs += 1;
            if self.over_for_us > Some(OVER_US) && self.overs > 1 && trend >= self.previous {
                self.over_for_us = Some(0.0);
                self.overs = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_for_us = None;
            self.overs = 0;
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.previous = trend;
        self.adapt(now_us, trend);
        self.usage
    }

    fn adapt(&mut self, now_us: u64, trend: f64) {
        let before_us = self.updated_us.replace(now_us).unwrap_or(now_us);
        if trend.abs() > self.threshold + OUTLIER {
            return;
        }
        let k = if trend.abs() < self.threshold { K_DOWN } else { K_UP };
        let passed_ms = (now_us.saturating_sub(before_us) as f64 / 1_000.0).min(100.0);
        let moved = self.threshold + k * (trend.abs() - self.threshold) * passed_ms;
        self.threshold = moved.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
    }
}
