//! Messages and what hangs on them.

use serde::{Deserialize, Serialize};

use crate::channel::int_enum;
use crate::embed::Embed;
use crate::user::User;
use crate::{
    ApplicationId, AttachmentId, ChannelId, EmojiId, GuildId, MessageId, RoleId, Timestamp, UserId, WebhookId,
};

int_enum! {
    /// The kind of a message.
    MessageType: u8 {
        Default = 0,
        RecipientAdd = 1,
        RecipientRemove = 2,
        Call = 3,
        ChannelNameChange = 4,
        ChannelIconChange = 5,
        ChannelPinnedMessage = 6,
        UserJoin = 7,
        Reply = 19,
        StageStart = 27,
        StageEnd = 28,
        StageTopic = 31,
    }
}

impl MessageType {
    /// Whether an author or moderator may delete it.
    pub const fn is_deletable(self) -> bool {
        !matches!(
            self,
            Self::RecipientAdd | Self::RecipientRemove | Self::Call | Self::ChannelNameChange | Self::ChannelIconChange
        )
    }
}

bitflags::bitflags! {
    /// Message flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct MessageFlags: u64 {
        const CROSSPOSTED = 1 << 0;
        const IS_CROSSPOST = 1 << 1;
        const SUPPRESS_EMBEDS = 1 << 2;
        const SOURCE_MESSAGE_DELETED = 1 << 3;
        const URGENT = 1 << 4;
        const HAS_THREAD = 1 << 5;
        const EPHEMERAL = 1 << 6;
        const LOADING = 1 << 7;
        const SUPPRESS_NOTIFICATIONS = 1 << 12;
        const IS_VOICE_MESSAGE = 1 << 13;
        const _ = !0;
    }
}

impl Serialize for MessageFlags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.bits())
    }
}
impl<'de> Deserialize<'de> for MessageFlags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_bits_retain)
    }
}

/// The `nonce` of a message, echoed in the form it came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Nonce {
    Integer(i64),
    Text(String),
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: AttachmentId,
    pub filename: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Bytes.
    pub size: u64,
    pub url: String,
    pub proxy_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A custom emoji of a guild.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Emoji {
    pub id: EmojiId,
    pub name: String,
    #[serde(default)]
    pub roles: Vec<RoleId>,
    #[serde(default)]
    pub require_colons: bool,
    #[serde(default)]
    pub managed: bool,
    #[serde(default)]
    pub animated: bool,
    #[serde(default)]
    pub available: bool,
}

/// The emoji of a reaction: a Unicode emoji (`id` null) or a custom one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReactionEmoji {
    pub id: Option<EmojiId>,
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
}

impl ReactionEmoji {
    /// A Unicode emoji.
    pub fn unicode(name: impl Into<String>) -> Self {
        Self { id: None, name: Some(name.into()), animated: false }
    }
    /// What tells two emojis apart in storage: the id, or the characters.
    pub fn key(&self) -> String {
        match self.id {
            Some(id) => format!(":{id}"),
            None => self.name.clone().unwrap_or_default(),
        }
    }
}

/// How often an emoji was added to a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    pub emoji: ReactionEmoji,
    pub count: u32,
    pub count_details: ReactionCountDetails,
    pub burst_colors: Vec<String>,
    pub me: bool,
    pub me_burst: bool,
    pub burst_me: bool,
    pub burst_count: u32,
}

impl Reaction {
    /// A reaction without bursts.
    pub fn normal(emoji: ReactionEmoji, count: u32, me: bool) -> Self {
        Self {
            emoji,
            count,
            count_details: ReactionCountDetails { burst: 0, normal: count },
            burst_colors: Vec::new(),
            me,
            me_burst: false,
            burst_me: false,
            burst_count: 0,
        }
    }
}

/// The two kinds of reactions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionCountDetails {
    pub burst: u32,
    pub normal: u32,
}

/// The message that a message refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReference {
    #[serde(rename = "type", default)]
    pub kind: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
}

/// The call that a message of type 3 tells of.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageCall {
    /// Everybody who was in it at some time, in the order in which they came. Whoever was rung and did not come is not
    /// among them.
    pub participants: Vec<UserId>,
    /// None while it goes on.
    pub ended_timestamp: Option<Timestamp>,
}

/// What is stored of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageRow {
    pub channel_id: ChannelId,
    pub id: MessageId,
    pub author_id: UserId,
    #[serde(rename = "type")]
    pub kind: MessageType,
    pub content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_timestamp: Option<Timestamp>,
    #[serde(default)]
    pub tts: bool,
    #[serde(default)]
    pub mention_everyone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mention_users: Vec<UserId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mention_roles: Vec<RoleId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeds: Vec<Embed>,
    #[serde(default)]
    pub flags: MessageFlags,
    #[serde(default)]
    pub pinned: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_reference: Option<MessageReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<WebhookId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<MessageCall>,
}

/// A message as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub channel_id: ChannelId,
    #[serde(rename = "type")]
    pub kind: MessageType,
    pub author: User,
    pub content: String,
    pub timestamp: Timestamp,
    pub edited_timestamp: Option<Timestamp>,
    pub tts: bool,
    pub mention_everyone: bool,
    pub mentions: Vec<User>,
    pub mention_roles: Vec<RoleId>,
    pub attachments: Vec<Attachment>,
    pub embeds: Vec<Embed>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    pub pinned: bool,
    pub flags: MessageFlags,
    /// Components come with interactions; the field is required.
    pub components: Vec<()>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<WebhookId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_reference: Option<MessageReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<MessageCall>,
    /// Outer none: not a reply. Inner none: the message replied to is gone.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "nullable")]
    pub referenced_message: Option<Option<Box<Message>>>,
}

impl MessageRow {
    /// The API's form. `mentions` in the order of `mention_users`; reactions are given by the caller.
    pub fn view(&self, author: User, mentions: Vec<User>, reactions: Vec<Reaction>) -> Message {
        Message {
            id: self.id,
            channel_id: self.channel_id,
            kind: self.kind,
            author,
            content: self.content.clone(),
            timestamp: self.id.timestamp(),
            edited_timestamp: self.edited_timestamp,
            tts: self.tts,
            mention_everyone: self.mention_everyone,
            mentions,
            mention_roles: self.mention_roles.clone(),
            attachments: self.attachments.clone(),
            embeds: self.embeds.clone(),
            reactions,
            nonce: None,
            pinned: self.pinned,
            flags: self.flags,
            components: Vec::new(),
            webhook_id: self.webhook_id,
            application_id: self.application_id,
            message_reference: self.message_reference.clone(),
            call: self.call.clone(),
            referenced_message: None,
        }
    }
}

/// Serde of a field that may be absent, null or a value.
pub mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Null for the inner none; the outer none is left out by `skip_serializing_if`.
    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<Option<T>>, s: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(s)
    }
    /// A present field is `Some`, whatever it holds.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(d).map(Some)
    }
}

/// A pinned message with the moment it was pinned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    pub pinned_at: Timestamp,
    pub message: Message,
}

/// Which mentions of a message notify.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AllowedMentions {
    /// Kinds that are parsed from the content: `users`, `roles`, `everyone`.
    #[serde(default)]
    pub parse_users: bool,
    #[serde(default)]
    pub parse_roles: bool,
    #[serde(default)]
    pub parse_everyone: bool,
    #[serde(default)]
    pub users: Vec<UserId>,
    #[serde(default)]
    pub roles: Vec<RoleId>,
    /// Whether the author of the message replied to is mentioned.
    #[serde(default)]
    pub replied_user: bool,
}
