//! Configuration of a region.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rookery_model::limits;
use rookery_model::voice::node::ROOM_MEMBERS_MAX;
use rookery_session::SessionConfig;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::degradation::DegradationConfig;
use crate::gateway::worker::WORKERS_MAX;
use crate::rate_limit::RestLimits;

/// Everything that a region can be told; each field has a default that suits one machine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionConfig {
    /// The region's name, as it appears in logs, metrics and hints to PoPs.
    pub name: String,
    /// Low 10 bits of this process's ids; unique over the deployment.
    pub worker_id: u16,
    pub gateway: GatewayConfig,
    pub owners: OwnersConfig,
    pub presence: PresenceConfig,
    pub streams: StreamsConfig,
    pub rest: RestLimits,
    pub degradation: DegradationConfig,
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self {
            name: "local".into(),
            worker_id: 0,
            gateway: GatewayConfig::default(),
            owners: OwnersConfig::default(),
            presence: PresenceConfig::default(),
            streams: StreamsConfig::default(),
            rest: RestLimits::default(),
            degradation: DegradationConfig::default(),
        }
    }
}

/// The WebSocket gateway.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What clients are told, without a trailing slash: `wss://gateway.example.org`. Without it the listening address.
    pub public_url: Option<String>,
    pub webtransport: WebTransportConfig,
    /// What every session keeps to.
    pub session: SessionConfig,
    /// Connections at once; beyond, new ones are closed before the handshake.
    pub max_connections: usize,
    /// As many of them from one address; of IPv6 all of a network of 64 bits. Behind a proxy all clients have the proxy's.
    pub max_connections_per_address: usize,
    /// Connections that are not through the WebSocket handshake, overall and from one address.
    pub max_handshakes: usize,
    pub max_handshakes_per_address: usize,
    /// From the first byte to the end of the WebSocket handshake.
    pub handshake_timeout_ms: u64,
    /// How often an account may IDENTIFY in a day; none lifts the limit.
    pub identify_per_day: Option<u32>,
    /// A bot's `max_concurrency`: shards that may IDENTIFY in the same five seconds, one of each
    /// `shard_id % identify_concurrency`.
    pub identify_concurrency: u32,
    /// IDENTIFYs that are worked on at once; others wait, RESUMEs do not.
    pub identify_at_once: usize,
    /// IDENTIFYs that may wait; beyond, clients are told to come again.
    pub identify_queue: usize,
    /// How long an IDENTIFY may wait before its client is told to come again. discord.js gives up after 15 seconds.
    pub identify_wait_ms: u64,
    /// A bot is told to run one shard for so many guilds.
    pub guilds_per_shard: u32,
    /// Guilds of a bot's shard; with more it is closed with 4011.
    pub guilds_per_shard_max: u32,
    /// Bytes that the kernel holds for a client: what it took counts as sent.
    pub send_buffer_bytes: u32,
    /// Tasks that drive sessions; without it as many as there are cores.
    pub workers: Option<usize>,
    /// What may wait for a worker: events, each with its whole audience, and messages to single sessions. When it is
    /// full, owners wait, and calls to them are answered 503.
    pub inbox_capacity: usize,
    /// Sessions that one account may hold at once.
    pub sessions_per_user: usize,
    /// Guilds that one session subscribes to at the same time while it starts.
    pub subscribe_concurrency: usize,
    /// How long a drain takes at most.
    pub drain_timeout_ms: u64,
    /// How long the client may take to answer a close frame.
    pub close_timeout_ms: u64,
    /// Where sessions wait between a process that ends and the next one; without it they end with their process. Nothing
    /// else is in this folder, and no two regions share one.
    pub sessions_dir: Option<PathBuf>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            webtransport: WebTransportConfig::default(),
            session: SessionConfig::default(),
            max_connections: 100_000,
            max_connections_per_address: 10_000,
            max_handshakes: 4_096,
            max_handshakes_per_address: 256,
            handshake_timeout_ms: 10_000,
            identify_per_day: Some(1_000),
            identify_concurrency: 1,
            identify_at_once: IDENTIFY_AT_ONCE_PER_CORE * std::thread::available_parallelism().map_or(1, usize::from),
            identify_queue: 20_000,
            identify_wait_ms: 10_000,
            guilds_per_shard: limits::GUILDS_PER_SHARD,
            guilds_per_shard_max: limits::GUILDS_PER_SHARD_MAX,
            send_buffer_bytes: 64 * 1024,
            workers: None,
            inbox_capacity: 1_024,
            sessions_per_user: 1_000,
            subscribe_concurrency: 16,
            drain_timeout_ms: 10_000,
            close_timeout_ms: 10_000,
            sessions_dir: None,
        }
    }
}

/// The gateway over WebTransport; sessions are those of the WebSocket.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebTransportConfig {
    /// The UDP port where it listens; without it there is no WebTransport.
    pub listen: Option<SocketAddr>,
    /// What clients are told, without path: `https://gateway.example.org:8443`. Without it the listening address.
    pub public_url: Option<String>,
    /// The chain of certificates and its key, PEM; read again when they change.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Instead of them, for development: a folder for self-signed certificates that pages trust by their hash.
    pub self_signed_dir: Option<PathBuf>,
    /// A connection without a packet for so long is over; longer than the session's `heartbeat_timeout_ms`, which has
    /// a close code.
    pub idle_timeout_ms: u64,
    /// So often a quiet connection is given a packet, which keeps the way open through address translators.
    pub keep_alive_ms: u64,
}

impl Default for WebTransportConfig {
    fn default() -> Self {
        Self {
            listen: None,
            public_url: None,
            cert: None,
            key: None,
            self_signed_dir: None,
            idle_timeout_ms: 75_000,
            keep_alive_ms: 20_000,
        }
    }
}

impl WebTransportConfig {
    /// Every mistake, each by the name of its field.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |holds: bool, text: &str| {
            if !holds {
                mistakes.push(format!("gateway.webtransport.{text}"));
            }
        };
        want(self.cert.is_some() == self.key.is_some(), "key: set together with cert");
        want(
            self.listen.is_none() || self.cert.is_some() || self.self_signed_dir.is_some(),
            "cert: needed to listen (or self_signed_dir, for development)",
        );
        let url = self.public_url.as_deref();
        want(
            url.is_none_or(|url| url.starts_with("https://") && !url.ends_with('/')),
            "public_url: begins with https://, without a slash at the end",
        );
        want((1..=SPAN_MAX_MS).contains(&self.idle_timeout_ms), "idle_timeout_ms: at least 1, a year at most");
        want(
            (1..self.idle_timeout_ms.max(2)).contains(&self.keep_alive_ms),
            "keep_alive_ms: at least 1, below idle_timeout_ms",
        );
        mistakes
    }
}

/// Owners of guilds, DMs and users.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnersConfig {
    /// Commands that may wait for one owner; beyond, calls are answered 503.
    pub mailbox_capacity: usize,
    /// Outcomes of one owner that may wait to become durable.
    pub in_flight_max: usize,
    /// The same for all owners together; below the store's queue, so that an owner never decides what it cannot submit.
    pub in_flight_total: usize,
    /// An owner of a user without sessions is unloaded sooner.
    pub idle_evict_user_ms: u64,
    /// An owner that nobody subscribes to and nobody asks for this long is unloaded.
    pub idle_evict_ms: u64,
    /// Channels whose guild is remembered.
    pub channel_cache: u64,
}

impl Default for OwnersConfig {
    fn default() -> Self {
        Self {
            mailbox_capacity: 1_024,
            in_flight_max: 256,
            in_flight_total: 8_192,
            idle_evict_user_ms: 15_000,
            idle_evict_ms: 600_000,
            channel_cache: 100_000,
        }
    }
}

/// Who is seen as online, and who is told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresenceConfig {
    /// How long a session without a connection counts.
    pub expiry_ms: u64,
    /// Beyond this many members a guild tells changes in batches.
    pub batch_above_members: usize,
    /// How long a change waits for its batch.
    pub batch_ms: u64,
    /// Up to this many members people are told of all of them, beyond of those whom they look at.
    pub everyone_max_members: usize,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        let guild = rookery_guild::Limits::default();
        Self {
            expiry_ms: limits::PRESENCE_EXPIRY_MS,
            batch_above_members: guild.presence_batch_above,
            batch_ms: guild.presence_batch_ms,
            everyone_max_members: guild.presence_everyone_max,
        }
    }
}

/// Go Live.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamsConfig {
    /// Those who may watch a stream at once.
    pub viewers_max: u32,
    /// How well a stream is shown: by the guild's premium tier, or the same for all.
    pub quality: StreamsQuality,
}

/// How well streams are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamsQuality {
    /// 720p at 30 frames a second, and 1080p at 60 from tier 2 on.
    #[default]
    ByTier,
    Standard,
    Boosted,
}

impl From<StreamsQuality> for rookery_guild::StreamQualityLimit {
    fn from(quality: StreamsQuality) -> Self {
        match quality {
            StreamsQuality::ByTier => Self::ByTier,
            StreamsQuality::Standard => Self::Standard,
            StreamsQuality::Boosted => Self::Boosted,
        }
    }
}

impl Default for StreamsConfig {
    fn default() -> Self {
        let guild = rookery_guild::Limits::default();
        Self { viewers_max: guild.stream_viewers_max, quality: StreamsQuality::ByTier }
    }
}

/// Places in a queue or semaphore. The whole of `max_connections` is acquired at once, as a `u32`; tokio's own bound is
/// lower than that on machines of 32 bits only, and panics.
const SIZE_MAX: usize = {
    let places = u32::MAX as usize;
    if places < Semaphore::MAX_PERMITS { places } else { Semaphore::MAX_PERMITS }
};
/// A start waits for the store more than it computes.
const IDENTIFY_AT_ONCE_PER_CORE: usize = 8;
/// What is added to a clock; much more than this is beyond what a clock can count.
const SPAN_MAX_MS: u64 = 365 * 24 * 3_600_000;

/// A duration out of milliseconds of the configuration.
pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl RegionConfig {
    /// Takes every limit of rate away, for load tests; sizes stay.
    pub fn lift_rate_limits(&mut self) {
        self.rest.enabled = false;
        self.gateway.identify_per_day = None;
        self.gateway.identify_concurrency = u32::MAX;
        self.gateway.sessions_per_user = usize::MAX;
        self.gateway.max_connections_per_address = usize::MAX;
        self.gateway.max_handshakes_per_address = usize::MAX;
        // Whoever measures a storm waits for all of it.
        self.gateway.identify_wait_ms = self.gateway.identify_wait_ms.max(600_000);
        self.gateway.identify_queue = self.gateway.identify_queue.max(self.gateway.max_connections);
        self.gateway.session.rate_events = None;
        self.degradation.enabled = false;
    }

    /// Mistakes that show only beside the store's settings: how many batches its queue holds.
    pub fn mistakes_beside_store(&self, queue_batches: usize) -> Vec<String> {
        if self.owners.in_flight_total < queue_batches {
            return Vec::new();
        }
        vec![format!(
            "owners.in_flight_total: below the store's queue_batches ({queue_batches}), or owners decide what they cannot \
             submit"
        )]
    }

    /// Every mistake, each by the name of its field.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |holds: bool, text: &str| {
            if !holds {
                mistakes.push(text.to_owned());
            }
        };
        want(!self.name.is_empty() && self.name.len() <= 64, "name: 1 to 64 characters");
        want(self.worker_id < 1024, "worker_id: below 1024");
        want(
            (1..ROOM_MEMBERS_MAX).contains(&self.streams.viewers_max),
            "streams.viewers_max: at least 1, fewer than a voice room takes",
        );
        let gateway = &self.gateway;
        let url = gateway.public_url.as_deref();
        want(
            url.is_none_or(|url| url.starts_with("ws://") || url.starts_with("wss://")),
            "gateway.public_url: begins with ws:// or wss://",
        );
        want(url.is_none_or(|url| !url.ends_with('/')), "gateway.public_url: without a slash at the end");
        for (at_most, name) in [
            (gateway.max_connections_per_address, "gateway.max_connections_per_address: at least 1"),
            (gateway.max_handshakes, "gateway.max_handshakes: at least 1"),
            (gateway.max_handshakes_per_address, "gateway.max_handshakes_per_address: at least 1"),
        ] {
            want(at_most > 0, name);
        }
        want(gateway.handshake_timeout_ms > 0, "gateway.handshake_timeout_ms: at least 1");
        want(
            gateway.identify_per_day != Some(0),
            "gateway.identify_per_day: at least 1 (leave it out to lift the limit)",
        );
        want(gateway.identify_concurrency > 0, "gateway.identify_concurrency: at least 1");
        want(gateway.guilds_per_shard > 0, "gateway.guilds_per_shard: at least 1");
        want(
            gateway.guilds_per_shard_max >= gateway.guilds_per_shard,
            "gateway.guilds_per_shard_max: at least guilds_per_shard",
        );
        want(gateway.sessions_per_user > 0, "gateway.sessions_per_user: at least 1");
        want(
            gateway.workers.is_none_or(|workers| (1..=WORKERS_MAX).contains(&workers)),
            "gateway.workers: 1 to 256 (leave it out for one each core)",
        );
        want(gateway.subscribe_concurrency > 0, "gateway.subscribe_concurrency: at least 1");
        let sizes = [
            (gateway.max_connections, "gateway.max_connections"),
            (gateway.inbox_capacity, "gateway.inbox_capacity"),
            (gateway.identify_at_once, "gateway.identify_at_once"),
            (gateway.identify_queue, "gateway.identify_queue"),
            (self.owners.mailbox_capacity, "owners.mailbox_capacity"),
            (self.owners.in_flight_max, "owners.in_flight_max"),
            (self.owners.in_flight_total, "owners.in_flight_total"),
        ];
        let bad_sizes = sizes.into_iter().filter(|(size, _)| !(1..=SIZE_MAX).contains(size));
        mistakes.extend(bad_sizes.map(|(_, name)| format!("{name}: 1 to {SIZE_MAX}")));
        let spans = [
            (gateway.handshake_timeout_ms, "gateway.handshake_timeout_ms"),
            (gateway.identify_wait_ms, "gateway.identify_wait_ms"),
            (gateway.drain_timeout_ms, "gateway.drain_timeout_ms"),
            (gateway.close_timeout_ms, "gateway.close_timeout_ms"),
            (self.owners.idle_evict_ms, "owners.idle_evict_ms"),
            (self.owners.idle_evict_user_ms, "owners.idle_evict_user_ms"),
            (self.presence.expiry_ms, "presence.expiry_ms"),
            (self.presence.batch_ms, "presence.batch_ms"),
        ];
        let bad_spans = spans.into_iter().filter(|(span_ms, _)| *span_ms > SPAN_MAX_MS);
        mistakes.extend(bad_spans.map(|(_, name)| format!("{name}: {SPAN_MAX_MS} at most, a year")));
        mistakes.extend(self.degradation.mistakes().into_iter().map(|mistake| format!("degradation.{mistake}")));
        mistakes.extend(gateway.webtransport.mistakes());
        mistakes.extend(gateway.session.mistakes().into_iter().map(|mistake| format!("gateway.session.{mistake}")));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(RegionConfig::default().mistakes(), Vec::<String>::new());
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let mut config = RegionConfig { worker_id: 1024, ..RegionConfig::default() };
        config.gateway.public_url = Some("http://example.org/".into());
        config.owners.in_flight_max = 0;
        assert_eq!(config.mistakes().len(), 4);
    }

    #[test]
    fn webtransport_needs_a_certificate_and_times_that_fit() {
        let mut config = RegionConfig::default();
        config.gateway.webtransport.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        assert_eq!(config.mistakes().len(), 1);
        config.gateway.webtransport.self_signed_dir = Some("here".into());
        assert_eq!(config.mistakes(), Vec::<String>::new());
        config.gateway.webtransport.cert = Some("cert.pem".into());
        config.gateway.webtransport.keep_alive_ms = config.gateway.webtransport.idle_timeout_ms;
        config.gateway.webtransport.public_url = Some("wss://here".into());
        assert_eq!(config.mistakes().len(), 3, "{:?}", config.mistakes());
    }

    #[test]
    fn what_would_panic_later_is_a_mistake_now() {
        let mut config = RegionConfig::default();
        for size in [0, usize::MAX] {
            config.gateway.max_connections = size;
            config.gateway.inbox_capacity = size;
            config.owners.mailbox_capacity = size;
            config.owners.in_flight_max = size;
            config.owners.in_flight_total = size;
            assert_eq!(config.mistakes().len(), 5, "{:?}", config.mistakes());
        }
        config = RegionConfig::default();
        config.gateway.max_connections = SIZE_MAX;
        config.owners.idle_evict_ms = SPAN_MAX_MS;
        assert_eq!(config.mistakes(), Vec::<String>::new());
        // The bound is one: a semaphore and a queue of this size can be made.
        drop((Semaphore::new(SIZE_MAX), tokio::sync::mpsc::channel::<()>(SIZE_MAX)));
        config.owners.idle_evict_ms = u64::MAX;
        assert_eq!(config.mistakes().len(), 1);
    }

    #[test]
    fn owners_decide_no_more_than_the_store_takes() {
        let config = RegionConfig::default();
        assert_eq!(config.mistakes_beside_store(config.owners.in_flight_total).len(), 1);
        assert_eq!(config.mistakes_beside_store(config.owners.in_flight_total + 1), Vec::<String>::new());
    }
}
