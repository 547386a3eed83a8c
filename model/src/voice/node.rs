//! What the owner of a guild or call asks of the node that runs its voice rooms, and what the node tells it.
//!
//! Not a part of the public API: plain structures, which may cross processes.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::{DavePolicy, VoiceRoomKind, VoiceToken};
use crate::{ChannelId, UserId, VoiceServerId};

/// The members that a room takes if nothing else is said.
pub const ROOM_MEMBERS_MAX: u32 = 5_000;

/// A voice channel, stage or call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoiceRoomKey {
    /// The guild, the channel of a call, or a stream.
    pub server_id: VoiceServerId,
    pub channel_id: ChannelId,
}

/// What a member may do and has chosen, as its permissions and its voice state say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VoiceMemberFlags {
    /// SPEAK.
    pub may_speak: bool,
    /// STREAM.
    pub may_stream: bool,
    /// PRIORITY_SPEAKER.
    pub priority: bool,
    /// By a moderator.
    pub server_muted: bool,
    pub server_deafened: bool,
    /// By the member itself.
    pub self_muted: bool,
    pub self_deafened: bool,
    /// In the audience of a stage.
    pub suppressed: bool,
}

impl VoiceMemberFlags {
    /// Somebody who may speak and does nothing to keep from it.
    pub const SPEAKER: Self = Self {
        may_speak: true,
        may_stream: false,
        priority: false,
        server_muted: false,
        server_deafened: false,
        self_muted: false,
        self_deafened: false,
        suppressed: false,
    };
}

/// What a room is like; the first member's hold until the room is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoiceRoomSettings {
    /// Members that it takes, whatever the channel's user limit lets in beside them. At most [`ROOM_MEMBERS_MAX`].
    pub members_max: u32,
    pub dave: DavePolicy,
    pub kind: VoiceRoomKind,
}

impl Default for VoiceRoomSettings {
    fn default() -> Self {
        Self { members_max: ROOM_MEMBERS_MAX, dave: DavePolicy::Off, kind: VoiceRoomKind::Voice }
    }
}

/// Somebody will come: VOICE_STATE_UPDATE was accepted.
///
/// A member of the same server that the user already is stays until the new one identifies, and is ended then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareMember {
    pub room: VoiceRoomKey,
    pub user_id: UserId,
    /// Of the user's session at the main gateway, as its voice state tells it.
    pub session_id: String,
    #[serde(default)]
    pub flags: VoiceMemberFlags,
    #[serde(default)]
    pub settings: VoiceRoomSettings,
    /// What the client is to show; none: the node makes one.
    #[serde(default)]
    pub token: Option<VoiceToken>,
}

/// What VOICE_SERVER_UPDATE tells the user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedMember {
    /// For IDENTIFY, within a bounded time, and for RESUME.
    pub token: String,
    /// Host and port of the voice gateway.
    pub endpoint: String,
}

impl fmt::Debug for PreparedMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedMember").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A member of a server: a user has one voice connection there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoiceMemberKey {
    pub server_id: VoiceServerId,
    pub user_id: UserId,
}

/// Why a node does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoiceNodeRefusal {
    /// It takes nobody any more.
    Draining,
    /// It has as many members, or the room has, as there may be.
    Full,
    /// It knows no such member.
    UnknownMember,
    /// It knows no such room.
    UnknownRoom,
    /// A `session_id` that is empty or too long, or a room without places.
    Invalid,
}

impl fmt::Display for VoiceNodeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draining => "the voice node is draining",
            Self::Full => "the voice node or the room is full",
            Self::UnknownMember => "there is no such member at the voice node",
            Self::UnknownRoom => "there is no such room at the voice node",
            Self::Invalid => "the request to the voice node is invalid",
        })
    }
}
impl std::error::Error for VoiceNodeRefusal {}

/// How busy a node is.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct VoiceNodeLoad {
    /// With a voice session.
    pub members: u64,
    /// Prepared, and not yet here.
    pub awaited: u64,
    pub rooms: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    /// Datagrams that are nobody's or not good, by reason.
    pub datagrams_dropped: Vec<(String, u64)>,
    /// Packets of members that went nowhere, by reason.
    pub packets_dropped: Vec<(String, u64)>,
    /// Datagrams that the kernel did not take.
    pub packets_unsent: u64,
    /// Packets that members sent and that never came.
    pub packets_lost: u64,
    /// The mean of those who sent.
    pub jitter_us: u64,
    /// Links to other nodes, each room's for itself, and those whose other end is there.
    #[serde(default)]
    pub links: u64,
    #[serde(default)]
    pub links_up: u64,
    /// Packets of members that came over links, and that went.
    #[serde(default)]
    pub link_packets_in: u64,
    #[serde(default)]
    pub link_packets_out: u64,
    /// The busiest core, in thousandths of its time.
    pub utilisation_permille: u16,
}

/// Somebody with a voice session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceMember {
    pub room: VoiceRoomKey,
    pub user_id: UserId,
    pub session_id: String,
}

/// Why a member is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoiceLeaveReason {
    /// Its client closed the connection for good.
    ClosedByClient,
    /// It did not come back within the resume window.
    TimedOut,
    /// Removed or moved as the owner asked, or its room was closed.
    Removed,
    /// Another session of the same member identified.
    Replaced,
    /// Its client broke the protocol; the close code.
    Protocol { code: u16 },
    /// The node drained.
    Drained,
}

/// What a node tells the owners of its rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VoiceNodeEvent {
    /// It identified.
    Connected(VoiceMember),
    /// Its WebSocket is gone; its media goes on while it may RESUME.
    Detached(VoiceMember),
    Resumed(VoiceMember),
    /// Its session is over.
    Left {
        member: VoiceMember,
        reason: VoiceLeaveReason,
    },
    /// A token was not used in time: of somebody who never came, or of one who left and might have come back.
    NeverCame(VoiceMember),
    /// So many events did not fit: who is there has to be asked.
    Lost {
        events: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_show() {
        let prepared = PreparedMember { token: "secret".into(), endpoint: "localhost:1".into() };
        assert!(!format!("{prepared:?}").contains("secret"));
    }
}
