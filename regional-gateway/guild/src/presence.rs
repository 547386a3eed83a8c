//! Which members are there and what they do, and who is told.
//!
//! A presence is a register: only its newest state counts. In large guilds changes wait for a moment, and only the newest
//! of a member goes out. A change that nobody follows costs the same few steps however many members there are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rookery_model::UserId;
use rookery_model::gateway::{Event, Intents, Presence, PresenceEvent, PresenceUser, SubscriberId};
use rookery_model::user::User;

use crate::Outcome;
use crate::journal::Note;
use crate::state::{GuildCore, Space};
use crate::subscribers::{Subscriber, Wanters};

/// The presences of a guild's members who are not offline.
#[derive(Default)]
pub(crate) struct Presences {
    by_user: HashMap<UserId, Arc<Presence>>,
    /// Changes that were not told yet, each with what was told before.
    untold: HashMap<UserId, Option<Arc<Presence>>>,
    /// When they are to be told, on the monotonic clock.
    due_ms: Option<u64>,
}

impl Presences {
    pub fn get(&self, id: UserId) -> Option<&Arc<Presence>> {
        self.by_user.get(&id)
    }
    pub fn len(&self) -> usize {
        self.by_user.len()
    }
    /// Those who are not offline, in no order.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.by_user.keys().copied()
    }
    /// Forgets a member who left: nothing of them is told any more.
    pub fn remove(&mut self, id: UserId) {
        self.by_user.remove(&id);
        self.untold.remove(&id);
    }
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    /// Forgets those who are no members.
    fn retain(&mut self, is_member: impl Fn(UserId) -> bool) {
        self.by_user.retain(|id, _| is_member(*id));
        self.untold.retain(|id, _| is_member(*id));
    }
    /// Puts a new state in place; what was there, if it is another.
    fn put(&mut self, id: UserId, presence: Option<Arc<Presence>>) -> Option<Option<Arc<Presence>>> {
        let presence = presence.filter(|presence| !presence.is_offline());
        if self.by_user.get(&id) == presence.as_ref() {
            return None;
        }
        Some(match presence {
            Some(presence) => self.by_user.insert(id, presence),
            None => self.by_user.remove(&id),
        })
    }
}

impl Subscriber {
    /// Whether the session may know who is there.
    pub(crate) fn sees_presences(&self) -> bool {
        self.intents.is_none_or(|intents| intents.contains(Intents::GUILD_PRESENCES))
    }
}

impl GuildCore {
    /// Takes in what a user is seen as from now on; none is offline. Whoever is no member is passed over.
    ///
    /// `now_ms` is of a monotonic clock.
    pub fn presence_changed(&mut self, now_ms: u64, user_id: UserId, presence: Option<Arc<Presence>>) -> Outcome {
        let mut out = Outcome::default();
        let is_batched = match &self.space {
            Space::Guild(guild) if !guild.is_deleted && guild.members().contains(user_id) => {
                guild.members().len() > self.limits.presence_batch_above
            }
            _ => return out,
        };
        let Some(before) = self.presences.put(user_id, presence) else { return out };
        self.note_shown(user_id);
        self.update_lists(&mut out);
        if is_batched {
            self.presences.untold.entry(user_id).or_insert(before);
            self.presences.due_ms.get_or_insert(now_ms.saturating_add(self.limits.presence_batch_ms));
        } else {
            self.presences.untold.remove(&user_id);
            self.send_presence(&mut out, user_id, user_id.into());
        }
        out
    }

    /// Takes in who is there as the guild is loaded, when nobody is to be told of a change.
    pub fn load_presences(&mut self, all: impl IntoIterator<Item = (UserId, Arc<Presence>)>) {
        let Space::Guild(guild) = &self.space else { return };
        for (user_id, presence) in all {
            if guild.members().contains(user_id) {
                self.presences.put(user_id, Some(presence));
            }
        }
    }

    /// Takes over the presences of an earlier core.
    pub(crate) fn keep_presences(&mut self, mut presences: Presences) {
        let Space::Guild(guild) = &mut self.space else { return };
        presences.retain(|id| guild.members().contains(id));
        // Anybody's may be another.
        guild.for_lists.note(Note::Order);
        self.presences = presences;
    }

    /// The members who are not offline, in no order.
    pub fn online(&self) -> impl Iterator<Item = UserId> + '_ {
        self.presences.users()
    }

    /// When [`Self::handle_timeout`] is due, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.presences.due_ms
    }

    /// Tells of the presences that changed since the last batch, the newest of each member.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Outcome {
        let mut out = Outcome::default();
        if self.presences.due_ms.is_none_or(|due_ms| now_ms < due_ms) {
            return out;
        }
        self.presences.due_ms = None;
        let mut untold: Vec<_> = std::mem::take(&mut self.presences.untold).into_iter().collect();
        untold.sort_unstable_by_key(|(user_id, _)| *user_id);
        for (user_id, before) in untold {
            if self.presences.get(user_id) != before.as_ref() {
                self.send_presence(&mut out, user_id, user_id.into());
            }
        }
        out
    }

    /// What a member is seen as; none is offline.
    pub fn presence(&self, user_id: UserId) -> Option<&Arc<Presence>> {
        self.presences.get(user_id)
    }

    /// Tells once more what a member is seen as: something that told it got lost.
    pub fn repeat_presence(&mut self, user_id: UserId) -> Outcome {
        let mut out = Outcome::default();
        if matches!(&self.space, Space::Guild(guild) if guild.members().contains(user_id)) {
            self.send_presence(&mut out, user_id, user_id.into());
        }
        out
    }

    /// The changed name or avatar of a member who is there.
    pub(crate) fn send_renamed(&mut self, out: &mut Outcome, user: &User) {
        if self.presences.get(user.id).is_some() {
            self.send_presence(out, user.id, PresenceUser::Whole(Box::new(user.clone())));
        }
    }

    /// Entries of a list, of those who are not offline.
    pub(crate) fn presences_of(&self, ids: impl IntoIterator<Item = UserId>) -> Vec<PresenceEvent> {
        ids.into_iter().filter_map(|id| Some(self.presences.get(id)?.of(id.into(), None))).collect()
    }

    /// Whether people get the presences of all members, or only of those whom they look at.
    pub(crate) fn tells_people_all(&self) -> bool {
        self.member_count() <= self.limits.presence_everyone_max
    }

    /// The sessions that look at a member: what lists of members on the screen, or an open profile, ask for in guilds
    /// whose presences do not all go to everybody.
    fn lookers(&self, user_id: UserId) -> Vec<SubscriberId> {
        self.lists.lookers(user_id)
    }

    /// The user's own sessions know it from the user's owner.
    fn send_presence(&mut self, out: &mut Outcome, user_id: UserId, user: PresenceUser) {
        let with_people = self.tells_people_all();
        let wanters = if with_people { Wanters::All } else { Wanters::Bots };
        let watchers = self.all_who_want(Intents::GUILD_PRESENCES, wanters);
        let lookers = if with_people { Vec::new() } else { self.lookers(user_id) };
        let own = self.subscribers.of(user_id);
        let to = if lookers.is_empty() && !own.iter().any(|id| watchers.binary_search(id).is_ok()) {
            watchers
        } else {
            let all: BTreeSet<SubscriberId> = watchers.iter().copied().chain(lookers).collect();
            all.into_iter().filter(|id| !own.contains(id)).collect()
        };
        if to.is_empty() {
            return;
        }
        let offline = Presence::default();
        let presence = self.presences.get(user_id).map_or(&offline, Arc::as_ref);
        out.send(Event::PresenceUpdate(presence.of(user, self.guild_id())), to);
    }
}
