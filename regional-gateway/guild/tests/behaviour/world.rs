//! A guild with a few people in it, and short words for what they do.

use std::sync::Arc;

use rookery_guild::{
    Audience, Caller, Given, GuildCore, IdSource, Limits, Outcome, Subscriber, SubscriberId, create_guild,
};
use rookery_model::call::{Call, CreateChannel, CreateGuild, CreateMessage, CreateRole, Reply};
use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::gateway::{Capabilities, Event, Intents, Presence, Status};
use rookery_model::member::MemberRow;
use rookery_model::message::{Message, MessageFlags};
use rookery_model::role::Role;
use rookery_model::user::User;
use rookery_model::{
    ApiError, ChannelId, ErrorCode, GuildId, MessageId, Permissions, RoleId, Snowflake, Timestamp, UserId,
};

use crate::store::Rows;

pub const OWNER: UserId = UserId::new(100);
pub const ALICE: UserId = UserId::new(101);
pub const BOB: UserId = UserId::new(102);
pub const BOT: UserId = UserId::new(103);
pub const STRANGER: UserId = UserId::new(104);

/// Ids by the world's clock.
pub struct Ids {
    unix_ms: u64,
    sequence: u16,
}

impl IdSource for Ids {
    fn next_id(&mut self) -> Snowflake {
        self.sequence += 1;
        if self.sequence > 4_000 {
            (self.unix_ms, self.sequence) = (self.unix_ms + 1, 0);
        }
        Snowflake::from_parts(self.unix_ms, 1, self.sequence)
    }
}

pub struct World {
    pub core: GuildCore,
    pub rows: Rows,
    pub ids: Ids,
    pub now: Timestamp,
    pub limits: Limits,
    next_subscriber: u64,
}

pub fn user(id: UserId) -> User {
    User { bot: id == BOT, ..User::new(id, format!("user{}", id.get())) }
}

pub fn message(channel_id: ChannelId, content: &str) -> CreateMessage {
    CreateMessage {
        channel_id,
        content: content.into(),
        tts: false,
        embeds: vec![],
        allowed_mentions: None,
        message_reference: None,
        fail_if_not_exists: true,
        nonce: None,
        enforce_nonce: false,
        flags: MessageFlags::empty(),
    }
}

pub fn channel(name: &str, kind: ChannelType) -> CreateChannel {
    CreateChannel {
        name: name.into(),
        kind,
        topic: None,
        bitrate: None,
        user_limit: None,
        rate_limit_per_user: None,
        position: None,
        permission_overwrites: vec![],
        parent_id: None,
        nsfw: false,
        rtc_region: None,
        video_quality_mode: None,
        default_auto_archive_duration: None,
    }
}

pub fn new_guild(name: &str) -> CreateGuild {
    CreateGuild {
        name: name.into(),
        verification_level: None,
        default_message_notifications: None,
        explicit_content_filter: None,
        afk_timeout: None,
        system_channel_flags: None,
        roles: vec![],
        channels: vec![],
        system_channel_id: None,
        afk_channel_id: None,
    }
}

pub fn for_role(id: RoleId, allow: Permissions, deny: Permissions) -> Overwrite {
    Overwrite { id: id.0, kind: OverwriteType::Role, allow, deny }
}

pub fn for_member(id: UserId, allow: Permissions, deny: Permissions) -> Overwrite {
    Overwrite { id: id.0, kind: OverwriteType::Member, allow, deny }
}

/// The error's code, for short assertions.
pub fn code<T>(result: Result<T, ApiError>) -> Option<ErrorCodeNumber> {
    result.err().map(|error| error.code)
}
pub type ErrorCodeNumber = u32;

/// Asserts that a call is refused with this code.
#[track_caller]
pub fn refused<T>(result: Result<T, ApiError>, wanted: ErrorCode) {
    assert_eq!(code(result), Some(wanted.code()));
}

impl World {
    /// A guild owned by OWNER with ALICE, BOB and BOT in it.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        let mut rows = Rows::default();
        for id in [OWNER, ALICE, BOB, BOT, STRANGER] {
            rows.users.insert(id, user(id));
        }
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let mut ids = Ids { unix_ms: 1_700_000_000_000, sequence: 0 };
        let id = GuildId(ids.next_id());
        let caller = Caller::new(user(OWNER));
        let (state, outcome) =
            create_guild(now, &caller, &new_guild("Guild"), id, &mut ids, &limits).expect("a valid guild");
        for write in outcome.writes {
            rows.apply(write);
        }
        let core = GuildCore::load(state, limits.clone());
        let mut world = Self { core, rows, ids, now, limits, next_subscriber: 1 };
        for id in [ALICE, BOB, BOT] {
            world.rows.members.insert(id, member_row(world.rows.guild_id(), id, now));
        }
        world.reload();
        world
    }

    /// A DM or group DM of these users.
    pub fn dm(kind: ChannelType, users: &[UserId]) -> Self {
        let mut world = Self::new();
        let id = ChannelId(world.ids.next_id());
        let channel = Channel { owner_id: (kind == ChannelType::GroupDm).then(|| users[0]), ..Channel::new(id, kind) };
        world.rows = Rows { users: std::mem::take(&mut world.rows.users), ..Rows::default() };
        world.rows.dm = Some(rookery_model::store::DmRow { channel, user_ids: users.to_vec(), call_message_id: None });
        world.core = GuildCore::load_dm(world.rows.dm_state(), world.limits.clone());
        world
    }

    /// Drops the core and loads it out of the rows.
    pub fn reload(&mut self) {
        self.core = GuildCore::load(self.rows.guild_state(), self.limits.clone());
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now = Timestamp(self.now.0 + ms as i64 * 1_000);
        self.ids = Ids { unix_ms: self.ids.unix_ms + ms, sequence: 0 };
    }

    pub fn guild_id(&self) -> GuildId {
        self.rows.guild_id()
    }

    /// The first channel of a kind.
    pub fn channel(&self, kind: ChannelType) -> ChannelId {
        self.rows.channels.values().find(|channel| channel.kind == kind).expect("a default channel").id
    }

    pub fn general(&self) -> ChannelId {
        self.channel(ChannelType::GuildText)
    }

    /// A call, with all that the shell does around it.
    pub fn call(&mut self, by: UserId, call: Call) -> Result<Outcome, ApiError> {
        let caller = Caller::new(user(by));
        let mut given = Given::default();
        for round in 0.. {
            let needs = self.core.needs(self.now, &caller, &call, &given);
            if needs.is_empty() {
                break;
            }
            assert!(round < 4, "the core never has enough: {needs:?}");
            for need in needs {
                self.rows.fill(need, &mut given);
            }
        }
        let outcome = self.core.handle(self.now, &caller, &call, &given, &mut self.ids)?;
        for write in outcome.writes.clone() {
            self.rows.apply(write);
        }
        Ok(outcome)
    }

    #[track_caller]
    pub fn ok(&mut self, by: UserId, call: Call) -> Outcome {
        self.call(by, call).expect("an accepted call")
    }

    #[track_caller]
    pub fn refused(&mut self, by: UserId, call: Call, wanted: ErrorCode) {
        refused(self.call(by, call), wanted);
    }

    #[track_caller]
    pub fn say(&mut self, by: UserId, channel_id: ChannelId, content: &str) -> Message {
        let outcome = self.ok(by, Call::CreateMessage(Box::new(message(channel_id, content))));
        shown(outcome)
    }

    pub fn try_say(&mut self, by: UserId, channel_id: ChannelId, content: &str) -> Result<Outcome, ApiError> {
        self.call(by, Call::CreateMessage(Box::new(message(channel_id, content))))
    }

    #[track_caller]
    pub fn make_channel(&mut self, channel: CreateChannel) -> Channel {
        let guild_id = self.guild_id();
        match self.ok(OWNER, Call::CreateGuildChannel { guild_id, channel: Box::new(channel) }).reply {
            Reply::Channel(channel) => *channel,
            other => panic!("{other:?}"),
        }
    }

    /// A text channel that only the owner and administrators see.
    pub fn hidden_channel(&mut self) -> ChannelId {
        let everyone = RoleId::from(self.guild_id());
        let hide = for_role(everyone, Permissions::empty(), Permissions::VIEW_CHANNEL);
        let wanted = CreateChannel { permission_overwrites: vec![hide], ..channel("hidden", ChannelType::GuildText) };
        self.make_channel(wanted).id
    }

    #[track_caller]
    pub fn make_role(&mut self, permissions: Permissions) -> Role {
        let guild_id = self.guild_id();
        let role = CreateRole { permissions: Some(permissions), ..CreateRole::default() };
        match self.ok(OWNER, Call::CreateRole { guild_id, role }).reply {
            Reply::Role(role) => *role,
            other => panic!("{other:?}"),
        }
    }

    /// A new role with these permissions, given to a member.
    #[track_caller]
    pub fn grant(&mut self, user_id: UserId, permissions: Permissions) -> RoleId {
        let role_id = self.make_role(permissions).id;
        let guild_id = self.guild_id();
        self.ok(OWNER, Call::AddMemberRole { guild_id, user_id, role_id });
        role_id
    }

    #[track_caller]
    pub fn overwrite(&mut self, channel_id: ChannelId, overwrite: Overwrite) -> Outcome {
        self.ok(OWNER, Call::PutOverwrite { channel_id, overwrite })
    }

    /// Takes permissions from everybody.
    pub fn deny_everyone(&mut self, channel_id: ChannelId, deny: Permissions) {
        let everyone = RoleId::from(self.guild_id());
        self.overwrite(channel_id, for_role(everyone, Permissions::empty(), deny));
    }

    /// Somebody is seen like this from now on.
    pub fn status(&mut self, user_id: UserId, status: Status) -> Outcome {
        let presence = Presence { status, ..Presence::default() };
        self.core.presence_changed(0, user_id, Some(presence.into()))
    }

    pub fn subscribe(&mut self, user_id: UserId, intents: Option<Intents>) -> (SubscriberId, Outcome) {
        self.subscribe_with(user_id, intents, Capabilities::empty())
    }

    pub fn subscribe_with(
        &mut self,
        user_id: UserId,
        intents: Option<Intents>,
        capabilities: Capabilities,
    ) -> (SubscriberId, Outcome) {
        let id = SubscriberId(self.next_subscriber);
        self.next_subscriber += 1;
        let subscriber = Subscriber { id, user_id, intents, large_threshold: 50, capabilities };
        let outcome = self.core.subscribe(subscriber).expect("a member");
        (id, outcome)
    }
}

/// A member without roles.
pub fn member_row(guild_id: GuildId, user_id: UserId, joined_at: Timestamp) -> MemberRow {
    MemberRow {
        guild_id,
        user_id,
        nick: None,
        avatar: None,
        roles: vec![],
        joined_at,
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    }
}

/// The message in an answer.
#[track_caller]
pub fn shown(outcome: Outcome) -> Message {
    match outcome.reply {
        Reply::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

/// What a session gets of an outcome.
pub fn events_for(outcome: &Outcome, id: SubscriberId) -> Vec<Arc<Event>> {
    let gets = |audience: &Audience| matches!(audience, Audience::Subscribers(ids) if ids.contains(&id));
    outcome.dispatches.iter().filter(|d| gets(&d.audience)).map(|d| d.event.clone()).collect()
}

/// The names of what a session gets of an outcome.
pub fn names_for(outcome: &Outcome, id: SubscriberId) -> Vec<&'static str> {
    events_for(outcome, id).iter().map(|event| event.name()).collect()
}

/// The names of what the sessions of a user get of a DM's outcome.
pub fn names_for_user(outcome: &Outcome, id: UserId) -> Vec<&'static str> {
    let gets = |audience: &Audience| matches!(audience, Audience::Users(ids) if ids.contains(&id));
    outcome.dispatches.iter().filter(|d| gets(&d.audience)).map(|d| d.event.name()).collect()
}

pub fn message_call(channel_id: ChannelId, message_id: MessageId) -> (Call, Call) {
    (Call::PinMessage { channel_id, message_id }, Call::UnpinMessage { channel_id, message_id })
}
