//! Listeners: connections are accepted within bounds, and let go in order at shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client_slots::{ClientSlot, ClientSlots};
use crate::config::{ConnectionLimits, ms};
use crate::connection::{self, Activity, ConnectionSettings, WatchedIo};
use crate::events;
use crate::service::Service;

/// How long to wait when the process has no descriptor left for a connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What all listeners share.
pub(crate) struct Server {
    service: Arc<Service>,
    settings: ConnectionSettings,
    slots: Arc<ClientSlots>,
    tls_handshake_timeout: Duration,
    drain_timeout: Duration,
    tasks: TaskTracker,
    /// Asks everything to end in order.
    drain: CancellationToken,
    /// Ends what is still there after that.
    kill: CancellationToken,
}

impl Server {
    pub fn new(service: Arc<Service>, limits: &ConnectionLimits) -> Self {
        Self {
            service,
            settings: ConnectionSettings::new(limits),
            slots: Arc::new(ClientSlots::new(limits.max_open, limits.max_open_per_client)),
            tls_handshake_timeout: ms(limits.tls_handshake_timeout_ms),
            drain_timeout: ms(limits.drain_timeout_ms),
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            kill: CancellationToken::new(),
        }
    }

    /// Accepts connections until the server is shut down.
    pub fn listen(self: &Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = server.accept(&listener, tls.as_ref()) => {}
                () = server.drain.cancelled() => {}
            }
        });
    }

    /// Takes no more connections, lets requests under way end, closes what is left.
    pub async fn shutdown(&self) {
        self.drain.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.drain_timeout, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections did not end in time and are cut");
            self.kill.cancel();
            self.tasks.wait().await;
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, tls: Option<&TlsAcceptor>) {
        loop {
            let place = self.slots.place().await;
            match listener.accept().await {
                Ok((stream, peer)) => match self.slots.occupy(place, peer.ip()) {
                    Some(slot) => self.spawn(stream, peer, slot, tls.cloned()),
                    None => events::connection_refused("client"),
                },
                Err(error) if is_of_one_connection(&error) => events::connection_failed(&error),
                Err(error) => {
                    events::accept_failed(&error);
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, slot: ClientSlot, tls: Option<TlsAcceptor>) {
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = server.serve(stream, peer, tls) => {}
                () = server.kill.cancelled() => {}
            }
            drop(slot);
        });
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        // Answers are written whole, so waiting for more to send would only cost time.
        if let Err(error) = stream.set_nodelay(true) {
            events::connection_failed(&error);
            return;
        }
        let activity = Arc::new(Activity::new());
        let stream = WatchedIo::new(stream, Arc::clone(&activity));
        let peer = peer.ip().to_canonical();
        let service = Arc::clone(&self.service);
        let drain = self.drain.clone();
        let Some(tls) = tls else {
            return connection::serve(stream, activity, peer, service, &self.settings, drain).await;
        };
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(self.tls_handshake_timeout, tls.accept(stream)) => handshake,
            () = self.drain.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => connection::serve(stream, activity, peer, service, &self.settings, drain).await,
            Ok(Err(error)) => events::connection_failed(&error),
            Err(_) => events::connection_failed(&"the TLS handshake took too long"),
        }
    }
}

/// Whether an error of `accept` is about the one connection that was to be accepted, see accept(2).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
