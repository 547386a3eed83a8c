//! The state of a guild or DM, and how it comes into memory.

use std::sync::Arc;

use rookery_model::call::{Call, CreateGuild};
use rookery_model::channel::Channel;
use rookery_model::gateway::{Intents, RequestGuildMembers, SubscriberId};
use rookery_model::guild::{Guild, GuildProperties, PartialGuild};
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::role::Role;
use rookery_model::store::DmRow;
use rookery_model::user::User;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, Permissions, Timestamp, UserId};

use crate::{Caller, Given, IdSource, Limits, LockKey, Need, Outcome};

/// All rows of a guild, as the shell reads them.
#[derive(Clone, Debug)]
pub struct GuildState {
    pub properties: GuildProperties,
    pub roles: Vec<Role>,
    /// `last_message_id` is not written with each message: the shell fills in the newest message's id.
    pub channels: Vec<Channel>,
    pub members: Vec<(MemberRow, User)>,
    pub invites: Vec<InviteRow>,
    /// Inviters who are no members.
    pub inviters: Vec<User>,
    pub banned: Vec<UserId>,
}

/// The rows of a DM or group DM.
#[derive(Clone, Debug)]
pub struct DmState {
    /// As in [`GuildState::channels`], with the newest message's id.
    pub row: DmRow,
    /// Those of `row.user_ids`.
    pub users: Vec<User>,
}

/// A session that wants the guild's events.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub id: SubscriberId,
    pub user_id: UserId,
    /// None: a person's client, which gets everything.
    pub intents: Option<Intents>,
    /// Guilds with more members than this come without the offline ones.
    pub large_threshold: u32,
}

/// What a caller who may see a channel may read of its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    Readable,
    /// Without READ_MESSAGE_HISTORY: lists are empty, single messages are refused with 50013.
    Hidden,
}

/// A guild, or a DM, which is a guild without roles.
pub struct GuildCore {
    limits: Limits,
}

/// Makes a guild with the API's default channels, or those asked for; `id` becomes the guild's and `@everyone`'s.
///
/// The outcome holds the guild's rows, the reply and the owner's [`Effect::MemberJoined`](crate::Effect).
pub fn create_guild(
    now: Timestamp,
    caller: &Caller,
    wanted: &CreateGuild,
    id: GuildId,
    ids: &mut dyn IdSource,
    limits: &Limits,
) -> Result<(GuildState, Outcome), ApiError> {
    Err(ErrorCode::Unavailable.into())
}

impl GuildCore {
    /// A guild out of its rows.
    pub fn load(state: GuildState, limits: Limits) -> Self {
        Self { limits }
    }
    /// A DM or group DM out of its row.
    pub fn load_dm(state: DmState, limits: Limits) -> Self {
        Self { limits }
    }
    /// The keys to hold while the call is carried out.
    pub fn locks(call: &Call) -> Vec<LockKey> {
        Vec::new()
    }
    /// What the call still needs; none left: it can be handled. Asked anew after each reading, since one row can name
    /// another.
    pub fn needs(&self, now: Timestamp, caller: &Caller, call: &Call, given: &Given) -> Vec<Need> {
        Vec::new()
    }
    /// Carries out a call, or answers it from memory. Not for reads of messages, reactions and pins: see
    /// [`GuildCore::authorize_read`].
    pub fn handle(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        call: &Call,
        given: &Given,
        ids: &mut dyn IdSource,
    ) -> Result<Outcome, ApiError> {
        Err(ErrorCode::Unavailable.into())
    }
    /// Whether somebody may list messages, reactions and pins of a channel.
    pub fn authorize_read(&self, now: Timestamp, user_id: UserId, channel_id: ChannelId) -> Result<History, ApiError> {
        Err(ErrorCode::Unavailable.into())
    }
    /// Adds a session; the outcome's only dispatch is its GUILD_CREATE. Goes through the same stream as all outcomes.
    pub fn subscribe(&mut self, subscriber: Subscriber) -> Result<Outcome, ApiError> {
        Err(ErrorCode::Unavailable.into())
    }
    /// Forgets a session.
    pub fn unsubscribe(&mut self, id: SubscriberId) {}
    /// Answers REQUEST_GUILD_MEMBERS with GUILD_MEMBERS_CHUNK events to the session.
    pub fn request_members(&self, id: SubscriberId, request: &RequestGuildMembers) -> Outcome {
        Outcome::default()
    }
    /// Takes over a changed name or avatar of somebody who may be a member.
    pub fn user_updated(&mut self, user: &User) -> Outcome {
        Outcome::default()
    }
    /// None for DMs.
    pub fn guild_id(&self) -> Option<GuildId> {
        None
    }
    pub fn member_count(&self) -> usize {
        0
    }
    pub fn channel_ids(&self) -> Vec<ChannelId> {
        Vec::new()
    }
    pub fn subscriber_count(&self) -> usize {
        0
    }
    pub fn is_member(&self, user_id: UserId) -> bool {
        false
    }
    /// What a user may do in a channel; nothing for strangers and in channels that do not exist.
    pub fn permissions_in(&self, now: Timestamp, user_id: UserId, channel_id: ChannelId) -> Permissions {
        Permissions::empty()
    }
    /// What a member may do in the guild as a whole.
    pub fn guild_permissions(&self, now: Timestamp, user_id: UserId) -> Permissions {
        Permissions::empty()
    }
    /// The guild as the API shows it.
    pub fn guild_view(&self) -> Option<Guild> {
        None
    }
    /// The entry of a member's list of guilds.
    pub fn partial_guild(&self, now: Timestamp, user_id: UserId, with_counts: bool) -> Option<PartialGuild> {
        None
    }
    /// A DM's channel as one of its users sees it.
    pub fn dm_view(&self, viewer: UserId) -> Option<Channel> {
        None
    }
    /// A member's user, as known here.
    pub fn user(&self, user_id: UserId) -> Option<&Arc<User>> {
        None
    }
}
