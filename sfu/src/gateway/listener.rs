//! Accepts connections.

use rookery_voice_session::{Connection, version_from_query};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::admission::Admitted;
use super::connection;
use super::socket::Socket;
use super::tls::{self, TlsStream};
use crate::config::SfuConfig;
use crate::events::{AcceptFailed, ConnectionRefused};
use crate::shared::Shared;

/// Connections that the kernel keeps for us to accept.
const BACKLOG: u32 = 4_096;
/// Silence of a peer after which the kernel asks whether it is still there, and pause between its questions.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Pause after `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Room above the longest payload, so that one that is too long gets its close code.
const PAYLOAD_MARGIN_BYTES: usize = 1_024;
/// What the WebSocket's handshake reads at once.
const READ_BUFFER_BYTES: usize = 1_024;

/// Opens the voice gateway's port.
pub(crate) fn bind(config: &SfuConfig) -> io::Result<TcpListener> {
    let socket = if config.gateway.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Inherited by every connection, as is what asks after peers that vanished.
    socket.set_send_buffer_size(config.send_buffer_bytes)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    socket.bind(config.gateway)?;
    socket.listen(BACKLOG)
}

/// Accepts until the node stops.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener, tls: Arc<rustls::ServerConfig>) {
    // Everything else is as it was given: what it refers to, as its certificates, is shared with the caller.
    let mut config = rustls::ServerConfig::clone(&tls);
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                AcceptFailed { error: &error }.emit();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match shared.admission.admit(address.ip()) {
            Ok(place) => {
                let tasks = shared.tasks.clone();
                tasks.spawn(open(Arc::clone(&shared), Arc::clone(&config), stream, address, place));
            }
            Err(why) => ConnectionRefused { address: address.ip(), why }.emit(),
        }
    }
}

async fn open(
    shared: Arc<Shared>,
    config: Arc<rustls::ServerConfig>,
    stream: TcpStream,
    address: SocketAddr,
    mut place: Admitted,
) {
    let within = Duration::from_millis(shared.config.handshake_timeout_ms);
    let max_bytes = shared.config.session.payload_max_bytes + PAYLOAD_MARGIN_BYTES;
    // Boxed: a handshake takes much more than what comes after it, and ends with it.
    let handshake = tokio::time::timeout(within, Box::pin(shake_hands(config, stream, max_bytes)));
    let handshake = tokio::select! {
        () = shared.stopping.cancelled() => return,
        handshake = handshake => handshake,
    };
    let (stream, query) = match handshake {
        Ok(Ok(opened)) => opened,
        Ok(Err(why)) => return ConnectionRefused { address: address.ip(), why }.emit(),
        Err(_) => return ConnectionRefused { address: address.ip(), why: "timeout" }.emit(),
    };
    place.opened();
    let socket = Socket::new(stream, place, max_bytes);
    match version_from_query(&query) {
        Ok(version) => {
            let connection = Connection::new(shared.clock.now_ms(), Arc::clone(&shared.session_config), version);
            let tasks = shared.tasks.clone();
            // A task of its own, because this one is as large as the handshakes were.
            tasks.spawn(connection::run(shared, Box::new(connection), socket));
        }
        Err(error) => shared.close(socket, Vec::new(), Some(error.close_code())),
    }
}

/// The stream after both handshakes, and the query of the client's request.
async fn shake_hands(
    config: Arc<rustls::ServerConfig>,
    stream: TcpStream,
    max_bytes: usize,
) -> Result<(TlsStream, String), &'static str> {
    stream.set_nodelay(true).map_err(|_| "tls")?;
    let stream = tls::accept(stream, config).await.map_err(|_| "tls")?;
    let mut query = String::new();
    #[expect(clippy::result_large_err, reason = "the handshake's callback is typed by its library")]
    let note_query = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        query.push_str(request.uri().query().unwrap_or_default());
        Ok(response)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(max_bytes))
        .max_frame_size(Some(max_bytes));
    let opened: Result<_, tungstenite::Error> =
        tokio_tungstenite::accept_hdr_async_with_config(stream, note_query, Some(config)).await;
    // It has read nothing of what comes behind the request: a client that sends before the answer is refused.
    opened.map(|opened| (opened.into_inner(), query)).map_err(|_| "websocket")
}
