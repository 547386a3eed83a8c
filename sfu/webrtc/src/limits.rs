//! Bounds on what a peer, or a stranger, can make an endpoint do.

/// What an endpoint takes and waits for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebRtcLimits {
    /// STUN answers for one peer. A browser checks each pair of addresses every 50 ms at first, later once in 2.5 seconds.
    pub answer_burst: u32,
    pub answers_per_second: u32,
    /// From the offer to the end of the handshake.
    pub handshake_timeout_ms: u64,
    /// So long without a check that carries the peer's credentials, and nothing more is sent to it (RFC 7675).
    pub consent_timeout_ms: u64,
    /// After so long without a check from its peer, an address may become another's.
    pub rebind_after_ms: u64,
    /// DTLS from one peer, over its whole life: bytes and pieces of messages. A handshake with a certificate of a browser
    /// takes 2 KiB in 6 pieces, each of which may be sent again some times.
    pub dtls_bytes_max: u32,
    pub dtls_fragments_max: u32,
    /// Datagrams that wait to be sent; what is beyond is dropped, and the handshake sends it again.
    pub transmits_max: usize,
}

impl Default for WebRtcLimits {
    fn default() -> Self {
        Self {
            answer_burst: 200,
            answers_per_second: 50,
            handshake_timeout_ms: 30_000,
            consent_timeout_ms: 30_000,
            rebind_after_ms: 10_000,
            dtls_bytes_max: 64 * 1_024,
            dtls_fragments_max: 512,
            transmits_max: 4_096,
        }
    }
}
