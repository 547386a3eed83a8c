//! WebRTC members on one UDP socket: ICE, DTLS, SRTP and SDP on the server's side, without sockets or clocks.
//!
//! A [`WebRtcEndpoint`] takes the datagrams of many browsers. It answers their connectivity checks, does their handshakes,
//! drops and counts what does not belong to the peer and address that it should, and hands over packets as they were before
//! encryption. A [`WebRtcPeer`] writes what is for its client. An [`Offer`] is what a client says of itself in
//! SELECT_PROTOCOL; its answer goes into SESSION_DESCRIPTION.
//!
//! Packets are decrypted and encrypted where they lie, and nothing is allocated for one. Time is passed in. Randomness is
//! not: `rtc-dtls` takes it from the system for its keys, and so do user name fragments and passwords here.
//!
//! ```
//! use rookery_webrtc::{Certificate, Codec, Offer, Received, WebRtcConfig, WebRtcEndpoint, WebRtcLimits};
//!
//! // One for a process, told by its fingerprint.
//! let certificate = Certificate::generate().unwrap();
//! let candidates = vec!["192.0.2.1:50004".parse().unwrap()];
//! let epoch = std::time::Instant::now();
//! let config = WebRtcConfig { certificate, candidates, epoch, limits: WebRtcLimits::default() };
//! let mut endpoint = WebRtcEndpoint::new(config).unwrap();
//!
//! // SELECT_PROTOCOL.
//! let offer = "a=ice-ufrag:Ab+1\na=ice-pwd:0123456789abcdefghijkl+/\na=rtpmap:111 opus/48000/2\na=fingerprint:sha-256 \
//!     00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
//! let mut offer = Offer::parse(offer).unwrap();
//! offer.add_codec("H264", 103, Some(104));
//! assert_eq!(offer.codecs().map(|codec| codec.codec).collect::<Vec<_>>(), [Codec::Opus, Codec::H264]);
//!
//! // SESSION_DESCRIPTION.
//! let peer = endpoint.insert(0, offer.transport.clone(), "whatever the shell calls it").unwrap();
//! let answer = offer.answer(&endpoint.local(peer).unwrap());
//! assert!(answer.starts_with("m=audio 50004 ICE/SDP\n"));
//!
//! // Until a check with the peer's password came from somewhere, nothing is sent and nothing is taken.
//! let mut datagram = [0x80; 40];
//! let received = endpoint.handle_datagram(20, "198.51.100.7:40000".parse().unwrap(), &mut datagram);
//! assert!(matches!(received, Received::Dropped(_)));
//! assert_eq!(endpoint.get(peer).unwrap().address(), None);
//! ```
//!
//! # Which parts are whose
//!
//! `rtc`, the sans-IO core under `webrtc`, has a whole peer connection. It is not what drives a member here:
//!
//! - It owns an ICE agent, a data channel stack, jitter buffers and interceptors for each peer, which the forwarder does
//!   over again for a whole room: retransmission, pacing, estimates of bandwidth, feedback. `webrtc` takes 252 KiB a peer.
//! - It wants whatever comes from its peer, as buffers of its own, and gives buffers back: each packet would be copied and
//!   allocated at least twice.
//! - It knows of no socket that it shares, so the demultiplexing by user name fragment and address is here in any case.
//!
//! So `rtc-dtls` does the handshakes, one endpoint for all peers, and `rtc-crypto` has the primitives. SRTP is here, because
//! `rtc-srtp` allocates for each packet; so are connectivity checks, because the lite half of ICE is one request and one
//! answer; and so is SDP, because what clients of the API send is trimmed to what `rtc-sdp` refuses. The whole peer
//! connection of `rtc` is the client in this crate's tests.
//!
//! # What strangers can do
//!
//! - A check that is not made with a peer's password is not answered. An answer is written over its question, so it is never
//!   longer.
//! - DTLS is taken from where a check with a password came from, and from nowhere else; even there the first answer is a
//!   cookie. What a peer may send for its handshake is bounded in bytes and pieces ([`WebRtcLimits`]), because `rtc-dtls`
//!   keeps pieces without a bound of that kind, and puts them together by recursion.
//! - Alerts in the clear are dropped: whoever forges an address could end handshakes with them.
//!
//! # Not here
//!
//! A restart of ICE: a client whose path breaks for good selects its protocol again. Data channels. Candidates of clients:
//! an agent of ICE-lite does not need them. TURN is between a client and its relay; this endpoint sees the relay's address.

mod certificate;
mod drops;
mod dtls;
mod endpoint;
mod fingerprint;
mod ice;
mod limits;
mod peer;
mod sdp;
mod srtp;
mod stun;
mod timers;

pub use certificate::{Certificate, CertificateError};
pub use drops::{DropCounts, DropReason};
pub use endpoint::{ConfigError, Event, GoneReason, PeerId, Received, WebRtcConfig, WebRtcEndpoint};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use ice::{IceCredentials, RandomnessError};
pub use limits::WebRtcLimits;
pub use peer::{PeerState, SendError, WebRtcPeer};
pub use sdp::{
    Codec, Direction, ExtensionIds, LocalTransport, MediaKind, NegotiatedCodec, Offer, RemoteTransport, SdpError,
};
pub use srtp::{RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, SealError};

/// Bytes of an RTP packet before its payload: unlike in the API's own encryption the elements of the extension are among
/// them, and stay readable (RFC 3711, section 3.1).
pub(crate) fn rtp_header_len(packet: &[u8]) -> Option<usize> {
    let clear_len = rookery_rtp::clear_len(packet).ok()?;
    let has_extension = packet[0] & 0x10 != 0;
    let elements = if has_extension {
        let words = packet.get(clear_len - 2..clear_len)?.first_chunk()?;
        4 * usize::from(u16::from_be_bytes(*words))
    } else {
        0
    };
    (clear_len + elements <= packet.len()).then_some(clear_len + elements)
}
