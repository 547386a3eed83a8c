//! What the owners of guilds and voice nodes tell one another.
//!
//! Each message may be lost: whoever wants something says so until it is answered. Everything about a member has a
//! revision, and a node passes over what is older than what it knows.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

use crate::gateway::SubscriberId;
use crate::{ChannelId, GuildId, UserId, VoiceServerId};

bitflags::bitflags! {
    /// What a member may do in a voice room.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct VoiceRights: u8 {
        /// Others hear them.
        const SPEAK = 1;
        /// They hear others.
        const HEAR = 1 << 1;
        /// Others see their camera and screen.
        const SHOW = 1 << 2;
        /// Others are turned down while they speak, if they say so.
        const PRIORITY = 1 << 3;
    }
}

/// How well a stream of Go Live may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamQuality {
    /// 720p at 30 frames a second.
    #[default]
    Standard,
    /// 1080p at 60 frames a second.
    Boosted,
}

/// A stream of Go Live: what one member shows to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSettings {
    /// The only one who is seen and heard.
    pub streamer: UserId,
    /// Those who may watch at once.
    pub viewers_max: u32,
    pub quality: StreamQuality,
}

/// What a voice room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoiceRoomKind {
    /// A voice channel or a call.
    #[default]
    Voice,
    /// A stage, where most only listen.
    Stage,
    /// A stream, beside the voice channel in which its streamer and its viewers are.
    Stream(StreamSettings),
}

/// Whose owner decides who is in a voice room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoomOwner {
    Guild(GuildId),
    Dm(ChannelId),
}

/// A member in a voice channel, as the owner wants them in its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceEntry {
    /// Who is told where the member's client is to go.
    pub owner: RoomOwner,
    /// What the voice connection is for. A user is in one room of it.
    pub server_id: VoiceServerId,
    pub channel_id: ChannelId,
    pub kind: VoiceRoomKind,
    /// Where its room is to be, if there is a voice node.
    pub rtc_region: Option<Box<str>>,
    pub user_id: UserId,
    /// The session that is told which server to go to.
    pub subscriber: SubscriberId,
    /// Where that session is, if that is known: its client is near.
    pub session_region: Option<Box<str>>,
    /// As in the member's voice state; the client shows it to the voice gateway.
    pub session_id: Box<str>,
    /// Another number: the member came anew with the same session, and is told anew where to go.
    pub visit: u32,
    pub rights: VoiceRights,
}

/// A change of who is in a voice room, to its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomCommand {
    /// Lets a member in, or changes what they may. They are in one room of a server: in no other from now on.
    Admit(Box<RoomAdmission>),
    /// Puts a member out.
    Expel { server_id: VoiceServerId, user_id: UserId, revision: u64 },
    /// Puts out all whom the sender let in by a lower revision, and ends the links that it made by one.
    Clear { revision: u64 },
    /// The node's links to others that have members of a room, all of them; with none the room is at no other node.
    Link { server_id: VoiceServerId, channel_id: ChannelId, revision: u64, links: Vec<RoomLink> },
}

/// One end of a link between two nodes that have members of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomLink {
    /// Names it at both ends; never given twice.
    pub id: u64,
    /// The number of the node at the other end.
    pub node: u16,
    /// Where media is received there; none while it has not told.
    pub address: Option<SocketAddr>,
    /// For what goes out from here. As random as the other, and never used for anything else.
    pub seal: LinkKey,
    /// For what comes in.
    pub open: LinkKey,
}

/// What one end of a link encrypts with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkKey(pub [u8; 32]);

impl std::fmt::Debug for LinkKey {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

/// A member of a voice room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomAdmission {
    pub revision: u64,
    pub server_id: VoiceServerId,
    pub channel_id: ChannelId,
    pub kind: VoiceRoomKind,
    pub user_id: UserId,
    /// As in the member's voice state.
    pub session_id: Box<str>,
    pub rights: VoiceRights,
    pub token: VoiceToken,
}

/// What a client shows to the voice gateway, made for one session of one member in one room.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoiceToken(Box<str>);

impl VoiceToken {
    /// A token of this text, which nobody can guess.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Its text, for the client.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for VoiceToken {
    /// Without the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VoiceToken(…)")
    }
}

/// What a voice node tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomEvent {
    /// A command was carried out, or one of a later revision.
    Done { server_id: VoiceServerId, user_id: UserId, revision: u64 },
    /// Everybody of a lower revision is out.
    Cleared { revision: u64 },
    /// A room has these links, or those of a later revision; its media is received at this address, while it is there.
    Linked { server_id: VoiceServerId, channel_id: ChannelId, revision: u64, address: Option<SocketAddr> },
    /// A member's connection is gone for good.
    Gone { server_id: VoiceServerId, user_id: UserId, session_id: Box<str> },
}

/// What a voice node says of itself, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceBeacon {
    /// Its name in the deployment.
    pub node: Box<str>,
    /// Its number, by which nodes of one room tell one another apart.
    #[serde(default)]
    pub number: u16,
    /// Another one after each start: what it knew before is gone.
    pub boot: u64,
    /// Host and port of its voice gateway, as clients are told.
    pub endpoint: Box<str>,
    /// Members of all its rooms.
    pub members: u32,
    /// It is about to end and takes no more rooms.
    pub is_draining: bool,
    /// It has as many members as it may have, or as much to do as it can.
    #[serde(default)]
    pub is_full: bool,
}

/// A message to a voice node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToVoiceNode {
    /// The region's node that says it, which is answered under this name.
    pub controller: Box<str>,
    /// For the process of this start of the voice node alone.
    pub boot: u64,
    /// None: the controller is still there.
    pub command: Option<RoomCommand>,
}

/// A message of a voice node to the region's node that it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromVoiceNode {
    pub node: Box<str>,
    pub boot: u64,
    pub event: RoomEvent,
}
