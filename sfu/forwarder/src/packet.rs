//! What is told of a packet, and what is decided about it.

use crate::{Layer, MemberKey, Slot, Ssrc};

/// What the caller read in a packet that it has authenticated and decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub ssrc: Ssrc,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// Of the whole packet, header and payload.
    pub length_bytes: u16,
    /// Links between nodes that it has crossed; 0 from a member of this node.
    pub hops: u8,
    pub payload: Payload,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    Audio(Audio),
    Video(Video),
}

/// What is known of the sound in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Audio {
    /// Of the header extension (RFC 6464); bots send none.
    pub level: Option<AudioLevel>,
    /// Whether it is the frame of silence (`F8 FF FE`) that ends a talkspurt.
    pub silence: bool,
}

/// How loud a packet is, as its sender says (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Below full scale: 0 is the loudest, 127 is silence.
    pub below_full_scale_db: u8,
    /// Whether the sender believes that somebody speaks.
    pub voice: bool,
}

/// What is known of the piece of a picture in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Video {
    /// Whether a frame begins with it.
    pub frame_start: bool,
    /// Whether that frame can be decoded without any other.
    pub key_frame: bool,
    /// Temporal layer, 0 where there is one only.
    pub temporal: u8,
    /// Whether the frame needs none but frames of temporal layer 0, so that its layer may begin with it.
    pub temporal_sync: bool,
    /// What a VP8 payload descriptor counts.
    pub vp8: Option<Vp8>,
}

/// Counters of a VP8 payload descriptor (RFC 7741, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vp8 {
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX.
    pub base_index: Option<u8>,
    /// KEYIDX, five bits.
    pub key_index: Option<u8>,
}

/// A picture's number, in as many bits as its sender writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureId {
    /// Of 7 bits.
    Short(u8),
    /// Of 15 bits.
    Long(u16),
}

impl PictureId {
    pub(crate) const fn value(self) -> u16 {
        match self {
            Self::Short(value) => value as u16 & 0x7f,
            Self::Long(value) => value & 0x7fff,
        }
    }
    /// The same form with another number, cut to the form's bits.
    pub(crate) const fn with(self, value: u16) -> Self {
        match self {
            Self::Short(_) => Self::Short((value & 0x7f) as u8),
            Self::Long(_) => Self::Long(value & 0x7fff),
        }
    }
}

/// The header under which a packet goes out; what is not named stays as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub ssrc: Ssrc,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// To be written over the payload descriptor's, in the same form.
    pub vp8: Option<Vp8>,
}

/// What to put behind a [`Header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The payload of the packet at hand.
    Incoming,
    /// The payload of a packet that was kept.
    Stored(Slot),
    /// As [`Stored`](Self::Stored), but as a retransmission (RFC 4588): the number of the packet that it replaces comes before the payload.
    Retransmission { slot: Slot, original_sequence: u16 },
    /// Nothing but padding: the number was kept free for a packet that turned out not to be for this receiver.
    Padding,
}

/// One packet to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub receiver: MemberKey,
    pub header: Header,
    pub body: Body,
    /// Transport-wide sequence number to write, for receivers that report on it.
    pub transport_sequence: Option<u16>,
    /// For a link to another node: what [`Packet::hops`] is there.
    pub hops: u8,
    /// Whether a priority speaker is heard at the same time, so that this should be played softer.
    pub ducked: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to so many receivers now; video is to be kept in the slot.
    Forwarded {
        receivers: u32,
        store: Option<Slot>,
    },
    Dropped(DropReason),
}

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Its sender is not in the room.
    UnknownMember,
    /// The sender was not given this SSRC, or not for what it carries.
    ForeignSsrc,
    /// Its sender may not speak, or show video, now.
    NotPermitted,
    /// Others are louder.
    NotSelected,
    /// It belongs to a time whose packets were not sent on.
    TooLate,
    /// Its number is far from those before; a second one in a row would begin a new stream.
    OutOfRange,
    /// The stream sends more than it was granted.
    OverPolicy,
    /// It has crossed more links than a tree of nodes has.
    TooManyHops,
}

impl Verdict {
    /// Receivers that it went to.
    pub const fn receivers(&self) -> u32 {
        match self {
            Self::Forwarded { receivers, .. } => *receivers,
            Self::Dropped(_) => 0,
        }
    }
}

/// Where a packet of video comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    Audio,
    Video(Layer),
}
