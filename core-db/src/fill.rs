//! Rows of every kind out of a seed, as many as wanted: for tests, benchmarks and drills of backup and restore.

use std::collections::VecDeque;

use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::embed::Embed;
use rookery_model::guild::{BanRow, GuildProperties};
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageFlags, MessageReference, MessageRow, MessageType, Nonce, ReactionEmoji};
use rookery_model::role::Role;
use rookery_model::store::{DmRow, ReactionCountRow, ReactionRow, ReadState, RetentionRow, UniqueKey, Write};
use rookery_model::user::{Account, Application, User};
use rookery_model::{ApplicationId, ChannelId, GuildId, MessageId, Permissions, RoleId, Snowflake, Timestamp, UserId};

use crate::{Commit, Store, StoreError};

/// When the first message was written, Unix milliseconds; any time will do.
const BEGIN_MS: u64 = 1_750_000_000_000;
/// Between two messages; a million of them lie in a span of six days.
const STEP_MS: u64 = 500;
const CHANNELS_OF_GUILD: u64 = 5;
/// Messages in a batch, and batches on their way at once.
const BATCH: u64 = 100;
const UNDER_WAY: usize = 32;

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct FillPlan {
    pub messages: u64,
    /// The first message's number: a store can be filled piece by piece.
    pub first: u64,
}

impl FillPlan {
    /// So many messages, and what belongs to them.
    pub const fn new(messages: u64) -> Self {
        Self { messages, first: 0 }
    }
    const fn users(&self) -> u64 {
        20 + self.messages / 500
    }
    const fn guilds(&self) -> u64 {
        2 + self.messages / 20_000
    }
}

/// Fills a store. The same plan makes the same rows, and filling twice is the same as once.
pub async fn fill(store: &Store, plan: FillPlan) -> Result<(), StoreError> {
    let mut filler = Filler { store, under_way: VecDeque::new() };
    filler.people(plan).await?;
    filler.guilds(plan).await?;
    filler.dms(plan).await?;
    let mut number = plan.first;
    let end = plan.first + plan.messages;
    while number < end {
        let batch = (number..end.min(number + BATCH)).flat_map(|number| message(plan, number)).collect();
        filler.submit(batch).await?;
        number += BATCH;
    }
    filler.settle().await?;
    store.raise_id_ceiling(BEGIN_MS + end * STEP_MS).await
}

struct Filler<'a> {
    store: &'a Store,
    under_way: VecDeque<Commit>,
}

impl Filler<'_> {
    async fn submit(&mut self, batch: Vec<Write>) -> Result<(), StoreError> {
        if self.under_way.len() >= UNDER_WAY
            && let Some(commit) = self.under_way.pop_front()
        {
            commit.await?;
        }
        self.under_way.push_back(self.store.submit(batch)?);
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        while let Some(commit) = self.under_way.pop_front() {
            commit.await?;
        }
        Ok(())
    }

    /// Claims a key; by the seed, nobody else holds it.
    async fn claim(&self, key: UniqueKey, owner: u64) -> Result<(), StoreError> {
        match self.store.claim(key, owner).await? {
            Ok(()) => Ok(()),
            Err(holder) => Err(StoreError::Invalid(format!("a unique key is held by {holder} already"))),
        }
    }

    async fn people(&mut self, plan: FillPlan) -> Result<(), StoreError> {
        for number in 0..plan.users() {
            let account = account(number);
            let (id, name) = (account.user.id.get(), account.user.username.clone());
            let state = read_state(plan, number);
            self.submit(vec![Write::PutAccount(account), Write::PutReadState(state)]).await?;
            // The keys of some are enough: each costs a round of its own.
            if number < 500 {
                self.claim(UniqueKey::Email(format!("{name}@example.com")), id).await?;
                self.claim(UniqueKey::Username(name), id).await?;
            }
        }
        self.submit(vec![Write::PutApplication(application())]).await
    }

    async fn guilds(&mut self, plan: FillPlan) -> Result<(), StoreError> {
        for number in 0..plan.guilds() {
            let mut batch = guild(number);
            batch.extend((0..plan.users().min(200)).map(|user| Write::PutMember(member(number, user))));
            self.submit(batch).await?;
            self.claim(UniqueKey::InviteCode(invite_code(number)), guild_id(number).get()).await?;
        }
        Ok(())
    }

    async fn dms(&mut self, plan: FillPlan) -> Result<(), StoreError> {
        for number in 0..plan.users().min(50) {
            let (one, other) = (user_id(number), user_id(number + 1));
            let channel_id = dm_id(number);
            let mut channel = Channel::new(channel_id, ChannelType::Dm);
            channel.last_message_id = Some(message_id(number));
            let dm = DmRow { channel, user_ids: vec![one, other] };
            let listing = Write::PutDmListing { user_id: one, channel_id };
            let mut message = plain(channel_id, number, one);
            message.id = MessageId(Snowflake::from_parts(BEGIN_MS + number, 2, 0));
            self.submit(vec![Write::PutDm(dm), listing, Write::PutMessage(message)]).await?;
            self.claim(UniqueKey::DmPair(one, other), channel_id.get()).await?;
        }
        Ok(())
    }
}

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

const fn dm_id(number: u64) -> ChannelId {
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

fn account(number: u64) -> Account {
    let name = format!("user{number}");
    let mut account = Account::new(User::new(user_id(number), &name));
    account.email = Some(format!("{name}@example.com"));
    account.password_hash = Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into());
    account.token_epoch = (number % 3) as u32;
    account.bio = "somebody".into();
    account
}

fn read_state(plan: FillPlan, number: u64) -> ReadState {
    ReadState {
        user_id: user_id(number),
        channel_id: channel_id(number % plan.guilds(), 0),
        last_message_id: Some(message_id(number)),
        mention_count: (number % 4) as u32,
        last_pin_timestamp: number.is_multiple_of(2).then(|| at(number)),
    }
}

fn application() -> Application {
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

fn invite_code(guild: u64) -> String {
    format!("invite{guild}")
}

/// A guild with its channels, roles, a ban, an invite and a retention that removes nothing.
fn guild(number: u64) -> Vec<Write> {
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
    if number == 0 {
        batch.push(Write::PutRetention(RetentionRow { guild_id, max_age_days: 36_500 }));
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

fn member(guild: u64, user: u64) -> MemberRow {
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

fn plain(channel_id: ChannelId, number: u64, author_id: UserId) -> MessageRow {
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
    }
}

/// Where a message stands and who wrote it.
fn place(plan: FillPlan, number: u64) -> (ChannelId, UserId) {
    let dice = mixed(number);
    let channel = channel_id(dice % plan.guilds(), (dice >> 20) % CHANNELS_OF_GUILD);
    (channel, user_id((dice >> 32) % plan.users()))
}

/// A message with what hangs on it: one in 20 has reactions, one in 2,000 is pinned.
fn message(plan: FillPlan, number: u64) -> Vec<Write> {
    let (channel_id, author_id) = place(plan, number);
    let mut row = plain(channel_id, number, author_id);
    let message_id = row.id;
    let mut batch = Vec::with_capacity(1);
    match number % 40 {
        3 => row.edited_timestamp = Some(at(number + 1)),
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
    batch.push(Write::PutMessage(row));
    batch
}
