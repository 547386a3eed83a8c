//! Keeps one connection to a region: connects, watches, connects again.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use quinn::{ClientConfig, Connection, Endpoint, TokioRuntime};
use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::ClientOptions;
use crate::client::exchange::{ExchangeError, exchange};
use crate::events::{ConnectFailed, Connected, Disconnected};
use crate::figures::ClientMetrics;
use crate::frame::encode_head;
use crate::header::{CallHeader, Kind, Status};
use crate::identity::Identity;
use crate::transport::{CloseCode, endpoint_config};

/// How long closing packets may take to reach the region.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection that has been shown to take calls.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Counts up from 1, so that a caller can ask for another one than it had.
    pub(crate) id: u64,
    pub(crate) connection: Connection,
    retired: CancellationToken,
}

impl Link {
    /// Stops using this connection for new calls; those in flight on it go on.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
    }
}

/// What callers see of the keeper.
#[derive(Debug)]
pub(crate) enum LinkState {
    /// There is no connection since then.
    Down { since: Instant, reason: Arc<str> },
    /// There is one.
    Up(Link),
    /// There will be none any more.
    Closed,
}

/// Why an attempt to connect failed.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("cannot resolve the address")]
    Resolve(#[source] io::Error),
    #[error("the address resolves to nothing")]
    NoAddress,
    #[error("cannot open a UDP socket")]
    Socket(#[source] io::Error),
    #[error("cannot start a connection: {0}")]
    Start(#[from] quinn::ConnectError),
    #[error("{0}")]
    Handshake(#[from] quinn::ConnectionError),
    #[error("the region did not answer the first question: {0}")]
    Ping(#[from] ExchangeError),
    #[error("the region takes no calls ({})", .0.name())]
    Refused(Status),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Where a [`Keeper`] connects, how, and whom it tells.
pub(crate) struct KeeperSetup {
    pub(crate) address: String,
    pub(crate) server_name: String,
    pub(crate) config: ClientConfig,
    pub(crate) identity: Identity,
    pub(crate) options: ClientOptions,
    pub(crate) metrics: Arc<ClientMetrics>,
    pub(crate) state: watch::Sender<LinkState>,
    pub(crate) healthy: watch::Sender<bool>,
    pub(crate) stop: CancellationToken,
}

/// The task behind a client that keeps its connection.
pub(crate) struct Keeper {
    setup: KeeperSetup,
    /// The socket and whether it is of the IPv6 family.
    endpoint: Option<(bool, Endpoint)>,
    /// Failures in a row.
    failures: u32,
    /// Connections so far.
    links: u64,
}

impl Keeper {
    pub(crate) fn new(setup: KeeperSetup) -> Self {
        Self { setup, endpoint: None, failures: 0, links: 0 }
    }

    /// Keeps the connection until it is told to stop.
    pub(crate) async fn run(mut self) {
        let stop = self.setup.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep() => {}
        }
        self.setup.healthy.send_replace(false);
        let last = self.setup.state.send_replace(LinkState::Closed);
        drop(last);
        if let Some((_, endpoint)) = self.endpoint.take() {
            endpoint.close(CloseCode::Done.var_int(), b"the client was closed");
            // If the region is gone already there is nobody to wait for.
            let _ = timeout(CLOSE_TIMEOUT, endpoint.wait_idle()).await;
        }
    }

    async fn keep(&mut self) {
        loop {
            let link = self.establish().await;
            let up_since = Instant::now();
            self.setup.state.send_replace(LinkState::Up(link.clone()));
            self.setup.healthy.send_replace(true);
            let reason = tokio::select! {
                reason = link.connection.closed() => reason.to_string(),
                () = link.retired.cancelled() => "the region is draining".to_owned(),
            };
            self.setup.healthy.send_replace(false);
            Disconnected { target: &self.setup.address, reason: &reason }.emit();
            self.setup.state.send_replace(LinkState::Down { since: Instant::now(), reason: reason.into() });
            // One that held for a while starts anew at once; one that fell over directly counts as a failure, or a
            // region that accepts and closes would be asked without pause.
            let held = up_since.elapsed() >= Duration::from_millis(self.setup.options.backoff_max_ms);
            self.failures = if held { 0 } else { self.failures.saturating_add(1) };
        }
    }

    /// Tries until there is a connection that takes calls.
    async fn establish(&mut self) -> Link {
        loop {
            if self.failures > 0 {
                sleep(self.backoff()).await;
            }
            let limit = Duration::from_millis(self.setup.options.connect_timeout_ms);
            let attempt = timeout(limit, self.attempt()).await.unwrap_or(Err(AttemptError::TimedOut(limit)));
            match attempt {
                Ok(connection) => {
                    self.links += 1;
                    self.setup.metrics.connections_so_far.store(self.links, Ordering::Relaxed);
                    let remote = connection.remote_address();
                    Connected { target: &self.setup.address, remote, reconnect: self.links > 1 }.emit();
                    return Link { id: self.links, connection, retired: CancellationToken::new() };
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    async fn attempt(&mut self) -> Result<Connection, AttemptError> {
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host(&self.setup.address).await.map_err(AttemptError::Resolve)?.collect();
        // Another one on each failure, because one of several may be the only one that is reachable.
        let turn = self.failures as usize % addresses.len().max(1);
        let remote = *addresses.get(turn).ok_or(AttemptError::NoAddress)?;
        let endpoint = self.endpoint_for(remote)?;
        let connection = endpoint.connect_with(self.setup.config.clone(), remote, &self.setup.server_name)?.await?;
        let header = CallHeader { kind: Kind::Ping, ..CallHeader::new([0; 16], 0) };
        let head = encode_head(&header, 0, 0).map_err(ExchangeError::from)?;
        let (reply, _) = exchange(&connection, head, Bytes::new(), self.setup.options.max_reply_bytes).await?;
        match reply.status {
            Status::Ok => Ok(connection),
            status => Err(AttemptError::Refused(status)),
        }
    }

    fn failed(&mut self, error: &AttemptError) {
        self.failures = self.failures.saturating_add(1);
        let text = error_chain(error);
        ConnectFailed { target: &self.setup.address, error: &text, failures: self.failures }.emit();
        self.setup.state.send_modify(|state| {
            if let LinkState::Down { reason, .. } = state {
                *reason = text.into();
            }
        });
    }

    /// A pause that doubles with each failure up to its limit, of which a random half is left out, so that the clients
    /// of a region that comes back do not come all at once.
    fn backoff(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(20);
        let full_ms =
            self.setup.options.backoff_initial_ms.saturating_mul(1 << doublings).min(self.setup.options.backoff_max_ms);
        Duration::from_millis(full_ms).mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// The UDP socket for the address's family, opened once.
    fn endpoint_for(&mut self, remote: SocketAddr) -> Result<Endpoint, AttemptError> {
        if let Some((is_ipv6, endpoint)) = &self.endpoint
            && *is_ipv6 == remote.is_ipv6()
        {
            return Ok(endpoint.clone());
        }
        let local = match remote.is_ipv6() {
            true => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            false => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        };
        let endpoint = UdpSocket::bind(local)
            .and_then(|socket| {
                Endpoint::new(endpoint_config(&self.setup.identity), None, socket, Arc::new(TokioRuntime))
            })
            .map_err(AttemptError::Socket)?;
        self.endpoint = Some((remote.is_ipv6(), endpoint.clone()));
        Ok(endpoint)
    }
}

/// An error and what caused it, on one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
