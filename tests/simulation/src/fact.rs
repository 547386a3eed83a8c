//! What an event tells, in a form in which the truth and a client's reading of it can be held against each other.

use std::fmt;

use rookery_model::channel::Channel;
use rookery_model::gateway::event::{
    ChannelPinsUpdate, GuildCreate, GuildUser, InviteCreate, InviteDelete, MemberEvent, MessageAck, MessageDelete,
    MessageDeleteBulk, MessageEvent, ReactionEvent, RoleDelete, RoleEvent, TypingStart,
};
use rookery_model::guild::{Guild, GuildProperties, UnavailableGuild};
use rookery_model::member::Member;
use rookery_model::message::Message;
use rookery_model::role::Role;
use rookery_model::{ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};
use serde::de::DeserializeOwned;

use crate::truth::plain;

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Create,
    Update,
    Delete,
}

/// Something that a session is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    GuildCreate(Box<Snapshot>),
    GuildUpdate(Box<GuildProperties>),
    GuildDelete(GuildId),
    Channel(Change, Box<Channel>),
    Role(Change, Box<Role>),
    RoleDelete(RoleId),
    Member(Change, Box<MemberFact>),
    MemberRemove(UserId),
    Message(Change, Box<MessageFact>),
    MessageDelete(ChannelId, MessageId),
    MessageDeleteBulk(ChannelId, Vec<MessageId>),
    Reaction(Change, MessageId, UserId, String),
    Pins(ChannelId),
    Typing(ChannelId, UserId),
    Invite(Change, String),
    DmCreate(ChannelId),
    DmDelete(ChannelId),
    Ack(ChannelId, MessageId),
}

/// A guild as its GUILD_CREATE shows it.
#[derive(Clone, PartialEq)]
pub struct Snapshot {
    pub properties: GuildProperties,
    pub roles: Vec<Role>,
    pub channels: Vec<Channel>,
    pub members: Vec<MemberFact>,
    pub member_count: usize,
}

impl fmt::Debug for Snapshot {
    /// What tells two of them apart mostly, on a line of bearable length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels: Vec<ChannelId> = self.channels.iter().map(|channel| channel.id).collect();
        f.debug_struct("Snapshot")
            .field("name", &self.properties.name)
            .field("roles", &self.roles.len())
            .field("channels", &channels)
            .field("members", &self.members.len())
            .field("member_count", &self.member_count)
            .finish_non_exhaustive()
    }
}

/// A member as shown.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberFact {
    pub user_id: UserId,
    pub name: String,
    pub nick: Option<String>,
    pub roles: Vec<RoleId>,
    pub timed_out_until: Option<Timestamp>,
}

/// A message as shown.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageFact {
    pub channel_id: ChannelId,
    pub id: MessageId,
    pub author_id: UserId,
    pub content: String,
    pub mentions: Vec<UserId>,
    pub pinned: bool,
    pub is_reply: bool,
    /// Of what is expected: whether the content of the message replied to may be shown. Of what came: whether it is.
    pub referenced_content: bool,
}

/// Which stream an event belongs to; each has an order of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Guild(GuildId),
    Dm(ChannelId),
    /// What is the user's own.
    User,
}

impl Fact {
    /// Whether what came is what was expected.
    pub fn is_as_expected(&self, came: &Self) -> bool {
        match (self, came) {
            (Self::Message(a, expected), Self::Message(b, came)) => {
                // The message replied to is read before the reply is decided, and may be gone or other by then.
                let shown = came.referenced_content && expected.referenced_content;
                a == b
                    && came.referenced_content == shown
                    && **came == MessageFact { referenced_content: shown, ..(**expected).clone() }
            }
            _ => self == came,
        }
    }

    /// Whether it tells of a moment only, and may be left out for who reads too late.
    pub const fn is_ephemeral(&self) -> bool {
        matches!(self, Self::Typing(..))
    }

    /// Whether the two tell of one event, though not the same of it.
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Message(a, one), Self::Message(b, two)) => a == b && one.id == two.id,
            (Self::Channel(a, one), Self::Channel(b, two)) => a == b && one.id == two.id,
            (Self::GuildCreate(one), Self::GuildCreate(two)) => one.properties.id == two.properties.id,
            _ => false,
        }
    }

    /// Reads an event's data. None for events that are no part of a stream: READY, RESUMED.
    ///
    /// # Errors
    /// The data is not what the event's name says.
    pub fn read(name: &str, data: &Data<'_>) -> Result<Option<(Source, Self)>, String> {
        let of = |guild_id: Option<GuildId>, channel_id| guild_id.map_or(Source::Dm(channel_id), Source::Guild);
        let guild = |id: GuildId, fact| (Source::Guild(id), fact);
        Ok(Some(match name {
            "READY" | "RESUMED" => return Ok(None),
            "GUILD_CREATE" => {
                let event: GuildCreate = data.get()?;
                guild(event.guild.properties.id, Self::GuildCreate(Box::new(snapshot(event))))
            }
            "GUILD_UPDATE" => {
                let event: Guild = data.get()?;
                guild(event.properties.id, Self::GuildUpdate(Box::new(event.properties)))
            }
            "GUILD_DELETE" => {
                let event: UnavailableGuild = data.get()?;
                guild(event.id, Self::GuildDelete(event.id))
            }
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "CHANNEL_DELETE" => {
                let channel: Channel = data.get()?;
                match (channel.guild_id, name) {
                    (Some(id), _) => guild(id, Self::Channel(change(name), Box::new(plain(&channel)))),
                    (None, "CHANNEL_CREATE") => (Source::Dm(channel.id), Self::DmCreate(channel.id)),
                    (None, _) => (Source::Dm(channel.id), Self::DmDelete(channel.id)),
                }
            }
            "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => {
                let event: RoleEvent = data.get()?;
                guild(event.guild_id, Self::Role(change(name), Box::new(event.role)))
            }
            "GUILD_ROLE_DELETE" => {
                let event: RoleDelete = data.get()?;
                guild(event.guild_id, Self::RoleDelete(event.role_id))
            }
            "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => {
                let event: MemberEvent = data.get()?;
                let change = if name == "GUILD_MEMBER_ADD" { Change::Create } else { Change::Update };
                guild(event.guild_id, Self::Member(change, Box::new(member(event.member))))
            }
            "GUILD_MEMBER_REMOVE" => {
                let event: GuildUser = data.get()?;
                guild(event.guild_id, Self::MemberRemove(event.user.id))
            }
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => {
                let event: MessageEvent = data.get()?;
                let source = of(event.guild_id, event.message.channel_id);
                (source, Self::Message(change(name), Box::new(message(&event.message))))
            }
            "MESSAGE_DELETE" => {
                let event: MessageDelete = data.get()?;
                (of(event.guild_id, event.channel_id), Self::MessageDelete(event.channel_id, event.id))
            }
            "MESSAGE_DELETE_BULK" => {
                let event: MessageDeleteBulk = data.get()?;
                (of(event.guild_id, event.channel_id), Self::MessageDeleteBulk(event.channel_id, event.ids))
            }
            "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => {
                let event: ReactionEvent = data.get()?;
                let change = if name == "MESSAGE_REACTION_ADD" { Change::Create } else { Change::Delete };
                let fact = Self::Reaction(change, event.message_id, event.user_id, event.emoji.key());
                (of(event.guild_id, event.channel_id), fact)
            }
            "CHANNEL_PINS_UPDATE" => {
                let event: ChannelPinsUpdate = data.get()?;
                (of(event.guild_id, event.channel_id), Self::Pins(event.channel_id))
            }
            "TYPING_START" => {
                let event: TypingStart = data.get()?;
                (of(event.guild_id, event.channel_id), Self::Typing(event.channel_id, event.user_id))
            }
            "INVITE_CREATE" => {
                let event: InviteCreate = data.get()?;
                guild(event.guild_id, Self::Invite(Change::Create, event.code))
            }
            "INVITE_DELETE" => {
                let event: InviteDelete = data.get()?;
                guild(event.guild_id, Self::Invite(Change::Delete, event.code))
            }
            "MESSAGE_ACK" => {
                let event: MessageAck = data.get()?;
                (Source::User, Self::Ack(event.channel_id, event.message_id))
            }
            other => return Err(format!("nobody knows {other}")),
        }))
    }
}

fn change(name: &str) -> Change {
    match name.rsplit('_').next() {
        Some("CREATE") => Change::Create,
        Some("UPDATE") => Change::Update,
        _ => Change::Delete,
    }
}

fn snapshot(event: GuildCreate) -> Snapshot {
    let mut members: Vec<MemberFact> = event.members.into_iter().map(member).collect();
    members.sort_by_key(|member| member.user_id);
    Snapshot {
        properties: event.guild.properties,
        roles: event.guild.roles,
        channels: event.channels.iter().map(plain).collect(),
        members,
        member_count: event.member_count as usize,
    }
}

fn member(member: Member) -> MemberFact {
    let user = member.user;
    MemberFact {
        user_id: user.as_ref().map_or(UserId::new(0), |user| user.id),
        name: user.map(|user| user.username).unwrap_or_default(),
        nick: member.nick,
        roles: member.roles,
        timed_out_until: member.communication_disabled_until,
    }
}

fn message(message: &Message) -> MessageFact {
    let referenced = message.referenced_message.iter().flatten();
    MessageFact {
        channel_id: message.channel_id,
        id: message.id,
        author_id: message.author.id,
        content: message.content.clone(),
        mentions: message.mentions.iter().map(|user| user.id).collect(),
        pinned: message.pinned,
        is_reply: message.referenced_message.is_some(),
        referenced_content: referenced.into_iter().any(|message| !message.content.is_empty()),
    }
}

/// An event's data as a client received it.
pub enum Data<'a> {
    Json(&'a str),
    Tree(serde_json::Value),
}

impl Data<'_> {
    /// The data as the event's type.
    ///
    /// # Errors
    /// It is something else.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, String> {
        match self {
            Self::Json(text) => serde_json::from_str(text),
            Self::Tree(value) => serde_json::from_value(value.clone()),
        }
        .map_err(|error| error.to_string())
    }
}
