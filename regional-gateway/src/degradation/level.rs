//! How loaded the region is: one of four levels, with hysteresis. Pure: time and samples are passed in.

use serde::Deserialize;

/// How loaded a region is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    #[default]
    Normal = 0,
    Elevated = 1,
    High = 2,
    Critical = 3,
}

impl Level {
    /// All of them, ascending.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::High, Self::Critical];

    /// Its name in metrics and in `rookery admin status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    pub(super) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Normal,
            1 => Self::Elevated,
            2 => Self::High,
            _ => Self::Critical,
        }
    }

    const fn below(self) -> Self {
        Self::from_number((self as u8).saturating_sub(1))
    }
}

/// What was measured at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// The longest that anything waited in a queue since the last sample, milliseconds.
    pub queue_age_ms: u64,
    /// Of the cores that the process may use, 0 to 100.
    pub cpu_percent: u32,
    /// Of the limit, 0 to 100; 0 without one.
    pub memory_percent: u32,
}

/// Where the levels begin.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelConfig {
    /// For elevated, high and critical.
    pub queue_age_ms: [u64; 3],
    pub cpu_percent: [u32; 3],
    pub memory_percent: [u32; 3],
    /// How long a measure must stay at or above a mark before the level rises: one long collection of anything is no load.
    pub rise_after_ms: u64,
    /// How long all measures must stay well below the mark of a level before it falls by one.
    pub fall_after_ms: u64,
}

impl Default for LevelConfig {
    fn default() -> Self {
        Self {
            queue_age_ms: [100, 500, 2_000],
            // A process that uses its cores fully still delivers; its queues tell when it does not keep up. So the last
            // mark is one that share alone does not reach.
            cpu_percent: [85, 95, 101],
            memory_percent: [75, 85, 93],
            rise_after_ms: 2_000,
            fall_after_ms: 10_000,
        }
    }
}

/// A level falls once everything measured is below this share of its mark.
const CALM_PERCENT: u64 = 80;

impl LevelConfig {
    /// Every mistake, each by the name of its field.
    pub fn mistakes(&self) -> Vec<String> {
        let ascends = |marks: [u64; 3]| marks[0] > 0 && marks[0] < marks[1] && marks[1] < marks[2];
        let marks = [
            (self.queue_age_ms, "queue_age_ms"),
            (self.cpu_percent.map(u64::from), "cpu_percent"),
            (self.memory_percent.map(u64::from), "memory_percent"),
        ];
        marks
            .into_iter()
            .filter(|(marks, _)| !ascends(*marks))
            .map(|(_, name)| format!("{name}: three numbers above 0 that ascend"))
            .collect()
    }

    /// The level that a sample alone speaks for, with every mark at so many percent of itself.
    fn level_at(&self, sample: Sample, percent: u64) -> Level {
        let measures = [
            (sample.queue_age_ms, self.queue_age_ms),
            (sample.cpu_percent.into(), self.cpu_percent.map(u64::from)),
            (sample.memory_percent.into(), self.memory_percent.map(u64::from)),
        ];
        let reached = |(measure, marks): (u64, [u64; 3])| {
            marks.into_iter().filter(|mark| measure.saturating_mul(100) >= mark.saturating_mul(percent)).count()
        };
        let highest = measures.into_iter().map(reached).max().unwrap_or(0);
        Level::from_number(u8::try_from(highest).unwrap_or(u8::MAX))
    }
}

/// The level over time.
#[derive(Debug)]
pub struct LevelGauge {
    config: LevelConfig,
    level: Level,
    /// Since when samples speak for at least these levels, the index being the level; none for those that they do not.
    above_since_ms: [Option<u64>; 4],
    /// Since when samples are well below the level's mark.
    calm_since_ms: Option<u64>,
}

impl LevelGauge {
    /// A region at rest.
    pub const fn new(config: LevelConfig) -> Self {
        Self { config, level: Level::Normal, above_since_ms: [None; 4], calm_since_ms: None }
    }

    /// Takes a sample; the level from now on. A clock that was set back makes the waiting begin anew.
    pub fn observe(&mut self, now_ms: u64, sample: Sample) -> Level {
        let spoken_for = self.config.level_at(sample, 100);
        for level in Level::ALL {
            let since = &mut self.above_since_ms[level as usize];
            *since = (spoken_for >= level).then(|| since.filter(|since| *since <= now_ms).unwrap_or(now_ms));
        }
        let rises = |level: &Level| {
            self.above_since_ms[*level as usize].is_some_and(|since| now_ms - since >= self.config.rise_after_ms)
        };
        let risen = Level::ALL.into_iter().filter(rises).max().unwrap_or_default();
        if risen > self.level {
            self.level = risen;
            self.calm_since_ms = None;
        } else if self.config.level_at(sample, CALM_PERCENT) < self.level {
            let since = *self.calm_since_ms.get_or_insert(now_ms);
            if since > now_ms {
                self.calm_since_ms = Some(now_ms);
            } else if now_ms - since >= self.config.fall_after_ms {
                self.level = self.level.below();
                self.calm_since_ms = Some(now_ms);
            }
        } else {
            self.calm_since_ms = None;
        }
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge() -> LevelGauge {
        LevelGauge::new(LevelConfig { rise_after_ms: 2_000, fall_after_ms: 10_000, ..LevelConfig::default() })
    }

    const fn waiting(queue_age_ms: u64) -> Sample {
        Sample { queue_age_ms, cpu_percent: 0, memory_percent: 0 }
    }

    #[test]
    fn a_load_that_lasts_raises_the_level_at_once_to_where_it_belongs() {
        let mut gauge = gauge();
        assert_eq!(gauge.observe(0, waiting(3_000)), Level::Normal);
        assert_eq!(gauge.observe(1_999, waiting(3_000)), Level::Normal);
        assert_eq!(gauge.observe(2_000, waiting(3_000)), Level::Critical);
    }

    #[test]
    fn a_spike_raises_nothing() {
        let mut gauge = gauge();
        for second in 0..60 {
            let sample = if second % 2 == 0 { waiting(10_000) } else { waiting(0) };
            assert_eq!(gauge.observe(second * 1_000, sample), Level::Normal);
        }
    }

    #[test]
    fn a_level_falls_one_by_one_and_only_after_calm() {
        let mut gauge = gauge();
        gauge.observe(0, waiting(3_000));
        assert_eq!(gauge.observe(2_000, waiting(3_000)), Level::Critical);
        let mut levels = Vec::new();
        for second in 3..40 {
            levels.push(gauge.observe(second * 1_000, waiting(0)));
        }
        levels.dedup();
        assert_eq!(levels, [Level::Critical, Level::High, Level::Elevated, Level::Normal]);
    }

    #[test]
    fn between_the_marks_of_rising_and_falling_nothing_moves() {
        let mut gauge = gauge();
        gauge.observe(0, waiting(100));
        assert_eq!(gauge.observe(2_000, waiting(100)), Level::Elevated);
        // Below the mark, not below eight tenths of it.
        for second in 3..1_000 {
            assert_eq!(gauge.observe(second * 1_000, waiting(if second % 2 == 0 { 81 } else { 99 })), Level::Elevated);
        }
        // Calm that is interrupted begins anew.
        for second in 1_000..1_100 {
            let sample = if second % 9 == 0 { waiting(90) } else { waiting(0) };
            assert_eq!(gauge.observe(second * 1_000, sample), Level::Elevated, "{second}");
        }
    }

    #[test]
    fn the_worst_measure_decides() {
        let of = |sample| LevelConfig::default().level_at(sample, 100);
        assert_eq!(of(Sample { cpu_percent: 90, memory_percent: 94, queue_age_ms: 0 }), Level::Critical);
        assert_eq!(of(Sample { cpu_percent: 100, memory_percent: 0, queue_age_ms: 0 }), Level::High);
        assert_eq!(of(Sample { cpu_percent: 10, memory_percent: 10, queue_age_ms: 99 }), Level::Normal);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut gauge = gauge();
        gauge.observe(1_000_000, waiting(600));
        assert_eq!(gauge.observe(1_000, waiting(600)), Level::Normal);
        assert_eq!(gauge.observe(3_000, waiting(600)), Level::High);
        gauge.observe(900_000, waiting(0));
        gauge.observe(4_000, waiting(0));
        assert_eq!(gauge.observe(14_000, waiting(0)), Level::Elevated);
    }

    #[test]
    fn marks_must_ascend() {
        assert!(LevelConfig::default().mistakes().is_empty());
        let config = LevelConfig { cpu_percent: [90, 90, 95], queue_age_ms: [0, 1, 2], ..LevelConfig::default() };
        assert_eq!(config.mistakes().len(), 2);
    }
}
