//! SRTP and SRTCP where the packet lies (RFC 3711, RFC 7714).
//!
//! `rtc-srtp` makes a new buffer for each packet; here nothing is allocated for one. The primitives are `rtc-crypto`'s,
//! which has `ring` beneath and the AES counter mode that `ring` does not show.

mod cipher;
mod inbound;
mod index;
mod keys;
mod outbound;

pub(crate) use inbound::{Inbound, OpenError};
pub(crate) use keys::Profile;
pub(crate) use outbound::Outbound;
pub use outbound::SealError;

/// Bytes that encryption adds to an RTP packet at most.
pub const RTP_OVERHEAD_BYTES: usize = 16;
/// Bytes that encryption adds to an RTCP packet at most.
pub const RTCP_OVERHEAD_BYTES: usize = 16 + INDEX_BYTES;

/// The flag of encryption and the index, behind an RTCP packet.
const INDEX_BYTES: usize = 4;

/// Both directions of one peer.
pub(crate) struct Media {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
}

#[cfg(test)]
mod tests;
