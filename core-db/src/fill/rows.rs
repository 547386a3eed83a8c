//! The rows: each follows from a number.

use rookery_model::audit_log::AuditLogRow;
use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::embed::Embed;
use rookery_model::guild::{BanRow, GuildProperties};
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::message::{
    Attachment, Emoji, MessageFlags, MessageReference, MessageRow, MessageType, Nonce, ReactionEmoji,
};
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::relationship::{RelationshipRow, RelationshipType};
use rookery_model::role::Role;
use rookery_model::stage_instance::{PRIVACY_LEVEL_GUILD_ONLY, StageInstance};
use rookery_model::store::{
    AttachmentRow, EmojiRow, MessageEditRow, ReactionCountRow, ReactionRow, ReadState, RetentionRow, Write,
};
use rookery_model::user::{Account, Application, User};
use rookery_model::webhook::WebhookRow;
use rookery_model::{
    ApplicationId, AttachmentId, AuditLogEntryId, ChannelId, EmojiId, GuildId, MessageId, Permissions, RoleId,
    Snowflake, StageInstanceId, Timestamp, UserId, WebhookId,
};

use super::{BEGIN_MS, CHANNELS_OF_GUILD, FillPlan, STEP_MS};

/// An id of a kind of thing, far from those of messages.
const fn id(kind: u64, number: u64) -> u64 {
    (kind << 40) + number
}

/// The id of a user.
pub const fn user_id(number: u64) -> UserId {
    UserId::new(id(1, number))
}

/// The id of a guild.
pub const fn guild_id(number: u64) -> GuildId {
    GuildId::new(id(2, number))
}

/// The id of a channel of a guild.
pub const fn channel_id(guild: u64, number: u64) -> ChannelId {
    ChannelId::new(id(3, guild * CHANNELS_OF_GUILD + number))
}

pub const fn dm_id(number: u64) -> ChannelId {
    ChannelId::new(id(4, number))
}

/// The id of the message with a number.
pub const fn message_id(number: u64) -> MessageId {
    MessageId(Snowflake::from_parts(BEGIN_MS + number * STEP_MS, 1, (number % 4_096) as u16))
}

const fn at(number: u64) -> Timestamp {
    Timestamp::from_unix_ms((BEGIN_MS + number * STEP_MS) as i64)
}

/// A number that looks random, out of another (SplitMix64).
const fn mixed(number: u64) -> u64 {
    let state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

pub fn account(number: u64) -> Account {
    let name = format!("user{number}");
    let mut account = Account::new(User::new(user_id(number), &name));
    account.email = Some(format!("{name}@example.com"));
    account.password_hash = Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into());
    account.token_epoch = (number % 3) as u32;
    account.bio = "somebody".into();
    account
}

pub fn read_state(plan: FillPlan, number: u64) -> ReadState {
    ReadState {
        user_id: user_id(number),
        channel_id: channel_id(number % plan.guilds(), 0),
        last_message_id: Some(message_id(number)),
        mention_count: (number % 4) as u32,
        last_pin_timestamp: number.is_multiple_of(2).then(|| at(number)),
    }
}

pub fn relationship(number: u64) -> RelationshipRow {
    RelationshipRow {
        user_id: user_id(number),
        other_id: user_id(number + 1),
        kind: if number.is_multiple_of(5) { RelationshipType::Blocked } else { RelationshipType::Friend },
        nickname: number.is_multiple_of(3).then(|| format!("neighbour {number}")),
        since: at(number),
    }
}

pub fn application() -> Application {
    Application {
        id: ApplicationId::new(id(5, 0)),
        name: "An application".into(),
        description: String::new(),
        icon: None,
        owner_id: user_id(0),
        bot_public: true,
        bot_require_code_grant: false,
        flags: 1 << 18,
        verify_key: "00".repeat(32),
        has_bot: true,
        created_at: at(0),
    }
}

pub fn invite_code(guild: u64) -> String {
    format!("invite{guild}")
}

/// A guild with its channels, roles, a ban, an invite, what stands beside it, and a retention that removes nothing.
pub fn guild(number: u64) -> Vec<Write> {
    let guild_id = guild_id(number);
    let mut batch = vec![Write::PutGuild(GuildProperties::new(guild_id, format!("Guild {number}"), user_id(0)))];
    for channel in 0..CHANNELS_OF_GUILD {
        batch.push(Write::PutChannel(text_channel(number, channel)));
    }
    for role in 0..3 {
        batch.push(Write::PutRole { guild_id, role: self::role(number, role) });
    }
    batch.push(Write::PutBan(BanRow { guild_id, user_id: user_id(1 << 30), reason: None, created_at: at(number) }));
    batch.push(Write::PutInvite(InviteRow {
        code: invite_code(number),
        guild_id,
        channel_id: channel_id(number, 0),
        inviter_id: Some(user_id(0)),
        uses: 3,
        max_uses: 0,
        max_age: 0,
        temporary: false,
        created_at: at(number),
    }));
    batch.extend(beside_guild(number));
    if number == 0 {
        batch.push(Write::PutRetention(RetentionRow { guild_id, max_age_days: 36_500 }));
    }
    batch
}

/// An emoji, a live stage, a webhook, and entries of the audit log in two buckets.
fn beside_guild(number: u64) -> Vec<Write> {
    let guild_id = guild_id(number);
    let emoji = Emoji {
        id: EmojiId::new(id(7, number)),
        name: format!("emoji_{number}"),
        roles: vec![RoleId::new(id(6, number * 3 + 1))],
        require_colons: true,
        managed: false,
        animated: number.is_multiple_of(2),
        available: true,
    };
    let webhook = WebhookRow {
        id: WebhookId::new(id(8, number)),
        kind: 1,
        guild_id,
        channel_id: channel_id(number, 1),
        user_id: Some(user_id(0)),
        name: Some("a webhook".into()),
        avatar: None,
        token: Some(format!("token-{number}")),
        application_id: None,
        source_channel_id: None,
        source_guild_id: None,
    };
    let mut batch =
        vec![Write::PutEmoji(EmojiRow { guild_id, user_id: Some(user_id(0)), emoji }), Write::PutWebhook(webhook)];
    batch.push(Write::PutStageInstance(StageInstance {
        id: StageInstanceId::new(id(9, number)),
        guild_id,
        channel_id: channel_id(number, 1),
        topic: format!("topic {number}"),
        privacy_level: PRIVACY_LEVEL_GUILD_ONLY,
        discoverable_disabled: number.is_multiple_of(2),
        guild_scheduled_event_id: None,
    }));
    for entry in [number, number + 3_000_000] {
        batch.push(Write::PutAuditLogEntry(AuditLogRow {
            guild_id,
            id: AuditLogEntryId(message_id(entry).0),
            user_id: Some(user_id(number)),
            target_id: Some(guild_id.0),
            action_type: 1,
            reason: entry.is_multiple_of(2).then(|| "because".into()),
            changes: Some(r#"[{"key":"name","new_value":"A guild"}]"#.into()),
            options: None,
        }));
    }
    batch
}

fn text_channel(guild: u64, number: u64) -> Channel {
    let mut channel = Channel::new(channel_id(guild, number), ChannelType::GuildText);
    channel.guild_id = Some(guild_id(guild));
    channel.name = Some(format!("channel-{number}"));
    channel.topic = number.is_multiple_of(2).then(|| "what people talk about".into());
    channel.position = number as u32;
    channel.permission_overwrites = vec![Overwrite {
        id: guild_id(guild).0,
        kind: OverwriteType::Role,
        allow: Permissions::empty(),
        deny: Permissions::MENTION_EVERYONE,
    }];
    channel
}

fn role(guild: u64, number: u64) -> Role {
    Role {
        // The first is @everyone.
        id: if number == 0 { guild_id(guild).into() } else { RoleId::new(id(6, guild * 3 + number)) },
        name: format!("role {number}"),
        description: None,
        color: 0x00ff_aa00,
        colors: rookery_model::color::RoleColors::default(),
        hoist: false,
        icon: None,
        unicode_emoji: None,
        position: number as u32,
        permissions: Permissions::VIEW_CHANNEL,
        managed: false,
        mentionable: true,
        flags: 0,
        tags: None,
    }
}

pub fn member(guild: u64, user: u64) -> MemberRow {
    MemberRow {
        guild_id: guild_id(guild),
        user_id: user_id(user),
        nick: user.is_multiple_of(7).then(|| format!("nick {user}")),
        avatar: None,
        roles: Vec::new(),
        joined_at: at(user),
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    }
}

pub fn plain(channel_id: ChannelId, number: u64, author_id: UserId) -> MessageRow {
    let length = mixed(number) % 100;
    MessageRow {
        channel_id,
        id: message_id(number),
        author_id,
        kind: MessageType::Default,
        content: format!("message {number} {}", "as people write them ".repeat(1 + length as usize / 20)),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::empty(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    }
}

/// Where a message stands and who wrote it.
fn place(plan: FillPlan, number: u64) -> (ChannelId, UserId) {
    let dice = mixed(number);
    let channel = channel_id(dice % plan.guilds(), (dice >> 20) % CHANNELS_OF_GUILD);
    (channel, user_id((dice >> 32) % plan.users()))
}

/// What an edited message held before.
fn former(row: &MessageRow, number: u64) -> MessageEditRow {
    MessageEditRow {
        channel_id: row.channel_id,
        message_id: row.id,
        edited_at: at(number + 1),
        author_id: row.author_id,
        content: format!("message {number} as it was"),
        attachments: Vec::new(),
        embeds: Vec::new(),
    }
}

/// The file of a message, in the message and by itself.
fn file(row: &mut MessageRow, number: u64) -> AttachmentRow {
    let id = AttachmentId::new(self::id(9, number));
    let object_key = format!("attachments/{}/{id}/a.png", row.channel_id);
    row.attachments.push(Attachment {
        id,
        filename: "a.png".into(),
        description: None,
        content_type: Some("image/png".into()),
        size: number,
        url: format!("https://cdn.example.com/{object_key}"),
        proxy_url: format!("https://media.example.com/{object_key}"),
        width: Some(1),
        height: Some(1),
    });
    AttachmentRow {
        channel_id: row.channel_id,
        message_id: row.id,
        id,
        author_id: row.author_id,
        filename: "a.png".into(),
        content_type: Some("image/png".into()),
        size_bytes: number,
        object_key,
    }
}

/// A message with what hangs on it: one in 20 has reactions, one in 40 was edited or has a file, one in 2,000 is pinned.
pub fn message(plan: FillPlan, number: u64) -> Vec<Write> {
    let (channel_id, author_id) = place(plan, number);
    let mut row = plain(channel_id, number, author_id);
    let message_id = row.id;
    let mut batch = Vec::with_capacity(1);
    match number % 40 {
        3 => {
            row.edited_timestamp = Some(at(number + 1));
            batch.push(Write::PutMessageEdit(former(&row, number)));
        }
        7 => row.mention_users = vec![user_id(number % plan.users())],
        11 => {
            row.kind = MessageType::Reply;
            let kind = 0;
            let message_id = Some(self::message_id(number / 2));
            row.message_reference =
                Some(MessageReference { kind, message_id, channel_id: Some(channel_id), guild_id: None });
        }
        13 => row.nonce = Some(if number % 80 == 13 { Nonce::Integer(number as i64) } else { Nonce::Text("n".into()) }),
        17 => row.embeds = vec![Embed { title: Some(format!("embed {number}")), ..Embed::default() }],
        23 => batch.push(Write::PutAttachment(file(&mut row, number))),
        19 | 39 => {
            let emoji = ReactionEmoji::unicode(if number % 80 == 19 { "🦀" } else { "👍" });
            for user_id in [user_id(number % plan.users()), user_id((number + 1) % plan.users())] {
                batch.push(Write::PutReaction(ReactionRow { channel_id, message_id, emoji: emoji.clone(), user_id }));
            }
            let first_at = at(number + 2);
            batch.push(Write::PutReactionCount(ReactionCountRow { channel_id, message_id, emoji, count: 2, first_at }));
        }
        _ => {}
    }
    if number % 2_000 == 1_999 {
        row.pinned = true;
        batch.push(Write::PutPin { channel_id, message_id, pinned_at: at(number + 3) });
    }
    if number % 500 == 499 {
        let place = OutboxPlace { queued_at: at(number), id: message_id.get() };
        let queue = if number % 1_000 == 999 { OutboxQueue::Search } else { OutboxQueue::Push };
        batch.push(Write::PutOutbox(OutboxRow { queue, place, work: number.to_be_bytes().to_vec() }));
    }
    batch.push(Write::PutMessage(row));
    batch
}
