//! The user's state and what changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rookery_model::gateway::event::MessageAck;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::store::{ReadState, Write};
use rookery_model::{ApiError, ChannelId, DeviceId, ErrorCode, GuildId, MessageId, UserId, limits};

use crate::outcome::{Dispatch, Outcome};
use crate::read_states::ReadStates;
use crate::sessions::{Sessions, SubscribeError, UserSession};

/// Counts that operators may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that one account may hold at once.
    pub sessions_max: usize,
    /// Guilds that a person may be in; bots may be in any number.
    pub guilds_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions_max: 1_000, guilds_max: limits::USER_GUILDS_MAX }
    }
}

/// The rows of a user, as the shell reads them.
#[derive(Clone, Debug)]
pub struct UserState {
    pub user_id: UserId,
    /// Bots have no read states.
    pub is_bot: bool,
    pub guild_ids: Vec<GuildId>,
    /// The DMs in the user's list.
    pub dm_ids: Vec<ChannelId>,
    pub read_states: Vec<ReadState>,
}

/// What a session's READY tells of its user.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// The guilds of the session's shard, by id.
    pub guild_ids: Vec<GuildId>,
    /// Empty for shards other than 0.
    pub dm_ids: Vec<ChannelId>,
    /// The newest messages that were delivered in these DMs since the user was loaded: what was read of a DM before may
    /// not know of them.
    pub newest_messages: BTreeMap<ChannelId, MessageId>,
    /// None for bots.
    pub read_states: Option<Vec<ReadState>>,
}

/// The one writer of what is the user's.
pub struct UserCore {
    user_id: UserId,
    is_bot: bool,
    guilds: BTreeSet<GuildId>,
    dms: BTreeSet<ChannelId>,
    newest_messages: BTreeMap<ChannelId, MessageId>,
    read_states: ReadStates,
    sessions: Sessions,
    limits: Limits,
}

impl UserCore {
    /// A user out of their rows.
    pub fn load(state: UserState, limits: Limits) -> Self {
        Self {
            user_id: state.user_id,
            is_bot: state.is_bot,
            guilds: state.guild_ids.into_iter().collect(),
            dms: state.dm_ids.into_iter().collect(),
            newest_messages: BTreeMap::new(),
            read_states: ReadStates::load(state.read_states),
            sessions: Sessions::default(),
            limits,
        }
    }

    /// Adds a session; what its READY needs. Events that happen from now on come to it.
    pub fn subscribe(&mut self, session: UserSession) -> Result<Subscribed, SubscribeError> {
        let guild_ids = self.guilds.iter().copied().filter(|id| session.has_guild(*id)).collect();
        let (dm_ids, newest_messages) = if session.has_direct_events() {
            (self.dms.iter().copied().collect(), self.newest_messages.clone())
        } else {
            (Vec::new(), BTreeMap::new())
        };
        self.sessions.add(session, self.limits.sessions_max)?;
        let read_states = (!self.is_bot).then(|| self.read_states.sorted());
        Ok(Subscribed { guild_ids, dm_ids, newest_messages, read_states })
    }

    /// Forgets a session.
    pub fn unsubscribe(&mut self, id: SubscriberId) {
        self.sessions.remove(id);
    }

    /// Takes over the guilds and DMs that another core's sessions were told of, when this one is loaded in its place and
    /// the sessions stay. What was read may be ahead of what they were told, and the rest is on its way to them.
    pub fn keep_lists_of(&mut self, other: &Self) {
        self.guilds.clone_from(&other.guilds);
        self.dms.clone_from(&other.dms);
    }

    /// Whether the user may be in one more guild: 30001.
    pub fn may_join_guild(&self, id: GuildId) -> Result<(), ApiError> {
        let has_room = self.is_bot || self.guilds.len() < self.limits.guilds_max;
        if has_room || self.guilds.contains(&id) { Ok(()) } else { Err(ErrorCode::MaxGuilds.into()) }
    }

    /// Takes in a guild that the user joined; the sessions that are to subscribe to it.
    pub fn guild_joined(&mut self, id: GuildId) -> Vec<SubscriberId> {
        self.guilds.insert(id);
        self.sessions.ids(|session| session.has_guild(id))
    }

    /// Forgets a guild that the user left; the sessions that are no longer to be subscribed.
    pub fn guild_left(&mut self, id: GuildId) -> Vec<SubscriberId> {
        self.guilds.remove(&id);
        self.sessions.ids(|session| session.has_guild(id))
    }

    /// The sessions that get an event which is the user's own or a DM's. Keeps the DM list.
    ///
    /// A DM's owner announces the DM to whoever may have closed it; those who did not hear nothing of that, and bots
    /// are never told of DMs before the first message, as the API has it since version 8.
    pub fn deliver(&mut self, event: &Event) -> Vec<SubscriberId> {
        match event {
            Event::ChannelCreate(channel) if channel.guild_id.is_none() => {
                let is_new = self.dms.insert(channel.id);
                if !is_new || self.is_bot {
                    return Vec::new();
                }
            }
            Event::ChannelDelete(channel) if channel.guild_id.is_none() => {
                self.dms.remove(&channel.id);
                self.newest_messages.remove(&channel.id);
            }
            // Only of DMs in the list, so that there are no more of them than of those. A READY without DMs needs none.
            Event::MessageCreate(event) if !self.is_bot && self.dms.contains(&event.message.channel_id) => {
                let newest = self.newest_messages.entry(event.message.channel_id).or_default();
                *newest = event.message.id.max(*newest);
            }
            _ => {}
        }
        self.sessions.ids(|session| session.has_direct_events() && session.wants(event))
    }

    /// Counts a mention in a message that is not read yet.
    pub fn mentioned(&mut self, channel_id: ChannelId, message_id: MessageId) -> Outcome {
        if self.is_bot {
            return Outcome::default();
        }
        let row = self.read_states.mention(self.user_id, channel_id, message_id);
        Outcome { writes: row.map(Write::PutReadState).into_iter().collect(), dispatches: Vec::new() }
    }

    /// Notes that a channel is read up to a message; the user's other devices hear of it.
    ///
    /// `from` is the session that acknowledged, if one did: over REST nobody knows, and all hear of it. Only `manual`
    /// goes back: it marks a message unread again, with what then waits in `mention_count`.
    pub fn acknowledge(
        &mut self,
        channel_id: ChannelId,
        message_id: MessageId,
        manual: bool,
        mention_count: Option<u32>,
        from: Option<SubscriberId>,
    ) -> Outcome {
        if self.is_bot {
            return Outcome::default();
        }
        let row = self.read_states.acknowledge(self.user_id, channel_id, message_id, manual, mention_count);
        let Some(row) = row else { return Outcome::default() };
        let event =
            Event::MessageAck(MessageAck { channel_id, message_id, mention_count: row.mention_count, version: 0 });
        let sessions = self.sessions.ids(|session| Some(session.id) != from);
        let dispatches =
            if sessions.is_empty() { Vec::new() } else { vec![Dispatch { event: Arc::new(event), sessions }] };
        Outcome { writes: vec![Write::PutReadState(row)], dispatches }
    }

    /// The sessions whose tokens ended: all, or those of one device.
    pub fn revoke(&self, device: Option<DeviceId>) -> Vec<SubscriberId> {
        self.sessions.ids(|session| device.is_none_or(|device| session.device == device))
    }

    /// The guilds that the user is in, ascending.
    pub fn guild_ids(&self) -> impl Iterator<Item = GuildId> + '_ {
        self.guilds.iter().copied()
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }
}
