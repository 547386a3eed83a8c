//! Accepts WebTransport sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rookery_session::{Compression, Connection, GatewayParams};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wtransport::proto::ids::StatusCode;
use wtransport::quinn::{Endpoint, EndpointConfig, Incoming, TokioRuntime};

use super::certificates::Certificates;
use super::http3::{self, HandshakeError};
use super::{WebTransport, quic};
use crate::Region;
use crate::config::{GatewayConfig, ms};
use crate::gateway::admission::Admitted;
use crate::gateway::connection;
use crate::gateway::socket::{Closing, Socket};

/// Room above the longest payload, so that one that is too long gets its close code from the session.
const PAYLOAD_MARGIN_BYTES: usize = 1_024;
/// Handshakes at once before clients must show that their address is theirs: a flood of forged ones is then answered by
/// small packets, and nothing is kept of it.
const UNVALIDATED_MAX: usize = 256;
/// Where sessions are; the root is taken too, as the WebSocket's.
const PATHS: [&str; 2] = ["/gateway", "/"];

/// Opens the port.
pub fn bind(config: &GatewayConfig, address: SocketAddr, certificates: &Arc<Certificates>) -> io::Result<Endpoint> {
    let socket = std::net::UdpSocket::bind(address)?;
    let endpoint_config: EndpointConfig = quic::endpoint_config(certificates);
    let server_config = quic::server_config(config, Arc::clone(certificates)).map_err(io::Error::other)?;
    Endpoint::new(endpoint_config, Some(server_config), socket, Arc::new(TokioRuntime))
}

/// Accepts until the region drains, and then keeps the port open for those who are here.
pub async fn run(region: Arc<Region>, endpoint: Endpoint) {
    let gateway = &region.config.gateway;
    // Forged addresses leave places for the handshakes of whoever really has them.
    let handshakes = gateway.max_handshakes.min(gateway.max_handshakes_per_address);
    let unvalidated = Arc::new(Semaphore::new(UNVALIDATED_MAX.min(handshakes / 2)));
    loop {
        let incoming = tokio::select! {
            biased;
            () = region.draining.cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        take(&region, &unvalidated, incoming);
    }
    // Whoever comes now is refused.
    endpoint.set_server_config(None);
    region.closing.cancelled().await;
    // The last packets go out before the socket closes.
    endpoint.wait_idle().await;
}

fn take(region: &Arc<Region>, unvalidated: &Arc<Semaphore>, incoming: Incoming) {
    let handshake = if incoming.remote_address_validated() {
        None
    } else {
        let Ok(permit) = Arc::clone(unvalidated).try_acquire_owned() else {
            metrics::counter!("rookery_gateway_address_checks_total").increment(1);
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            return;
        };
        Some(permit)
    };
    let place = match region.admission.admit(incoming.remote_address().ip()) {
        Ok(place) => place,
        Err(refused) => {
            metrics::counter!("rookery_gateway_refused_total", "reason" => refused.reason()).increment(1);
            return incoming.refuse();
        }
    };
    region.tasks.clone().spawn(open(Arc::clone(region), incoming, handshake, place));
}

async fn open(region: Arc<Region>, incoming: Incoming, handshake: Option<OwnedSemaphorePermit>, mut place: Admitted) {
    let address = incoming.remote_address();
    let max_bytes = region.config.gateway.session.payload_max_bytes + PAYLOAD_MARGIN_BYTES;
    let within = ms(region.config.gateway.handshake_timeout_ms);
    let opened = tokio::time::timeout(within, Box::pin(shake_hands(incoming, max_bytes))).await;
    drop(handshake);
    let (webtransport, query) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            metrics::counter!("rookery_gateway_refused_total", "reason" => "handshake").increment(1);
            return tracing::debug!(%address, %error, "no WebTransport handshake");
        }
        Err(_) => {
            metrics::counter!("rookery_gateway_refused_total", "reason" => "timeout").increment(1);
            return tracing::debug!(%address, "the WebTransport handshake took too long");
        }
    };
    place.opened();
    metrics::counter!("rookery_gateway_webtransport_sessions_total").increment(1);
    let socket = Socket::webtransport(webtransport, place);
    match GatewayParams::from_query(&query) {
        Ok(params) => {
            // Payloads are framed one by one here, and compression by stream is the WebSocket's.
            let params = GatewayParams { compression: Compression::None, ..params };
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

/// The session with its stream, and the query of the client's request.
async fn shake_hands(incoming: Incoming, max_bytes: usize) -> Result<(WebTransport, String), HandshakeError> {
    let connection = incoming.await?;
    let request = http3::accept(&connection).await?;
    let (path, query) = request.path().split_once('?').unwrap_or((request.path(), ""));
    if !PATHS.contains(&path) {
        request.refuse(StatusCode::NOT_FOUND).await?;
        return Err(HandshakeError::NotFound);
    }
    let query = query.to_owned();
    let session = request.accept().await?;
    let streams = session.accept_stream(&connection).await?;
    Ok((WebTransport::new(connection, session, streams, max_bytes), query))
}
