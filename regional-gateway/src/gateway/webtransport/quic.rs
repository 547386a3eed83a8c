//! How QUIC is set up for sessions: small windows, few streams, addresses that may change.

use std::sync::Arc;
use std::time::Duration;

use wtransport::quinn::congestion::CubicConfig;
use wtransport::quinn::crypto::rustls::QuicServerConfig;
use wtransport::quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};

use super::certificates::Certificates;
use crate::config::{GatewayConfig, ms};

/// The CONNECT request and the stream of payloads.
const CLIENT_BIDI_STREAMS: u32 = 2;
/// HTTP/3's own: control, QPACK encoder, QPACK decoder.
const CLIENT_UNI_STREAMS: u32 = 3;
/// A window holds at least the first flight of HTTP/3.
const WINDOW_MIN_BYTES: usize = 8 * 1024;
/// Two full packets: what does not go out now is not worth sending later.
const DATAGRAMS_BYTES: usize = 3 * 1024;
/// Clients send no datagrams; those that come are dropped beyond this.
const DATAGRAMS_IN_BYTES: usize = 1_500;
/// Clients whose first packets wait to be answered.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BYTES: u64 = 16 * 1024;
const INCOMING_TOTAL_BYTES: u64 = 4 << 20;

/// The server's side of every connection.
pub fn server_config(config: &GatewayConfig, certificates: Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
    let mut tls = rustls::ServerConfig::builder_with_provider(rookery_service::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = vec![b"h3".to_vec()];
    // A resumed handshake saves a signature and costs memory for each client that may come again; sessions are long.
    tls.send_tls13_tickets = 0;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(transport(config)))
        .migration(true)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_TOTAL_BYTES);
    Ok(server)
}

fn transport(config: &GatewayConfig) -> TransportConfig {
    let settings = &config.webtransport;
    // The configuration's check keeps both within what QUIC can say.
    let idle = IdleTimeout::try_from(ms(settings.idle_timeout_ms)).unwrap_or_else(|_| IdleTimeout::from(VarInt::MAX));
    let stream_window = (2 * config.session.payload_max_bytes).max(WINDOW_MIN_BYTES);
    let window = |bytes: usize| VarInt::from_u32(u32::try_from(bytes).unwrap_or(u32::MAX));
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(ms(settings.keep_alive_ms)))
        .max_concurrent_bidi_streams(VarInt::from_u32(CLIENT_BIDI_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(CLIENT_UNI_STREAMS))
        .stream_receive_window(window(stream_window))
        .receive_window(window(2 * stream_window))
        .send_window(config.send_buffer_bytes.into())
        .initial_rtt(Duration::from_millis(100))
        // Each connection keeps the buffer in which it put packets together: with offload, ten packets' worth from the first
        // time that two go out at once: a sixth of what an idle session costs.
        .enable_segmentation_offload(false)
        .datagram_receive_buffer_size(Some(DATAGRAMS_IN_BYTES))
        .datagram_send_buffer_size(DATAGRAMS_BYTES)
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    transport
}

/// The endpoint, whose stateless resets tell clients of a process that was killed that their connection is gone: the
/// key is derived from one that a restart does not change.
pub fn endpoint_config(certificates: &Certificates) -> EndpointConfig {
    let key = certificates.reset_key();
    let mut config = EndpointConfig::new(Arc::new(key));
    // Clients that were connected before a restart show ids of the process before: they are to be answered by a reset,
    // so the ids carry no check.
    config.cid_generator(|| Box::new(RandomIds));
    config
}

const CONNECTION_ID_BYTES: usize = 8;

struct RandomIds;

impl wtransport::quinn::ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> wtransport::quinn::ConnectionId {
        wtransport::quinn::ConnectionId::new(&rand::random::<[u8; CONNECTION_ID_BYTES]>())
    }
    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }
    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
