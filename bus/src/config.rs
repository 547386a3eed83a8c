//! Configuration of the bus.

use std::path::PathBuf;

use serde::Deserialize;

use crate::MAX_PAYLOAD_BYTES;
use crate::subject::is_token;

/// What carries messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// Nothing but this process: it is the only node.
    #[default]
    Local,
    Nats,
}

/// Everything that the bus can be told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    pub kind: BusKind,
    /// Part of every subject: deployments that share servers do not hear each other.
    pub deployment: String,
    /// NATS servers of this region: `nats://host:4222`, or `tls://…` to refuse connections in clear.
    pub urls: Vec<String>,
    /// A NATS credentials file (JWT and seed).
    pub credentials_file: Option<PathBuf>,
    /// Who signed the servers' certificates, PEM; without it the system's authorities. With it, connections are TLS.
    pub tls_ca_file: Option<PathBuf>,
    /// This node's certificate and its key, PEM.
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    /// How long an attempt to connect may take.
    pub connect_timeout_ms: u64,
    /// The longest pause between two attempts.
    pub reconnect_delay_max_ms: u64,
    /// So often the server is asked for a sign of life; without two of them the connection is over.
    pub ping_interval_ms: u64,
    /// The largest message, where the server does not want less.
    pub max_payload_bytes: usize,
    /// What may wait to be sent; beyond, messages are dropped.
    pub publish_queue_messages: usize,
    pub publish_queue_bytes: usize,
    /// What may wait for one subscriber; beyond, it loses messages.
    pub subscription_queue_messages: usize,
    pub subscription_queue_bytes: usize,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            kind: BusKind::Local,
            deployment: "local".into(),
            urls: Vec::new(),
            credentials_file: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            connect_timeout_ms: 5_000,
            reconnect_delay_max_ms: 1_000,
            ping_interval_ms: 2_000,
            max_payload_bytes: MAX_PAYLOAD_BYTES,
            publish_queue_messages: 4_096,
            publish_queue_bytes: 64 * 1024 * 1024,
            subscription_queue_messages: 16_384,
            subscription_queue_bytes: 128 * 1024 * 1024,
        }
    }
}

/// Places in a queue.
const QUEUE_MAX: usize = 1 << 20;
/// NATS servers take no more in one message.
const PAYLOAD_LIMIT_BYTES: usize = 64 * 1024 * 1024;
const SPAN_MAX_MS: u64 = 3_600_000;

impl BusConfig {
    /// Every mistake, each by the name of its field.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |holds: bool, text: &str| {
            if !holds {
                mistakes.push(text.to_owned());
            }
        };
        want(is_token(&self.deployment), "deployment: 1 to 64 characters of A-Z, a-z, 0-9, - and _");
        let nats = self.kind == BusKind::Nats;
        want(!nats || !self.urls.is_empty(), "urls: at least one server for kind = \"nats\"");
        want(nats || self.urls.is_empty(), "urls: only with kind = \"nats\"");
        want(
            self.tls_cert_file.is_some() == self.tls_key_file.is_some(),
            "tls_key_file: set together with tls_cert_file",
        );
        want(
            (1..=PAYLOAD_LIMIT_BYTES).contains(&self.max_payload_bytes),
            "max_payload_bytes: at least 1, 64 MiB at most",
        );
        for (size, name) in [
            (self.publish_queue_messages, "publish_queue_messages"),
            (self.subscription_queue_messages, "subscription_queue_messages"),
        ] {
            want((1..=QUEUE_MAX).contains(&size), &format!("{name}: 1 to {QUEUE_MAX}"));
        }
        for (size, name) in [
            (self.publish_queue_bytes, "publish_queue_bytes"),
            (self.subscription_queue_bytes, "subscription_queue_bytes"),
        ] {
            want(size >= self.max_payload_bytes, &format!("{name}: at least max_payload_bytes"));
        }
        for (span_ms, name) in [
            (self.connect_timeout_ms, "connect_timeout_ms"),
            (self.reconnect_delay_max_ms, "reconnect_delay_max_ms"),
            (self.ping_interval_ms, "ping_interval_ms"),
        ] {
            want((1..=SPAN_MAX_MS).contains(&span_ms), &format!("{name}: 1 to {SPAN_MAX_MS}, an hour"));
        }
        mistakes.extend(self.urls.iter().filter_map(|url| url_mistake(url)));
        mistakes
    }

    /// Whether a connection in clear is refused.
    pub(crate) fn requires_tls(&self) -> bool {
        self.tls_ca_file.is_some()
            || self.tls_cert_file.is_some()
            || self.urls.iter().any(|url| url.starts_with("tls://"))
    }
}

/// What is wrong with a server's address; a password in it is not repeated.
fn url_mistake(url: &str) -> Option<String> {
    let has_scheme = url.starts_with("nats://") || url.starts_with("tls://");
    if !has_scheme {
        return Some("urls: each begins with nats:// or tls://".into());
    }
    let address: Result<async_nats::ServerAddr, _> = url.parse();
    match address {
        Ok(address) if address.password().is_some() || address.username().is_some() => {
            Some("urls: without user and password (use credentials_file)".into())
        }
        Ok(address) if address.host().is_empty() => Some(format!("urls: {url}: names no host")),
        Ok(_) => None,
        Err(error) => Some(format!("urls: {url}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(BusConfig::default().mistakes(), Vec::<String>::new());
    }

    #[test]
    fn a_configuration_is_read_as_it_is_documented() {
        let config: BusConfig = toml::from_str(
            r#"
            kind = "nats"
            deployment = "prod"
            urls = ["tls://nats-1.example.org:4222", "nats://10.0.0.2"]
            credentials_file = "/etc/rookery/bus.creds"
            tls_ca_file = "/etc/rookery/ca.pem"
            tls_cert_file = "/etc/rookery/node.pem"
            tls_key_file = "/etc/rookery/node.key"
            "#,
        )
        .unwrap();
        assert_eq!(config.mistakes(), Vec::<String>::new());
        assert!(config.requires_tls());
        assert!(toml::from_str::<BusConfig>("servers = []").is_err(), "a key that nobody reads");
        assert!(toml::from_str::<BusConfig>("kind = \"kafka\"").is_err());
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let config = BusConfig {
            kind: BusKind::Nats,
            deployment: "a.b".into(),
            urls: vec!["http://here".into(), "nats://user:hunter2@here".into(), "nats://".into()],
            tls_key_file: Some("key.pem".into()),
            max_payload_bytes: 0,
            publish_queue_messages: 0,
            subscription_queue_messages: usize::MAX,
            ping_interval_ms: 0,
            ..BusConfig::default()
        };
        let mistakes = config.mistakes();
        assert_eq!(mistakes.len(), 9, "{mistakes:#?}");
        assert!(!mistakes.join(" ").contains("hunter2"));
        let config = BusConfig { kind: BusKind::Nats, ..BusConfig::default() };
        assert_eq!(config.mistakes().len(), 1);
        let config = BusConfig { urls: vec!["nats://here".into()], ..BusConfig::default() };
        assert_eq!(config.mistakes().len(), 1, "servers that nobody would speak to");
    }
}
