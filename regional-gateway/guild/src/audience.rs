//! Who gets an event: sessions that may see what it tells and asked for its kind.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rookery_model::gateway::event::MessageEvent;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::message::Message;
use rookery_model::{ChannelId, Permissions, Timestamp, UserId};

use crate::outcome::{Audience, Dispatch, Outcome};
use crate::state::{GuildCore, GuildSpace, Space};

/// Audiences that are remembered; beyond, all are forgotten.
const REMEMBERED_MAX: usize = 4_096;

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

impl Subscriber {
    /// Whether the session asked for events that need one of these intents.
    pub(crate) fn wants(&self, required: Intents) -> bool {
        required.is_empty() || self.intents.is_none_or(|intents| intents.intersects(required))
    }
    /// Whether the session gets the content of messages that do not concern it.
    fn gets_content(&self) -> bool {
        self.intents.is_none_or(|intents| intents.contains(Intents::MESSAGE_CONTENT))
    }
}

/// The sessions of a guild, and the audiences computed of them.
#[derive(Default)]
pub(crate) struct Subscribers {
    by_id: BTreeMap<SubscriberId, Subscriber>,
    by_user: HashMap<UserId, Vec<SubscriberId>>,
    /// Viewers of a channel by required intents, with content and without.
    remembered: HashMap<(ChannelId, Intents), Split>,
    /// The guild's sight version for which `remembered` holds.
    remembered_at: u64,
    /// Those who follow the presences of all members, with people or without.
    presence_watchers: Option<(bool, Arc<[SubscriberId]>)>,
}

/// Viewers of a channel, apart by whether they get the content of messages.
#[derive(Clone)]
struct Split {
    with_content: Arc<[SubscriberId]>,
    without_content: Arc<[SubscriberId]>,
}

impl Subscribers {
    pub fn insert(&mut self, subscriber: Subscriber) {
        self.remove(subscriber.id);
        self.by_user.entry(subscriber.user_id).or_default().push(subscriber.id);
        self.by_id.insert(subscriber.id, subscriber);
    }
    pub fn remove(&mut self, id: SubscriberId) -> Option<Subscriber> {
        let subscriber = self.by_id.remove(&id)?;
        self.forget_audiences();
        if let Some(ids) = self.by_user.get_mut(&subscriber.user_id) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_user.remove(&subscriber.user_id);
            }
        }
        Some(subscriber)
    }
    /// Takes out all sessions of a user.
    pub fn remove_user(&mut self, user_id: UserId) {
        for id in self.by_user.get(&user_id).cloned().unwrap_or_default() {
            self.remove(id);
        }
    }
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    pub fn get(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.by_id.get(&id)
    }
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
    pub fn iter(&self) -> impl Iterator<Item = &Subscriber> {
        self.by_id.values()
    }
    /// Those who are connected.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.by_user.keys().copied()
    }
    /// The sessions of a user.
    pub fn of(&self, user_id: UserId) -> &[SubscriberId] {
        self.by_user.get(&user_id).map_or(&[], Vec::as_slice)
    }
    /// A new session: what was computed lacks it.
    pub fn forget_audiences(&mut self) {
        self.remembered.clear();
        self.presence_watchers = None;
    }
    /// Those who get the presences of all members, ascending: bots with the intent, and people if so told.
    pub fn presence_watchers(&mut self, with_people: bool) -> Arc<[SubscriberId]> {
        if let Some((known, watchers)) = &self.presence_watchers
            && *known == with_people
        {
            return Arc::clone(watchers);
        }
        let watches = |s: &&Subscriber| s.sees_presences() && (with_people || s.intents.is_some());
        let watchers: Arc<[SubscriberId]> = self.by_id.values().filter(watches).map(|s| s.id).collect();
        self.presence_watchers = Some((with_people, Arc::clone(&watchers)));
        watchers
    }
    /// Those who see a channel and asked for one of these intents, in no order.
    pub fn channel_viewers(
        &mut self,
        guild: &GuildSpace,
        channel_id: ChannelId,
        required: Intents,
    ) -> Arc<[SubscriberId]> {
        self.viewers(guild, channel_id, required).all()
    }

    fn viewers(&mut self, guild: &GuildSpace, channel_id: ChannelId, required: Intents) -> Split {
        if self.remembered_at != guild.sight_version() || self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
            self.remembered_at = guild.sight_version();
        }
        if let Some(split) = self.remembered.get(&(channel_id, required)) {
            return split.clone();
        }
        let (mut with, mut without) = (Vec::new(), Vec::new());
        if let Some(channel) = guild.channels().get(&channel_id) {
            for s in self.by_id.values().filter(|s| s.wants(required)) {
                if guild.can_view(s.user_id, channel) {
                    if s.gets_content() { with.push(s.id) } else { without.push(s.id) }
                }
            }
        }
        let split = Split { with_content: with.into(), without_content: without.into() };
        self.remembered.insert((channel_id, required), split.clone());
        split
    }

    /// Those viewers of a channel who may read what is written in it now. For most channels that is all of them; a
    /// voice channel's text is for those who may connect, and a time-out takes that away without a change of anything
    /// that is remembered.
    fn readers(&mut self, guild: &GuildSpace, now: Timestamp, channel_id: ChannelId, required: Intents) -> Split {
        let split = self.viewers(guild, channel_id, required);
        let Some(channel) = guild.channels().get(&channel_id).filter(|channel| channel.kind.is_voice_based()) else {
            return split;
        };
        let reads = |id: &SubscriberId| self.get(*id).is_some_and(|s| guild.can_read(now, s.user_id, channel));
        let only = |ids: &[SubscriberId]| ids.iter().copied().filter(|id| reads(id)).collect();
        Split { with_content: only(&split.with_content), without_content: only(&split.without_content) }
    }
}

impl Split {
    fn all(self) -> Arc<[SubscriberId]> {
        if self.without_content.is_empty() {
            return self.with_content;
        }
        self.with_content.iter().chain(&*self.without_content).copied().collect()
    }
}

impl Outcome {
    /// Adds an event for sessions, unless there are none.
    pub(crate) fn send(&mut self, event: impl Into<Arc<Event>>, to: impl Into<Arc<[SubscriberId]>>) {
        let to = to.into();
        if !to.is_empty() {
            self.dispatches.push(Dispatch { event: event.into(), audience: Audience::Subscribers(to) });
        }
    }
    /// Adds an event for users.
    pub(crate) fn send_to_users(&mut self, event: impl Into<Arc<Event>>, to: impl Into<Arc<[UserId]>>) {
        let to = to.into();
        if !to.is_empty() {
            self.dispatches.push(Dispatch { event: event.into(), audience: Audience::Users(to) });
        }
    }
}

impl GuildCore {
    /// An event about a channel itself, for everybody who sees it.
    pub(crate) fn send_to_channel(&mut self, out: &mut Outcome, channel_id: ChannelId, event: Event) {
        match &self.space {
            Space::Dm(dm) => out.send_to_users(event, dm.user_ids()),
            Space::Guild(guild) => {
                let split = self.subscribers.viewers(guild, channel_id, event.required_intents());
                out.send(event, split.all());
            }
        }
    }

    /// An event about what is written in a channel, for everybody who may read it.
    pub(crate) fn send_to_readers(&mut self, out: &mut Outcome, now: Timestamp, channel_id: ChannelId, event: Event) {
        match &self.space {
            Space::Dm(dm) => out.send_to_users(event, dm.user_ids()),
            Space::Guild(guild) => {
                let split = self.subscribers.readers(guild, now, channel_id, event.required_intents());
                out.send(event, split.all());
            }
        }
    }

    /// An event for those who see the channel and may do one of these things in it.
    pub(crate) fn send_to_permitted(
        &self,
        out: &mut Outcome,
        now: Timestamp,
        channel_id: ChannelId,
        any_of: Permissions,
        event: Event,
    ) {
        let Space::Guild(guild) = &self.space else { return };
        let Some(channel) = guild.channels().get(&channel_id) else { return };
        let required = event.required_intents();
        let to: Vec<SubscriberId> = self
            .subscribers
            .iter()
            .filter(|s| s.wants(required))
            .filter(|s| guild.channel_permissions(now, s.user_id, channel).intersects(any_of))
            .map(|s| s.id)
            .collect();
        out.send(event, to);
    }

    /// An event about the guild as a whole, for all of its sessions.
    pub(crate) fn send_to_all(&self, out: &mut Outcome, event: Event) {
        let required = event.required_intents();
        let to: Vec<SubscriberId> = self.subscribers.iter().filter(|s| s.wants(required)).map(|s| s.id).collect();
        out.send(event, to);
    }

    /// An event about a member, for those who follow members and for the member's own sessions whatever their intents.
    pub(crate) fn send_about_member(&self, out: &mut Outcome, member: UserId, event: Event) {
        let required = event.required_intents();
        let to: Vec<SubscriberId> =
            self.subscribers.iter().filter(|s| s.user_id == member || s.wants(required)).map(|s| s.id).collect();
        out.send(event, to);
    }

    /// A message for everybody who may read its channel: with its content for those who may have it, without for bots that
    /// lack the message content intent, unless they wrote it or are mentioned in it.
    pub(crate) fn send_message(
        &mut self,
        out: &mut Outcome,
        now: Timestamp,
        event: MessageEvent,
        kind: fn(Box<MessageEvent>) -> Event,
    ) {
        let guild = match &self.space {
            Space::Dm(dm) => return out.send_to_users(kind(Box::new(event)), dm.user_ids()),
            Space::Guild(guild) => guild,
        };
        let channel_id = event.message.channel_id;
        let split = self.subscribers.readers(guild, now, channel_id, Intents::GUILD_MESSAGES);
        if split.without_content.is_empty() {
            return out.send(kind(Box::new(event)), split.with_content);
        }
        let concerned = |id: &SubscriberId| {
            self.subscribers.get(*id).is_some_and(|s| {
                s.user_id == event.message.author.id || event.message.mentions.iter().any(|u| u.id == s.user_id)
            })
        };
        let (full, bare): (Vec<_>, Vec<_>) = split.without_content.iter().copied().partition(concerned);
        let stripped = MessageEvent { message: without_content(event.message.clone()), ..event.clone() };
        let full: Arc<[SubscriberId]> = split.with_content.iter().copied().chain(full).collect();
        out.send(kind(Box::new(event)), full);
        out.send(kind(Box::new(stripped)), bare);
    }
}

fn without_content(mut message: Message) -> Message {
    message.content = String::new();
    message.embeds = Vec::new();
    message.attachments = Vec::new();
    message.components = Vec::new();
    message.referenced_message =
        message.referenced_message.map(|inner| inner.map(|message| Box::new(without_content(*message))));
    message
}
