//! Dispatched events: the name `t`, the data `d`, and what a session must ask for to get them.

use serde::{Deserialize, Serialize};

use super::{
    CallCreate, CallDelete, CallMessageUpdate, CallSessionEvent, CallUpdate, ChannelInfo, GuildMemberListUpdate,
    GuildMembersChunk, Intents, OwnSession, PassiveUpdateV1, PassiveUpdateV2, PresenceEvent, SoundboardSounds,
    StreamCreated, StreamDeleted, StreamServerUpdate, StreamUpdate, VoiceChannelStatusUpdate, VoiceState,
};
use crate::channel::Channel;
use crate::guild::{Guild, UnavailableGuild};
use crate::member::Member;
use crate::message::{Message, ReactionEmoji};
use crate::relationship::{Relationship, RelationshipRemove};
use crate::role::Role;
use crate::stage_instance::StageInstance;
use crate::store::ReadState;
use crate::user::{CurrentUser, User};
use crate::voice::VoiceToken;
use crate::{ApplicationId, ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};

/// MESSAGE_CREATE and MESSAGE_UPDATE: the message, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageEvent {
    #[serde(flatten)]
    pub message: Message,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// The author's membership, without the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
    /// Kind of the channel: 1 is a DM.
    pub channel_type: u8,
}

/// MESSAGE_DELETE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageDelete {
    pub id: MessageId,
    pub channel_id: ChannelId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
}

/// MESSAGE_DELETE_BULK.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageDeleteBulk {
    pub ids: Vec<MessageId>,
    pub channel_id: ChannelId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
}

/// MESSAGE_REACTION_ADD and MESSAGE_REACTION_REMOVE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReactionEvent {
    pub user_id: UserId,
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    pub emoji: ReactionEmoji,
    /// The reacting member; on adding in guilds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_author_id: Option<UserId>,
    pub burst: bool,
    #[serde(rename = "type")]
    pub kind: u8,
}

/// MESSAGE_REACTION_REMOVE_ALL and, with an emoji, MESSAGE_REACTION_REMOVE_EMOJI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReactionsCleared {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<ReactionEmoji>,
}

/// CHANNEL_PINS_UPDATE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelPinsUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    pub channel_id: ChannelId,
    pub last_pin_timestamp: Option<Timestamp>,
}

/// TYPING_START.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypingStart {
    pub channel_id: ChannelId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    pub user_id: UserId,
    /// Unix seconds.
    pub timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
}

/// GUILD_CREATE: the guild with all that a session needs to hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuildCreate {
    #[serde(flatten)]
    pub guild: Guild,
    pub joined_at: Timestamp,
    pub large: bool,
    pub unavailable: bool,
    pub member_count: u32,
    /// Of the channels that the session's user may view.
    pub voice_states: Vec<VoiceState>,
    pub members: Vec<Member>,
    /// Only those that the session's user may view.
    pub channels: Vec<Channel>,
    pub threads: Vec<()>,
    /// Of members who are not offline.
    pub presences: Vec<PresenceEvent>,
    /// Of the channels that the session's user may view.
    pub stage_instances: Vec<StageInstance>,
    pub guild_scheduled_events: Vec<()>,
    pub soundboard_sounds: Vec<()>,
}

/// GUILD_MEMBER_ADD and GUILD_MEMBER_UPDATE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberEvent {
    pub guild_id: GuildId,
    #[serde(flatten)]
    pub member: Member,
}

/// GUILD_MEMBER_REMOVE, GUILD_BAN_ADD and GUILD_BAN_REMOVE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuildUser {
    pub guild_id: GuildId,
    pub user: User,
}

/// GUILD_ROLE_CREATE and GUILD_ROLE_UPDATE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleEvent {
    pub guild_id: GuildId,
    pub role: Role,
}

/// GUILD_ROLE_DELETE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleDelete {
    pub guild_id: GuildId,
    pub role_id: RoleId,
}

/// INVITE_CREATE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InviteCreate {
    pub channel_id: ChannelId,
    pub guild_id: GuildId,
    pub code: String,
    pub created_at: Timestamp,
    pub inviter: Option<User>,
    pub max_age: u32,
    pub max_uses: u32,
    pub temporary: bool,
    pub uses: u32,
    #[serde(rename = "type")]
    pub kind: u8,
    pub expires_at: Option<Timestamp>,
}

/// INVITE_DELETE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InviteDelete {
    pub channel_id: ChannelId,
    pub guild_id: GuildId,
    pub code: String,
}

/// MESSAGE_ACK: the user read a channel on another device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageAck {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub mention_count: u32,
    pub version: u32,
}

/// The application part of a bot's READY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyApplication {
    pub id: ApplicationId,
    pub flags: u64,
}

/// READY.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    pub v: u8,
    pub user: CurrentUser,
    pub guilds: Vec<UnavailableGuild>,
    pub session_id: String,
    pub resume_gateway_url: String,
    pub session_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<[u32; 2]>,
    /// Absent for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ReadyApplication>,
    pub private_channels: Vec<Channel>,
    pub relationships: Vec<Relationship>,
    /// Of friends who are not offline.
    pub presences: Vec<PresenceEvent>,
    /// Empty for bots.
    #[serde(default)]
    pub sessions: Vec<OwnSession>,
    pub geo_ordered_rtc_regions: Vec<String>,
    pub auth: ReadyAuth,
    pub user_settings: ReadyAuth,
    /// People only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_state: Option<Vec<ReadState>>,
    #[serde(rename = "_trace")]
    pub trace: Vec<String>,
}

/// An object without fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadyAuth {}

/// VOICE_SERVER_UPDATE: where a session's voice connection is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceServerUpdate {
    /// What the voice gateway asks for.
    pub token: VoiceToken,
    /// Null for calls.
    pub guild_id: Option<GuildId>,
    /// The DM of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// Host and port of the voice gateway; none: there is no server at the moment, and the client waits for another
    /// of these.
    pub endpoint: Option<String>,
}

/// A dispatched event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Ready(Box<Ready>),
    Resumed,
    CallCreate(Box<CallCreate>),
    CallUpdate(CallUpdate),
    CallDelete(CallDelete),
    CallMessageUpdate(CallMessageUpdate),
    CallSession(Box<CallSessionEvent>),
    ChannelCreate(Channel),
    ChannelUpdate(Channel),
    ChannelDelete(Channel),
    ChannelInfo(ChannelInfo),
    ChannelPinsUpdate(ChannelPinsUpdate),
    GuildCreate(Box<GuildCreate>),
    GuildUpdate(Box<Guild>),
    GuildDelete(UnavailableGuild),
    GuildBanAdd(GuildUser),
    GuildBanRemove(GuildUser),
    GuildMemberAdd(MemberEvent),
    GuildMemberRemove(GuildUser),
    GuildMemberUpdate(MemberEvent),
    GuildMembersChunk(GuildMembersChunk),
    GuildMemberListUpdate(Box<GuildMemberListUpdate>),
    GuildRoleCreate(RoleEvent),
    GuildRoleUpdate(RoleEvent),
    GuildRoleDelete(RoleDelete),
    InviteCreate(InviteCreate),
    InviteDelete(InviteDelete),
    MessageCreate(Box<MessageEvent>),
    MessageUpdate(Box<MessageEvent>),
    MessageDelete(MessageDelete),
    MessageDeleteBulk(MessageDeleteBulk),
    MessageReactionAdd(ReactionEvent),
    MessageReactionRemove(ReactionEvent),
    MessageReactionRemoveAll(ReactionsCleared),
    MessageReactionRemoveEmoji(ReactionsCleared),
    MessageAck(MessageAck),
    PassiveUpdateV1(PassiveUpdateV1),
    PassiveUpdateV2(PassiveUpdateV2),
    PresenceUpdate(PresenceEvent),
    RelationshipAdd(Relationship),
    RelationshipRemove(RelationshipRemove),
    SessionsReplace(Vec<OwnSession>),
    SoundboardSounds(SoundboardSounds),
    StageInstanceCreate(StageInstance),
    StageInstanceUpdate(StageInstance),
    StageInstanceDelete(StageInstance),
    StreamCreate(StreamCreated),
    StreamServerUpdate(StreamServerUpdate),
    StreamUpdate(StreamUpdate),
    StreamDelete(StreamDeleted),
    TypingStart(TypingStart),
    UserUpdate(Box<CurrentUser>),
    VoiceChannelStatusUpdate(VoiceChannelStatusUpdate),
    VoiceStateUpdate(Box<VoiceState>),
    VoiceServerUpdate(VoiceServerUpdate),
}

impl Event {
    /// The event's name, `t` on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready(_) => "READY",
            Self::Resumed => "RESUMED",
            Self::CallCreate(_) => "CALL_CREATE",
            Self::CallUpdate(_) => "CALL_UPDATE",
            Self::CallDelete(_) => "CALL_DELETE",
            Self::ChannelCreate(_) => "CHANNEL_CREATE",
            Self::ChannelUpdate(_) => "CHANNEL_UPDATE",
            Self::ChannelDelete(_) => "CHANNEL_DELETE",
            Self::ChannelInfo(_) => "CHANNEL_INFO",
            Self::ChannelPinsUpdate(_) => "CHANNEL_PINS_UPDATE",
            Self::GuildCreate(_) => "GUILD_CREATE",
            Self::GuildUpdate(_) => "GUILD_UPDATE",
            Self::GuildDelete(_) => "GUILD_DELETE",
            Self::GuildBanAdd(_) => "GUILD_BAN_ADD",
            Self::GuildBanRemove(_) => "GUILD_BAN_REMOVE",
            Self::GuildMemberAdd(_) => "GUILD_MEMBER_ADD",
            Self::GuildMemberRemove(_) => "GUILD_MEMBER_REMOVE",
            Self::GuildMemberUpdate(_) => "GUILD_MEMBER_UPDATE",
            Self::GuildMembersChunk(_) => "GUILD_MEMBERS_CHUNK",
            Self::GuildMemberListUpdate(_) => "GUILD_MEMBER_LIST_UPDATE",
            Self::GuildRoleCreate(_) => "GUILD_ROLE_CREATE",
            Self::GuildRoleUpdate(_) => "GUILD_ROLE_UPDATE",
            Self::GuildRoleDelete(_) => "GUILD_ROLE_DELETE",
            Self::InviteCreate(_) => "INVITE_CREATE",
            Self::InviteDelete(_) => "INVITE_DELETE",
            Self::MessageCreate(_) => "MESSAGE_CREATE",
            Self::MessageUpdate(_) | Self::CallMessageUpdate(_) => "MESSAGE_UPDATE",
            Self::MessageDelete(_) => "MESSAGE_DELETE",
            Self::MessageDeleteBulk(_) => "MESSAGE_DELETE_BULK",
            Self::MessageReactionAdd(_) => "MESSAGE_REACTION_ADD",
            Self::MessageReactionRemove(_) => "MESSAGE_REACTION_REMOVE",
            Self::MessageReactionRemoveAll(_) => "MESSAGE_REACTION_REMOVE_ALL",
            Self::MessageReactionRemoveEmoji(_) => "MESSAGE_REACTION_REMOVE_EMOJI",
            Self::MessageAck(_) => "MESSAGE_ACK",
            Self::PassiveUpdateV1(_) => "PASSIVE_UPDATE_V1",
            Self::PassiveUpdateV2(_) => "PASSIVE_UPDATE_V2",
            Self::PresenceUpdate(_) => "PRESENCE_UPDATE",
            Self::RelationshipAdd(_) => "RELATIONSHIP_ADD",
            Self::RelationshipRemove(_) => "RELATIONSHIP_REMOVE",
            Self::SessionsReplace(_) => "SESSIONS_REPLACE",
            Self::SoundboardSounds(_) => "SOUNDBOARD_SOUNDS",
            Self::StageInstanceCreate(_) => "STAGE_INSTANCE_CREATE",
            Self::StageInstanceUpdate(_) => "STAGE_INSTANCE_UPDATE",
            Self::StageInstanceDelete(_) => "STAGE_INSTANCE_DELETE",
            Self::StreamCreate(_) => "STREAM_CREATE",
            Self::StreamServerUpdate(_) => "STREAM_SERVER_UPDATE",
            Self::StreamUpdate(_) => "STREAM_UPDATE",
            Self::StreamDelete(_) => "STREAM_DELETE",
            Self::TypingStart(_) => "TYPING_START",
            Self::UserUpdate(_) => "USER_UPDATE",
            Self::VoiceChannelStatusUpdate(_) => "VOICE_CHANNEL_STATUS_UPDATE",
            Self::VoiceStateUpdate(_) => "VOICE_STATE_UPDATE",
            Self::VoiceServerUpdate(_) => "VOICE_SERVER_UPDATE",
            Self::CallSession(to) => to.event.name(),
        }
    }

    /// The stream of Go Live that it tells of.
    pub fn stream_key(&self) -> Option<&str> {
        match self {
            Self::StreamCreate(d) => Some(&d.stream_key),
            Self::StreamServerUpdate(d) => Some(&d.stream_key),
            Self::StreamUpdate(d) => Some(&d.stream_key),
            Self::StreamDelete(d) => Some(&d.stream_key),
            _ => None,
        }
    }

    /// Whether it tells of a moment only: a session that falls behind goes without it, and RESUME does not bring it back.
    pub const fn is_ephemeral(&self) -> bool {
        matches!(self, Self::TypingStart(_))
    }

    /// The intents of which a session needs one; empty means that everybody gets it.
    ///
    /// Source: "List of Intents" of the API's documentation. An update of the session's own member goes out whatever
    /// the intents; the guild core sees to that.
    pub fn required_intents(&self) -> Intents {
        let message = |guild: bool| if guild { Intents::GUILD_MESSAGES } else { Intents::DIRECT_MESSAGES };
        let reaction =
            |guild: bool| if guild { Intents::GUILD_MESSAGE_REACTIONS } else { Intents::DIRECT_MESSAGE_REACTIONS };
        match self {
            // Only for people's sessions that asked for them.
            Self::GuildMemberListUpdate(_) | Self::PassiveUpdateV1(_) | Self::PassiveUpdateV2(_) => Intents::empty(),
            Self::Ready(_)
            | Self::Resumed
            | Self::ChannelInfo(_)
            | Self::UserUpdate(_)
            | Self::MessageAck(_)
            | Self::GuildMembersChunk(_)
            | Self::RelationshipAdd(_)
            | Self::RelationshipRemove(_)
            | Self::SessionsReplace(_)
            | Self::SoundboardSounds(_)
            | Self::StreamCreate(_)
            | Self::StreamServerUpdate(_)
            | Self::StreamUpdate(_)
            | Self::StreamDelete(_)
            | Self::VoiceServerUpdate(_)
            // Bots are in no calls.
            | Self::CallCreate(_)
            | Self::CallUpdate(_)
            | Self::CallDelete(_)
            | Self::CallSession(_) => Intents::empty(),
            Self::PresenceUpdate(_) => Intents::GUILD_PRESENCES,
            Self::VoiceStateUpdate(state) if state.guild_id.is_none() => Intents::empty(),
            Self::VoiceStateUpdate(_) => Intents::GUILD_VOICE_STATES,
            Self::CallMessageUpdate(_) => message(false),
            Self::ChannelCreate(c) | Self::ChannelUpdate(c) | Self::ChannelDelete(c) => {
                // DM channels are announced whatever the intents.
                if c.guild_id.is_some() { Intents::GUILDS } else { Intents::empty() }
            }
            Self::ChannelPinsUpdate(p) => {
                if p.guild_id.is_some() {
                    Intents::GUILDS
                } else {
                    Intents::DIRECT_MESSAGES
                }
            }
            Self::GuildCreate(_)
            | Self::GuildUpdate(_)
            | Self::GuildDelete(_)
            | Self::GuildRoleCreate(_)
            | Self::GuildRoleUpdate(_)
            | Self::GuildRoleDelete(_)
            | Self::StageInstanceCreate(_)
            | Self::StageInstanceUpdate(_)
            | Self::StageInstanceDelete(_)
            | Self::VoiceChannelStatusUpdate(_) => Intents::GUILDS,
            Self::GuildBanAdd(_) | Self::GuildBanRemove(_) => Intents::GUILD_MODERATION,
            Self::GuildMemberAdd(_) | Self::GuildMemberRemove(_) | Self::GuildMemberUpdate(_) => Intents::GUILD_MEMBERS,
            Self::InviteCreate(_) | Self::InviteDelete(_) => Intents::GUILD_INVITES,
            Self::MessageCreate(m) | Self::MessageUpdate(m) => message(m.guild_id.is_some()),
            Self::MessageDelete(m) => message(m.guild_id.is_some()),
            Self::MessageDeleteBulk(m) => message(m.guild_id.is_some()),
            Self::MessageReactionAdd(r) | Self::MessageReactionRemove(r) => reaction(r.guild_id.is_some()),
            Self::MessageReactionRemoveAll(r) | Self::MessageReactionRemoveEmoji(r) => reaction(r.guild_id.is_some()),
            Self::TypingStart(t) => {
                if t.guild_id.is_some() {
                    Intents::GUILD_MESSAGE_TYPING
                } else {
                    Intents::DIRECT_MESSAGE_TYPING
                }
            }
        }
    }

    /// Writes the event's data, `d` on the wire, with any serializer.
    pub fn serialize_data<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ready(d) => d.serialize(serializer),
            Self::Resumed => ReadyAuth {}.serialize(serializer),
            Self::CallCreate(d) => d.serialize(serializer),
            Self::CallUpdate(d) => d.serialize(serializer),
            Self::CallDelete(d) => d.serialize(serializer),
            Self::CallMessageUpdate(d) => d.serialize(serializer),
            Self::CallSession(d) => d.event.serialize_data(serializer),
            Self::ChannelCreate(d) | Self::ChannelUpdate(d) | Self::ChannelDelete(d) => d.serialize(serializer),
            Self::ChannelInfo(d) => d.serialize(serializer),
            Self::ChannelPinsUpdate(d) => d.serialize(serializer),
            Self::GuildCreate(d) => d.serialize(serializer),
            Self::GuildUpdate(d) => d.serialize(serializer),
            Self::GuildDelete(d) => d.serialize(serializer),
            Self::GuildBanAdd(d) | Self::GuildBanRemove(d) | Self::GuildMemberRemove(d) => d.serialize(serializer),
            Self::GuildMemberAdd(d) | Self::GuildMemberUpdate(d) => d.serialize(serializer),
            Self::GuildMembersChunk(d) => d.serialize(serializer),
            Self::GuildMemberListUpdate(d) => d.serialize(serializer),
            Self::GuildRoleCreate(d) | Self::GuildRoleUpdate(d) => d.serialize(serializer),
            Self::GuildRoleDelete(d) => d.serialize(serializer),
            Self::InviteCreate(d) => d.serialize(serializer),
            Self::InviteDelete(d) => d.serialize(serializer),
            Self::MessageCreate(d) | Self::MessageUpdate(d) => d.serialize(serializer),
            Self::MessageDelete(d) => d.serialize(serializer),
            Self::MessageDeleteBulk(d) => d.serialize(serializer),
            Self::MessageReactionAdd(d) | Self::MessageReactionRemove(d) => d.serialize(serializer),
            Self::MessageReactionRemoveAll(d) | Self::MessageReactionRemoveEmoji(d) => d.serialize(serializer),
            Self::MessageAck(d) => d.serialize(serializer),
            Self::PassiveUpdateV1(d) => d.serialize(serializer),
            Self::PassiveUpdateV2(d) => d.serialize(serializer),
            Self::TypingStart(d) => d.serialize(serializer),
            Self::PresenceUpdate(d) => d.serialize(serializer),
            Self::RelationshipAdd(d) => d.serialize(serializer),
            Self::RelationshipRemove(d) => d.serialize(serializer),
            Self::SessionsReplace(d) => d.serialize(serializer),
            Self::SoundboardSounds(d) => d.serialize(serializer),
            Self::StageInstanceCreate(d) | Self::StageInstanceUpdate(d) | Self::StageInstanceDelete(d) => {
                d.serialize(serializer)
            }
            Self::StreamCreate(d) => d.serialize(serializer),
            Self::StreamServerUpdate(d) => d.serialize(serializer),
            Self::StreamUpdate(d) => d.serialize(serializer),
            Self::StreamDelete(d) => d.serialize(serializer),
            Self::UserUpdate(d) => d.serialize(serializer),
            Self::VoiceChannelStatusUpdate(d) => d.serialize(serializer),
            Self::VoiceStateUpdate(d) => d.serialize(serializer),
            Self::VoiceServerUpdate(d) => d.serialize(serializer),
        }
    }
}

/// The data of an event as a value that any serializer can write.
pub struct EventData<'a>(pub &'a Event);

impl Serialize for EventData<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}
