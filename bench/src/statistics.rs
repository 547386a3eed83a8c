//! Medians and percentiles.

use std::time::Duration;

/// The middle value; 0 of none.
pub fn median(values: impl AsRef<[f64]>) -> f64 {
    let mut values = values.as_ref().to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// The value below which this share of all lies; 0 of none.
pub fn percentile(mut values: Vec<Duration>, share: f64) -> Duration {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// Microseconds, one digit behind the point.
pub fn us(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1e6)
}

/// One digit behind the point.
pub fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Two digits behind the point.
pub fn two(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A ratio, two digits behind the point.
pub fn ratio(value: f64, floor: f64) -> f64 {
    two(value / floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        let values: Vec<Duration> = (0..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(values, 0.99), Duration::from_millis(99));
    }
}
