//! Offers of clients and the answers to them.
//!
//! A client says in SELECT_PROTOCOL what it can do, and SESSION_DESCRIPTION answers. Clients of the API trim both: the offer
//! is a few attributes without any media section, the answer says where the server is and no more, and the client makes
//! whole descriptions of them for its browser. An offer as a browser makes it gets a whole answer. `rtc-sdp` reads whole
//! descriptions alone.

mod answer;
mod codec;
mod offer;
mod section;
mod text;

pub use codec::{Codec, NegotiatedCodec};
pub use offer::{Offer, RemoteTransport};
pub use section::{Direction, ExtensionIds, MediaKind};

use crate::fingerprint::Fingerprint;
use crate::ice::IceCredentials;
use std::net::SocketAddr;

/// Bytes of an offer: a browser's with many sections has some tens of thousands.
pub(crate) const OFFER_BYTES_MAX: usize = 64 * 1_024;

/// Why an offer cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("the offer has more than {OFFER_BYTES_MAX} bytes")]
    TooLong,
    #[error("line {0} cannot be read")]
    Line(usize),
    #[error("the offer has more {0} than are read")]
    TooMany(&'static str),
    #[error("the offer does not tell its {0}")]
    Missing(&'static str),
    #[error("the fingerprint is not one of SHA-256")]
    Fingerprint,
    #[error("the sections of the offer have transports of their own; all must be bundled")]
    ManyTransports,
    #[error("the offer wants the server to begin the handshake, which it does not")]
    Passive,
}

/// The server's side of a peer's transport, as an answer tells it.
#[derive(Clone, Copy, Debug)]
pub struct LocalTransport<'a> {
    pub(crate) credentials: &'a IceCredentials,
    pub(crate) fingerprint: Fingerprint,
    /// At least one; the first is where a trimmed answer says that the server is.
    pub(crate) candidates: &'a [SocketAddr],
}

#[cfg(test)]
mod tests;
