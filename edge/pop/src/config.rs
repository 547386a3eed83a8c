//! What an operator may set about a point of presence.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rookery_model::limits::REQUEST_BODY_MAX_BYTES;
use serde::{Deserialize, Serialize};

/// The point of presence's part of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PopConfig {
    /// Where plain HTTP/1.1 and HTTP/2 (prior knowledge) listen. Port 0 picks a free one.
    pub http: SocketAddr,
    /// Where HTTPS listens, if anywhere; needs `tls`, or a TLS configuration given by the program.
    pub https: Option<SocketAddr>,
    /// The certificate that HTTPS shows.
    pub tls: Option<TlsFiles>,
    /// What runs the API.
    pub engine: EngineKind,
    /// How requests are taken in.
    pub requests: RequestLimits,
    /// How connections are held.
    pub connections: ConnectionLimits,
    /// How the component's instances are kept.
    pub component: ComponentLimits,
    /// What a single address may do.
    pub client: ClientLimits,
}

impl Default for PopConfig {
    fn default() -> Self {
        Self {
            http: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            https: None,
            tls: None,
            engine: EngineKind::default(),
            requests: RequestLimits::default(),
            connections: ConnectionLimits::default(),
            component: ComponentLimits::default(),
            client: ClientLimits::default(),
        }
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those between it and the CA.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// What runs the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The WebAssembly component built into the binary.
    #[default]
    Component,
    /// The same code compiled into the binary: no sandbox, no memory cap, no cut of endless loops. For benchmarks.
    Native,
}

/// How requests are taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Largest body of an API request; a larger one is a 413.
    pub max_body_bytes: usize,
    /// Bytes of all bodies held at once; beyond, a 503.
    pub max_buffered_body_bytes: usize,
    /// Largest response that the API may give; a larger one is a 500.
    pub max_response_bytes: usize,
    /// Time for a request's body to arrive; beyond, a 408.
    pub body_read_timeout_ms: u64,
    /// Time for everything from the whole request to the whole response; beyond, a 504.
    pub timeout_ms: u64,
    /// Time for one call to the region, within `timeout_ms`.
    pub region_call_timeout_ms: u64,
    /// API requests carried out at once. Each holds an instance of the component.
    pub max_concurrent: u32,
    /// API requests that may wait for a place; beyond, a 503.
    pub max_queued: u32,
    /// How long one may wait for a place; beyond, a 503.
    pub queue_timeout_ms: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: REQUEST_BODY_MAX_BYTES,
            max_buffered_body_bytes: 256 << 20,
            max_response_bytes: 16 << 20,
            body_read_timeout_ms: 20_000,
            timeout_ms: 15_000,
            region_call_timeout_ms: 10_000,
            max_concurrent: 256,
            max_queued: 2_048,
            queue_timeout_ms: 2_000,
        }
    }
}

/// How connections are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionLimits {
    /// Open connections of all clients; further ones wait in the kernel's queue.
    pub max_open: u32,
    /// Open connections of one address; further ones are closed at once.
    pub max_open_per_client: u32,
    /// Time for the TLS handshake.
    pub tls_handshake_timeout_ms: u64,
    /// Time for a request's head to arrive, also counted on a kept HTTP/1.1 connection that is idle.
    pub header_read_timeout_ms: u64,
    /// How long a connection may stay without a request under way.
    pub idle_timeout_ms: u64,
    /// How long a response may make no progress because its client does not read.
    pub stalled_response_timeout_ms: u64,
    /// Largest request head.
    pub max_head_bytes: usize,
    /// Requests under way on one HTTP/2 connection.
    pub max_http2_streams: u32,
    /// At shutdown, how long requests under way may take to end.
    pub drain_timeout_ms: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_open: 10_000,
            max_open_per_client: 4_000,
            tls_handshake_timeout_ms: 10_000,
            header_read_timeout_ms: 30_000,
            idle_timeout_ms: 120_000,
            stalled_response_timeout_ms: 30_000,
            max_head_bytes: 32 << 10,
            max_http2_streams: 100,
            drain_timeout_ms: 10_000,
        }
    }
}

/// How the component's instances are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComponentLimits {
    /// Linear memory of one instance.
    pub max_memory_bytes: usize,
    /// An instance that has grown beyond this is replaced after its request: linear memory never shrinks.
    pub max_idle_memory_bytes: usize,
    /// Time that an instance may compute for one request, waiting for the region not counted.
    pub max_compute_ms: u64,
    /// Requests after which an instance is replaced; bounds what a leak in the component can add up to.
    pub max_requests_per_instance: u32,
    /// How long an instance may wait unused before its memory is given back.
    pub idle_timeout_ms: u64,
    /// Calls to the region that one request may make.
    pub max_calls_per_request: u32,
}

impl Default for ComponentLimits {
    fn default() -> Self {
        Self {
            max_memory_bytes: 64 << 20,
            max_idle_memory_bytes: 16 << 20,
            max_compute_ms: 1_000,
            max_requests_per_instance: 10_000,
            idle_timeout_ms: 30_000,
            max_calls_per_request: 32,
        }
    }
}

/// What a single address may do (an IPv6 address counts as its /64).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientLimits {
    /// Answers 401, 403 and 429 within the window, after which every request is a 429. 0 lifts the limit.
    pub invalid_requests: u32,
    /// The window.
    pub invalid_window_s: u64,
    /// Addresses remembered at once; the least used are forgotten first.
    pub max_tracked: u64,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { invalid_requests: 10_000, invalid_window_s: 600, max_tracked: 100_000 }
    }
}

impl PopConfig {
    /// Takes every limit of rate away, for load tests; sizes stay.
    pub fn lift_rate_limits(&mut self) {
        self.client.invalid_requests = 0;
        self.connections.max_open_per_client = self.connections.max_open;
    }

    /// Everything wrong with these settings, each in a sentence that names the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let requests = &self.requests;
        let connections = &self.connections;
        let component = &self.component;
        let positive: [(&str, u64); 14] = [
            ("requests.max_body_bytes", requests.max_body_bytes as u64),
            ("requests.max_response_bytes", requests.max_response_bytes as u64),
            ("requests.body_read_timeout_ms", requests.body_read_timeout_ms),
            ("requests.timeout_ms", requests.timeout_ms),
            ("requests.region_call_timeout_ms", requests.region_call_timeout_ms),
            ("requests.max_concurrent", requests.max_concurrent.into()),
            ("connections.max_open", connections.max_open.into()),
            ("connections.max_open_per_client", connections.max_open_per_client.into()),
            ("connections.header_read_timeout_ms", connections.header_read_timeout_ms),
            ("connections.idle_timeout_ms", connections.idle_timeout_ms),
            ("connections.stalled_response_timeout_ms", connections.stalled_response_timeout_ms),
            ("connections.max_http2_streams", connections.max_http2_streams.into()),
            ("component.max_compute_ms", component.max_compute_ms),
            ("component.max_requests_per_instance", component.max_requests_per_instance.into()),
        ];
        for (key, value) in positive {
            if value == 0 {
                problems.push(format!("{key} must be at least 1"));
            }
        }
        // hyper refuses smaller buffers with a panic.
        if connections.max_head_bytes < 8 << 10 {
            problems.push(format!(
                "connections.max_head_bytes is {}, at least {} are needed",
                connections.max_head_bytes,
                8 << 10
            ));
        }
        if requests.max_buffered_body_bytes < requests.max_body_bytes {
            problems.push(
                "requests.max_buffered_body_bytes is below requests.max_body_bytes: the largest body would never fit"
                    .to_owned(),
            );
        }
        if requests.max_concurrent > 4_096 {
            problems.push(format!(
                "requests.max_concurrent is {}: each place reserves 4 GiB of address space, at most 4096 are possible",
                requests.max_concurrent
            ));
        }
        if component.max_memory_bytes < 4 << 20 || component.max_memory_bytes > 1 << 30 {
            problems.push(format!(
                "component.max_memory_bytes is {}, it must lie between {} and {}",
                component.max_memory_bytes,
                4 << 20,
                1 << 30
            ));
        }
        if self.tls.is_some() && self.https.is_none() {
            problems.push("tls is given but https is not: say where HTTPS should listen".to_owned());
        }
        if self.client.invalid_requests > 0 && self.client.invalid_window_s == 0 {
            problems.push("client.invalid_window_s must be at least 1".to_owned());
        }
        problems
    }
}

/// A setting in milliseconds as a duration.
pub(crate) const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(PopConfig::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let config: PopConfig = toml::from_str(
            r#"
            tls = { certificate_file = "a.pem", key_file = "b.pem" }
            [requests]
            max_concurrent = 0
            max_buffered_body_bytes = 10
            [connections]
            max_head_bytes = 100
            [component]
            max_memory_bytes = 1
            "#,
        )
        .unwrap();
        let problems = config.problems().join("\n");
        for key in ["max_concurrent", "max_buffered_body_bytes", "max_head_bytes", "max_memory_bytes", "https"] {
            assert!(problems.contains(key), "{key} is not named in:\n{problems}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<PopConfig>("htpp = \"127.0.0.1:1\"").is_err());
    }
}
