//! The user as a state machine: sessions, read states, DM list, global rate limit.

use std::sync::Arc;

use rookery_model::channel::Channel;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::store::{ReadState, Write};
use rookery_model::user::Account;
use rookery_model::{ApiError, ChannelId, DeviceId, GuildId, MessageId, Timestamp};

/// Figures that operators may change.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// REST requests a user may make in a second, all routes together; none lifts the limit.
    pub global_per_second: Option<u32>,
    pub guilds_max: usize,
    /// Sessions at the same time.
    pub sessions_max: usize,
}

/// What the shell reads of a user.
#[derive(Clone, Debug)]
pub struct UserState {
    pub account: Account,
    pub guild_ids: Vec<GuildId>,
    /// The DMs in the user's list, as the user sees them (`recipients` are the others).
    pub dms: Vec<Channel>,
    pub read_states: Vec<ReadState>,
}

/// A session of the user.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SubscriberId,
    /// None: a person's client, which gets everything.
    pub intents: Option<Intents>,
    /// Of the token that the session identified with.
    pub device_id: DeviceId,
    pub token_epoch: u32,
    /// Shard 0, and every session without sharding, gets what is outside of guilds.
    pub gets_direct: bool,
}

/// What READY tells, at the session's place in the user's stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyState {
    /// Ascending.
    pub guild_ids: Vec<GuildId>,
    /// The one with the newest message first; empty for bots.
    pub dms: Vec<Channel>,
    /// Empty for bots.
    pub read_states: Vec<ReadState>,
}

/// Rows to write, then events to send to the user's own sessions.
#[derive(Debug, Default)]
pub struct Outcome {
    pub writes: Vec<Write>,
    pub dispatches: Vec<Dispatch>,
    /// Sessions to close with 4004: their token is void.
    pub closes: Vec<SubscriberId>,
}

/// An event for some of the user's sessions.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub event: Arc<Event>,
    pub sessions: Vec<SubscriberId>,
}

/// The one writer of what is the user's.
pub struct UserCore {
    limits: Limits,
}

impl UserCore {
    pub fn load(state: UserState, limits: Limits) -> Self {
        Self { limits }
    }
    /// Adds a session; refuses one whose token is void (401) or one too many (429).
    pub fn subscribe(&mut self, session: Session) -> Result<ReadyState, ApiError> {
        Err(rookery_model::ErrorCode::Unavailable.into())
    }
    pub fn unsubscribe(&mut self, id: SubscriberId) {}
    /// Whether nothing needs the core in memory.
    pub fn is_idle(&self) -> bool {
        true
    }
    /// An event that a guild or DM addressed to the user ([`Audience::Users`]); keeps the DM list up to date.
    pub fn deliver(&mut self, event: &Arc<Event>) -> Vec<SubscriberId> {
        Vec::new()
    }
    /// `POST /channels/{id}/messages/{id}/ack`; MESSAGE_ACK goes to all of the user's sessions.
    pub fn acknowledge(
        &mut self,
        channel_id: ChannelId,
        message_id: MessageId,
        manual: bool,
        mention_count: Option<u32>,
    ) -> Outcome {
        Outcome::default()
    }
    /// A message mentions the user.
    pub fn mentioned(&mut self, channel_id: ChannelId, message_id: MessageId) -> Outcome {
        Outcome::default()
    }
    /// Whether the user may be in one more guild: 30001.
    pub fn may_join_guild(&self, guild_id: GuildId) -> Result<(), ApiError> {
        Ok(())
    }
    /// The sessions that are to subscribe to the guild.
    pub fn guild_joined(&mut self, guild_id: GuildId) -> Vec<SubscriberId> {
        Vec::new()
    }
    pub fn guild_left(&mut self, guild_id: GuildId) {}
    pub fn guild_ids(&self) -> Vec<GuildId> {
        Vec::new()
    }
    /// Takes over a changed account: USER_UPDATE, and closes for sessions whose token is void now.
    pub fn account_changed(&mut self, account: Account) -> Outcome {
        Outcome::default()
    }
    /// Takes one request out of the global allowance: 429 with the wait.
    pub fn take_request(&mut self, now: Timestamp) -> Result<(), ApiError> {
        Ok(())
    }
}
