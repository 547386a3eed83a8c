//! A voice room as a state machine: who hears whom, which packets go to whom, and under which numbers.
//!
//! There is no socket, clock, task, randomness or payload in here. The caller authenticates and decrypts a packet, tells what it
//! read in the header ([`Packet`]), and gets one [`Forward`] for each receiver: the numbers to write before the payload that the
//! caller still holds. Bots over UDP, browsers over WebRTC and links to other nodes are members alike.
//!
//! - [`Room`] is the whole of it.
//! - Everybody's streams keep one SSRC for all receivers, because clients know whose voice an SSRC is; only numbers are rewritten.
//! - Of those who speak the loudest few are sent on. The choice is one for all, so a packet costs a look at
//!   those who hear it and nothing for anybody else.
//! - Video goes to those who want it, in the layer that their path takes; audio always comes first.
//! - Packets of video are kept by the caller in rings, and named by [`Slot`]s when they go out later or again.
//!
//! ```
//! use rookery_forwarder::*;
//! use rookery_model::UserId;
//!
//! let block = SsrcBlock::of_node(7);
//! let mut room = Room::new(RoomConfig::default(), RoomKind::Voice, NodeId(7), block, 4_711);
//! let join = |user| Join {
//!     user: UserId::new(user),
//!     transport: Transport::Udp,
//!     flags: MemberFlags::MAY_SPEAK,
//!     feedback: Feedback::None,
//!     rtx: false,
//! };
//! let speaker = room.join(0, join(1)).unwrap();
//! let listener = room.join(0, join(2)).unwrap();
//! let packet = Packet {
//!     ssrc: room.streams(speaker).unwrap().audio,
//!     sequence: 100,
//!     timestamp: 96_000,
//!     marker: true,
//!     length_bytes: 160,
//!     hops: 0,
//!     payload: Payload::Audio(Audio::default()),
//! };
//! let mut sent = Vec::new();
//! room.forward(20_000, speaker, &packet, |forward| sent.push(forward));
//! assert_eq!(sent.len(), 1);
//! assert_eq!((sent[0].receiver, sent[0].header.sequence), (listener, 100));
//! ```

mod bandwidth;
mod config;
mod event;
mod ids;
mod member;
mod outlet;
mod overload;
mod packet;
pub mod payload;
mod reception;
mod rewrite;
mod room;
mod slab;
mod speakers;
mod ssrc;
mod stream_policy;
mod video;
mod vp8;

pub use bandwidth::{BandwidthConfig, Estimator, PacketReport, ProbePlan, SendHistory};
pub use config::{OverloadConfig, PacerConfig, RoomConfig, SpeakersConfig, VideoConfig};
pub use event::Event;
pub use ids::{LAYERS_MAX, Layer, MemberKey, NodeId, Slot, Ssrc};
pub use member::{Join, JoinRefused, MemberFlags, RemoteJoin, Transport, Wants};
pub use outlet::Feedback;
pub use overload::Quality;
pub use packet::{
    Audio, AudioLevel, Body, DropReason, Forward, Header, Packet, Payload, PictureId, Verdict, Video, Vp8,
};
pub use reception::ReceptionStats;
pub use room::{MemberStats, Publication, PublishRefused, Room, RoomStats};
pub use ssrc::{SsrcBlock, StreamKind, Streams};
pub use stream_policy::{RoomKind, StreamPolicy, VideoMode};
pub use video::track::LayerSpec;
