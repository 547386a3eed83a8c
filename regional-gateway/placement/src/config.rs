//! What a node is, and the times that everything hangs on.

use rookery_model::lease::{VIRTUAL_SHARDS, WORKER_IDS};
use thiserror::Error;

use crate::members::{TURN_MS, TURNS_MAX};
use crate::{NodeId, RegionName};

/// A shard that is handed over on purpose has no owner for at most so long, when nothing fails.
pub const HAND_OVER_MAX_MS: u64 = 1_000;
/// A shard whose owner died has another after at most so long, when nothing else fails.
pub const TAKE_OVER_MAX_MS: u64 = 15_000;

/// As many regions as a list of bits has that says which a node serves.
pub(crate) const REGIONS_MAX: usize = 64;

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The region whose shards it owns.
    pub region: RegionName,
    /// All regions of the deployment; names that are not among them are not heard.
    pub regions: Vec<RegionName>,
    /// Regions that its own had taken over when the process ended before; see
    /// [`handle_take_over`](crate::NodePlacement::handle_take_over).
    pub taken_over: Vec<RegionName>,
    /// Regions whose shards it takes where their owner died and no node of the region is there, and only then: what was
    /// given back to nobody waits for the region.
    pub stands_by_for: Vec<RegionName>,
    /// Of all processes of the deployment this one's alone.
    pub worker_id: u16,
    /// Any number that other processes do not have: random bits.
    pub nonce: u32,
    /// Above these begins a shard that had no row: what was stored before there were rows.
    pub first_floors: Marks,
    /// How many virtual shards there are: 4,096, and fewer only in tests.
    pub virtual_shards: u16,
    pub timings: Timings,
    pub limits: Limits,
}

/// How high ids and write timestamps have come, or may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of ids, Unix milliseconds.
    pub id_ms: u64,
    /// Of write timestamps, Unix microseconds.
    pub write_timestamp_us: i64,
}

impl Marks {
    /// The higher one of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            id_ms: self.id_ms.max(other.id_ms),
            write_timestamp_us: self.write_timestamp_us.max(other.write_timestamp_us),
        }
    }

    /// Whether neither lies below the other's.
    pub const fn covers(self, other: Self) -> bool {
        self.id_ms >= other.id_ms && self.write_timestamp_us >= other.write_timestamp_us
    }

    /// Both so much later.
    #[must_use]
    pub(crate) fn later_by_ms(self, ms: u64) -> Self {
        let us = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        Self { id_ms: self.id_ms.saturating_add(ms), write_timestamp_us: self.write_timestamp_us.saturating_add(us) }
    }
}

/// The times that safety and liveness hang on; the same for all processes of a deployment.
///
/// A dead node's shards have an owner again within [`TAKE_OVER_MAX_MS`]: its last words may be unheard, so that others
/// look for its lease after [`silent_after_ms`](Self::silent_after_ms); a lease that does not change from then on is over
/// after [`over_after_ms`](Self::over_after_ms); then two compare-and-sets follow, one that ends the lease, for which those
/// who are left have turns, and one for the shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a node's lease lasts from its last renewal: longer than a store is expected to hang, so that nobody loses
    /// shards for nothing, and short enough for [`TAKE_OVER_MAX_MS`].
    pub lease_ms: u64,
    /// How often it is renewed: three attempts may fail before anybody stops.
    pub renew_interval_ms: u64,
    /// So long before its lease ends a node stops to acknowledge: for the way from the last look at the clock to the
    /// wire, and for clocks of different speed.
    pub safety_margin_ms: u64,
    /// How long one attempt of a write may take. A shell attempts no write after the lease's end, so that all have ended
    /// so long after it.
    pub write_timeout_ms: u64,
    /// How much a node's clock may lag behind another's, or be ahead, over the time of a lease and a write.
    pub clock_slack_ms: u64,
    /// How often a node is heard of when nothing happens.
    pub heartbeat_interval_ms: u64,
    /// Whoever was not heard for so long is looked for in the store.
    pub silent_after_ms: u64,
    /// A store that has not answered by then has answered "unknown".
    pub store_timeout_ms: u64,
    /// The first pause before something is tried again; it doubles.
    pub retry_ms: u64,
    /// The longest.
    pub retry_max_ms: u64,
    /// How often the owner of a shard is asked for it.
    pub ask_interval_ms: u64,
    /// A node that leaves gives shards that nobody asked for back to nobody after this time.
    pub release_after_ms: u64,
    /// How far ahead of the clock the ceilings of ids and write timestamps are kept: longer than a lease lasts, shorter
    /// than a successor waits, so that clocks that agree make nobody leap ahead.
    pub ceiling_ahead_ms: u64,
    /// How far above what was used last they lie at least: a clock that was set back is no reason to leap ahead again.
    pub ceiling_above_ms: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            lease_ms: 6_000,
            renew_interval_ms: 1_500,
            safety_margin_ms: 1_000,
            write_timeout_ms: 2_500,
            clock_slack_ms: 250,
            heartbeat_interval_ms: 500,
            silent_after_ms: 1_500,
            store_timeout_ms: 1_500,
            retry_ms: 50,
            retry_max_ms: 1_000,
            ask_interval_ms: 500,
            release_after_ms: 2_000,
            ceiling_ahead_ms: 8_000,
            ceiling_above_ms: 1_000,
        }
    }
}

impl Timings {
    /// A lease that did not change for so long, by anybody's clock, is over, and so are all writes under it.
    pub const fn over_after_ms(&self) -> u64 {
        self.lease_ms + self.write_timeout_ms + self.clock_slack_ms
    }

    fn mistakes(&self) -> Vec<&'static str> {
        let rules = [
            (
                self.safety_margin_ms + 3 * self.renew_interval_ms < self.lease_ms,
                "lease_ms: longer than three renewals and the margin",
            ),
            (self.safety_margin_ms > self.clock_slack_ms, "safety_margin_ms: longer than clock_slack_ms"),
            (self.silent_after_ms > 2 * self.heartbeat_interval_ms, "silent_after_ms: longer than two heartbeats"),
            (
                self.silent_after_ms + self.over_after_ms() + TURNS_MAX * TURN_MS + self.store_timeout_ms
                    <= TAKE_OVER_MAX_MS,
                "the times of a take-over: together at most 15 s",
            ),
            (
                (self.lease_ms + 1..self.over_after_ms()).contains(&self.ceiling_ahead_ms),
                "ceiling_ahead_ms: longer than a lease, shorter than a lease and a write",
            ),
            (
                [self.heartbeat_interval_ms, self.renew_interval_ms, self.store_timeout_ms, self.retry_ms]
                    .iter()
                    .all(|ms| *ms > 0),
                "heartbeat_interval_ms, renew_interval_ms, store_timeout_ms, retry_ms: not 0",
            ),
            (self.ask_interval_ms > 0 && self.ceiling_above_ms > 0, "ask_interval_ms, ceiling_above_ms: not 0"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, mistake)| mistake).collect()
    }
}

/// How much may be under way at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reads and compare-and-sets of shards that are taken.
    pub takes_at_once: usize,
    /// Shards that are drained or handed over: each has no owner meanwhile, so that few at a time mean a short gap.
    pub gives_at_once: usize,
    /// Reads of rows whose shard's owner somebody asks for.
    pub lookups_at_once: usize,
    /// Reads of the leases of nodes that fell silent.
    pub looks_at_once: usize,
    /// Shards of one message.
    pub shards_of_message_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            takes_at_once: 64,
            gives_at_once: 64,
            lookups_at_once: 64,
            looks_at_once: 16,
            shards_of_message_max: 1_024,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// A node of a deployment with these regions, and otherwise the defaults.
    pub fn new(region: RegionName, regions: Vec<RegionName>, worker_id: u16, nonce: u32) -> Self {
        Self {
            region,
            regions,
            taken_over: Vec::new(),
            stands_by_for: Vec::new(),
            worker_id,
            nonce,
            first_floors: Marks::default(),
            virtual_shards: VIRTUAL_SHARDS,
            timings: Timings::default(),
            limits: Limits::default(),
        }
    }

    /// All that is wrong with it.
    ///
    /// # Errors
    /// Something is.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut mistakes: Vec<String> = self.timings.mistakes().into_iter().map(Into::into).collect();
        let mut want = |holds: bool, mistake: String| {
            if !holds {
                mistakes.push(mistake);
            }
        };
        for region in [&self.region].into_iter().chain(&self.taken_over).chain(&self.stands_by_for) {
            want(self.regions.contains(region), format!("region {region} is not among the regions"));
        }
        let mut names = self.regions.clone();
        names.sort();
        names.dedup();
        want(names.len() == self.regions.len(), "a region is named twice".into());
        want(self.regions.len() <= REGIONS_MAX, format!("regions: at most {REGIONS_MAX}"));
        want(self.worker_id < WORKER_IDS, format!("worker_id: below {WORKER_IDS}"));
        want((1..=VIRTUAL_SHARDS).contains(&self.virtual_shards), format!("virtual_shards: 1 to {VIRTUAL_SHARDS}"));
        let Limits { takes_at_once, gives_at_once, lookups_at_once, looks_at_once, shards_of_message_max } =
            self.limits;
        let least = takes_at_once.min(gives_at_once).min(lookups_at_once).min(looks_at_once).min(shards_of_message_max);
        want(least > 0, "limits: not 0".into());
        if mistakes.is_empty() { Ok(()) } else { Err(ConfigError(mistakes)) }
    }

    /// The node as the incarnation that its lease has.
    pub(crate) const fn node(&self, incarnation: u32) -> NodeId {
        NodeId::from_parts(self.worker_id, incarnation, self.nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let eu = RegionName::new("eu").unwrap();
        Config::new(eu.clone(), vec![eu], 5, 9)
    }

    #[test]
    fn the_defaults_keep_the_promises() {
        assert_eq!(config().check(), Ok(()));
        let timings = Timings::default();
        // Silent, over, and the two compare-and-sets that follow, of which one may have to be made again.
        let turns_ms = TURNS_MAX * TURN_MS;
        let all_ms = timings.silent_after_ms + timings.over_after_ms() + turns_ms + timings.store_timeout_ms;
        assert!(all_ms <= TAKE_OVER_MAX_MS);
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let mut config = config();
        config.worker_id = 1_024;
        config.virtual_shards = 0;
        config.taken_over = vec![RegionName::new("us").unwrap()];
        config.timings.lease_ms = 4_000;
        let ConfigError(mistakes) = config.check().unwrap_err();
        let text = mistakes.join("\n");
        for part in ["worker_id", "virtual_shards", "region us", "lease_ms", "ceiling_ahead_ms"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
