//! Channels that appear to sessions, and those that vanish, when roles, overwrites or memberships change.
//!
//! A session that no longer sees a channel gets CHANNEL_DELETE with the channel as it last saw it; one that newly sees
//! it gets CHANNEL_CREATE; one that sees it before and after gets CHANNEL_UPDATE if the channel itself changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use rookery_model::channel::{Channel, OverwriteType};
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::{ChannelId, RoleId, UserId};

use crate::outcome::Outcome;
use crate::state::{GuildCore, GuildSpace, Space};

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// None: all who are connected.
    user: Option<UserId>,
    /// None: all channels, none of which changes itself.
    channels: Option<Vec<ChannelId>>,
}

impl Scope {
    /// A change of what a member's roles are.
    pub fn of_user(user: UserId) -> Self {
        Self { user: Some(user), channels: None }
    }
    /// A change of what a role gives.
    pub fn everything() -> Self {
        Self::default()
    }
    /// A change of these channels.
    pub fn of_channels(channels: impl IntoIterator<Item = ChannelId>) -> Self {
        Self { user: None, channels: Some(channels.into_iter().collect()) }
    }
}

/// What the sessions saw before a change.
pub(crate) struct Sight {
    scope: Scope,
    /// By user: the channels in scope that they see, ascending. Users with the same roles share theirs.
    seen: BTreeMap<UserId, Rc<[ChannelId]>>,
    /// Channels that are about to change, as they were.
    old: BTreeMap<ChannelId, Channel>,
}

impl Sight {
    /// Notes that these channels will change as well, though the scope is wider.
    pub fn remember(&mut self, channels: impl IntoIterator<Item = Channel>) {
        self.old.extend(channels.into_iter().map(|channel| (channel.id, channel)));
    }
}

#[derive(Default)]
struct Changed {
    gained: Vec<SubscriberId>,
    lost: Vec<SubscriberId>,
    kept: Vec<SubscriberId>,
}

impl GuildCore {
    /// Notes what is seen now; to be followed by the change and by [`GuildCore::announce_sight`].
    pub(crate) fn sight(&self, scope: Scope) -> Sight {
        let Space::Guild(guild) = &self.space else {
            return Sight { scope, seen: BTreeMap::new(), old: BTreeMap::new() };
        };
        let seen = self.seen_now(guild, &scope);
        let old = scope.channels.iter().flatten().filter_map(|id| guild.channels().get(id));
        let old = old.map(|channel| (channel.id, channel.clone())).collect();
        Sight { scope, seen, old }
    }

    /// Tells sessions of the channels that they see newly, no longer, or changed.
    pub(crate) fn announce_sight(&self, before: &Sight, out: &mut Outcome) {
        let Space::Guild(guild) = &self.space else { return };
        let after = self.seen_now(guild, &before.scope);
        let changed_channels: HashSet<ChannelId> = before
            .old
            .iter()
            .filter(|(id, old)| guild.channels().get(id).is_none_or(|new| new != *old))
            .map(|(id, _)| *id)
            .collect();
        let mut changes: BTreeMap<ChannelId, Changed> = BTreeMap::new();
        let nothing: Rc<[ChannelId]> = Rc::new([]);
        for (user_id, seen_after) in &after {
            let seen_before = before.seen.get(user_id).unwrap_or(&nothing);
            let sessions = || self.subscribers.of(*user_id).iter().copied().filter(|id| self.follows_guild(*id));
            for id in seen_after.iter() {
                if seen_before.binary_search(id).is_err() {
                    changes.entry(*id).or_default().gained.extend(sessions());
                } else if changed_channels.contains(id) {
                    changes.entry(*id).or_default().kept.extend(sessions());
                }
            }
            for id in seen_before.iter().filter(|id| seen_after.binary_search(id).is_err()) {
                changes.entry(*id).or_default().lost.extend(sessions());
            }
        }
        for (id, change) in changes {
            let Some(channel) = before.old.get(&id).or_else(|| guild.channels().get(&id)) else { continue };
            let (lost, gained) = (sorted(change.lost), sorted(change.gained));
            self.send_voice_vanished(out, id, &lost);
            self.send_stage_vanished(out, id, &lost);
            out.send(Event::ChannelDelete(channel.clone()), lost);
            let Some(channel) = guild.channels().get(&id) else { continue };
            out.send(Event::ChannelCreate(channel.clone()), gained.clone());
            self.send_stage_appeared(out, id, &gained);
            self.send_voice_appeared(out, id, &gained);
            self.send_voice_status_appeared(out, id, &gained);
            out.send(Event::ChannelUpdate(channel.clone()), sorted(change.kept));
        }
    }

    pub(crate) fn follows_guild(&self, id: SubscriberId) -> bool {
        self.subscribers.get(id).is_some_and(|s| s.wants(Intents::GUILDS))
    }

    fn seen_now(&self, guild: &GuildSpace, scope: &Scope) -> BTreeMap<UserId, Rc<[ChannelId]>> {
        let channels: Vec<&Channel> = match &scope.channels {
            Some(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                ids.iter().filter_map(|id| guild.channels().get(id)).collect()
            }
            None => guild.channels().values().collect(),
        };
        let users: Vec<UserId> = match scope.user {
            Some(user) => vec![user],
            None => self.subscribers.users().collect(),
        };
        // Whoever has an overwrite of their own, and the owner, sees something of their own.
        let own: HashSet<UserId> = channels
            .iter()
            .flat_map(|channel| &channel.permission_overwrites)
            .filter(|overwrite| overwrite.kind == OverwriteType::Member)
            .map(|overwrite| UserId(overwrite.id))
            .chain([guild.owner_id()])
            .collect();
        let mut shared: HashMap<&[RoleId], Rc<[ChannelId]>> = HashMap::new();
        let look =
            |user| -> Rc<[ChannelId]> { channels.iter().filter(|c| guild.can_view(user, c)).map(|c| c.id).collect() };
        let mut seen = BTreeMap::new();
        for user in users {
            let Some(entry) = guild.members().get(user) else { continue };
            let sees = if own.contains(&user) {
                look(user)
            } else {
                shared.entry(&entry.row.roles).or_insert_with(|| look(user)).clone()
            };
            seen.insert(user, sees);
        }
        seen
    }
}

fn sorted(mut ids: Vec<SubscriberId>) -> Vec<SubscriberId> {
    ids.sort_unstable();
    ids
}
