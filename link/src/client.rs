//! The point of presence's end: one kept connection to a region, many calls on it.

pub(crate) mod exchange;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::exchange::{ExchangeError, exchange};
use crate::figures::ClientMetrics;
use crate::frame::{FrameError, encode_head};
use crate::header::{CallHeader, Kind, ReplyHeader, Status};
use crate::keeper::{Keeper, KeeperSetup, Link, LinkState};
use crate::tls::{LinkTls, TlsError};
use crate::transport::{TransportLimits, transport};

/// The bounds and times of a [`Client`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientOptions {
    /// Calls in flight; more fail at once with [`CallError::Busy`].
    pub max_in_flight: usize,
    /// The largest payload of a call.
    pub max_request_bytes: usize,
    /// The largest payload of a reply.
    pub max_reply_bytes: usize,
    /// How often a silent connection is proved alive.
    pub keep_alive_ms: u64,
    /// How long a connection may be silent before it counts as lost; some keep-alive intervals.
    pub idle_timeout_ms: u64,
    /// How long an attempt to connect may take.
    pub connect_timeout_ms: u64,
    /// The pause after the first failure to connect; it doubles with each further one.
    pub backoff_initial_ms: u64,
    /// The longest pause between attempts to connect.
    pub backoff_max_ms: u64,
    /// How long calls wait for a lost connection before they fail at once with [`CallError::Unavailable`].
    pub unavailable_after_ms: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            max_in_flight: 1_024,
            max_request_bytes: 4 * 1024 * 1024,
            max_reply_bytes: 16 * 1024 * 1024,
            keep_alive_ms: 1_000,
            idle_timeout_ms: 4_000,
            connect_timeout_ms: 3_000,
            backoff_initial_ms: 25,
            backoff_max_ms: 1_000,
            unavailable_after_ms: 3_000,
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The certificates or the key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whose bound a call was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusySide {
    /// This client's.
    Client,
    /// The region's.
    Region,
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too much is in flight; not executed. To HTTP this is 503.
    #[error("too many calls in flight ({})", match .side { BusySide::Client => "here", BusySide::Region => "at the region" })]
    Busy {
        /// Whose bound it was.
        side: BusySide,
    },
    /// There is no connection to the region; not executed. To HTTP this is 503.
    #[error("the region cannot be reached: {reason}")]
    Unavailable {
        /// What the last attempt said.
        reason: String,
    },
    /// The connection was lost after the call was sent and did not come back; it may have been executed.
    #[error("the connection to the region was lost: {reason}")]
    ConnectionLost {
        /// What the last attempt said.
        reason: String,
    },
    /// The time was up; it may have been executed.
    #[error("no reply within the deadline")]
    DeadlineExceeded,
    /// The region does not speak the call's version; not executed.
    #[error("the region speaks calls up to version {theirs}, not version {ours}")]
    VersionUnsupported {
        /// The call's version.
        ours: u16,
        /// The newest version that the region speaks.
        theirs: u16,
    },
    /// The call is over a size limit of this end; not sent.
    #[error("the call is too large")]
    TooLarge(#[source] FrameError),
    /// The region's handler failed; it may have been executed in part.
    #[error("the region failed to handle the call")]
    Internal,
    /// The region answered against the protocol; it may have been executed.
    #[error("the region broke the protocol: {reason}")]
    Protocol {
        /// How.
        reason: String,
    },
}

impl CallError {
    /// Whether the region may have executed the call, in whole or in part.
    ///
    /// If not, it can be made elsewhere; otherwise only with the same operation id.
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unavailable { .. } | Self::VersionUnsupported { .. } | Self::TooLarge(_) => false,
            Self::ConnectionLost { .. } | Self::DeadlineExceeded | Self::Internal | Self::Protocol { .. } => true,
        }
    }
}

/// A client's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientStats {
    /// Calls in flight.
    pub in_flight: usize,
    /// Attempts beyond the first, over all calls so far.
    pub retries: u64,
    /// Connections established so far.
    pub connections: u64,
}

/// A handle to one region; clones share the connection, which is closed when the last is dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    address: String,
    slots: Semaphore,
    options: ClientOptions,
    metrics: Arc<ClientMetrics>,
    state: watch::Receiver<LinkState>,
    healthy: watch::Receiver<bool>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Client {
    /// Makes a client and starts connecting in the background; calls wait for the connection.
    ///
    /// `address` is `host:port` (a name is looked up on every attempt) and `server_name` a DNS name in the region's
    /// certificate, such as `region.rookery.internal`. Must be called inside a tokio runtime.
    pub fn connect(
        address: impl ToString,
        server_name: impl Into<String>,
        tls: &LinkTls,
        options: ClientOptions,
    ) -> Result<Self, ConnectError> {
        let address = address.to_string();
        let mut config = quinn::ClientConfig::new(Arc::new(tls.client_config()?));
        config.transport_config(transport(&TransportLimits {
            idle_timeout: Duration::from_millis(options.idle_timeout_ms),
            keep_alive: Some(Duration::from_millis(options.keep_alive_ms)),
            // A region opens no streams.
            max_streams: 0,
            receive_window_bytes: u32::try_from(options.max_reply_bytes.saturating_mul(4)).unwrap_or(u32::MAX),
        }));
        let metrics = Arc::new(ClientMetrics::new(&address));
        let down = LinkState::Down { since: Instant::now(), reason: "not connected yet".into() };
        let (state_sender, state) = watch::channel(down);
        let (healthy_sender, healthy) = watch::channel(false);
        let stop = CancellationToken::new();
        let keeper = Keeper::new(KeeperSetup {
            address: address.clone(),
            server_name: server_name.into(),
            config,
            identity: tls.identity().clone(),
            options: options.clone(),
            metrics: metrics.clone(),
            state: state_sender,
            healthy: healthy_sender,
            stop: stop.clone(),
        });
        tokio::spawn(keeper.run());
        let slots = Semaphore::new(options.max_in_flight.min(Semaphore::MAX_PERMITS));
        let _stop_on_drop = stop.clone().drop_guard();
        let inner = Inner { address, slots, options, metrics, state, healthy, stop, _stop_on_drop };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The address that this client connects to, as it was given.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Whether there is a connection that takes calls, now and as it changes.
    pub fn healthy(&self) -> watch::Receiver<bool> {
        self.inner.healthy.clone()
    }

    /// This client's figures.
    pub fn stats(&self) -> ClientStats {
        let metrics = &self.inner.metrics;
        ClientStats {
            in_flight: metrics.in_flight_now.load(Ordering::Relaxed),
            retries: metrics.retries_so_far.load(Ordering::Relaxed),
            connections: metrics.connections_so_far.load(Ordering::Relaxed),
        }
    }

    /// Closes the connection in order; calls in flight fail, later ones are `Unavailable`.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        let mut state = self.inner.state.clone();
        // The keeper drops its side when it has closed; an error means just that.
        while state.changed().await.is_ok() {}
    }

    /// Makes a call and returns the reply's payload.
    ///
    /// `header.deadline_ms` bounds all of it. If the connection is lost before the reply, the call is sent again on the
    /// next one with the same operation id and the time that is left.
    pub async fn call(&self, header: CallHeader, payload: Bytes) -> Result<Bytes, CallError> {
        let started = Instant::now();
        let Ok(_slot) = self.inner.slots.try_acquire() else {
            self.inner.metrics.refused_busy();
            return Err(CallError::Busy { side: BusySide::Client });
        };
        let _in_flight = self.inner.metrics.enter();
        let deadline = started + Duration::from_millis(u64::from(header.deadline_ms));
        let attempts = self.inner.attempts(header, payload, deadline);
        let result = timeout_at(deadline, attempts).await.unwrap_or(Err(CallError::DeadlineExceeded));
        self.inner.metrics.finished(result.is_ok(), started.elapsed());
        result
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.inner.address).finish_non_exhaustive()
    }
}

impl Inner {
    async fn attempts(&self, mut header: CallHeader, payload: Bytes, deadline: Instant) -> Result<Bytes, CallError> {
        header.kind = Kind::Call;
        let mut used = 0;
        let mut sent = false;
        loop {
            let link = self.link_after(used, sent).await?;
            if used > 0 {
                self.metrics.retried();
            }
            used = link.id;
            header.deadline_ms = remaining_ms(deadline);
            let head =
                encode_head(&header, payload.len(), self.options.max_request_bytes).map_err(CallError::TooLarge)?;
            match exchange(&link.connection, head, payload.clone(), self.options.max_reply_bytes).await {
                Ok((ReplyHeader { status: Status::Draining, .. }, _)) => link.retire(),
                Ok((reply, answer)) => return outcome(&header, &reply, answer),
                Err(ExchangeError::NotSent(_)) => {}
                Err(ExchangeError::Lost(_)) => sent = true,
                Err(ExchangeError::Frame(error)) => return Err(CallError::TooLarge(error)),
                Err(error @ (ExchangeError::GivenUp(_) | ExchangeError::Reply(_))) => {
                    return Err(CallError::Protocol { reason: error.to_string() });
                }
            }
        }
    }

    /// Waits for a connection other than `used`, but not for one that has been missing for too long.
    async fn link_after(&self, used: u64, sent: bool) -> Result<Link, CallError> {
        let mut state = self.state.clone();
        let patience = Duration::from_millis(self.options.unavailable_after_ms);
        loop {
            let give_up_at = match &*state.borrow_and_update() {
                LinkState::Up(link) if link.id != used => return Ok(link.clone()),
                // The keeper is about to see what the caller saw.
                LinkState::Up(_) => None,
                LinkState::Down { since, reason } if since.elapsed() >= patience => return Err(missing(reason, sent)),
                LinkState::Down { since, .. } => Some(*since + patience),
                LinkState::Closed => return Err(missing("the client is closed", sent)),
            };
            let changed = match give_up_at {
                Some(give_up_at) => timeout_at(give_up_at, state.changed()).await.unwrap_or(Ok(())),
                None => state.changed().await,
            };
            if changed.is_err() {
                return Err(missing("the client is closed", sent));
            }
        }
    }
}

fn missing(reason: &str, sent: bool) -> CallError {
    let reason = reason.to_owned();
    if sent { CallError::ConnectionLost { reason } } else { CallError::Unavailable { reason } }
}

/// The time left for a header: at least 1, because the caller's own clock ends the call within that millisecond and a
/// header that says 0 would only be refused.
pub(crate) fn remaining_ms(deadline: Instant) -> u32 {
    let left_ms = deadline.saturating_duration_since(Instant::now()).as_millis();
    u32::try_from(left_ms).unwrap_or(u32::MAX).max(1)
}

fn outcome(header: &CallHeader, reply: &ReplyHeader, answer: Bytes) -> Result<Bytes, CallError> {
    match reply.status {
        Status::Ok => Ok(answer),
        Status::Busy => Err(CallError::Busy { side: BusySide::Region }),
        Status::DeadlineExceeded => Err(CallError::DeadlineExceeded),
        Status::VersionUnsupported => {
            Err(CallError::VersionUnsupported { ours: header.version, theirs: reply.version })
        }
        Status::Internal => Err(CallError::Internal),
        Status::Draining | Status::KindUnsupported | Status::Unknown(_) => {
            Err(CallError::Protocol { reason: format!("status {}", reply.status.name()) })
        }
    }
}
