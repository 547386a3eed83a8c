//! The user's state and what changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rookery_model::channel::Channel;
use rookery_model::gateway::event::MessageAck;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::store::{ReadState, Write};
use rookery_model::user::Account;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, MessageId, Timestamp, limits};

use crate::outcome::{Dispatch, Outcome};
use crate::read_states::ReadStates;
use crate::request_limit::RequestLimit;
use crate::sessions::{Session, Sessions};

/// Figures that operators may change.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// REST requests a user may make in a second, all routes together; none lifts the limit.
    pub global_per_second: Option<u32>,
    pub guilds_max: usize,
    /// Sessions at the same time.
    pub sessions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { global_per_second: Some(50), guilds_max: limits::USER_GUILDS_MAX, sessions_max: 1_000 }
    }
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

/// The one writer of what is the user's.
pub struct UserCore {
    account: Account,
    guilds: BTreeSet<GuildId>,
    dms: BTreeMap<ChannelId, Channel>,
    read_states: ReadStates,
    sessions: Sessions,
    requests: RequestLimit,
    limits: Limits,
}

impl UserCore {
    /// A user out of their rows.
    pub fn load(state: UserState, limits: Limits) -> Self {
        Self {
            account: state.account,
            guilds: state.guild_ids.into_iter().collect(),
            dms: state.dms.into_iter().map(|channel| (channel.id, channel)).collect(),
            read_states: ReadStates::load(state.read_states),
            sessions: Sessions::default(),
            requests: RequestLimit::default(),
            limits,
        }
    }

    /// Adds a session; refuses one whose token is void (401) or one too many (429).
    ///
    /// Events that happen from now on come to it; those before are in what it gets back.
    pub fn subscribe(&mut self, session: Session) -> Result<ReadyState, ApiError> {
        if self.is_void(&session) {
            return Err(ErrorCode::Unauthorized.into());
        }
        let gets_direct = session.gets_direct && !self.account.user.bot;
        if !self.sessions.add(session, self.limits.sessions_max) {
            return Err(ErrorCode::RateLimited.into());
        }
        let read_states = if self.account.user.bot { Vec::new() } else { self.read_states.sorted() };
        Ok(ReadyState {
            guild_ids: self.guild_ids(),
            dms: if gets_direct { self.dms_newest_first() } else { Vec::new() },
            read_states,
        })
    }

    /// Forgets a session.
    pub fn unsubscribe(&mut self, id: SubscriberId) {
        self.sessions.remove(id);
    }

    /// Whether nothing needs the core in memory.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The sessions that get an event which a guild or DM addressed to the user; keeps the DM list up to date.
    pub fn deliver(&mut self, event: &Arc<Event>) -> Vec<SubscriberId> {
        match &**event {
            Event::ChannelCreate(channel) | Event::ChannelUpdate(channel) if channel.guild_id.is_none() => {
                self.dms.insert(channel.id, channel.clone());
            }
            Event::ChannelDelete(channel) if channel.guild_id.is_none() => {
                self.dms.remove(&channel.id);
            }
            Event::MessageCreate(message) if message.guild_id.is_none() => {
                if let Some(channel) = self.dms.get_mut(&message.message.channel_id) {
                    channel.last_message_id = channel.last_message_id.max(Some(message.message.id));
                }
            }
            Event::ChannelPinsUpdate(pins) if pins.guild_id.is_none() => {
                if let Some(channel) = self.dms.get_mut(&pins.channel_id) {
                    channel.last_pin_timestamp = pins.last_pin_timestamp;
                }
            }
            _ => {}
        }
        self.sessions.ids(|session| session.gets(event))
    }

    /// Notes that a channel is read up to a message; MESSAGE_ACK goes to all of the user's sessions.
    ///
    /// Only `manual` goes back: it marks a message unread again, with what then waits in `mention_count`.
    pub fn acknowledge(
        &mut self,
        channel_id: ChannelId,
        message_id: MessageId,
        manual: bool,
        mention_count: Option<u32>,
    ) -> Outcome {
        if self.account.user.bot {
            return Outcome::default();
        }
        let user_id = self.account.user.id;
        let row = self.read_states.acknowledge(user_id, channel_id, message_id, manual, mention_count);
        let Some(row) = row else { return Outcome::default() };
        let ack = MessageAck { channel_id, message_id, mention_count: row.mention_count, version: 0 };
        Outcome { writes: vec![Write::PutReadState(row)], ..self.tell(Event::MessageAck(ack)) }
    }

    /// Counts a mention in a message that is not read yet.
    pub fn mentioned(&mut self, channel_id: ChannelId, message_id: MessageId) -> Outcome {
        if self.account.user.bot {
            return Outcome::default();
        }
        let row = self.read_states.mention(self.account.user.id, channel_id, message_id);
        Outcome { writes: row.map(Write::PutReadState).into_iter().collect(), ..Outcome::default() }
    }

    /// Whether the user may be in one more guild: 30001. Bots may be in any number.
    pub fn may_join_guild(&self, guild_id: GuildId) -> Result<(), ApiError> {
        let has_room = self.account.user.bot || self.guilds.len() < self.limits.guilds_max;
        if has_room || self.guilds.contains(&guild_id) { Ok(()) } else { Err(ErrorCode::MaxGuilds.into()) }
    }

    /// Takes in a guild that the user joined; the sessions that are to subscribe to it.
    ///
    /// Sessions of other shards are among them: the shell knows the shards.
    pub fn guild_joined(&mut self, guild_id: GuildId) -> Vec<SubscriberId> {
        self.guilds.insert(guild_id);
        self.sessions.ids(|_| true)
    }

    /// Forgets a guild that the user left.
    pub fn guild_left(&mut self, guild_id: GuildId) {
        self.guilds.remove(&guild_id);
    }

    /// The user's guilds, ascending.
    pub fn guild_ids(&self) -> Vec<GuildId> {
        self.guilds.iter().copied().collect()
    }

    /// Takes over a changed account: USER_UPDATE, and closes for sessions whose token is void now.
    pub fn account_changed(&mut self, account: Account) -> Outcome {
        let seen_before = self.account.current_user();
        self.account = account;
        let closes = self.sessions.ids(|session| self.is_void(session));
        closes.iter().for_each(|id| self.sessions.remove(*id));
        let seen_now = self.account.current_user();
        let told =
            if seen_now == seen_before { Outcome::default() } else { self.tell(Event::UserUpdate(Box::new(seen_now))) };
        Outcome { closes, ..told }
    }

    /// Takes one request out of the global allowance: 429 with the wait.
    pub fn take_request(&mut self, now: Timestamp) -> Result<(), ApiError> {
        self.requests.take(now, self.limits.global_per_second)
    }

    fn is_void(&self, session: &Session) -> bool {
        session.token_epoch != self.account.token_epoch || self.account.revoked_devices.contains(&session.device_id)
    }

    fn tell(&self, event: Event) -> Outcome {
        let sessions = self.sessions.ids(|session| session.gets(&event));
        let dispatches =
            if sessions.is_empty() { Vec::new() } else { vec![Dispatch { event: Arc::new(event), sessions }] };
        Outcome { dispatches, ..Outcome::default() }
    }

    fn dms_newest_first(&self) -> Vec<Channel> {
        let mut dms: Vec<Channel> = self.dms.values().cloned().collect();
        dms.sort_by_key(|channel| std::cmp::Reverse(channel.last_message_id.map_or(channel.id.get(), MessageId::get)));
        dms
    }
}
