//! What is asked of a core.

use rookery_forwarder::Streams;
use rookery_model::UserId;
use rookery_model::voice::node::{VoiceMemberFlags, VoiceRoomKey};
use rookery_model::voice::{EncryptionMode, SecretKey, SpeakingFlags};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

use super::stats::CoreStats;
use crate::directory::Grant;
use crate::mail::Mail;

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
        mail: mpsc::Sender<Mail>,
        reply: oneshot::Sender<Result<Streams, Refused>>,
    },
    /// Gives a member a key, and makes a listener of it.
    Activate {
        member: MemberRef,
        mode: EncryptionMode,
        claimed: Option<SocketAddr>,
        reply: oneshot::Sender<Option<SecretKey>>,
    },
    /// What a member says of itself.
    Speaking {
        member: MemberRef,
        flags: SpeakingFlags,
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
    Stats {
        reply: oneshot::Sender<CoreStats>,
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
