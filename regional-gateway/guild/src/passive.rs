//! Passive sessions: of a guild that a person's client does not look at it gets deltas instead of events.
//!
//! What is written there, who types, reacts, comes and goes is not sent, unless a message mentions the user. Instead,
//! every [`PASSIVE_UPDATE_INTERVAL_MS`] at most, one PASSIVE_UPDATE tells of the channels in which something was written or
//! pinned since, those that the session may view at that moment. Channels, roles and the guild itself are told as ever.

use std::collections::{BTreeMap, BTreeSet};

use rookery_model::channel::OverwriteType;
use rookery_model::gateway::{Capabilities, Event, PassiveChannel, PassiveUpdateV1, PassiveUpdateV2, SubscriberId};
use rookery_model::message::Message;
use rookery_model::{ChannelId, Timestamp, UserId};

use crate::Outcome;
use crate::state::{GuildCore, GuildSpace, Space};

/// The shortest time between two deltas of a guild.
pub const PASSIVE_UPDATE_INTERVAL_MS: i64 = 5_000;

/// What passive sessions were not told of yet.
#[derive(Debug, Default)]
pub(crate) struct Passive {
    /// Channels in which something was written or pinned.
    changed: BTreeSet<ChannelId>,
    due: Option<Timestamp>,
}

/// The form of the delta that a session reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V1,
    V2,
}

impl GuildCore {
    /// Takes note of a channel's newest message or pin for those who do not look at the guild.
    pub(crate) fn note_passive(&mut self, now: Timestamp, channel_id: ChannelId) {
        if matches!(self.space, Space::Guild(_)) && self.subscribers.has_passive() {
            self.passive.changed.insert(channel_id);
            self.passive.due.get_or_insert(Timestamp(now.0 + PASSIVE_UPDATE_INTERVAL_MS * 1_000));
        }
    }

    /// Counts every channel as changed: passive sessions may have missed something, as when the guild was loaded anew
    /// under them.
    pub fn renew_passive(&mut self, now: Timestamp) {
        for channel_id in self.channel_ids() {
            self.note_passive(now, channel_id);
        }
    }

    /// When [`GuildCore::handle_passive_timeout`] is due.
    pub fn poll_passive_timeout(&self) -> Option<Timestamp> {
        self.passive.due
    }

    /// Sends the deltas that are due.
    pub fn handle_passive_timeout(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        if self.passive.due.is_none_or(|due| now < due) {
            return out;
        }
        let Passive { changed, .. } = std::mem::take(&mut self.passive);
        let Space::Guild(guild) = &self.space else { return out };
        let changed: Vec<ChannelId> = changed.into_iter().filter(|id| guild.channels().contains_key(id)).collect();
        let mut audiences: BTreeMap<(Vec<ChannelId>, Version), Vec<SubscriberId>> = BTreeMap::new();
        let exceptions = exceptions(guild, &changed);
        for (roles, ids) in self.subscribers.passive() {
            let sees = |id: &&ChannelId| {
                let channel = guild.channels().get(*id);
                channel.is_some_and(|channel| guild.class_views(roles, channel))
            };
            let seen: Vec<ChannelId> = changed.iter().filter(sees).copied().collect();
            for id in ids {
                let Some(subscriber) = self.subscribers.get(*id) else { continue };
                let seen = if exceptions.contains(&subscriber.user_id) {
                    views(guild, subscriber.user_id, &changed)
                } else {
                    seen.clone()
                };
                let version = version_of(subscriber.capabilities);
                audiences.entry((seen, version)).or_default().push(*id);
            }
        }
        for ((seen, version), mut ids) in audiences.into_iter().filter(|((seen, _), _)| !seen.is_empty()) {
            ids.sort_unstable();
            out.send(delta(guild, &seen, version), ids);
        }
        out
    }

    /// What a session that begins to look at the guild was not told of yet.
    pub(crate) fn send_passive_rest(&self, out: &mut Outcome, id: SubscriberId) {
        let Space::Guild(guild) = &self.space else { return };
        let Some(subscriber) = self.subscribers.get(id) else { return };
        let changed: Vec<ChannelId> = self.passive.changed.iter().copied().collect();
        let seen = views(guild, subscriber.user_id, &changed);
        if !seen.is_empty() {
            out.send(delta(guild, &seen, version_of(subscriber.capabilities)), [id]);
        }
    }

    /// Passive sessions of users whom a message mentions by name or role and who may read it.
    pub(crate) fn passive_mentioned(&self, now: Timestamp, message: &Message) -> Vec<SubscriberId> {
        let Space::Guild(guild) = &self.space else { return Vec::new() };
        let Some(channel) = guild.channels().get(&message.channel_id) else { return Vec::new() };
        if !self.subscribers.has_passive() {
            return Vec::new();
        }
        let named = message.mentions.iter().flat_map(|user| self.subscribers.of(user.id)).copied();
        let by_role = self
            .subscribers
            .passive()
            .filter(|(roles, _)| roles.iter().any(|role| message.mention_roles.contains(role)))
            .flat_map(|(_, ids)| ids.iter().copied());
        let reads = |id: &SubscriberId| {
            let subscriber = self.subscribers.get(*id).filter(|_| self.subscribers.is_passive(*id));
            subscriber.is_some_and(|s| guild.can_read(now, s.user_id, channel))
        };
        let found: BTreeSet<SubscriberId> = named.chain(by_role).filter(reads).collect();
        found.into_iter().collect()
    }
}

fn version_of(capabilities: Capabilities) -> Version {
    if capabilities.contains(Capabilities::PASSIVE_GUILD_UPDATE_V2) { Version::V2 } else { Version::V1 }
}

/// Those who may see other channels than others with their roles.
fn exceptions(guild: &GuildSpace, channels: &[ChannelId]) -> BTreeSet<UserId> {
    let overwrites =
        channels.iter().filter_map(|id| guild.channels().get(id)).flat_map(|channel| &channel.permission_overwrites);
    let members = overwrites.filter(|o| o.kind == OverwriteType::Member).map(|o| UserId(o.id));
    members.chain([guild.owner_id()]).collect()
}

fn views(guild: &GuildSpace, user_id: UserId, channels: &[ChannelId]) -> Vec<ChannelId> {
    let sees = |id: &&ChannelId| guild.channels().get(*id).is_some_and(|channel| guild.can_view(user_id, channel));
    channels.iter().filter(sees).copied().collect()
}

fn delta(guild: &GuildSpace, channels: &[ChannelId], version: Version) -> Event {
    let channels = channels
        .iter()
        .filter_map(|id| guild.channels().get(id))
        .map(|channel| PassiveChannel {
            id: channel.id,
            last_message_id: channel.last_message_id,
            last_pin_timestamp: channel.last_pin_timestamp,
        })
        .collect();
    let guild_id = guild.id();
    match version {
        Version::V1 => {
            let (voice_states, members) = (Vec::new(), Vec::new());
            Event::PassiveUpdateV1(PassiveUpdateV1 { guild_id, channels, voice_states, members })
        }
        Version::V2 => Event::PassiveUpdateV2(PassiveUpdateV2 {
            guild_id,
            updated_channels: channels,
            updated_voice_states: Vec::new(),
            removed_voice_states: Vec::new(),
            updated_members: Vec::new(),
        }),
    }
}
