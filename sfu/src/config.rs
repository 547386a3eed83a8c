//! Addresses and limits of a voice node.

use rookery_voice_session::VoiceConfig;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::turn::TurnConfig;

/// Sockets for media that a node may have.
const CORES_MAX: usize = 256;

/// How a voice node is set up. Every field has a default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SfuConfig {
    /// Where the voice gateway listens, with TLS; port 0 picks a free one.
    pub gateway: SocketAddr,
    /// Where media is received. There is a socket for each core: with port 0 each has a free port, with another one they are
    /// that and those behind it.
    pub media: SocketAddr,
    /// Sockets for media, each with a thread of its own; none for as many as the machine has cores.
    pub cores: Option<usize>,
    /// The address that READY tells clients, if it is not the one of `media`: behind a NAT, or if that is unspecified.
    pub advertised_ip: Option<IpAddr>,
    /// Host and port that VOICE_SERVER_UPDATE tells clients, if it is not the address of `gateway`.
    pub endpoint: Option<String>,
    /// The node's number, so that nodes of one room give different SSRCs. Below 4,096.
    pub node: u16,
    /// Sessions and those who are awaited, in all rooms.
    pub members_max: usize,
    /// WebSocket connections, also of those who have not identified.
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// Connections that are not through their TLS and WebSocket handshakes.
    pub handshakes_max: usize,
    pub handshakes_per_address_max: usize,
    /// For both handshakes together.
    pub handshake_timeout_ms: u64,
    /// How long a connection that is being closed may take.
    pub close_timeout_ms: u64,
    /// How long a token waits for IDENTIFY.
    pub token_ttl_ms: u64,
    /// What the kernel keeps for one client of the gateway: what it took counts as sent.
    pub send_buffer_bytes: u32,
    /// What the kernel keeps of each media socket's datagrams, each way; it may give less.
    pub media_buffer_bytes: usize,
    /// Messages of a room that may wait for one session's task.
    pub mailbox_capacity: usize,
    /// Requests that may wait for one core.
    pub command_capacity: usize,
    /// Events that may wait for whoever takes them.
    pub event_capacity: usize,
    /// In rooms with more members SPEAKING is told only of those who are heard, and CLIENTS_CONNECT of the first so many, so
    /// that what a room tells grows with its members and not with their square.
    pub presence_members_max: usize,
    /// In rooms with more than 50 members CLIENTS_CONNECT waits so long for others who come.
    pub presence_interval_ms: u64,
    /// Relays that browsers are told of.
    pub turn: TurnConfig,
    /// Of the voice gateway's sessions.
    pub session: VoiceConfig,
}

impl Default for SfuConfig {
    fn default() -> Self {
        let localhost = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            gateway: localhost(8_444),
            media: localhost(0),
            cores: None,
            advertised_ip: None,
            endpoint: None,
            node: 0,
            members_max: 50_000,
            connections_max: 60_000,
            connections_per_address_max: 10_000,
            handshakes_max: 1_000,
            handshakes_per_address_max: 200,
            handshake_timeout_ms: 10_000,
            close_timeout_ms: 3_000,
            token_ttl_ms: 60_000,
            send_buffer_bytes: 32_768,
            media_buffer_bytes: 4_194_304,
            mailbox_capacity: 64,
            command_capacity: 1_024,
            event_capacity: 4_096,
            presence_members_max: 200,
            presence_interval_ms: 250,
            turn: TurnConfig::default(),
            session: VoiceConfig::default(),
        }
    }
}

impl SfuConfig {
    /// Every mistake in the settings, each with the setting's name.
    pub fn mistakes(&self) -> Vec<String> {
        let cores = self.cores.unwrap_or(1);
        let needs_ip = self.media.ip().is_unspecified() && self.advertised_ip.is_none();
        let ports_end = usize::from(self.media.port()) + cores;
        let zeroes = [
            (self.members_max, "members_max"),
            (self.connections_max, "connections_max"),
            (self.connections_per_address_max, "connections_per_address_max"),
            (self.handshakes_max, "handshakes_max"),
            (self.handshakes_per_address_max, "handshakes_per_address_max"),
            (self.mailbox_capacity, "mailbox_capacity"),
            (self.command_capacity, "command_capacity"),
            (self.event_capacity, "event_capacity"),
            (self.handshake_timeout_ms as usize, "handshake_timeout_ms"),
            (self.token_ttl_ms as usize, "token_ttl_ms"),
        ];
        let zeroes = zeroes.into_iter().filter(|(value, _)| *value == 0);
        let checks = [
            (cores == 0 || cores > CORES_MAX, "cores must be 1 to 256"),
            (self.node >= 4_096, "node must be below 4096"),
            (needs_ip, "advertised_ip must be given if media is an unspecified address"),
            (self.media.port() != 0 && ports_end > 65_536, "media has no free ports for so many cores above its port"),
        ];
        let checks = checks.into_iter().filter(|(bad, _)| *bad);
        let session = self.session.mistakes().into_iter().map(|mistake| format!("session.{mistake}"));
        let turn = self.turn.mistakes().into_iter().map(|mistake| format!("turn.{mistake}"));
        zeroes
            .map(|(_, name)| format!("{name} must be above 0"))
            .chain(checks.map(|(_, what)| what.to_owned()))
            .chain(turn)
            .chain(session)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_mistake() {
        assert_eq!(SfuConfig::default().mistakes(), Vec::<String>::new());
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let mut config = SfuConfig { node: 5_000, members_max: 0, cores: Some(0), ..SfuConfig::default() };
        config.media.set_ip(Ipv4Addr::UNSPECIFIED.into());
        config.session.heartbeat_interval_ms = 0;
        let mistakes = config.mistakes().join("; ");
        for name in ["node", "members_max", "cores", "advertised_ip", "session.heartbeat_interval_ms"] {
            assert!(mistakes.contains(name), "{name} in {mistakes}");
        }
    }
}
