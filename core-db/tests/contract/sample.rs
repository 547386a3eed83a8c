//! Rows to write.

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::guild::GuildProperties;
use rookery_model::id::EPOCH_MS;
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageFlags, MessageRow, MessageType, ReactionEmoji};
use rookery_model::store::{ReactionCountRow, ReactionRow};
use rookery_model::user::{Account, User};
use rookery_model::{ChannelId, GuildId, MessageId, Snowflake, Timestamp, UserId};

/// Ten days, the span of a bucket.
pub const BUCKET_MS: u64 = 10 * 24 * 3_600 * 1_000;

/// A message id at a moment after the epoch.
pub fn id_at(ms: u64, sequence: u16) -> MessageId {
    MessageId(Snowflake::from_parts(EPOCH_MS + ms, 0, sequence))
}

pub fn message(channel: u64, id: MessageId, content: &str) -> MessageRow {
    MessageRow {
        channel_id: ChannelId::new(channel),
        id,
        author_id: UserId::new(77),
        kind: MessageType::Default,
        content: content.into(),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::default(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    }
}

pub fn account(id: u64, username: &str) -> Account {
    Account {
        user: User::new(UserId::new(id), username),
        email: Some(format!("{username}@example.com")),
        verified: true,
        password_hash: Some("$argon2id$".into()),
        token_epoch: 3,
        revoked_devices: Vec::new(),
        locale: None,
        bio: "hello".into(),
    }
}

pub fn guild(id: u64) -> GuildProperties {
    GuildProperties::new(GuildId::new(id), "A guild", UserId::new(1))
}

pub fn text_channel(guild: u64, id: u64) -> Channel {
    let mut channel = Channel::new(ChannelId::new(id), ChannelType::GuildText);
    channel.guild_id = Some(GuildId::new(guild));
    channel.name = Some("general".into());
    channel
}

pub fn member(guild: u64, user: u64) -> MemberRow {
    MemberRow {
        guild_id: GuildId::new(guild),
        user_id: UserId::new(user),
        nick: Some("nick".into()),
        avatar: None,
        roles: vec![rookery_model::RoleId::new(5)],
        joined_at: Timestamp::from_unix_ms(1_000),
        deaf: false,
        mute: true,
        pending: false,
        flags: 2,
        communication_disabled_until: None,
    }
}

pub fn reaction(channel: u64, message_id: MessageId, emoji: &ReactionEmoji, user: u64) -> ReactionRow {
    ReactionRow { channel_id: ChannelId::new(channel), message_id, emoji: emoji.clone(), user_id: UserId::new(user) }
}

pub fn count(
    channel: u64,
    message_id: MessageId,
    emoji: &ReactionEmoji,
    count: u32,
    first_at: i64,
) -> ReactionCountRow {
    ReactionCountRow {
        channel_id: ChannelId::new(channel),
        message_id,
        emoji: emoji.clone(),
        count,
        first_at: Timestamp(first_at),
    }
}
