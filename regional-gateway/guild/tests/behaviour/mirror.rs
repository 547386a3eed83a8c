//! A client's picture of the guild's channels, built of nothing but the events it gets.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::SubscriberId;
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::{ChannelInfoChannel, Event, StreamKey, VoiceState};
use rookery_model::stage_instance::StageInstance;
use rookery_model::{ChannelId, Patch, UserId};

/// One session's picture.
pub struct Mirror {
    pub id: SubscriberId,
    pub user_id: UserId,
    pub channels: BTreeMap<ChannelId, Channel>,
    /// Who is in which voice channel.
    pub voice: BTreeMap<UserId, ChannelId>,
    /// Stages that are live.
    pub stages: BTreeMap<ChannelId, StageInstance>,
    /// Statuses of voice channels; none before the first CHANNEL_INFO.
    pub statuses: BTreeMap<ChannelId, String>,
    /// Who streams, as their voice states say.
    pub streaming: BTreeSet<UserId>,
    /// Streams that the session shows or watches, with their viewers.
    pub streams: BTreeMap<StreamKey, Vec<UserId>>,
    pub is_in: bool,
}

impl Mirror {
    pub fn new(id: SubscriberId, user_id: UserId) -> Self {
        let stages = BTreeMap::new();
        Self {
            id,
            user_id,
            channels: BTreeMap::new(),
            voice: BTreeMap::new(),
            stages,
            statuses: BTreeMap::new(),
            streaming: BTreeSet::new(),
            streams: BTreeMap::new(),
            is_in: false,
        }
    }

    /// Takes in an event, refusing those that make no sense at this point.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::GuildCreate(guild) => {
                self.channels = guild.channels.iter().map(|c| (c.id, plain(c))).collect();
                let place = |state: &VoiceState| (state.user_id, state.channel_id.expect("a channel"));
                self.voice = guild.voice_states.iter().map(place).collect();
                self.streaming = guild.voice_states.iter().filter(|s| s.self_stream).map(|s| s.user_id).collect();
                assert!(self.voice.values().all(|channel| self.channels.contains_key(channel)));
                self.stages = guild.stage_instances.iter().map(|s| (s.channel_id, s.clone())).collect();
                assert!(self.stages.keys().all(|channel| self.channels.contains_key(channel)));
                // Which a session asks for.
                self.statuses.clear();
                self.is_in = true;
            }
            Event::GuildDelete(_) => {
                self.channels.clear();
                self.voice.clear();
                self.streaming.clear();
                self.streams.clear();
                self.stages.clear();
                self.statuses.clear();
                self.is_in = false;
            }
            Event::ChannelCreate(channel) => {
                assert!(self.channels.insert(channel.id, plain(channel)).is_none(), "created twice: {channel:?}");
            }
            Event::ChannelUpdate(channel) => {
                assert!(self.channels.insert(channel.id, plain(channel)).is_some(), "updated, not seen: {channel:?}");
            }
            Event::ChannelDelete(channel) => {
                let known = self.channels.remove(&channel.id);
                assert_eq!(known, Some(plain(channel)), "deleted as it was never seen");
                assert!(!self.voice.values().any(|id| *id == channel.id), "with somebody in it");
                assert!(!self.stages.contains_key(&channel.id), "while it is live");
                self.statuses.remove(&channel.id);
                assert!(!self.streams.keys().any(|key| key.channel_id == channel.id), "with a stream");
            }
            Event::ChannelInfo(info) => {
                let voice = self.channels.values().filter(|channel| channel.kind == ChannelType::GuildVoice);
                let told: Vec<ChannelId> = info.channels.iter().map(|channel| channel.id).collect();
                assert_eq!(told, voice.map(|channel| channel.id).collect::<Vec<_>>());
                let status = |channel: &ChannelInfoChannel| match &channel.status {
                    Patch::Set(status) => Some((channel.id, status.clone())),
                    Patch::Clear => None,
                    Patch::Keep => panic!("it was asked for"),
                };
                self.statuses = info.channels.iter().filter_map(status).collect();
            }
            Event::VoiceChannelStatusUpdate(update) => {
                assert!(self.channels.contains_key(&update.id), "of an unseen channel: {update:?}");
                match &update.status {
                    Some(status) => drop(self.statuses.insert(update.id, status.clone())),
                    None => assert!(self.statuses.remove(&update.id).is_some(), "had none: {update:?}"),
                }
            }
            Event::StageInstanceCreate(stage) => {
                assert!(self.channels.contains_key(&stage.channel_id), "live in an unseen channel: {stage:?}");
                assert!(self.stages.insert(stage.channel_id, stage.clone()).is_none(), "live twice: {stage:?}");
            }
            Event::StageInstanceUpdate(stage) => {
                assert!(self.stages.insert(stage.channel_id, stage.clone()).is_some(), "was not live: {stage:?}");
            }
            Event::StageInstanceDelete(stage) => {
                assert_eq!(self.stages.remove(&stage.channel_id).as_ref(), Some(stage), "ended as it was never seen");
            }
            Event::StreamCreate(stream) => {
                let key = self.key(&stream.stream_key);
                assert!(self.channels.contains_key(&key.channel_id), "in an unseen channel: {stream:?}");
                self.streams.insert(key, stream.viewer_ids.clone());
            }
            Event::StreamUpdate(stream) => {
                let key = self.key(&stream.stream_key);
                let known = self.streams.insert(key, stream.viewer_ids.clone());
                assert!(known.is_some(), "of a stream that it has nothing to do with: {stream:?}");
            }
            Event::StreamDelete(stream) => {
                let key = self.key(&stream.stream_key);
                // Whoever asks in vain is answered whatever they see.
                let known = self.streams.remove(&key).is_some();
                assert!(!known || self.channels.contains_key(&key.channel_id), "in an unseen channel: {stream:?}");
            }
            Event::VoiceStateUpdate(state) => match state.channel_id {
                Some(channel) => {
                    if state.self_stream {
                        self.streaming.insert(state.user_id);
                    } else {
                        self.streaming.remove(&state.user_id);
                    }
                    assert!(self.channels.contains_key(&channel), "in an unseen channel: {state:?}");
                    self.voice.insert(state.user_id, channel);
                }
                None => {
                    self.streaming.remove(&state.user_id);
                    assert!(self.voice.remove(&state.user_id).is_some(), "was in no channel seen: {state:?}");
                }
            },
            other => {
                if let Some(channel) = channel_of(other) {
                    assert!(self.channels.contains_key(&channel), "{} of an unseen channel", other.name());
                }
            }
        }
    }
}

impl Mirror {
    fn key(&self, text: &str) -> StreamKey {
        text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// Without what messages and pins change, which have events of their own.
pub fn plain(channel: &Channel) -> Channel {
    Channel { last_message_id: None, last_pin_timestamp: None, ..channel.clone() }
}

/// The channel in which something happened.
pub fn channel_of(event: &Event) -> Option<ChannelId> {
    Some(match event {
        Event::ChannelPinsUpdate(e) => e.channel_id,
        Event::InviteCreate(e) => e.channel_id,
        Event::InviteDelete(e) => e.channel_id,
        Event::MessageCreate(e) | Event::MessageUpdate(e) => e.message.channel_id,
        Event::MessageDelete(e) => e.channel_id,
        Event::MessageDeleteBulk(e) => e.channel_id,
        Event::MessageReactionAdd(e) | Event::MessageReactionRemove(e) => e.channel_id,
        Event::MessageReactionRemoveAll(e) | Event::MessageReactionRemoveEmoji(e) => e.channel_id,
        Event::TypingStart(e) => e.channel_id,
        Event::VoiceStateUpdate(e) => return e.channel_id,
        Event::VoiceChannelStatusUpdate(e) => e.id,
        Event::StageInstanceCreate(e) | Event::StageInstanceUpdate(e) => e.channel_id,
        Event::StageInstanceDelete(e) => e.channel_id,
        Event::StreamCreate(e) => e.stream_key.parse::<StreamKey>().ok()?.channel_id,
        Event::StreamUpdate(e) => e.stream_key.parse::<StreamKey>().ok()?.channel_id,
        _ => return None,
    })
}
