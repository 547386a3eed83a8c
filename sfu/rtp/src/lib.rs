//! RTP and RTCP of many clients on one UDP socket, with their transport encryption, without sockets or clocks.
//!
//! [`classify`] tells the protocols apart that share a socket. A [`UdpEndpoint`] takes what clients of the voice gateway's
//! `udp` protocol send: it answers IP discovery and pings, drops and counts what does not belong to the member and address
//! that it should, and hands over packets as they were before encryption. A [`UdpMember`] writes what is for its client.
//!
//! Packets are decrypted and encrypted where they lie, and nothing is allocated for one.
//!
//! ```
//! use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
//! use rookery_rtp::{DropReason, Received, RtpHeader, UdpEndpoint, UdpLimits, discovery};
//!
//! let mut endpoint = UdpEndpoint::new(UdpLimits::default());
//! let client = "192.0.2.7:40000".parse().unwrap();
//!
//! // READY told the client its SSRC; it asks how the server sees its address.
//! let id = endpoint.insert(0, Ssrc(1_000), "whatever the shell calls it").unwrap();
//! let mut request = discovery::request(Ssrc(1_000));
//! let Received::Answer(answer) = endpoint.handle(0, client, &mut request) else { panic!("no answer") };
//! assert_eq!(discovery::read_answer(answer).unwrap().1, client);
//!
//! // It told that address in SELECT_PROTOCOL; from now on it has a key and may be sent to.
//! let mode = EncryptionMode::Aes256Gcm;
//! endpoint.activate(0, id, mode, &SecretKey([7; 32]), Some(client));
//! let member = endpoint.get_mut(id).unwrap();
//! assert_eq!(member.address(), Some(client));
//!
//! // Somebody else's packet, for this client.
//! let header = RtpHeader { marker: false, payload_type: 120, sequence_number: 1, timestamp: 960, ssrc: Ssrc(2_000) };
//! let mut buffer = [0; 1_500];
//! let length = member.write_rtp(&header, b"opus", &mut buffer).unwrap();
//!
//! // Sent back, it is not the client's own.
//! let received = endpoint.handle(20, client, &mut buffer[..length]);
//! assert!(matches!(received, Received::Dropped(DropReason::SpoofedSsrc)));
//! ```

mod bucket;
mod cipher;
mod classify;
pub mod discovery;
mod drops;
mod endpoint;
pub mod extension;
mod header;
pub mod keep_alive;
mod limits;
mod member;
mod packet;
mod replay;
pub mod rtcp;
pub mod silence;
pub mod transport_feedback;

pub use bucket::TokenBucket;
pub use cipher::{CipherError, OVERHEAD_BYTES, Opener, Sealer, TransportCipher};
pub use classify::{DatagramKind, classify};
pub use drops::{DropCounts, DropReason};
pub use endpoint::{MemberId, Received, UdpEndpoint};
pub use header::{HEADER_BYTES, RtcpHeader, RtpError, RtpHeader, clear_len};
pub use limits::UdpLimits;
pub use member::{SendError, UdpMember};
pub use packet::RtpPacket;
pub use replay::{NonceError, ReplayWindow};
