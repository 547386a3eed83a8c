//! Who is in which voice channel. Nothing of it is stored: a connection ends with its session.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::event::VoiceServerUpdate;
use rookery_model::gateway::{Event, Intents, SubscriberId, VoiceState, VoiceStateUpdate};
use rookery_model::voice::{RoomOwner, VoiceEntry, VoiceRights, VoiceRoomKind, VoiceToken};
use rookery_model::{ApiError, ChannelId, ErrorCode, Permissions, Timestamp, UserId, VoiceServerId};

use crate::Outcome;
use crate::access::require;
use crate::outcome::Effect;
use crate::permission_cache::is_timed_out;
use crate::state::{GuildCore, GuildSpace, Space};
use crate::subscribers::Wanters;
use crate::voice_status::VoiceStatuses;

/// What of a channel's permissions somebody needs to be in it.
const ENTRY: Permissions = Permissions::VIEW_CHANNEL.union(Permissions::CONNECT);

/// A session that has something to say of voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceSession {
    pub user_id: UserId,
    pub subscriber: SubscriberId,
    /// As all nodes know it, and no client.
    pub name: u128,
}

/// A member in a voice channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The session that it ends with.
    pub subscriber: SubscriberId,
    /// What that session's user's owner knows it by; only in a call, of which users' owners tell.
    session_name: Option<u128>,
    /// Names the connection to others.
    pub session_id: Box<str>,
    pub channel_id: ChannelId,
    self_mute: bool,
    self_deaf: bool,
    self_video: bool,
    /// Of a stage's audience, or in a voice channel without SPEAK.
    pub suppress: bool,
    pub request_to_speak_timestamp: Option<Timestamp>,
    /// What the channel grants beside; others are not told of it.
    pub granted: VoiceRights,
    /// Was let in by itself, and not moved in by a moderator: without CONNECT it has to go.
    has_entered: bool,
}

impl Connection {
    /// Somebody in the call of a DM.
    pub fn in_call(session: VoiceSession, session_id: &str, channel_id: ChannelId, update: &VoiceStateUpdate) -> Self {
        Self {
            subscriber: session.subscriber,
            session_name: Some(session.name),
            session_id: session_id.into(),
            channel_id,
            self_mute: update.self_mute,
            self_deaf: update.self_deaf,
            self_video: update.self_video,
            suppress: false,
            request_to_speak_timestamp: None,
            granted: VoiceRights::SHOW,
            has_entered: true,
        }
    }
    /// Whether it ends with this session.
    pub fn is_of(&self, id: SubscriberId) -> bool {
        self.subscriber == id
    }
    /// Whether this is its session in a call.
    pub fn is_named(&self, session_name: u128) -> bool {
        self.session_name == Some(session_name)
    }
    pub const fn subscriber(&self) -> SubscriberId {
        self.subscriber
    }
    pub fn session_id(&self) -> &str {
        &self.session_id
    }
    /// As the others of a call see it.
    pub fn state_in_call(&self, user_id: UserId, self_stream: bool) -> VoiceState {
        VoiceState {
            guild_id: None,
            channel_id: Some(self.channel_id),
            user_id,
            member: None,
            session_id: self.session_id.to_string(),
            deaf: false,
            mute: false,
            self_deaf: self.self_deaf,
            self_mute: self.self_mute,
            self_video: self.self_video,
            suppress: false,
            request_to_speak_timestamp: None,
            self_stream,
        }
    }
}

/// All members in voice channels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Voice {
    by_user: BTreeMap<UserId, Connection>,
    by_channel: HashMap<ChannelId, BTreeSet<UserId>>,
    pub statuses: VoiceStatuses,
    /// The guild's sight version at which everybody was looked at.
    checked_at: u64,
}

impl Voice {
    pub fn get(&self, user_id: UserId) -> Option<&Connection> {
        self.by_user.get(&user_id)
    }
    /// Those in a channel, by id.
    pub fn of_channel(&self, channel_id: ChannelId) -> impl Iterator<Item = UserId> {
        self.by_channel.get(&channel_id).into_iter().flatten().copied()
    }
    /// All, by id.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.by_user.keys().copied()
    }
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    fn count(&self, channel_id: ChannelId) -> usize {
        self.by_channel.get(&channel_id).map_or(0, BTreeSet::len)
    }
    fn put(&mut self, user_id: UserId, connection: Connection) -> Option<Connection> {
        let old = self.remove(user_id);
        self.by_channel.entry(connection.channel_id).or_default().insert(user_id);
        self.by_user.insert(user_id, connection);
        old
    }
    fn remove(&mut self, user_id: UserId) -> Option<Connection> {
        let old = self.by_user.remove(&user_id)?;
        if let Some(users) = self.by_channel.get_mut(&old.channel_id) {
            users.remove(&user_id);
            if users.is_empty() {
                self.by_channel.remove(&old.channel_id);
            }
        }
        Some(old)
    }
}

impl GuildCore {
    /// Joins, moves between or leaves voice channels, as a session asks with VOICE_STATE_UPDATE; `voice_session_id` names
    /// a new connection.
    ///
    /// 10004 for sessions that are not subscribed, 10003 and 50001 for channels that are not there or not seen, 50024 for
    /// channels without voice, 50013 without CONNECT or where the channel is full.
    pub fn update_voice_state(
        &mut self,
        now: Timestamp,
        id: SubscriberId,
        voice_session_id: &str,
        update: &VoiceStateUpdate,
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let user_id = self.subscribers.get(id).ok_or(ErrorCode::UnknownGuild)?.user_id;
        if update.guild_id != Some(guild.id()) {
            return Err(ErrorCode::UnknownGuild.into());
        }
        let mut out = Outcome::default();
        let Some(channel_id) = update.channel_id else {
            // A session that another has taken over from has nothing to leave.
            if self.voice.get(user_id).is_some_and(|connection| connection.subscriber == id) {
                self.disconnect(&mut out, user_id);
            }
            return Ok(out);
        };
        let access = self.access(now, user_id, channel_id)?;
        let old = self.voice.get(user_id);
        let is_there = old.is_some_and(|old| old.channel_id == channel_id);
        check_voice_channel(access.channel)?;
        if !is_there {
            access.require(Permissions::CONNECT)?;
            self.check_user_limit(access.channel, access.permissions)?;
        }
        let same_session = old.filter(|old| old.subscriber == id);
        let connection = Connection {
            subscriber: id,
            session_name: None,
            session_id: same_session.map_or_else(|| voice_session_id.into(), |old| old.session_id.clone()),
            channel_id,
            self_mute: update.self_mute,
            self_deaf: update.self_deaf,
            self_video: update.self_video && access.permissions.contains(Permissions::STREAM),
            suppress: is_suppressed(guild, access.channel, access.permissions, old.filter(|_| is_there)),
            request_to_speak_timestamp: old.filter(|_| is_there).and_then(|old| old.request_to_speak_timestamp),
            granted: granted(access.permissions),
            has_entered: !is_there || old.is_some_and(|old| old.has_entered),
        };
        self.connect(&mut out, user_id, connection);
        Ok(out)
    }

    /// The voice channel that a member is in.
    pub fn voice_channel(&self, user_id: UserId) -> Option<ChannelId> {
        self.voice.get(user_id).map(|connection| connection.channel_id)
    }

    /// Puts somebody where they are moved to, or with none out of voice.
    pub(crate) fn move_member(&mut self, out: &mut Outcome, user_id: UserId, to: Option<Connection>) {
        match to {
            Some(connection) => self.connect(out, user_id, connection),
            None => self.disconnect(out, user_id),
        }
    }

    /// Whether somebody who is in voice may be moved to another channel, or with none be put out, as `channel_id` of
    /// `PATCH /guilds/{id}/members/{id}` asks; what is to be handed to [`Self::move_member`].
    pub(crate) fn check_move(
        &self,
        now: Timestamp,
        mover: UserId,
        user_id: UserId,
        to: Option<ChannelId>,
    ) -> Result<Option<Connection>, ApiError> {
        let guild = self.guild()?;
        let old = self.voice.get(user_id).ok_or(ErrorCode::TargetNotInVoice)?;
        let from = guild.channels().get(&old.channel_id).ok_or(ErrorCode::UnknownChannel)?;
        require(guild.channel_permissions(now, mover, from), Permissions::MOVE_MEMBERS)?;
        let Some(channel_id) = to else { return Ok(None) };
        let access = self.access(now, mover, channel_id)?;
        check_voice_channel(access.channel)?;
        access.require(Permissions::CONNECT.union(Permissions::MOVE_MEMBERS))?;
        // Nobody is moved to where they see nothing.
        let theirs = guild.channel_permissions(now, user_id, access.channel);
        require(theirs, Permissions::VIEW_CHANNEL)?;
        Ok(Some(Connection {
            channel_id,
            suppress: is_suppressed(
                guild,
                access.channel,
                theirs,
                Some(old).filter(|old| old.channel_id == channel_id),
            ),
            request_to_speak_timestamp: old.request_to_speak_timestamp.filter(|_| old.channel_id == channel_id),
            self_video: old.self_video && theirs.contains(Permissions::STREAM),
            granted: granted(theirs),
            has_entered: theirs.contains(Permissions::CONNECT),
            ..old.clone()
        }))
    }

    /// Tells that a member who is in voice was muted or deafened by a moderator, or is no longer.
    pub(crate) fn announce_voice(&mut self, out: &mut Outcome, user_id: UserId) {
        let Some(connection) = self.voice.get(user_id).cloned() else { return };
        let Some(state) = self.voice_state(user_id, &connection) else { return };
        self.let_in(out, &state, &connection);
        self.tell_voice(out, connection.channel_id, state);
    }

    /// Tells once more where a member is: something that told it got lost.
    pub fn repeat_voice(&mut self, user_id: UserId) -> Outcome {
        let mut out = Outcome::default();
        match self.voice.get(user_id) {
            Some(_) => self.announce_voice(&mut out, user_id),
            // Where it was seen nobody knows any more: whoever did not see it learns of a member that is in no channel.
            None => {
                self.put_out(&mut out, user_id);
                let left = left(self.guild_id(), user_id, "");
                match &self.space {
                    Space::Dm(dm) => out.send_to_users(left, dm.user_ids()),
                    Space::Guild(_) => out.send(left, self.voice_followers()),
                }
            }
        }
        out
    }

    /// Tells those who see a channel, or are in the DM, and the user's own sessions.
    pub(crate) fn tell_voice(&mut self, out: &mut Outcome, channel_id: ChannelId, state: VoiceState) {
        let user_id = state.user_id;
        let event = Event::VoiceStateUpdate(Box::new(state));
        match &self.space {
            Space::Dm(dm) => out.send_to_users(event, dm.user_ids()),
            Space::Guild(_) => out.send(event, self.voice_audience(user_id, channel_id)),
        }
    }

    /// A room, of a channel or a stream, lets a member in, or there is none for now: their session is told where to go.
    /// Nothing happens if it is not the member's voice session any more.
    pub fn voice_server(
        &self,
        server_id: VoiceServerId,
        user_id: UserId,
        session_id: &str,
        token: &VoiceToken,
        endpoint: Option<&str>,
    ) -> Outcome {
        let mut out = Outcome::default();
        self.stream_server(&mut out, server_id, user_id, session_id, token, endpoint);
        let connection = self.voice_session(server_id, user_id, session_id);
        if let Some(connection) = connection {
            let guild_id = self.guild_id();
            let channel_id = guild_id.is_none().then_some(connection.channel_id);
            let endpoint = endpoint.map(str::to_owned);
            let update = VoiceServerUpdate { token: token.clone(), guild_id, channel_id, endpoint };
            self.send_to_connection(&mut out, user_id, connection, Event::VoiceServerUpdate(update));
        }
        out
    }

    /// Sends an event to the session by which somebody is in voice.
    pub(crate) fn send_to_connection(&self, out: &mut Outcome, user_id: UserId, connection: &Connection, event: Event) {
        match connection.session_name {
            None => out.send(event, vec![connection.subscriber]),
            Some(name) => Self::send_to_call_session(out, user_id, name, event),
        }
    }

    /// A member's connection to a room is gone for good: they are in no channel any more, or in no stream. Nothing happens if it is not
    /// the member's voice session any more.
    pub fn voice_gone(&mut self, server_id: VoiceServerId, user_id: UserId, session_id: &str) -> Outcome {
        let mut out = Outcome::default();
        self.stream_gone(&mut out, server_id, user_id, session_id);
        if self.voice_session(server_id, user_id, session_id).is_some() {
            self.disconnect(&mut out, user_id);
        }
        out
    }

    /// A member's connection, if it is this voice session.
    fn voice_session(&self, server_id: VoiceServerId, user_id: UserId, session_id: &str) -> Option<&Connection> {
        let is_own = self.voice_server_id() == server_id;
        self.voice.get(user_id).filter(|connection| is_own && *connection.session_id == *session_id)
    }

    /// Ends a member's connection; nothing happens to who has none.
    pub(crate) fn disconnect(&mut self, out: &mut Outcome, user_id: UserId) {
        self.leave_streams(out, user_id);
        let Some(old) = self.voice.remove(user_id) else { return };
        self.put_out(out, user_id);
        self.tell_voice(out, old.channel_id, left_state(self.guild_id(), user_id, &old.session_id));
        self.end_idle_voice_status(out, old.channel_id);
        self.left_call(out);
    }

    /// Ends all connections, as the process ends that they lead to.
    pub fn end_voice(&mut self) -> Outcome {
        let mut out = Outcome::default();
        self.end_connections(&mut out);
        out
    }

    pub(crate) fn end_connections(&mut self, out: &mut Outcome) {
        for user_id in self.voice.users().collect::<Vec<_>>() {
            self.disconnect(out, user_id);
        }
        // There may be some of channels where nobody was.
        self.end_voice_statuses(out);
    }

    /// Ends the connections of those in a channel that is about to go.
    pub(crate) fn disconnect_channel(&mut self, out: &mut Outcome, channel_id: ChannelId) {
        for user_id in self.voice.of_channel(channel_id).collect::<Vec<_>>() {
            self.disconnect(out, user_id);
        }
    }

    /// Ends the connection that a session holds, as the session ends.
    pub(crate) fn disconnect_session(&mut self, out: &mut Outcome, id: SubscriberId, user_id: UserId) {
        if self.voice.get(user_id).is_some_and(|connection| connection.subscriber == id) {
            self.disconnect(out, user_id);
        }
    }

    /// Puts out whoever may no longer be where they are, and tells who may speak now or no longer. To be called after every
    /// command; it looks at anybody only if permissions changed.
    pub(crate) fn enforce_voice(&mut self, out: &mut Outcome, now: Timestamp) {
        let Space::Guild(guild) = &self.space else { return };
        let version = guild.sight_version();
        if version == self.voice.checked_at {
            return;
        }
        self.voice.checked_at = version;
        for user_id in self.voice.users().collect::<Vec<_>>() {
            self.enforce_voice_of(out, now, user_id);
        }
    }

    fn enforce_voice_of(&mut self, out: &mut Outcome, now: Timestamp, user_id: UserId) {
        let Space::Guild(guild) = &self.space else { return };
        let Some(old) = self.voice.get(user_id) else { return };
        let channel = guild.channels().get(&old.channel_id);
        let permissions = channel.map_or(Permissions::empty(), |c| guild.channel_permissions(now, user_id, c));
        let needed = if old.has_entered { ENTRY } else { Permissions::VIEW_CHANNEL };
        let Some(channel) = channel.filter(|_| permissions.contains(needed)) else {
            return self.disconnect(out, user_id);
        };
        // Who has no right to enter has none to lose by a time-out.
        let is_timed_out = guild.members().get(user_id).is_some_and(|entry| is_timed_out(&entry.row, now));
        let suppress = is_timed_out || is_suppressed(guild, channel, permissions, Some(old));
        let self_video = old.self_video && permissions.contains(Permissions::STREAM);
        let granted = granted(permissions);
        self.connect(out, user_id, Connection { suppress, self_video, granted, ..old.clone() });
    }

    /// The connections in the channels that a user sees, for GUILD_CREATE.
    pub(crate) fn voice_states_for(&self, guild: &GuildSpace, viewer: UserId) -> Vec<VoiceState> {
        let sees = |channel: &ChannelId| guild.channels().get(channel).is_some_and(|c| guild.can_view(viewer, c));
        self.voice
            .by_user
            .iter()
            .filter(|(user_id, connection)| **user_id == viewer || sees(&connection.channel_id))
            .filter_map(|(user_id, connection)| self.voice_state(*user_id, connection))
            .map(|state| VoiceState { guild_id: None, member: None, ..state })
            .collect()
    }

    /// A channel appears to sessions, with those who are in it.
    pub(crate) fn send_voice_appeared(&self, out: &mut Outcome, channel_id: ChannelId, to: &[SubscriberId]) {
        for user_id in self.voice.of_channel(channel_id) {
            let Some(connection) = self.voice.get(user_id) else { continue };
            let Some(state) = self.voice_state(user_id, connection) else { continue };
            out.send(Event::VoiceStateUpdate(Box::new(state)), self.only_voice_followers(to));
        }
    }

    /// A channel vanishes before sessions, with those who are in it.
    pub(crate) fn send_voice_vanished(&self, out: &mut Outcome, channel_id: ChannelId, to: &[SubscriberId]) {
        self.send_streams_vanished(out, channel_id, to);
        for user_id in self.voice.of_channel(channel_id) {
            let Some(connection) = self.voice.get(user_id) else { continue };
            // Whoever is in it is put out behind this command, which their sessions hear here, before the channel is gone.
            out.send(left(self.guild_id(), user_id, &connection.session_id), self.only_voice_followers(to));
        }
    }

    /// Takes over the connections of an earlier core, for whose sessions this one has subscribers; those that cannot go
    /// on are ended.
    pub(crate) fn keep_voice(&mut self, out: &mut Outcome, now: Timestamp, voice: Voice) {
        let Space::Guild(guild) = &self.space else { return };
        // Whoever is in a channel that is not there any more was seen by those who saw it: nobody can tell who that was.
        let unknown: Vec<UserId> = voice
            .by_user
            .iter()
            .filter(|(_, connection)| !guild.channels().contains_key(&connection.channel_id))
            .map(|(user_id, _)| *user_id)
            .collect();
        self.voice = voice;
        self.forget_unknown_voice_statuses();
        for user_id in unknown {
            self.leave_streams(out, user_id);
            self.voice.remove(user_id);
            self.put_out(out, user_id);
            let event = left(self.guild_id(), user_id, "");
            out.send(event, self.voice_followers());
        }
        for user_id in self.voice.users().collect::<Vec<_>>() {
            let Some(connection) = self.voice.get(user_id) else { continue };
            if self.has_vanished_for(user_id, connection.channel_id) {
                // No command of this core made it vanish, so nobody told their sessions.
                let own = self.only_voice_followers(self.subscribers.of(user_id));
                let own = own.into_iter().filter(|id| self.follows_guild(*id)).collect::<Vec<_>>();
                out.send(left(self.guild_id(), user_id, &connection.session_id), own);
            }
            let holder = self.voice.get(user_id).map(|connection| connection.subscriber);
            if holder.is_some_and(|id| self.subscribers.get(id).is_none()) {
                self.disconnect(out, user_id);
            } else {
                self.enforce_voice_of(out, now, user_id);
            }
        }
    }

    /// Puts a connection in place and tells those who see where it was and where it is.
    pub(crate) fn connect(&mut self, out: &mut Outcome, user_id: UserId, connection: Connection) {
        let from = self.voice_channel(user_id);
        self.place(out, user_id, connection);
        if let Some(from) = from {
            self.end_idle_voice_status(out, from);
        }
    }

    fn place(&mut self, out: &mut Outcome, user_id: UserId, connection: Connection) {
        if self.voice.get(user_id) == Some(&connection) {
            return;
        }
        let channel_id = connection.channel_id;
        let is_same = |old: &Connection| {
            (old.channel_id, old.subscriber, &old.session_id)
                == (channel_id, connection.subscriber, &connection.session_id)
        };
        if !self.voice.get(user_id).is_some_and(is_same) {
            self.leave_streams(out, user_id);
        }
        let old = self.voice.put(user_id, connection.clone());
        let has_ended = self.enforce_stream(out, user_id);
        let Some(state) = self.voice_state(user_id, &connection) else { return };
        self.let_in(out, &state, &connection);
        let is_shown_alike = |old: &Connection| *old == Connection { granted: old.granted, ..connection.clone() };
        if !has_ended && old.as_ref().is_some_and(is_shown_alike) {
            return;
        }
        if let Some(old) = old.filter(|old| old.channel_id != channel_id) {
            let to = self.voice_audience(user_id, channel_id);
            // Those who see only where it was learn that it left, and not where to.
            let before = self.voice_audience(user_id, old.channel_id);
            let only: Vec<SubscriberId> = before.into_iter().filter(|id| to.binary_search(id).is_err()).collect();
            out.send(left(self.guild_id(), user_id, &old.session_id), only);
        }
        self.tell_voice(out, channel_id, state);
    }

    /// Has the room of a member's channel let them in, or know what they may now.
    fn let_in(&self, out: &mut Outcome, state: &VoiceState, connection: &Connection) {
        let guild = match &self.space {
            Space::Guild(guild) => guild,
            Space::Dm(dm) => {
                let entry = dm.voice_entry(&self.calls, state.user_id, connection);
                out.effects.push(Effect::VoiceConnected(Box::new(entry)));
                return self.let_into_streams(out, state.user_id);
            }
        };
        let Some(channel) = guild.channels().get(&connection.channel_id) else { return };
        let rights = [(VoiceRights::SPEAK, !state.mute && !state.suppress), (VoiceRights::HEAR, !state.deaf)];
        let spoken: VoiceRights = rights.into_iter().filter(|(_, has)| *has).map(|(right, _)| right).collect();
        // The audience of a stage is neither heard nor seen.
        let is_audience = state.suppress && channel.kind == ChannelType::GuildStageVoice;
        let shown = if is_audience { VoiceRights::empty() } else { connection.granted };
        out.effects.push(Effect::VoiceConnected(Box::new(VoiceEntry {
            owner: RoomOwner::Guild(guild.id()),
            server_id: guild.id().into(),
            channel_id: connection.channel_id,
            kind: if channel.kind == ChannelType::GuildStageVoice {
                VoiceRoomKind::Stage
            } else {
                VoiceRoomKind::Voice
            },
            rtc_region: channel.rtc_region.as_deref().map(Into::into),
            user_id: state.user_id,
            subscriber: connection.subscriber,
            // Those who know where sessions are say so.
            session_region: None,
            session_id: connection.session_id.clone(),
            visit: 0,
            rights: spoken | shown,
        })));
        self.let_into_streams(out, state.user_id);
    }

    /// A channel's room is to be in another region: everybody in it is told where to go.
    pub(crate) fn move_room(&self, out: &mut Outcome, channel_id: ChannelId) {
        for user_id in self.voice.of_channel(channel_id) {
            let Some(connection) = self.voice.get(user_id) else { continue };
            if let Some(state) = self.voice_state(user_id, connection) {
                self.let_in(out, &state, connection);
            }
        }
    }

    /// Has rooms put everybody out, as the guild is gone; there is nobody left to tell.
    pub(crate) fn put_all_out(&self, out: &mut Outcome) {
        self.end_all_streams(out);
        for user_id in self.voice.users() {
            self.put_out(out, user_id);
        }
    }

    /// Has the room of a member's channel put them out.
    fn put_out(&self, out: &mut Outcome, user_id: UserId) {
        out.effects.push(Effect::VoiceDisconnected { server_id: self.voice_server_id(), user_id });
    }

    /// Who decides who is in rooms here.
    pub(crate) fn room_owner(&self) -> RoomOwner {
        match &self.space {
            Space::Guild(guild) => RoomOwner::Guild(guild.id()),
            Space::Dm(dm) => RoomOwner::Dm(dm.channel.id),
        }
    }

    /// What voice connections here are for.
    fn voice_server_id(&self) -> VoiceServerId {
        match &self.space {
            Space::Guild(guild) => guild.id().into(),
            Space::Dm(dm) => dm.channel.id.into(),
        }
    }

    pub(crate) fn voice_state(&self, user_id: UserId, connection: &Connection) -> Option<VoiceState> {
        let guild = match &self.space {
            Space::Guild(guild) => guild,
            Space::Dm(dm) => return dm.voice_state(user_id, connection, self.streams.has(user_id)),
        };
        let member = guild.members().get(user_id)?;
        Some(VoiceState {
            guild_id: Some(guild.id()),
            channel_id: Some(connection.channel_id),
            user_id,
            member: Some(member.view()),
            session_id: connection.session_id.to_string(),
            deaf: member.row.deaf,
            mute: member.row.mute,
            self_deaf: connection.self_deaf,
            self_mute: connection.self_mute,
            self_video: connection.self_video,
            suppress: connection.suppress,
            request_to_speak_timestamp: connection.request_to_speak_timestamp,
            self_stream: self.streams.has(user_id),
        })
    }

    /// Whether a member does not see a channel that is there.
    pub(crate) fn has_vanished_for(&self, user_id: UserId, channel_id: ChannelId) -> bool {
        let Space::Guild(guild) = &self.space else { return false };
        let hidden = |channel: &Channel| !guild.can_view(user_id, channel);
        self.is_member(user_id) && guild.channels().get(&channel_id).is_some_and(hidden)
    }

    /// The user's own sessions, and those who see the channel; ascending. Own sessions before which the channel vanished
    /// heard it then.
    pub(crate) fn voice_audience(&mut self, user_id: UserId, channel_id: ChannelId) -> Vec<SubscriberId> {
        let mut to = self.viewers_who_want(channel_id, Intents::GUILD_VOICE_STATES).to_vec();
        let has_vanished = self.has_vanished_for(user_id, channel_id);
        let own = self.only_voice_followers(self.subscribers.of(user_id));
        to.extend(own.into_iter().filter(|id| !(has_vanished && self.follows_guild(*id))));
        to.sort_unstable();
        to.dedup();
        to
    }

    fn voice_followers(&mut self) -> Arc<[SubscriberId]> {
        self.all_who_want(Intents::GUILD_VOICE_STATES, Wanters::All)
    }

    fn only_voice_followers(&self, ids: &[SubscriberId]) -> Vec<SubscriberId> {
        let follows =
            |id: &SubscriberId| self.subscribers.get(*id).is_some_and(|s| s.wants(Intents::GUILD_VOICE_STATES));
        ids.iter().copied().filter(follows).collect()
    }

    /// 50013 if the channel is full for somebody who may not move members.
    fn check_user_limit(&self, channel: &Channel, permissions: Permissions) -> Result<(), ApiError> {
        let limit = channel.user_limit.unwrap_or(0) as usize;
        let has_room = limit == 0 || self.voice.count(channel.id) < limit;
        if has_room { Ok(()) } else { require(permissions, Permissions::MOVE_MEMBERS) }
    }
}

/// The state of somebody who is in no channel.
fn left(guild_id: Option<rookery_model::GuildId>, user_id: UserId, session_id: &str) -> Event {
    Event::VoiceStateUpdate(Box::new(left_state(guild_id, user_id, session_id)))
}

fn left_state(guild_id: Option<rookery_model::GuildId>, user_id: UserId, session_id: &str) -> VoiceState {
    VoiceState {
        guild_id,
        channel_id: None,
        user_id,
        member: None,
        session_id: session_id.to_owned(),
        deaf: false,
        mute: false,
        self_deaf: false,
        self_mute: false,
        self_video: false,
        suppress: false,
        request_to_speak_timestamp: None,
        self_stream: false,
    }
}

/// 50024 for channels that nobody can connect to.
fn check_voice_channel(channel: &Channel) -> Result<(), ApiError> {
    if channel.kind.is_voice_based() { Ok(()) } else { Err(ErrorCode::WrongChannelType.into()) }
}

/// Whoever comes to a stage is of its audience, a moderator too, until they are made a speaker; `there` is the connection
/// of somebody who is in the channel already.
fn is_suppressed(guild: &GuildSpace, channel: &Channel, permissions: Permissions, there: Option<&Connection>) -> bool {
    match channel.kind {
        ChannelType::GuildStageVoice => there.is_none_or(|there| there.suppress),
        // Clients go there by themselves when nobody uses them.
        _ if guild.properties().afk_channel_id == Some(channel.id) => true,
        _ => !permissions.contains(Permissions::SPEAK),
    }
}

/// What permissions grant that a voice state does not show.
fn granted(permissions: Permissions) -> VoiceRights {
    let mut granted = VoiceRights::empty();
    granted.set(VoiceRights::SHOW, permissions.contains(Permissions::STREAM));
    granted.set(VoiceRights::PRIORITY, permissions.contains(Permissions::PRIORITY_SPEAKER));
    granted
}
