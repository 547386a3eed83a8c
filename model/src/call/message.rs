//! Calls about messages.

use serde::{Deserialize, Serialize};

use crate::embed::Embed;
use crate::message::{AllowedMentions, MessageFlags, MessageReference, Nonce};
use crate::{ChannelId, EmojiId, MessageId, Patch};

/// `POST /channels/{id}/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateMessage {
    pub channel_id: ChannelId,
    pub content: String,
    pub tts: bool,
    pub embeds: Vec<Embed>,
    /// None is the default: everything in the content mentions, as far as the author may.
    pub allowed_mentions: Option<AllowedMentions>,
    /// `kind` 0; `fail_if_not_exists` is beside it.
    pub message_reference: Option<MessageReference>,
    pub fail_if_not_exists: bool,
    pub nonce: Option<Nonce>,
    pub enforce_nonce: bool,
    /// Only SUPPRESS_EMBEDS and SUPPRESS_NOTIFICATIONS.
    pub flags: MessageFlags,
}

/// `PATCH /channels/{id}/messages/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditMessage {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub content: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub embeds: Patch<Vec<Embed>>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub flags: Patch<MessageFlags>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub allowed_mentions: Patch<AllowedMentions>,
}

/// Which page of a channel's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageRange {
    Latest,
    Before(MessageId),
    After(MessageId),
    Around(MessageId),
}

/// An emoji as a path names it: the characters, or `name:id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EmojiRef {
    Unicode(String),
    Custom { id: EmojiId, name: String, animated: bool },
}
