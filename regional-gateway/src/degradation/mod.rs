//! What a region leaves out or does later while it has too much to do: a table, driven by measured load.
//!
//! [`table`] says what happens to each [`Feature`] at each [`Level`], [`level`] turns measured load into a level, with
//! hysteresis, and [`sampler`] measures once a second. Everybody else asks one shared [`Degradation`], which costs one
//! relaxed load:
//!
//! ```
//! # use rookery_region::degradation::{Degradation, Feature, Level};
//! # use std::time::Duration;
//! # let degradation = Degradation::new(Level::Normal);
//! // Something that may be left out: ask before doing it.
//! if degradation.allows(Feature::Typing) { /* tell of it */ }
//! // Something that is gathered, or done so many at once: by how much more, or fewer.
//! let batch = Duration::from_secs(5) * degradation.slowdown(Feature::Presence);
//! ```
//!
//! Whoever has a queue reports how long things waited in it ([`Degradation::note_queue_age`]); the longest of each second
//! counts.
//!
//! In `/metrics`: `rookery_degradation_level` (0 normal to 3 critical), `rookery_degradation_step{feature}` (0 full, 1 slower,
//! 2 dropped or refused), `rookery_degradation_left_out_total{feature}`, and what was measured: `rookery_load_queue_age_seconds`,
//! `rookery_load_cpu_ratio`, `rookery_load_memory_ratio`.

mod level;
mod sampler;
mod table;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

pub use level::{Level, LevelConfig, LevelGauge, Sample};
pub(crate) use sampler::run;
pub use table::{Feature, Step};

/// When a region degrades.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DegradationConfig {
    /// Whether load is measured; otherwise the level stays at `level_min`.
    pub enabled: bool,
    /// The level does not fall below this: for trying out what it does, or to be careful in advance.
    pub level_min: Level,
    pub levels: LevelConfig,
    /// How often load is measured.
    pub sample_ms: u64,
    /// What memory is measured against; without it the limit of the process's control group, if that has one.
    pub memory_limit_bytes: Option<u64>,
}

impl Default for DegradationConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            level_min: Level::Normal,
            levels: LevelConfig::default(),
            sample_ms: 1_000,
            memory_limit_bytes: None,
        }
    }
}

impl DegradationConfig {
    /// Every mistake, each by the name of its field.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes: Vec<String> =
            self.levels.mistakes().into_iter().map(|mistake| format!("levels.{mistake}")).collect();
        if !(10..=60_000).contains(&self.sample_ms) {
            mistakes.push("sample_ms: 10 to 60000".into());
        }
        if self.memory_limit_bytes == Some(0) {
            mistakes.push("memory_limit_bytes: at least 1 (leave it out for the control group's)".into());
        }
        mistakes
    }
}

/// The level at the moment, and what it means for a feature; shared by all of a region.
#[derive(Debug)]
pub struct Degradation {
    level: AtomicU8,
    level_min: Level,
    /// The longest since the last sample.
    queue_age_us: AtomicU64,
}

impl Degradation {
    /// A region at rest, or at the lowest level that it may have.
    pub fn new(level_min: Level) -> Self {
        let this = Self { level: AtomicU8::new(0), level_min, queue_age_us: AtomicU64::new(0) };
        this.set(level_min);
        this
    }

    /// How loaded the region is.
    pub fn level(&self) -> Level {
        Level::from_number(self.level.load(Ordering::Relaxed))
    }

    /// What is done about a feature.
    pub fn step(&self, feature: Feature) -> Step {
        feature.at(self.level())
    }

    /// Whether a feature is there at all.
    pub fn allows(&self, feature: Feature) -> bool {
        !matches!(self.step(feature), Step::Dropped | Step::Refused)
    }

    /// How many times slower a feature goes; 1 as long as nothing is wrong.
    pub fn slowdown(&self, feature: Feature) -> u32 {
        match self.step(feature) {
            Step::Slower(times) => times,
            Step::Full | Step::Dropped | Step::Refused => 1,
        }
    }

    /// As [`Self::allows`], for something that is at hand: what is left out is counted.
    pub fn admits(&self, feature: Feature) -> bool {
        let allows = self.allows(feature);
        if !allows {
            metrics::counter!("rookery_degradation_left_out_total", "feature" => feature.name()).increment(1);
        }
        allows
    }

    /// Something waited in a queue for so long.
    pub fn note_queue_age(&self, age: Duration) {
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        // Most are shorter than the longest so far: a look costs less than a write that others see.
        if age_us > self.queue_age_us.load(Ordering::Relaxed) {
            self.queue_age_us.fetch_max(age_us, Ordering::Relaxed);
        }
    }

    /// The longest that was noted since the last look.
    fn take_queue_age(&self) -> Duration {
        Duration::from_micros(self.queue_age_us.swap(0, Ordering::Relaxed))
    }

    /// Takes over a measured level.
    fn set(&self, measured: Level) {
        let level = measured.max(self.level_min);
        let before = Level::from_number(self.level.swap(level as u8, Ordering::Relaxed));
        if level > before {
            tracing::warn!(from = before.name(), to = level.name(), "the load rises: features are degraded");
        } else if level < before {
            tracing::info!(from = before.name(), to = level.name(), "the load falls");
        }
        metrics::gauge!("rookery_degradation_level").set(f64::from(level as u8));
        for feature in Feature::ALL {
            let step = feature.at(level).number();
            metrics::gauge!("rookery_degradation_step", "feature" => feature.name()).set(f64::from(step));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_decides_what_is_allowed_and_how_slowly() {
        let degradation = Degradation::new(Level::Normal);
        assert!(Feature::ALL.into_iter().all(|feature| degradation.allows(feature)));
        assert!(Feature::ALL.into_iter().all(|feature| degradation.slowdown(feature) == 1));
        degradation.set(Level::Critical);
        assert!(!degradation.admits(Feature::Typing) && !degradation.allows(Feature::NewSessions));
        assert!(degradation.admits(Feature::Messages) && degradation.allows(Feature::Presence));
        assert!(degradation.slowdown(Feature::Presence) > 1);
    }

    #[test]
    fn the_lowest_level_holds() {
        let degradation = Degradation::new(Level::Elevated);
        assert_eq!(degradation.level(), Level::Elevated);
        degradation.set(Level::Normal);
        assert_eq!(degradation.level(), Level::Elevated);
        degradation.set(Level::High);
        assert_eq!(degradation.level(), Level::High);
    }

    #[test]
    fn the_longest_wait_counts_until_it_is_looked_at() {
        let degradation = Degradation::new(Level::Normal);
        for ms in [3, 70, 5] {
            degradation.note_queue_age(Duration::from_millis(ms));
        }
        assert_eq!(degradation.take_queue_age(), Duration::from_millis(70));
        assert_eq!(degradation.take_queue_age(), Duration::ZERO);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(DegradationConfig::default().mistakes().is_empty());
        let config = DegradationConfig { sample_ms: 0, memory_limit_bytes: Some(0), ..DegradationConfig::default() };
        assert_eq!(config.mistakes().len(), 2);
    }
}
