//! Measures load: how long things wait in queues, the process's share of its cores, its memory beside its limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use procfs::process::Process;
use tokio_util::sync::CancellationToken;

use super::level::{LevelGauge, Sample};
use super::{Degradation, DegradationConfig};

/// Where a control group says how much memory it may use, in version 2 and in version 1.
const CGROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// What version 1 shows for "no limit" is larger than this.
const UNLIMITED_BYTES: u64 = 1 << 60;

/// Measures until it is told to stop, and sets the level.
pub(crate) async fn run(degradation: Arc<Degradation>, config: DegradationConfig, stop: CancellationToken) {
    let every = Duration::from_millis(config.sample_ms);
    let mut gauge = LevelGauge::new(config.levels.clone());
    let mut meter = Meter::new(config.memory_limit_bytes.or_else(cgroup_limit_bytes));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let started = Instant::now();
    loop {
        let due = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            due = ticks.tick() => due,
        };
        // How late the runtime comes to a timer and to a task that was made ready: how long everything waits.
        degradation.note_queue_age(due.elapsed());
        note_run_queue(&degradation);
        let sample = meter.measure(Instant::now(), degradation.take_queue_age());
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        degradation.set(gauge.observe(now_ms, sample));
    }
}

/// Lets a task wait in the runtime's queue like any other; how long it waited counts in the next sample.
fn note_run_queue(degradation: &Arc<Degradation>) {
    let (degradation, ready) = (Arc::clone(degradation), Instant::now());
    tokio::spawn(async move { degradation.note_queue_age(ready.elapsed()) });
}

/// Reads the process's own figures.
struct Meter {
    memory_limit_bytes: Option<u64>,
    cores: f64,
    ticks_per_second: f64,
    /// When the last sample was taken, and the CPU time by then.
    last: Option<(Instant, u64)>,
}

impl Meter {
    fn new(memory_limit_bytes: Option<u64>) -> Self {
        // It knows of quotas and of the cores that the process may run on.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory_limit_bytes,
            cores: cores as f64,
            ticks_per_second: procfs::ticks_per_second().max(1) as f64,
            last: None,
        }
    }

    /// What the system does not show counts as no load.
    fn measure(&mut self, now: Instant, queue_age: Duration) -> Sample {
        let stat = Process::myself().and_then(|process| process.stat()).ok();
        let cpu = stat.as_ref().map_or(0.0, |stat| self.cpu_share(now, stat.utime.saturating_add(stat.stime)));
        let memory = match (&stat, self.memory_limit_bytes) {
            (Some(stat), Some(limit)) => stat.rss.saturating_mul(procfs::page_size()) as f64 / limit as f64,
            _ => 0.0,
        };
        metrics::gauge!("rookery_load_queue_age_seconds").set(queue_age.as_secs_f64());
        metrics::gauge!("rookery_load_cpu_ratio").set(cpu);
        metrics::gauge!("rookery_load_memory_ratio").set(memory);
        Sample {
            queue_age_ms: u64::try_from(queue_age.as_millis()).unwrap_or(u64::MAX),
            cpu_percent: percent(cpu),
            memory_percent: percent(memory),
        }
    }

    fn cpu_share(&mut self, now: Instant, ticks: u64) -> f64 {
        let last = self.last.replace((now, ticks));
        let Some((then, before)) = last else { return 0.0 };
        let span = now.duration_since(then).as_secs_f64();
        if span <= 0.0 {
            return 0.0;
        }
        ticks.saturating_sub(before) as f64 / self.ticks_per_second / span / self.cores
    }
}

fn percent(ratio: f64) -> u32 {
    // Saturates; a share that is no number counts as none.
    (ratio * 100.0).clamp(0.0, 1_000.0) as u32
}

fn cgroup_limit_bytes() -> Option<u64> {
    CGROUP_LIMITS.iter().find_map(|path| limit_in(&std::fs::read_to_string(path).ok()?))
}

fn limit_in(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| (1..UNLIMITED_BYTES).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::super::LevelConfig;
    use super::*;

    #[test]
    fn limits_of_control_groups() {
        assert_eq!(limit_in("1073741824\n"), Some(1 << 30));
        for none in ["max\n", "9223372036854771712\n", "0", ""] {
            assert_eq!(limit_in(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_share_of_the_cores_is_of_the_time_between_samples() {
        let start = Instant::now();
        let mut meter = Meter { memory_limit_bytes: None, cores: 2.0, ticks_per_second: 100.0, last: None };
        assert_eq!(percent(meter.cpu_share(start, 5_000)), 0, "nothing to compare with");
        assert_eq!(percent(meter.cpu_share(start + Duration::from_secs(1), 5_100)), 50);
        assert_eq!(percent(meter.cpu_share(start + Duration::from_secs(3), 5_500)), 100);
        assert_eq!(percent(meter.cpu_share(start + Duration::from_secs(3), 5_600)), 0);
    }

    #[test]
    fn a_process_can_measure_itself() {
        let mut meter = Meter::new(Some(1));
        let sample = meter.measure(Instant::now(), Duration::from_millis(7));
        assert_eq!((sample.queue_age_ms, sample.memory_percent), (7, 1_000));
    }

    #[test]
    fn numbers_that_are_none_count_as_no_load() {
        assert_eq!((percent(f64::NAN), percent(-1.0), percent(f64::INFINITY)), (0, 0, 1_000));
    }

    #[tokio::test]
    async fn a_queue_that_stays_old_raises_the_level_and_one_that_drains_lets_it_fall() {
        // CPU and memory of the machine have no say.
        let levels = LevelConfig {
            cpu_percent: [1_001, 1_002, 1_003],
            memory_percent: [1_001, 1_002, 1_003],
            queue_age_ms: [600_000, 1_200_000, 1_800_000],
            rise_after_ms: 30,
            fall_after_ms: 30,
        };
        let config = DegradationConfig { levels, sample_ms: 10, ..DegradationConfig::default() };
        let degradation = Arc::new(Degradation::new(config.level_min));
        let stop = CancellationToken::new();
        let sampling = tokio::spawn(run(Arc::clone(&degradation), config, stop.clone()));
        let mut beat = tokio::time::interval(Duration::from_millis(1));
        while degradation.allows(super::super::Feature::Typing) {
            degradation.note_queue_age(Duration::from_secs(900));
            beat.tick().await;
        }
        while !degradation.allows(super::super::Feature::Typing) {
            beat.tick().await;
        }
        stop.cancel();
        sampling.await.unwrap();
    }
}
