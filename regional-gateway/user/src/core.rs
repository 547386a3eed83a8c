//! The user's state and what changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rookery_model::gateway::event::MessageAck;
use rookery_model::gateway::{Event, OwnSession, Presence, PresenceUpdate, Status, SubscriberId};
use rookery_model::relationship::RelationshipRow;
use rookery_model::store::{ReadState, Write};
use rookery_model::{ApiError, ChannelId, DeviceId, ErrorCode, GuildId, MessageId, UserId, limits};

use crate::outcome::{Dispatch, Outcome, PresenceOutcome};
use crate::presence::{Moment, Presences};
use crate::read_states::ReadStates;
use crate::relationships::Relationships;
use crate::sessions::{Sessions, SubscribeError, UserSession};

/// Counts that operators may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that one account may hold at once.
    pub sessions_max: usize,
    /// Guilds that a person may be in; bots may be in any number.
    pub guilds_max: usize,
    /// How long the presence of a session without a connection is kept.
    pub presence_expiry_ms: u64,
    /// Updates of its presence that a session may send in a window.
    pub presence_updates: u32,
    pub presence_window_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 1_000,
            guilds_max: limits::USER_GUILDS_MAX,
            presence_expiry_ms: limits::PRESENCE_EXPIRY_MS,
            presence_updates: limits::PRESENCE_UPDATES,
            presence_window_ms: limits::PRESENCE_WINDOW_MS,
        }
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
    /// Empty for bots.
    pub relationships: Vec<RelationshipRow>,
    /// What a session shows that says nothing of its user's presence.
    pub status: Status,
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
    /// By the other's id.
    pub relationships: Vec<RelationshipRow>,
    /// All sessions of the user, this one among them; empty for bots.
    pub sessions: Vec<OwnSession>,
    pub presence: PresenceOutcome,
}

/// The one writer of what is the user's.
pub struct UserCore {
    user_id: UserId,
    is_bot: bool,
    guilds: BTreeSet<GuildId>,
    dms: BTreeSet<ChannelId>,
    newest_messages: BTreeMap<ChannelId, MessageId>,
    read_states: ReadStates,
    relationships: Relationships,
    sessions: Sessions,
    presences: Presences,
    /// What a session shows that says nothing.
    status: Status,
    limits: Limits,
}

/// The presences of a user's sessions, on their way from one core of the user to the next.
pub struct KeptPresences(Presences);

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
            relationships: Relationships::load(state.relationships),
            sessions: Sessions::default(),
            presences: Presences::new(state.is_bot),
            status: state.status,
            limits,
        }
    }

    /// Adds a session; what its READY needs. Events that happen from now on come to it.
    pub fn subscribe(&mut self, now: Moment, session: UserSession) -> Result<Subscribed, SubscribeError> {
        let guild_ids = self.guilds.iter().copied().filter(|id| session.has_guild(*id)).collect();
        let (dm_ids, newest_messages) = if session.has_direct_events() {
            (self.dms.iter().copied().collect(), self.newest_messages.clone())
        } else {
            (Vec::new(), BTreeMap::new())
        };
        let (id, client) = (session.id, session.client.clone());
        self.sessions.add(session, self.limits.sessions_max)?;
        let status = self.status;
        let mut presence = self.change_presence(|presences, _| presences.add(now, id, client, status));
        // It hears of the others in READY.
        presence.dispatches.iter_mut().for_each(|dispatch| dispatch.sessions.retain(|other| *other != id));
        presence.dispatches.retain(|dispatch| !dispatch.sessions.is_empty());
        let read_states = (!self.is_bot).then(|| self.read_states.sorted());
        let sessions = if self.is_bot { Vec::new() } else { self.presences.own() };
        let relationships = self.relationships.all().cloned().collect();
        Ok(Subscribed { guild_ids, dm_ids, newest_messages, read_states, relationships, sessions, presence })
    }

    /// Forgets a session; its presence ends at once.
    pub fn unsubscribe(&mut self, id: SubscriberId) -> PresenceOutcome {
        self.sessions.remove(id);
        self.change_presence(|presences, _| presences.remove(id))
    }

    /// A session has a connection again.
    pub fn attached(&mut self, id: SubscriberId) -> PresenceOutcome {
        self.change_presence(|presences, _| presences.attached(id))
    }

    /// A session waits for RESUME; its presence is kept for a while.
    pub fn detached(&mut self, now: Moment, id: SubscriberId) -> PresenceOutcome {
        self.change_presence(|presences, limits| presences.detached(now, id, limits.presence_expiry_ms))
    }

    /// Takes what a session says of its user with PRESENCE_UPDATE. What it says beyond its rate waits, and only the last
    /// of that is heard.
    pub fn update_presence(&mut self, now: Moment, id: SubscriberId, update: PresenceUpdate) -> PresenceOutcome {
        self.change_presence(|presences, limits| presences.update(now, id, update, limits))
    }

    /// When [`Self::handle_timeout`] is due, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.presences.poll_timeout()
    }

    /// Lets presences expire, and what was held back be heard.
    pub fn handle_timeout(&mut self, now: Moment) -> PresenceOutcome {
        self.change_presence(|presences, limits| presences.handle_timeout(now, limits))
    }

    /// The user as others see them.
    pub fn presence(&self) -> &Arc<Presence> {
        self.presences.shown()
    }

    /// Those who see the user's presence wherever they are.
    pub fn friends(&self) -> impl Iterator<Item = UserId> + '_ {
        self.relationships.friends()
    }

    /// The sessions that hear of somebody's presence because the two are friends.
    pub fn friend_watchers(&self, other: UserId) -> Vec<SubscriberId> {
        if self.relationships.is_friend(other) { self.sessions.ids(UserSession::has_direct_events) } else { Vec::new() }
    }

    /// Takes the presences out: they are in no row, so the next core of this user gets them from this one.
    pub fn take_presences(&mut self) -> KeptPresences {
        KeptPresences(std::mem::replace(&mut self.presences, Presences::new(self.is_bot)))
    }

    /// Takes over the presences of an earlier core; to be followed by [`Self::subscribe`] for each session that is left,
    /// which keeps its presence, and by [`Self::forget_lost`].
    pub fn keep_presences(&mut self, KeptPresences(presences): KeptPresences) {
        self.presences = presences;
    }

    /// Ends the presences of sessions that are no longer there.
    pub fn forget_lost(&mut self) -> PresenceOutcome {
        let mut presences = self.take_presences().0;
        presences.retain(|id| self.sessions.contains(id));
        self.presences = presences;
        self.change_presence(|_, _| {})
    }

    fn change_presence(&mut self, change: impl FnOnce(&mut Presences, &Limits)) -> PresenceOutcome {
        let before = if self.is_bot { Vec::new() } else { self.presences.own() };
        change(&mut self.presences, &self.limits);
        let mut outcome = PresenceOutcome { shown: self.presences.refresh(), dispatches: Vec::new() };
        if self.is_bot {
            return outcome;
        }
        let after = self.presences.own();
        let are_several = before.len().max(after.len()) > 1;
        let sessions = self.sessions.ids(UserSession::has_direct_events);
        if are_several && before != after && !sessions.is_empty() {
            outcome.dispatches.push(Dispatch { event: Arc::new(Event::SessionsReplace(after)), sessions });
        }
        outcome
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

    /// The DMs in the user's list, ascending.
    pub fn dm_ids(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.dms.iter().copied()
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
