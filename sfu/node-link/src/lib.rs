//! A link between two voice nodes that have members of one room, without sockets or clocks.
//!
//! Both ends have the link's name and a key for each way ([`RoomLink`](rookery_model::voice::RoomLink)), which whoever rules
//! the room made for it. A [`NodeLink`] is one end: it encrypts and decrypts where a datagram lies, drops what is not the
//! other end's or came before, and tells apart
//!
//! - packets of media, of which each is sent once ([`MediaHeader`] and the payload),
//! - what is missing of those that matter, in RTCP, and
//! - what the nodes say of themselves: who may be heard or seen there ([`RemoteMember`]), which pictures are wanted, and who
//!   is asked for a key frame. Of the first two only the newest state counts, and it is said until the other end has it.
//!
//! A link is up while something good comes over it. When it falls silent both ends forget what they knew of each other, and
//! say it anew when something comes again.
//!
//! Nothing is allocated for a packet of media, and nothing is answered that was not encrypted with the link's key.
//!
//! A datagram, big-endian: [`FIRST_BYTE`], a byte for the kind, six that count, eight with the link's name; encrypted (AES-256-GCM,
//! the sixteen bytes before are authenticated, the count is the nonce) what it carries; sixteen of tag.

mod crypto;
mod drops;
mod link;
mod media;
mod member;
mod message;
mod register;
mod wire;

pub use crypto::OVERHEAD_BYTES;
pub use drops::DropReason;
pub use link::{Event, LinkConfig, NodeLink, Received, Wants};
pub use media::{MEDIA_HEADER_BYTES, MediaCodec, MediaHeader};
pub use member::{RemoteMember, RemoteShown};

/// The first byte of every datagram of a link: none of what else a socket for media takes begins with it (RFC 7983).
pub const FIRST_BYTE: u8 = 0xf0;

/// The link that a datagram says it is of; none if it is of no link.
pub fn link_id(datagram: &[u8]) -> Option<u64> {
    let is_link = datagram.first() == Some(&FIRST_BYTE) && datagram.len() >= OVERHEAD_BYTES;
    let bytes = datagram.get(8..16).filter(|_| is_link)?;
    bytes.try_into().ok().map(u64::from_be_bytes)
}
