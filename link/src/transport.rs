//! QUIC settings that both ends share, and the codes they close with.

use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use ring::hmac;

use crate::identity::Identity;

/// Regions are near; a lower guess than QUIC's 333 ms makes a lost first packet cost less.
const INITIAL_RTT: Duration = Duration::from_millis(100);
const CONNECTION_ID_BYTES: usize = 8;

/// Why an end closed a connection or gave up a stream (QUIC application error codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum CloseCode {
    /// The end was dropped or closed in order.
    Done = 0,
    /// The region finished its calls and goes away.
    Drained = 1,
    /// The region went away with calls unfinished, because its time to drain was up.
    DrainTimeout = 2,
    /// A frame was over its limit.
    FrameTooLarge = 16,
    /// A frame was not one.
    Malformed = 17,
    /// A peer took too long to send or to read a frame.
    TooSlow = 18,
}

impl CloseCode {
    pub(crate) fn var_int(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

/// Settings that the ends choose for themselves.
pub(crate) struct TransportLimits {
    pub(crate) idle_timeout: Duration,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) max_streams: u32,
    pub(crate) receive_window_bytes: u32,
}

pub(crate) fn transport(limits: &TransportLimits) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    // Milliseconds of any sensible idle time fit; an absurd one means "as long as QUIC can say".
    let idle = IdleTimeout::try_from(limits.idle_timeout).unwrap_or_else(|_| IdleTimeout::from(VarInt::MAX));
    transport
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(limits.keep_alive)
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.max_streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(limits.receive_window_bytes))
        .datagram_receive_buffer_size(None);
    Arc::new(transport)
}

/// An endpoint configuration whose stateless resets are recognised across restarts.
///
/// Without it the peer of a process that was killed and started again notices only when its idle timeout ends. The key
/// is derived from the identity's private key, so it is secret and stays as long as the identity does.
pub(crate) fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, identity.key().secret_der());
    let reset = hmac::sign(&secret, b"rookery link: stateless reset key");
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref())));
    // quinn's own connection ids carry a check that only the process that made them passes, and packets that fail it
    // get no reset.
    config.cid_generator(|| Box::new(RandomConnectionIds));
    config
}

/// Connection ids without any structure.
struct RandomConnectionIds;

impl ConnectionIdGenerator for RandomConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; CONNECTION_ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
