//! Who gets an event: sessions that may see what it tells and asked for its kind.

use std::sync::Arc;

use rookery_model::gateway::event::MessageEvent;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::message::Message;
use rookery_model::{ChannelId, Permissions, Timestamp, UserId};

use crate::outcome::{Audience, Dispatch, Outcome};
use crate::permission_cache::UNTIMED;
use crate::state::{GuildCore, GuildSpace, Space};
use crate::subscribers::{Scope, Split, Subscribers, Wanted, Wanters};

/// The sessions that an event is for now.
fn audience(
    guild: &mut GuildSpace,
    subscribers: &mut Subscribers,
    now: Timestamp,
    scope: Scope,
    wanted: Wanted,
) -> Split {
    let notes = guild.for_audiences.take();
    subscribers.catch_up(guild, notes);
    let split = subscribers.audience(guild, scope, wanted);
    // A time-out takes nothing of sight, and ends without anybody doing anything: it is looked at each time.
    let channel = match scope {
        Scope::Guild | Scope::Viewers(_) => None,
        Scope::Readers(id) | Scope::Permitted(id, _) => guild.channels().get(&id),
    };
    let Some(channel) = channel else { return split };
    let silenced: Vec<SubscriberId> = guild
        .members()
        .timed_out(now)
        .filter(|user_id| !scope.admits_now(guild, now, *user_id, channel))
        .flat_map(|user_id| subscribers.of(user_id).iter().copied())
        .collect();
    if silenced.is_empty() { split } else { split.retain(|id| !silenced.contains(&id)) }
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
    /// The guild's sessions that want what needs one of these intents, ascending.
    pub(crate) fn all_who_want(&mut self, required: Intents, wanters: Wanters) -> Arc<[SubscriberId]> {
        let Space::Guild(guild) = &mut self.space else { return Arc::default() };
        audience(guild, &mut self.subscribers, UNTIMED, Scope::Guild, Wanted::with(required, wanters)).all()
    }

    /// Those of them who see a channel, ascending.
    pub(crate) fn viewers_who_want(&mut self, channel_id: ChannelId, required: Intents) -> Arc<[SubscriberId]> {
        let Space::Guild(guild) = &mut self.space else { return Arc::default() };
        let wanted = Wanted::with(required, Wanters::All);
        audience(guild, &mut self.subscribers, UNTIMED, Scope::Viewers(channel_id), wanted).all()
    }

    /// An event about a channel itself, for everybody who sees it.
    pub(crate) fn send_to_channel(&mut self, out: &mut Outcome, channel_id: ChannelId, event: Event) {
        self.send_to_scope(out, UNTIMED, Scope::Viewers(channel_id), event);
    }

    /// An event about what is written in a channel, for everybody who may read it.
    pub(crate) fn send_to_readers(&mut self, out: &mut Outcome, now: Timestamp, channel_id: ChannelId, event: Event) {
        self.send_to_scope(out, now, Scope::Readers(channel_id), event);
    }

    /// An event for those who see the channel and may do one of these things in it.
    pub(crate) fn send_to_permitted(
        &mut self,
        out: &mut Outcome,
        now: Timestamp,
        channel_id: ChannelId,
        any_of: Permissions,
        event: Event,
    ) {
        if matches!(self.space, Space::Guild(_)) {
            self.send_to_scope(out, now, Scope::Permitted(channel_id, any_of), event);
        }
    }

    /// An event about the guild as a whole, for all of its sessions.
    pub(crate) fn send_to_all(&mut self, out: &mut Outcome, event: Event) {
        if matches!(self.space, Space::Guild(_)) {
            self.send_to_scope(out, UNTIMED, Scope::Guild, event);
        }
    }

    fn send_to_scope(&mut self, out: &mut Outcome, now: Timestamp, scope: Scope, event: Event) {
        match &mut self.space {
            Space::Dm(dm) => out.send_to_users(event, dm.user_ids()),
            Space::Guild(guild) => {
                let split = audience(guild, &mut self.subscribers, now, scope, Wanted::of(&event));
                out.send(event, split.all());
            }
        }
    }

    /// An event about a member, for those who follow members and for the member's own sessions whatever their intents.
    pub(crate) fn send_about_member(&mut self, out: &mut Outcome, member: UserId, event: Event) {
        let Space::Guild(guild) = &mut self.space else { return };
        let all = audience(guild, &mut self.subscribers, UNTIMED, Scope::Guild, Wanted::of(&event)).all();
        out.send(event, joined(all, self.subscribers.of(member)));
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
        let guild = match &mut self.space {
            Space::Dm(dm) => return out.send_to_users(kind(Box::new(event)), dm.user_ids()),
            Space::Guild(guild) => guild,
        };
        let event = kind(Box::new(event));
        let (Event::MessageCreate(message) | Event::MessageUpdate(message)) = &event else { return };
        let scope = Scope::Readers(message.message.channel_id);
        let is_new = matches!(event, Event::MessageCreate(_));
        let mut wanted = Wanted::of(&event);
        if is_new && message.message.mention_everyone {
            wanted = wanted.by_everybody();
        }
        let split = audience(guild, &mut self.subscribers, now, scope, wanted);
        let concerned = |id: &SubscriberId| {
            self.subscribers.get(*id).is_some_and(|s| {
                s.user_id == message.message.author.id || message.message.mentions.iter().any(|u| u.id == s.user_id)
            })
        };
        let (full, bare): (Vec<_>, Vec<_>) = split.without_content.iter().copied().partition(concerned);
        let mut full = joined(split.with_content, &full);
        if is_new {
            full = joined(full, &self.passive_mentioned(now, &message.message));
        }
        let stripped = (!bare.is_empty()).then(|| {
            kind(Box::new(MessageEvent {
                message: without_content(message.message.clone()),
                ..MessageEvent::clone(message)
            }))
        });
        out.send(event, full);
        if let Some(stripped) = stripped {
            out.send(stripped, bare);
        }
    }
}

/// A sorted audience with these sessions in it as well.
fn joined(all: Arc<[SubscriberId]>, more: &[SubscriberId]) -> Arc<[SubscriberId]> {
    let missing: Vec<SubscriberId> = more.iter().copied().filter(|id| all.binary_search(id).is_err()).collect();
    if missing.is_empty() {
        return all;
    }
    let mut joined: Vec<SubscriberId> = all.iter().copied().chain(missing).collect();
    joined.sort_unstable();
    joined.into()
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
