//! Whether delay grows: the slope of a line through the last groups.

use super::groups::Delta;

const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
/// Groups after which the slope counts in full.
const DELTAS_MAX: u32 = 60;

/// Milliseconds of arrival, and of accumulated and smoothed delay.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    at_ms: f64,
    delay_ms: f64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Trend {
    points: [Point; WINDOW],
    len: usize,
    next: usize,
    first_us: Option<u64>,
    deltas: u32,
    accumulated_ms: f64,
    smoothed_ms: f64,
}

impl Trend {
    /// The trend after these groups, in milliseconds as [`Detector`](super::detector::Detector) compares it.
    pub(super) fn update(&mut self, delta: Delta) -> f64 {
        let first_us = *self.first_us.get_or_insert(delta.arrived_us);
        self.deltas = (self.deltas + 1).min(DELTAS_MAX);
        self.accumulated_ms += delta.delay_us / 1_000.0;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        let at_ms = delta.arrived_us.saturating_sub(first_us) as f64 / 1_000.0;
        self.points[self.next] = Point { at_ms, delay_ms: self.smoothed_ms };
        self.next = (self.next + 1) % WINDOW;
        self.len = (self.len + 1).min(WINDOW);
        if self.len < WINDOW {
            return 0.0;
        }
        f64::from(self.deltas) * self.slope() * GAIN
    }

    /// By least squares.
    fn slope(&self) -> f64 {
        let n = WINDOW as f64;
        let mean_at = self.points.iter().map(|p| p.at_ms).sum::<f64>() / n;
        let mean_delay = self.points.iter().map(|p| p.delay_ms).sum::<f64>() / n;
        let (mut above, mut below) = (0.0, 0.0);
        for point in &self.points {
            above += (point.at_ms - mean_at) * (point.delay_ms - mean_delay);
            below += (point.at_ms - mean_at).powi(2);
        }
        if below > 0.0 { above / below } else { 0.0 }
    }
}
