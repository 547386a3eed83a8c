//! The region's end: accepts connections of points of presence and answers their calls.

mod call;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, Endpoint, Incoming, ServerConfig, TokioRuntime};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::{PeerAdmitted, PeerGone, PeerRefused};
use crate::figures::ServerMetrics;
use crate::frame::MAX_HEADER_BYTES;
use crate::header::{CALL_VERSION, CallHeader};
use crate::identity::ROLE_DOMAIN;
use crate::tls::{LinkTls, TlsError};
use crate::transport::{CloseCode, TransportLimits, endpoint_config, transport};

/// How long closing packets may take to reach the peers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The bounds of a [`Server`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// The oldest call version that is answered.
    pub min_version: u16,
    /// The newest call version that is answered.
    pub max_version: u16,
    /// Connections at once; more are refused.
    pub max_connections: usize,
    /// Calls in flight over all connections; more are answered `Busy`.
    pub max_in_flight: usize,
    /// Calls in flight on one connection; more are answered `Busy`.
    pub max_in_flight_per_connection: usize,
    /// Payload bytes of all calls in flight; calls that do not fit are answered `Busy`.
    pub max_in_flight_bytes: usize,
    /// The largest payload of a call.
    pub max_request_bytes: usize,
    /// The largest payload of a reply.
    pub max_reply_bytes: usize,
    /// How long a peer may take to send a frame or to read one.
    pub frame_timeout_ms: u64,
    /// How long a silent connection is kept; longer than the clients' keep-alive interval.
    pub idle_timeout_ms: u64,
    /// How long calls in flight may take to end when the server is told to stop.
    pub drain_timeout_ms: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            min_version: CALL_VERSION,
            max_version: CALL_VERSION,
            max_connections: 4_096,
            max_in_flight: 8_192,
            max_in_flight_per_connection: 2_048,
            max_in_flight_bytes: 256 * 1024 * 1024,
            max_request_bytes: 4 * 1024 * 1024,
            max_reply_bytes: 16 * 1024 * 1024,
            frame_timeout_ms: 10_000,
            idle_timeout_ms: 10_000,
            drain_timeout_ms: 20_000,
        }
    }
}

impl ServerOptions {
    /// Streams that a peer may have open: room beyond its calls, so that what is too much gets its `Busy` at once
    /// instead of waiting unseen for a stream.
    fn max_streams(&self) -> u32 {
        let streams = self.max_in_flight_per_connection.saturating_mul(2).saturating_add(64);
        u32::try_from(streams).unwrap_or(u32::MAX)
    }

    /// What one connection may send without being read: a few of the largest calls.
    fn receive_window_bytes(&self) -> u32 {
        let window = (self.max_request_bytes + MAX_HEADER_BYTES).saturating_mul(4).max(16 * 1024 * 1024);
        u32::try_from(window).unwrap_or(u32::MAX)
    }

    pub(crate) fn frame_timeout(&self) -> Duration {
        Duration::from_millis(self.frame_timeout_ms)
    }
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The certificates or the key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be had.
    #[error("cannot listen on UDP {address}")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// How a server that was told to stop came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every call in flight ended and its reply was received.
    Finished,
    /// The time was up with calls, or replies nobody acknowledged, left over.
    TimedOut {
        /// How many tasks were left.
        unfinished: usize,
    },
}

/// A listening server.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    options: ServerOptions,
}

impl Server {
    /// Listens on `address`; port 0 picks a free one. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr, tls: &LinkTls, options: ServerOptions) -> Result<Self, BindError> {
        let mut config = ServerConfig::with_crypto(Arc::new(tls.server_config()?));
        config.transport_config(transport(&TransportLimits {
            idle_timeout: Duration::from_millis(options.idle_timeout_ms),
            keep_alive: None,
            max_streams: options.max_streams(),
            receive_window_bytes: options.receive_window_bytes(),
        }));
        let endpoint = std::net::UdpSocket::bind(address)
            .and_then(|socket| {
                Endpoint::new(endpoint_config(tls.identity()), Some(config), socket, Arc::new(TokioRuntime))
            })
            .map_err(|source| BindError::Socket { address, source })?;
        Ok(Self { endpoint, options })
    }

    /// The address that the server listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Answers calls with `handler` until `stop` is cancelled, then drains.
    ///
    /// The handler gets the header with the time left and the payload, and its bytes go back. It runs in a task of its
    /// own to its end, whatever becomes of the caller: past the deadline only the reply is dropped, and the call counts
    /// as in flight until the handler ends. If it panics the caller is told `Internal`.
    ///
    /// Draining: new connections are refused, new calls answered `Draining`; once the calls in flight have ended and
    /// their replies arrived, connections are closed with [`CloseCode::Drained`].
    pub async fn serve<H, F>(self, handler: H, stop: CancellationToken) -> DrainOutcome
    where
        H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Bytes> + Send + 'static,
    {
        let drain_timeout = Duration::from_millis(self.options.drain_timeout_ms);
        let shared = Arc::new(Shared {
            handler,
            slots: Arc::new(Semaphore::new(self.options.max_in_flight.min(Semaphore::MAX_PERMITS))),
            memory_kib: Arc::new(Semaphore::new(kib(self.options.max_in_flight_bytes) as usize)),
            metrics: Arc::new(ServerMetrics::new()),
            calls: TaskTracker::new(),
            draining: stop.clone(),
            options: self.options,
        });
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => accept(&self.endpoint, &shared, incoming),
                    None => break,
                },
            }
        }
        drain(&self.endpoint, &shared.calls, drain_timeout).await
    }
}

/// What all connections of a server share.
struct Shared<H> {
    handler: H,
    options: ServerOptions,
    slots: Arc<Semaphore>,
    memory_kib: Arc<Semaphore>,
    metrics: Arc<ServerMetrics>,
    calls: TaskTracker,
    draining: CancellationToken,
}

/// Whole KiB, as many as a semaphore can count.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min((Semaphore::MAX_PERMITS >> 1) as u32)
}

fn accept<H, F>(endpoint: &Endpoint, shared: &Arc<Shared<H>>, incoming: Incoming)
where
    H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Bytes> + Send + 'static,
{
    let max_connections = shared.options.max_connections;
    if endpoint.open_connections() >= max_connections {
        PeerRefused { remote: incoming.remote_address(), reason: "too many connections" }.emit();
        incoming.refuse();
    } else if endpoint.open_connections() >= max_connections / 2 && incoming.may_retry() {
        // Under load an address has to show that it can receive before it costs a handshake. The only error is that it
        // has shown so already, which `may_retry` has excluded.
        let _ = incoming.retry();
    } else {
        tokio::spawn(serve_connection(shared.clone(), incoming));
    }
}

async fn serve_connection<H, F>(shared: Arc<Shared<H>>, incoming: Incoming)
where
    H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Bytes> + Send + 'static,
{
    let remote = incoming.remote_address();
    let connection = match timeout(shared.options.frame_timeout(), incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return PeerRefused { remote, reason: &error.to_string() }.emit(),
        Err(_) => return PeerRefused { remote, reason: "the handshake took too long" }.emit(),
    };
    let peer = Arc::<str>::from(peer_name(&connection));
    PeerAdmitted { peer: &peer, remote }.emit();
    let slots = Arc::new(Semaphore::new(shared.options.max_in_flight_per_connection.min(Semaphore::MAX_PERMITS)));
    let reason = loop {
        match connection.accept_bi().await {
            Ok((send, receive)) => {
                let stream = call::serve_stream(shared.clone(), slots.clone(), peer.clone(), send, receive);
                shared.calls.spawn(stream);
            }
            Err(error) => break error,
        }
    };
    PeerGone { peer: &peer, reason: &reason.to_string() }.emit();
}

async fn drain(endpoint: &Endpoint, calls: &TaskTracker, drain_timeout: Duration) -> DrainOutcome {
    calls.close();
    let refuse_newcomers = async {
        while let Some(incoming) = endpoint.accept().await {
            incoming.refuse();
        }
    };
    let finished = tokio::select! {
        finished = timeout(drain_timeout, calls.wait()) => finished.is_ok(),
        () = refuse_newcomers => false,
    };
    let (code, outcome) = match finished {
        true => (CloseCode::Drained, DrainOutcome::Finished),
        false => (CloseCode::DrainTimeout, DrainOutcome::TimedOut { unfinished: calls.len() }),
    };
    tracing::info!(?outcome, "link server drained");
    endpoint.close(code.var_int(), b"the region is going away");
    // If the peers are gone already there is nobody to wait for.
    let _ = timeout(CLOSE_TIMEOUT, endpoint.wait_idle()).await;
    outcome
}

/// The name that the peer's certificate has beside its role, for logs.
fn peer_name(connection: &Connection) -> String {
    connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .and_then(|chain| chain.first().and_then(certificate_name))
        .unwrap_or_else(|| "unnamed".to_owned())
}

fn certificate_name(certificate: &CertificateDer<'static>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) if !name.ends_with(ROLE_DOMAIN) => Some((*name).to_owned()),
        _ => None,
    })
}
