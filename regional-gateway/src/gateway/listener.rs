//! Accepts WebSocket connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rookery_session::{Connection, GatewayParams};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::admission::Admitted;
use super::connection;
use super::socket::{Closing, Socket};
use super::websocket::WebSocket;
use crate::Region;
use crate::config::{GatewayConfig, ms};

/// Connections that the kernel keeps for us to accept.
const BACKLOG: u32 = 4_096;
/// Silence of a peer after which the kernel asks whether it is still there, and pause between its questions.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Pause after `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Room above the longest payload, so that one that is too long gets its close code.
const PAYLOAD_MARGIN_BYTES: usize = 1_024;

/// Opens the gateway's port.
pub fn bind(config: &GatewayConfig) -> io::Result<TcpListener> {
    let socket = if config.listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Inherited by every connection: what the kernel took counts as sent, so it must not take without end.
    socket.set_send_buffer_size(config.send_buffer_bytes)?;
    // Inherited too: a peer that vanished is noticed also where nothing is awaited of it, as while it is closed.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    socket.bind(config.listen)?;
    socket.listen(BACKLOG)
}

/// Accepts until the region drains.
pub async fn run(region: Arc<Region>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = region.draining.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = match region.admission.admit(address.ip()) {
            Ok(place) => place,
            Err(refused) => {
                metrics::counter!("rookery_gateway_refused_total", "reason" => refused.reason()).increment(1);
                continue;
            }
        };
        let tasks = region.tasks.clone();
        tasks.spawn(open(Arc::clone(&region), stream, address, place));
    }
}

async fn open(region: Arc<Region>, stream: TcpStream, address: SocketAddr, mut place: Admitted) {
    let within = ms(region.config.gateway.handshake_timeout_ms);
    let handshake = tokio::time::timeout(within, Box::pin(shake_hands(stream))).await;
    let (stream, query) = match handshake {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            metrics::counter!("rookery_gateway_refused_total", "reason" => "handshake").increment(1);
            return tracing::debug!(%address, %error, "no WebSocket handshake");
        }
        Err(_) => {
            metrics::counter!("rookery_gateway_refused_total", "reason" => "timeout").increment(1);
            return tracing::debug!(%address, "the WebSocket handshake took too long");
        }
    };
    place.opened();
    let max_bytes = region.config.gateway.session.payload_max_bytes + PAYLOAD_MARGIN_BYTES;
    let socket = Socket::new(WebSocket::new(stream, max_bytes), place);
    match GatewayParams::from_query(&query) {
        Ok(params) => {
            let session_config = Arc::clone(&region.session_config);
            let connection = Connection::new(region.clock.now_ms(), session_config, params);
            connection::spawn(region, Box::new(connection), socket);
        }
        Err(error) => {
            tracing::debug!(%address, %error, "a connection asks for what is not spoken here");
            let within = ms(region.config.gateway.close_timeout_ms);
            socket.close(Closing::Code(error.close_code()), within).await;
        }
    }
}

/// The stream after the handshake, and the query of the client's request.
pub async fn shake_hands(stream: TcpStream) -> Result<(TcpStream, String), Box<tokio_tungstenite::tungstenite::Error>> {
    stream.set_nodelay(true).map_err(tokio_tungstenite::tungstenite::Error::from)?;
    let mut query = String::new();
    #[expect(clippy::result_large_err, reason = "the handshake's callback is typed by its library")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if !matches!(request.uri().path(), "" | "/") {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::NOT_FOUND;
            return Err(refusal);
        }
        query.push_str(request.uri().query().unwrap_or_default());
        Ok(response)
    };
    // Only the handshake is tungstenite's; its buffers go with it.
    let config = WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0);
    let opened = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await?;
    Ok((opened.into_inner(), query))
}
