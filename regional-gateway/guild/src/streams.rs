//! Go Live: who streams in which voice channel or call, and who watches. Nothing of it is stored.
//!
//! Everybody who has to do with a stream is in its channel, by the session that is in voice: a stream ends with its
//! streamer's voice connection, and whoever leaves the channel watches no more. Each stream is a voice server of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rookery_model::channel::ChannelType;
use rookery_model::gateway::{
    Event, StreamAction, StreamCreated, StreamDeleteReason, StreamDeleted, StreamKey, StreamServerUpdate, StreamUpdate,
    SubscriberId,
};
use rookery_model::voice::{StreamQuality, StreamSettings, VoiceEntry, VoiceRights, VoiceRoomKind, VoiceToken};
use rookery_model::{ApiError, ChannelId, ErrorCode, UserId, VoiceServerId};

use crate::Outcome;
use crate::limits::StreamQualityLimit;
use crate::outcome::Effect;
use crate::state::{GuildCore, Space};
use crate::voice::{Connection, VoiceSession};

/// The guild's premium tier from which on streams are larger and faster.
const BOOSTED_FROM_TIER: u8 = 2;

/// A member's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stream {
    server_id: VoiceServerId,
    channel_id: ChannelId,
    /// Where the streamer wants it, if the channel leaves that open.
    preferred_region: Option<Box<str>>,
    settings: StreamSettings,
    paused: bool,
    /// The newest visit of each.
    viewers: BTreeMap<UserId, u32>,
}

/// All streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    by_streamer: BTreeMap<UserId, Stream>,
    by_server: HashMap<VoiceServerId, UserId>,
    /// Whose streams somebody watches.
    watched: HashMap<UserId, BTreeSet<UserId>>,
    /// Grows with each who comes to a stream: whoever comes again is told anew where to go.
    visits: u32,
}

impl Streams {
    /// Whether somebody streams.
    pub fn has(&self, streamer: UserId) -> bool {
        self.by_streamer.contains_key(&streamer)
    }

    fn of_server(&self, server_id: VoiceServerId) -> Option<UserId> {
        self.by_server.get(&server_id).copied()
    }

    fn next_visit(&mut self) -> u32 {
        self.visits = self.visits.wrapping_add(1);
        self.visits
    }

    fn put(&mut self, streamer: UserId, stream: Stream) {
        self.by_server.insert(stream.server_id, streamer);
        self.by_streamer.insert(streamer, stream);
    }

    fn remove(&mut self, streamer: UserId) -> Option<Stream> {
        let viewers = self.by_streamer.get(&streamer)?.viewer_ids();
        viewers.into_iter().for_each(|viewer| self.remove_viewer(streamer, viewer));
        let stream = self.by_streamer.remove(&streamer)?;
        self.by_server.remove(&stream.server_id);
        Some(stream)
    }

    fn put_viewer(&mut self, streamer: UserId, viewer: UserId) {
        let visit = self.next_visit();
        if let Some(stream) = self.by_streamer.get_mut(&streamer) {
            stream.viewers.insert(viewer, visit);
            self.watched.entry(viewer).or_default().insert(streamer);
        }
    }

    fn remove_viewer(&mut self, streamer: UserId, viewer: UserId) {
        if let Some(stream) = self.by_streamer.get_mut(&streamer) {
            stream.viewers.remove(&viewer);
        }
        if let Some(watched) = self.watched.get_mut(&viewer) {
            watched.remove(&streamer);
            if watched.is_empty() {
                self.watched.remove(&viewer);
            }
        }
    }

    /// Those whose streams somebody watches.
    fn watched_by(&self, viewer: UserId) -> Vec<UserId> {
        self.watched.get(&viewer).into_iter().flatten().copied().collect()
    }

    /// Those with which somebody has to do.
    fn of(&self, user_id: UserId) -> impl Iterator<Item = (UserId, &Stream)> {
        let all = self.watched.get(&user_id).into_iter().flatten().copied().chain([user_id]);
        all.filter_map(|streamer| Some((streamer, self.by_streamer.get(&streamer)?)))
    }

    fn in_channel(&self, channel_id: ChannelId) -> impl Iterator<Item = (UserId, &Stream)> {
        let is_here = move |(_, stream): &(&UserId, &Stream)| stream.channel_id == channel_id;
        self.by_streamer.iter().filter(is_here).map(|(streamer, stream)| (*streamer, stream))
    }
}

impl Stream {
    fn viewer_ids(&self) -> Vec<UserId> {
        self.viewers.keys().copied().collect()
    }
}

impl GuildCore {
    /// Starts, watches, leaves, ends or pauses a stream, as a session asks. What it may not do is answered with
    /// STREAM_DELETE, which tells why. A stream that begins has this id; without one, for the moment, it does not.
    ///
    /// 10004 for sessions that are not subscribed, and for streams outside of the guild; 10003 for those who are not in the DM,
    /// and for streams outside of it.
    pub fn stream(
        &mut self,
        session: VoiceSession,
        key: StreamKey,
        action: &StreamAction,
        server_id: Option<VoiceServerId>,
    ) -> Result<Outcome, ApiError> {
        let user_id = self.stream_asker(session, key)?;
        let id = session.subscriber;
        let mut out = Outcome::default();
        let done = match action {
            StreamAction::Create { preferred_region } => match server_id {
                Some(server_id) => self.create_stream(&mut out, id, key, preferred_region.clone(), server_id),
                None => {
                    if self.has_to_do(id, user_id, key) {
                        self.end_stream(&mut out, user_id, StreamDeleteReason::StreamEnded);
                        self.announce_streaming(&mut out, user_id);
                    }
                    let (stream_key, reason) = (key.to_string(), StreamDeleteReason::StreamEnded);
                    let event = Event::StreamDelete(StreamDeleted { stream_key, reason, unavailable: true });
                    self.answer(&mut out, session, event);
                    Ok(())
                }
            },
            StreamAction::Watch => self.watch_stream(&mut out, id, user_id, key),
            StreamAction::Delete => self.leave_stream(&mut out, id, user_id, key),
            StreamAction::Ping if self.has_to_do(id, user_id, key) => Ok(()),
            StreamAction::Ping => Err(StreamDeleteReason::StreamEnded),
            StreamAction::SetPaused(paused) => {
                self.pause_stream(&mut out, id, user_id, key, *paused);
                Ok(())
            }
        };
        if let Err(reason) = done {
            self.answer(&mut out, session, deleted(key.to_string(), reason));
        }
        Ok(out)
    }

    /// Who asks about a stream, which may be here.
    fn stream_asker(&self, session: VoiceSession, key: StreamKey) -> Result<UserId, ApiError> {
        match &self.space {
            Space::Guild(_) => {
                let guild_id = self.guild()?.id();
                let subscriber = self.subscribers.get(session.subscriber).ok_or(ErrorCode::UnknownGuild)?;
                if key.guild_id == Some(guild_id) {
                    Ok(subscriber.user_id)
                } else {
                    Err(ErrorCode::UnknownGuild.into())
                }
            }
            Space::Dm(dm) => {
                let is_here = (key.guild_id, key.channel_id) == (None, dm.channel.id);
                if is_here && dm.contains(session.user_id) {
                    Ok(session.user_id)
                } else {
                    Err(ErrorCode::UnknownChannel.into())
                }
            }
        }
    }

    /// Tells the session that asked.
    fn answer(&self, out: &mut Outcome, session: VoiceSession, event: Event) {
        match &self.space {
            Space::Guild(_) => out.send(event, vec![session.subscriber]),
            Space::Dm(_) => Self::send_to_call_session(out, session.user_id, session.name, event),
        }
    }

    fn create_stream(
        &mut self,
        out: &mut Outcome,
        id: SubscriberId,
        key: StreamKey,
        preferred_region: Option<Box<str>>,
        server_id: VoiceServerId,
    ) -> Result<(), StreamDeleteReason> {
        let streamer = key.user_id;
        self.stream_connection(id, streamer, key).ok_or(StreamDeleteReason::InvalidChannel)?;
        if !self.may_stream(streamer) {
            return Err(StreamDeleteReason::Unauthorized);
        }
        // Who asks once more has lost what came of it: it begins anew.
        self.end_stream(out, streamer, StreamDeleteReason::StreamEnded);
        let is_region = |id: &str| self.limits.voice_regions.iter().any(|region| region.id == id);
        let stream = Stream {
            server_id,
            channel_id: key.channel_id,
            preferred_region: preferred_region.filter(|region| is_region(region)),
            settings: StreamSettings {
                streamer,
                viewers_max: self.limits.stream_viewers_max,
                quality: self.stream_quality(),
            },
            paused: false,
            viewers: BTreeMap::new(),
        };
        self.streams.put(streamer, stream);
        self.announce_streaming(out, streamer);
        self.enter_stream(out, streamer, streamer);
        Ok(())
    }

    fn watch_stream(
        &mut self,
        out: &mut Outcome,
        id: SubscriberId,
        user_id: UserId,
        key: StreamKey,
    ) -> Result<(), StreamDeleteReason> {
        let streamer = key.user_id;
        // Who is not in the channel does not learn whether there is a stream.
        self.stream_connection(id, user_id, key).ok_or(StreamDeleteReason::Unauthorized)?;
        let is_here = |stream: &&Stream| stream.channel_id == key.channel_id;
        let stream = self.streams.by_streamer.get(&streamer).filter(is_here);
        let stream = stream.ok_or(StreamDeleteReason::StreamEnded)?;
        if user_id == streamer {
            // Of their own stream they see what they show.
            return Ok(());
        }
        let is_new = !stream.viewers.contains_key(&user_id);
        if is_new && stream.viewers.len() >= stream.settings.viewers_max as usize {
            return Err(StreamDeleteReason::StreamFull);
        }
        self.streams.put_viewer(streamer, user_id);
        self.enter_stream(out, streamer, user_id);
        if is_new {
            self.announce_stream(out, streamer, Some(user_id));
        }
        Ok(())
    }

    fn leave_stream(
        &mut self,
        out: &mut Outcome,
        id: SubscriberId,
        user_id: UserId,
        key: StreamKey,
    ) -> Result<(), StreamDeleteReason> {
        let requested = StreamDeleteReason::UserRequested;
        if !self.has_to_do(id, user_id, key) {
            return Err(requested);
        }
        if user_id == key.user_id {
            self.end_stream(out, user_id, requested);
            self.announce_streaming(out, user_id);
            return Ok(());
        }
        self.stop_watching(out, key.user_id, user_id, requested);
        Ok(())
    }

    fn pause_stream(&mut self, out: &mut Outcome, id: SubscriberId, user_id: UserId, key: StreamKey, paused: bool) {
        if user_id != key.user_id || !self.has_to_do(id, user_id, key) {
            return;
        }
        let stream = self.streams.by_streamer.get_mut(&user_id);
        if stream.is_some_and(|stream| std::mem::replace(&mut stream.paused, paused) != paused) {
            self.announce_stream(out, user_id, None);
        }
    }

    /// The connection by which a session is in a stream's channel.
    fn stream_connection(&self, id: SubscriberId, user_id: UserId, key: StreamKey) -> Option<&Connection> {
        self.voice.get(user_id).filter(|there| there.subscriber == id && there.channel_id == key.channel_id)
    }

    /// Whether a session streams this, or watches it.
    fn has_to_do(&self, id: SubscriberId, user_id: UserId, key: StreamKey) -> bool {
        let stream = self.streams.by_streamer.get(&key.user_id).filter(|stream| stream.channel_id == key.channel_id);
        let is_in = |stream: &Stream| user_id == key.user_id || stream.viewers.contains_key(&user_id);
        stream.is_some_and(is_in) && self.stream_connection(id, user_id, key).is_some()
    }

    /// Whether somebody who is in voice may stream where they are.
    fn may_stream(&self, user_id: UserId) -> bool {
        let Some(connection) = self.voice.get(user_id) else { return false };
        // In a call everybody may who is there.
        let Space::Guild(guild) = &self.space else { return true };
        let channel = guild.channels().get(&connection.channel_id);
        let is_stage = channel.is_some_and(|channel| channel.kind == ChannelType::GuildStageVoice);
        let is_audience = is_stage && connection.suppress;
        connection.granted.contains(VoiceRights::SHOW) && !is_audience
    }

    fn stream_quality(&self) -> StreamQuality {
        // A DM has no tier.
        let tier = self.guild().map_or(0, |guild| guild.properties().premium_tier);
        match self.limits.stream_quality {
            StreamQualityLimit::ByTier if tier < BOOSTED_FROM_TIER => StreamQuality::Standard,
            StreamQualityLimit::ByTier | StreamQualityLimit::Boosted => StreamQuality::Boosted,
            StreamQualityLimit::Standard => StreamQuality::Standard,
        }
    }

    /// Ends the stream of somebody who may not stream any more, newly or where they are now; whether there was one.
    pub(crate) fn enforce_stream(&mut self, out: &mut Outcome, streamer: UserId) -> bool {
        let is_over = self.streams.has(streamer) && !self.may_stream(streamer);
        if is_over {
            self.end_stream(out, streamer, StreamDeleteReason::Unauthorized);
        }
        is_over
    }

    /// Takes somebody out of all streams, whose connection to voice ends or becomes another; their voice state is the
    /// caller's to tell.
    pub(crate) fn leave_streams(&mut self, out: &mut Outcome, user_id: UserId) {
        self.end_stream(out, user_id, StreamDeleteReason::StreamEnded);
        for streamer in self.streams.watched_by(user_id) {
            self.stop_watching(out, streamer, user_id, StreamDeleteReason::StreamEnded);
        }
    }

    fn end_stream(&mut self, out: &mut Outcome, streamer: UserId, reason: StreamDeleteReason) {
        let Some(stream) = self.streams.by_streamer.get(&streamer) else { return };
        let (server_id, key) = (stream.server_id, self.stream_key(streamer, stream));
        let everybody = stream.viewer_ids().into_iter().chain([streamer]);
        out.effects.extend(everybody.map(|user_id| Effect::VoiceDisconnected { server_id, user_id }));
        self.send_to_stream(out, streamer, stream, None, &deleted(key, reason));
        self.streams.remove(streamer);
    }

    fn stop_watching(&mut self, out: &mut Outcome, streamer: UserId, viewer: UserId, reason: StreamDeleteReason) {
        let Some(stream) = self.streams.by_streamer.get(&streamer) else { return };
        let event = deleted(self.stream_key(streamer, stream), reason);
        out.effects.push(Effect::VoiceDisconnected { server_id: stream.server_id, user_id: viewer });
        self.send_to_one(out, stream, viewer, event);
        self.streams.remove_viewer(streamer, viewer);
        self.announce_stream(out, streamer, None);
    }

    /// Tells somebody of a stream that they stream or watch from now on, and has its room let them in.
    fn enter_stream(&self, out: &mut Outcome, streamer: UserId, user_id: UserId) {
        let Some(stream) = self.streams.by_streamer.get(&streamer) else { return };
        let created = StreamCreated {
            stream_key: self.stream_key(streamer, stream),
            region: self.stream_region(stream),
            viewer_ids: stream.viewer_ids(),
            rtc_server_id: stream.server_id,
            rtc_channel_id: stream.channel_id,
            paused: stream.paused,
        };
        self.send_to_one(out, stream, user_id, Event::StreamCreate(created));
        self.let_into_stream(out, streamer, stream, user_id);
    }

    /// Has the rooms of all streams that somebody has to do with know what they may now.
    pub(crate) fn let_into_streams(&self, out: &mut Outcome, user_id: UserId) {
        for (streamer, stream) in self.streams.of(user_id) {
            self.let_into_stream(out, streamer, stream, user_id);
        }
    }

    fn let_into_stream(&self, out: &mut Outcome, streamer: UserId, stream: &Stream, user_id: UserId) {
        let Some(connection) = self.voice.get(user_id) else { return };
        let Some(state) = self.voice_state(user_id, connection) else { return };
        let rights = if user_id == streamer {
            // Whoever is not heard in the channel is not heard by a stream.
            let speaks = !state.mute && !state.suppress;
            if speaks { VoiceRights::SHOW | VoiceRights::SPEAK } else { VoiceRights::SHOW }
        } else if state.deaf {
            VoiceRights::empty()
        } else {
            VoiceRights::HEAR
        };
        let visit = stream.viewers.get(&user_id).copied().unwrap_or_default();
        out.effects.push(Effect::VoiceConnected(Box::new(VoiceEntry {
            owner: self.room_owner(),
            server_id: stream.server_id,
            channel_id: stream.channel_id,
            kind: VoiceRoomKind::Stream(stream.settings),
            rtc_region: self.wanted_region(stream),
            user_id,
            subscriber: connection.subscriber,
            session_region: None,
            session_id: connection.session_id.clone(),
            visit,
            rights,
        })));
    }

    /// The room of a stream lets somebody in, or there is none for now: their session is told where to go.
    pub(crate) fn stream_server(
        &self,
        out: &mut Outcome,
        server_id: VoiceServerId,
        user_id: UserId,
        session_id: &str,
        token: &VoiceToken,
        endpoint: Option<&str>,
    ) {
        let Some((streamer, stream)) = self.stream_of_session(server_id, user_id, session_id) else { return };
        let update = StreamServerUpdate {
            stream_key: self.stream_key(streamer, stream),
            endpoint: endpoint.map(str::to_owned),
            token: token.clone(),
            guild_id: None,
        };
        self.send_to_one(out, stream, user_id, Event::StreamServerUpdate(update));
    }

    /// Somebody's connection to a stream's room is gone for good.
    pub(crate) fn stream_gone(
        &mut self,
        out: &mut Outcome,
        server_id: VoiceServerId,
        user_id: UserId,
        session_id: &str,
    ) {
        let Some((streamer, _)) = self.stream_of_session(server_id, user_id, session_id) else { return };
        if streamer == user_id {
            self.end_stream(out, streamer, StreamDeleteReason::StreamEnded);
            self.announce_streaming(out, streamer);
        } else {
            self.stop_watching(out, streamer, user_id, StreamDeleteReason::StreamEnded);
        }
    }

    /// A session may have missed what was told of a stream: it has nothing to do with it any more, and may ask anew.
    pub fn forget_stream(&mut self, id: SubscriberId, stream_key: &str) -> Outcome {
        match self.subscribers.get(id) {
            Some(subscriber) => {
                // A guild does not know sessions by name.
                let session = VoiceSession { user_id: subscriber.user_id, subscriber: id, name: 0 };
                self.forget_stream_of(session, stream_key)
            }
            None => Outcome::default(),
        }
    }

    /// The same in a call, whose sessions are known by their names.
    pub fn forget_call_stream(&mut self, user_id: UserId, name: u128, stream_key: &str) -> Outcome {
        if let Some(there) = self.voice.get(user_id).filter(|there| there.is_named(name)) {
            let subscriber = there.subscriber;
            return self.forget_stream_of(VoiceSession { user_id, subscriber, name }, stream_key);
        }
        let mut out = Outcome::default();
        let event = deleted(stream_key.to_owned(), StreamDeleteReason::StreamEnded);
        Self::send_to_call_session(&mut out, user_id, name, event);
        out
    }

    fn forget_stream_of(&mut self, session: VoiceSession, stream_key: &str) -> Outcome {
        let mut out = Outcome::default();
        let Ok(key) = stream_key.parse::<StreamKey>() else { return out };
        let VoiceSession { user_id, subscriber: id, .. } = session;
        let ended = StreamDeleteReason::StreamEnded;
        if !self.has_to_do(id, user_id, key) {
            if !self.has_vanished_for(user_id, key.channel_id) {
                self.answer(&mut out, session, deleted(stream_key.to_owned(), ended));
            }
        } else if user_id == key.user_id {
            self.end_stream(&mut out, user_id, ended);
            self.announce_streaming(&mut out, user_id);
        } else {
            self.stop_watching(&mut out, key.user_id, user_id, ended);
        }
        out
    }

    /// A channel vanishes before sessions, and with it the streams that they have to do with.
    pub(crate) fn send_streams_vanished(&self, out: &mut Outcome, channel_id: ChannelId, to: &[SubscriberId]) {
        for (streamer, stream) in self.streams.in_channel(channel_id) {
            let concerned: BTreeSet<SubscriberId> = stream
                .viewers
                .keys()
                .chain([&streamer])
                .filter_map(|user_id| self.voice.get(*user_id))
                .map(|connection| connection.subscriber)
                .filter(|id| to.contains(id))
                .collect();
            let event = deleted(self.stream_key(streamer, stream), StreamDeleteReason::Unauthorized);
            out.send(event, concerned.into_iter().collect::<Vec<_>>());
        }
    }

    /// Has the rooms of all streams put everybody out, as the guild is gone.
    pub(crate) fn end_all_streams(&self, out: &mut Outcome) {
        for (streamer, stream) in &self.streams.by_streamer {
            let everybody = stream.viewer_ids().into_iter().chain([*streamer]);
            let server_id = stream.server_id;
            out.effects.extend(everybody.map(|user_id| Effect::VoiceDisconnected { server_id, user_id }));
        }
    }

    /// Who streams where, and who watches.
    pub fn streams(&self) -> Vec<(StreamKey, Vec<UserId>)> {
        let guild_id = self.guild_id();
        let streams = self.streams.by_streamer.iter();
        streams
            .map(|(streamer, stream)| {
                (StreamKey { guild_id, channel_id: stream.channel_id, user_id: *streamer }, stream.viewer_ids())
            })
            .collect()
    }

    /// Tells of other viewers, or of a pause, to all who have to do with a stream but one.
    fn announce_stream(&self, out: &mut Outcome, streamer: UserId, except: Option<UserId>) {
        let Some(stream) = self.streams.by_streamer.get(&streamer) else { return };
        let update = StreamUpdate {
            stream_key: self.stream_key(streamer, stream),
            region: self.stream_region(stream),
            viewer_ids: stream.viewer_ids(),
            paused: stream.paused,
        };
        self.send_to_stream(out, streamer, stream, except, &Event::StreamUpdate(update));
    }

    /// Tells everybody who sees the channel that a member streams, or no longer.
    fn announce_streaming(&mut self, out: &mut Outcome, streamer: UserId) {
        let Some(connection) = self.voice.get(streamer).cloned() else { return };
        let Some(state) = self.voice_state(streamer, &connection) else { return };
        self.tell_voice(out, connection.channel_id, state);
    }

    /// Tells all who have to do with a stream but one.
    fn send_to_stream(
        &self,
        out: &mut Outcome,
        streamer: UserId,
        stream: &Stream,
        except: Option<UserId>,
        event: &Event,
    ) {
        let everybody = stream.viewers.keys().copied().chain([streamer]).filter(|id| Some(*id) != except);
        if let Space::Dm(_) = self.space {
            return everybody.for_each(|user_id| self.send_to_one(out, stream, user_id, event.clone()));
        }
        let there = everybody.filter_map(|user_id| Some(self.stream_connection_of(stream, user_id)?.subscriber));
        let mut to: Vec<SubscriberId> = there.collect();
        to.sort_unstable();
        out.send(event.clone(), to);
    }

    fn send_to_one(&self, out: &mut Outcome, stream: &Stream, user_id: UserId, event: Event) {
        if let Some(connection) = self.stream_connection_of(stream, user_id) {
            self.send_to_connection(out, user_id, connection, event);
        }
    }

    /// The connection by whose session somebody hears of a stream; none of a session that left the guild, or before which the
    /// channel vanished.
    fn stream_connection_of(&self, stream: &Stream, user_id: UserId) -> Option<&Connection> {
        let connection = self.voice.get(user_id)?;
        let Space::Guild(_) = self.space else { return Some(connection) };
        let is_there =
            self.subscribers.get(connection.subscriber).is_some() && !self.has_vanished_for(user_id, stream.channel_id);
        is_there.then_some(connection)
    }

    fn stream_of_session(
        &self,
        server_id: VoiceServerId,
        user_id: UserId,
        session_id: &str,
    ) -> Option<(UserId, &Stream)> {
        let streamer = self.streams.of_server(server_id)?;
        let stream = self.streams.by_streamer.get(&streamer)?;
        let is_in = user_id == streamer || stream.viewers.contains_key(&user_id);
        let is_session = self.voice.get(user_id).is_some_and(|connection| *connection.session_id == *session_id);
        (is_in && is_session).then_some((streamer, stream))
    }

    fn stream_key(&self, streamer: UserId, stream: &Stream) -> String {
        let key = StreamKey { guild_id: self.guild_id(), channel_id: stream.channel_id, user_id: streamer };
        key.to_string()
    }

    /// Where a stream's room is to be, if it matters.
    fn wanted_region(&self, stream: &Stream) -> Option<Box<str>> {
        let of_channel = match &self.space {
            Space::Guild(guild) => guild.channels().get(&stream.channel_id).and_then(|c| c.rtc_region.as_deref()),
            Space::Dm(_) => self.calls.region(),
        };
        of_channel.map(Into::into).or_else(|| stream.preferred_region.clone())
    }

    /// As clients are told.
    fn stream_region(&self, stream: &Stream) -> String {
        let home = || self.limits.voice_regions.first().map(|region| region.id.clone());
        self.wanted_region(stream).map(String::from).or_else(home).unwrap_or_default()
    }
}

fn deleted(stream_key: String, reason: StreamDeleteReason) -> Event {
    Event::StreamDelete(StreamDeleted { stream_key, reason, unavailable: false })
}
