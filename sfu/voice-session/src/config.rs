//! Limits and intervals of the voice gateway.

use serde::Deserialize;

/// What holds for every connection and session.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VoiceConfig {
    /// What HELLO tells clients. discord.py beats every 5 s whatever is told.
    pub heartbeat_interval_ms: u64,
    /// A client that was silent for as long is closed with 4009, and may RESUME.
    pub heartbeat_timeout_ms: u64,
    /// From HELLO to IDENTIFY or RESUME.
    pub identify_timeout_ms: u64,
    /// How long a session without connection waits for RESUME.
    pub resume_window_ms: u64,
    /// Messages that a client may send in [`Self::rate_window_ms`]; none for no limit.
    pub rate_events: Option<u32>,
    pub rate_window_ms: u64,
    /// The longest message from a client. An SDP must fit in.
    pub payload_max_bytes: usize,
    /// Messages that may wait for a client that reads too slowly, before it is closed with 4015.
    pub unsent_max_events: usize,
    pub unsent_max_bytes: usize,
    /// Messages kept for RESUME from version 8 on, and their bytes. They are shared among sessions.
    pub replay_max_events: usize,
    pub replay_max_bytes: usize,
    /// What opcode 16 tells.
    pub backend_version: String,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 13_750,
            heartbeat_timeout_ms: 30_000,
            identify_timeout_ms: 10_000,
            resume_window_ms: 60_000,
            rate_events: Some(240),
            rate_window_ms: 60_000,
            payload_max_bytes: 32_768,
            unsent_max_events: 512,
            unsent_max_bytes: 1_048_576,
            replay_max_events: 1_024,
            replay_max_bytes: 2_097_152,
            backend_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl VoiceConfig {
    /// Every mistake in the settings, each with the setting's name.
    pub fn mistakes(&self) -> Vec<String> {
        let checks = [
            (self.heartbeat_interval_ms == 0, "heartbeat_interval_ms must be above 0"),
            (
                self.heartbeat_timeout_ms <= self.heartbeat_interval_ms,
                "heartbeat_timeout_ms must be above heartbeat_interval_ms",
            ),
            (self.identify_timeout_ms == 0, "identify_timeout_ms must be above 0"),
            (self.rate_events == Some(0), "rate_events must be above 0 (leave it out to lift the limit)"),
            (self.payload_max_bytes < 4_096, "payload_max_bytes must be at least 4096: an SDP takes as much"),
            (self.unsent_max_events == 0, "unsent_max_events must be above 0"),
            (
                self.replay_max_events <= self.unsent_max_events,
                "replay_max_events must be above unsent_max_events, or a slow client could not resume",
            ),
            (
                self.replay_max_bytes <= self.unsent_max_bytes,
                "replay_max_bytes must be above unsent_max_bytes, or a slow client could not resume",
            ),
            (
                self.replay_max_events > 32_768,
                "replay_max_events must be at most 32768: numbers on the wire begin anew after 65535",
            ),
        ];
        checks.into_iter().filter(|(bad, _)| *bad).map(|(_, what)| what.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_mistake() {
        assert_eq!(VoiceConfig::default().mistakes(), Vec::<String>::new());
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let config = VoiceConfig {
            heartbeat_interval_ms: 0,
            replay_max_bytes: 1,
            replay_max_events: 40_000,
            ..VoiceConfig::default()
        };
        let mistakes = config.mistakes().join("; ");
        for name in ["heartbeat_interval_ms", "replay_max_bytes", "replay_max_events"] {
            assert!(mistakes.contains(name), "{mistakes}");
        }
    }
}
