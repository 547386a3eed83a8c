//! Who is in a room, what each may do, and what each is sent.

use rookery_model::UserId;
use smallvec::SmallVec;

use crate::outlet::{Feedback, Outlet};
use crate::packet::Inbound;
use crate::reception::Reception;
use crate::rewrite::Rewriter;
use crate::speakers::Loudness;
use crate::ssrc::Streams;
use crate::video::down_track::DownTrack;
use crate::video::track::VideoTrack;
use crate::{MemberKey, NodeId, Ssrc};

bitflags::bitflags! {
    /// What a member may do and has chosen, as its voice state and its permissions say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct MemberFlags: u16 {
        /// SPEAK.
        const MAY_SPEAK = 1 << 0;
        /// STREAM: camera and screen.
        const MAY_STREAM = 1 << 1;
        /// PRIORITY_SPEAKER, and used.
        const PRIORITY = 1 << 2;
        const SERVER_MUTED = 1 << 3;
        const SERVER_DEAFENED = 1 << 4;
        const SELF_MUTED = 1 << 5;
        const SELF_DEAFENED = 1 << 6;
        /// In the audience of a stage, or without SPEAK.
        const SUPPRESSED = 1 << 7;
        /// Receives only.
        const LISTENER = 1 << 8;
    }
}

impl MemberFlags {
    /// Whether others hear the member.
    pub const fn speaks(self) -> bool {
        let silenced = Self::SERVER_MUTED.union(Self::SELF_MUTED).union(Self::SUPPRESSED).union(Self::LISTENER);
        self.contains(Self::MAY_SPEAK) && !self.intersects(silenced)
    }
    /// Whether the member hears others.
    pub const fn hears(self) -> bool {
        !self.intersects(Self::SERVER_DEAFENED.union(Self::SELF_DEAFENED))
    }
    /// Whether others see the member's video.
    pub const fn shows(self) -> bool {
        self.contains(Self::MAY_STREAM) && !self.intersects(Self::SUPPRESSED.union(Self::LISTENER))
    }
}

/// How a member of this node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RTP over UDP as bots speak it.
    Udp,
    WebRtc,
}

/// Somebody who wants to be in a room.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    pub user: UserId,
    pub transport: Transport,
    pub flags: MemberFlags,
    pub feedback: Feedback,
    /// Whether lost video is sent again in a stream of its own; otherwise under its first number.
    pub rtx: bool,
}

/// Somebody who is in the room at another node, and whose packets come over a link.
#[derive(Clone, Copy, Debug)]
pub struct RemoteJoin {
    pub user: UserId,
    /// The link over which packets come.
    pub link: MemberKey,
    /// Where the member is.
    pub origin: NodeId,
    pub streams: Streams,
    pub flags: MemberFlags,
}

/// Why somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    #[error("the room is full")]
    Full,
    #[error("the stream has as many viewers as it may have")]
    ViewersFull,
    #[error("the user is in the room already")]
    AlreadyIn,
    #[error("no SSRCs are left")]
    NoSsrcs,
    #[error("an SSRC is taken by another member")]
    SsrcTaken,
    #[error("the link is not there")]
    NoSuchLink,
    #[error("the member is at this node itself")]
    Loop,
    #[error("as many links as there may be")]
    TooManyLinks,
}

/// What a member is to the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Local(Transport),
    /// Of another node, over a link.
    Remote {
        link: MemberKey,
        origin: NodeId,
    },
    /// Another node: one copy of everything that its members want.
    Link {
        node: NodeId,
    },
}

/// A wish for each publisher's video, 0 to 100.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// For those not named.
    pub any: u8,
    /// By the publisher's video SSRC.
    pub by_ssrc: SmallVec<[(Ssrc, u8); 4]>,
}

impl Wants {
    pub(crate) fn quality(&self, ssrc: Ssrc) -> u8 {
        let named = self.by_ssrc.iter().find(|(named, _)| *named == ssrc);
        named.map_or(self.any, |(_, quality)| *quality).min(100)
    }
}

/// What a member says.
#[derive(Debug, Default)]
pub(crate) struct AudioTrack {
    pub reception: Reception,
    pub rewriter: Rewriter,
    pub loudness: Loudness,
    /// Whether packets were left out since the last one that went on.
    pub paused: bool,
    pub timestamp_offset: u32,
    pub last_timestamp: u32,
    pub last_us: u64,
}

/// By how much one sender's numbers are smaller for one receiver, which did not hear it for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    pub sender: MemberKey,
    pub shift: u16,
    /// The number at which it stopped to hear, while it does not.
    pub paused_at: Option<u16>,
    /// The number at which it heard again.
    pub resumed_at: u16,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub user: UserId,
    pub kind: Kind,
    pub flags: MemberFlags,
    pub streams: Streams,
    pub inbound: SmallVec<[(Ssrc, Inbound); 4]>,
    pub audio: Option<Box<AudioTrack>>,
    pub video: Option<Box<VideoTrack>>,
    /// Receivers of the video that it showed before, whose numbers go on if it shows something again.
    pub parked: Vec<DownTrack>,
    pub outlet: Option<Box<Outlet>>,
    pub feedback: Feedback,
    pub rtx: bool,
    pub wants: Wants,
    /// Where it stands among those who hear.
    pub hearing_at: Option<u32>,
    pub shifts: Vec<Shift>,
    /// As the member says of itself (SPEAKING).
    pub speaking: u32,
    /// Sent while it stood at places among those who hear that it has left.
    pub sent_packets: u64,
    pub sent_octets: u64,
}

/// SSRCs that one member sends from: audio, three layers, and their retransmissions.
pub(crate) const INBOUND_MAX: usize = 8;

impl Member {
    pub(crate) fn is_link(&self) -> bool {
        matches!(self.kind, Kind::Link { .. })
    }
    pub(crate) fn via(&self) -> Option<MemberKey> {
        match self.kind {
            Kind::Remote { link, .. } => Some(link),
            _ => None,
        }
    }
    #[inline]
    pub(crate) fn carries(&self, ssrc: Ssrc) -> Option<Inbound> {
        self.inbound.iter().find(|(bound, _)| *bound == ssrc).map(|(_, inbound)| *inbound)
    }
}
