//! What is asked of a core.

use rookery_forwarder::Streams;
use rookery_model::UserId;
use rookery_model::voice::node::{VoiceMemberFlags, VoiceRoomKey};
use rookery_model::voice::{EncryptionMode, MediaSinkWants, RoomLink, SecretKey, SpeakingFlags, Video};
use rookery_webrtc::Offer;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

use super::stats::{CoreStats, RoomCounts};
use super::way::PayloadTypes;
use crate::directory::Grant;
use crate::mailbox::MailSender;

/// Names one session of one user in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberRef {
    pub(crate) room: VoiceRoomKey,
    pub(crate) user: UserId,
    /// Later ones have higher numbers.
    pub(crate) session: u64,
}

/// Something for a core to do.
pub(crate) enum Command {
    /// Lets a member in, in the place of an older session of the same user.
    Join {
        grant: Arc<Grant>,
        session: u64,
        mail: MailSender,
        reply: oneshot::Sender<Result<Streams, Refused>>,
    },
    /// Gives a member a key, and makes a listener of it.
    Activate {
        member: MemberRef,
        mode: EncryptionMode,
        claimed: Option<SocketAddr>,
        types: PayloadTypes,
        reply: oneshot::Sender<Option<SecretKey>>,
    },
    /// Answers a member's offer, and makes a listener of it once it has come.
    Offer {
        member: MemberRef,
        offer: Box<Offer>,
        types: PayloadTypes,
        reply: oneshot::Sender<Option<String>>,
    },
    /// What a member says of itself.
    Speaking {
        member: MemberRef,
        flags: SpeakingFlags,
    },
    /// What a member shows from now on.
    Video {
        member: MemberRef,
        video: Box<Video>,
    },
    /// What a member wants to see from now on.
    MediaSinkWants {
        member: MemberRef,
        wants: Box<MediaSinkWants>,
    },
    /// Whether the connection of a member's client to the voice gateway is gone, and may come back.
    Detached {
        member: MemberRef,
        is_detached: bool,
    },
    /// Tells a member anew who is there and who speaks.
    Resync {
        member: MemberRef,
    },
    SetFlags {
        room: VoiceRoomKey,
        user: UserId,
        flags: VoiceMemberFlags,
    },
    Leave {
        member: MemberRef,
    },
    /// Has these links of a room to other nodes, and no others.
    Link {
        room: VoiceRoomKey,
        links: Vec<RoomLink>,
    },
    Stats {
        reply: oneshot::Sender<CoreStats>,
    },
    Rooms {
        reply: oneshot::Sender<Vec<RoomCounts>>,
    },
    /// Answered when everything before it is done.
    Barrier {
        reply: oneshot::Sender<()>,
    },
    /// Ends the thread.
    Stop,
}

/// Why a member was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The room is full, or no SSRCs are left.
    Full,
    /// A later session is here already.
    Outdated,
}
