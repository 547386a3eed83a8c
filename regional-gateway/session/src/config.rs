//! What operators may set about gateway sessions.

use rookery_model::limits;
use serde::{Deserialize, Serialize};

/// Limits and intervals of sessions; the defaults are the API's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// What HELLO asks clients for.
    pub heartbeat_interval_ms: u64,
    /// A connection without a heartbeat for so long is closed with 4009.
    pub heartbeat_timeout_ms: u64,
    /// A connection that neither identified nor resumed within this time is closed with 4009.
    pub identify_timeout_ms: u64,
    /// Payloads that a connection may send in [`Self::rate_window_ms`]; none lifts the limit.
    pub rate_events: Option<u32>,
    pub rate_window_ms: u64,
    /// Longer payloads from clients are refused with 4002.
    pub payload_max_bytes: usize,
    /// How long a session without a connection waits for RESUME.
    pub resume_window_ms: u64,
    /// Bounds of what is kept for RESUME.
    pub replay_max_events: usize,
    pub replay_max_bytes: usize,
    /// Of the events that a bot's heartbeat acknowledged, so many are kept all the same: a bot that stored its sequence
    /// number and restarted may come back with an older one.
    pub replay_acknowledged_max_events: usize,
    /// A connection with more than this unsent is closed with 4000; the session stays resumable.
    pub unsent_max_events: usize,
    pub unsent_max_bytes: usize,
    /// From this size on a payload is compressed by itself for clients that asked for it in IDENTIFY.
    pub payload_compression_min_bytes: usize,
    /// Effort of compressing for one connection, 1 (fast) to 9 (small): in the mode `context`, and single payloads. Messages of 750 bytes: level 1 took 17 µs and left 133 bytes, level 3
    /// 45 µs and 113 bytes, level 6 63 µs and 106 bytes.
    pub zlib_level: u32,
    /// The same for what is compressed once for all connections. Events of a lively guild, 965 bytes on average: level 1
    /// left 70 %, level 3 for two and a half times the CPU (about 20 µs) 55 %, level 9 for three times 54 %.
    pub zlib_shared_level: u32,
    /// How zlib-stream connections are compressed.
    pub zlib: ZlibMode,
    /// Base-two logarithm of the bytes that a compressed stream refers back to, 9 to 15: memory of each zlib-stream
    /// connection in the mode `context` (204 KiB with 13, 300 KiB with 15) against the size of what it sends.
    pub zlib_window_bits: u8,
}

/// How zlib-stream connections are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZlibMode {
    /// Each event once for all connections, which cost no more memory than uncompressed ones.
    #[default]
    Shared,
    /// Each connection by itself: fewer bytes, for the memory and CPU of a compressor a connection.
    Context,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: limits::HEARTBEAT_INTERVAL_MS,
            heartbeat_timeout_ms: limits::HEARTBEAT_INTERVAL_MS * 3 / 2,
            identify_timeout_ms: 45_000,
            rate_events: Some(limits::GATEWAY_RATE_EVENTS),
            rate_window_ms: limits::GATEWAY_RATE_WINDOW_MS,
            payload_max_bytes: limits::GATEWAY_PAYLOAD_MAX_BYTES,
            resume_window_ms: limits::RESUME_WINDOW_MS,
            replay_max_events: 4_096,
            replay_max_bytes: 4 << 20,
            replay_acknowledged_max_events: 32,
            unsent_max_events: 1_024,
            unsent_max_bytes: 1 << 20,
            payload_compression_min_bytes: 4_096,
            zlib_level: 1,
            zlib_shared_level: 3,
            zlib: ZlibMode::Shared,
            zlib_window_bits: 13,
        }
    }
}

impl SessionConfig {
    /// Every mistake in the settings, each with the setting's name.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut wrong = |bad: bool, what: &str| {
            if bad {
                mistakes.push(what.to_owned());
            }
        };
        wrong(self.heartbeat_interval_ms == 0, "heartbeat_interval_ms must be above 0");
        wrong(
            self.heartbeat_timeout_ms <= self.heartbeat_interval_ms,
            "heartbeat_timeout_ms must be above heartbeat_interval_ms",
        );
        wrong(self.identify_timeout_ms == 0, "identify_timeout_ms must be above 0");
        wrong(self.rate_events == Some(0), "rate_events must be above 0 (leave it out to lift the limit)");
        wrong(self.payload_max_bytes < 1_024, "payload_max_bytes must be at least 1024: an IDENTIFY takes as much");
        wrong(
            self.replay_max_events <= self.unsent_max_events,
            "replay_max_events must be above unsent_max_events, or a slow client could not resume",
        );
        wrong(
            self.replay_max_bytes <= self.unsent_max_bytes,
            "replay_max_bytes must be above unsent_max_bytes, or a slow client could not resume",
        );
        wrong(self.unsent_max_events == 0, "unsent_max_events must be above 0");
        wrong(!(1..=9).contains(&self.zlib_level), "zlib_level must be 1 to 9");
        wrong(!(1..=9).contains(&self.zlib_shared_level), "zlib_shared_level must be 1 to 9");
        wrong(!(9..=15).contains(&self.zlib_window_bits), "zlib_window_bits must be 9 to 15");
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_mistake() {
        assert_eq!(SessionConfig::default().mistakes(), Vec::<String>::new());
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let config = SessionConfig {
            heartbeat_interval_ms: 0,
            replay_max_bytes: 1,
            zlib_window_bits: 8,
            ..SessionConfig::default()
        };
        let mistakes = config.mistakes().join("; ");
        for name in ["heartbeat_interval_ms", "replay_max_bytes", "zlib_window_bits"] {
            assert!(mistakes.contains(name), "{mistakes}");
        }
    }
}
