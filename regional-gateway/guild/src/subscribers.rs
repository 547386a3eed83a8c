//! The sessions of a guild, by what they may see and what they want: nothing here is done once for each of them per event.
//!
//! Sessions of members with one set of roles see the same channels, unless the member has an overwrite of their own or owns
//! the guild. So they are kept by class, and the audience of a channel is put together of whole classes. It is remembered,
//! and follows each session that comes, goes or changes its roles.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rookery_model::channel::{Channel, OverwriteType};
use rookery_model::gateway::{Capabilities, Event, Intents, SubscriberId};
use rookery_model::{ChannelId, Permissions, RoleId, Timestamp, UserId};

use crate::id_set::IdSet;
use crate::journal::Note;
use crate::permission_cache::UNTIMED;
use crate::state::GuildSpace;

/// Audiences that are remembered; beyond, all are forgotten.
const REMEMBERED_MAX: usize = 1_024;

/// Events that a session does not get of a guild it does not look at, by the intents that they need.
const LIVELY: Intents = Intents::GUILD_MESSAGES
    .union(Intents::GUILD_MESSAGE_REACTIONS)
    .union(Intents::GUILD_MESSAGE_TYPING)
    .union(Intents::GUILD_MESSAGE_POLLS)
    .union(Intents::GUILD_MEMBERS)
    .union(Intents::GUILD_PRESENCES);

/// A session that wants the guild's events.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub id: SubscriberId,
    pub user_id: UserId,
    /// None: a person's client, which gets everything.
    pub intents: Option<Intents>,
    /// Guilds with more members than this come without the offline ones.
    pub large_threshold: u32,
    /// Of a person's client; a bot's mean nothing.
    pub capabilities: Capabilities,
}

impl Subscriber {
    /// Whether the session asked for events that need one of these intents.
    pub(crate) fn wants(&self, required: Intents) -> bool {
        required.is_empty() || self.intents.is_none_or(|intents| intents.intersects(required))
    }
    /// Whether it wants deltas of guilds that it does not look at, instead of what happens in them.
    pub(crate) fn is_passive(&self) -> bool {
        let passive = Capabilities::PASSIVE_GUILD_UPDATE | Capabilities::PASSIVE_GUILD_UPDATE_V2;
        self.intents.is_none() && self.capabilities.intersects(passive)
    }
}

/// What an event is, as far as it decides who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub required: Intents,
    /// Not for sessions that do not look at the guild.
    pub lively: bool,
    pub wanters: Wanters,
}

/// Whose sessions may want an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanters {
    All,
    /// Not people, who get what the event tells of those whom they look at.
    Bots,
}

impl Wanted {
    pub fn of(event: &Event) -> Self {
        let required = event.required_intents();
        let lively = required.intersects(LIVELY) || matches!(event, Event::ChannelPinsUpdate(_));
        Self { required, lively, wanters: Wanters::All }
    }
    /// As an event that needs one of these intents.
    pub fn with(required: Intents, wanters: Wanters) -> Self {
        Self { required, lively: required.intersects(LIVELY), wanters }
    }
    /// As a message that concerns everybody: for those who do not look at the guild, too.
    pub const fn by_everybody(self) -> Self {
        Self { lively: false, ..self }
    }
}

/// What a session wants of the guild's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Interest {
    intents: Option<Intents>,
    /// It does not look at the guild.
    passive: bool,
    /// It wants to know who types.
    typing: bool,
}

impl Interest {
    fn wants(self, wanted: Wanted) -> bool {
        let asked = wanted.required.is_empty() || self.intents.is_none_or(|own| own.intersects(wanted.required));
        let types = wanted.required == Intents::GUILD_MESSAGE_TYPING;
        let is_meant = wanted.wanters == Wanters::All || self.intents.is_some();
        asked && is_meant && !(wanted.lively && self.passive) && (self.typing || !types)
    }
    /// Whether the session gets the content of messages that do not concern it.
    fn gets_content(self) -> bool {
        self.intents.is_none_or(|intents| intents.contains(Intents::MESSAGE_CONTENT))
    }
}

/// Whom an event concerns; time-outs apart, which [`GuildSpace`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Guild,
    /// Those who see the channel.
    Viewers(ChannelId),
    /// Those who may read what is written in it.
    Readers(ChannelId),
    /// Those who may do one of these things in it.
    Permitted(ChannelId, Permissions),
}

impl Scope {
    const fn channel_id(self) -> Option<ChannelId> {
        match self {
            Self::Guild => None,
            Self::Viewers(id) | Self::Readers(id) | Self::Permitted(id, _) => Some(id),
        }
    }
    /// Whether permissions in the channel suffice.
    fn admits(self, is_voice: bool, permissions: Permissions) -> bool {
        match self {
            Self::Guild => true,
            Self::Viewers(_) => permissions.contains(Permissions::VIEW_CHANNEL),
            Self::Readers(_) => {
                let needed = if is_voice { Permissions::CONNECT } else { Permissions::empty() };
                permissions.contains(Permissions::VIEW_CHANNEL | needed)
            }
            Self::Permitted(_, any_of) => permissions.intersects(any_of),
        }
    }
    /// Whether a user is among them at this time.
    pub fn admits_now(self, guild: &GuildSpace, now: Timestamp, user_id: UserId, channel: &Channel) -> bool {
        self.admits(channel.kind.is_voice_based(), guild.channel_permissions(now, user_id, channel))
    }
    /// Whether a user is among them, time-outs apart.
    fn admits_user(self, guild: &GuildSpace, user_id: UserId) -> bool {
        let Some(channel_id) = self.channel_id() else { return true };
        guild.channels().get(&channel_id).is_some_and(|channel| self.admits_now(guild, UNTIMED, user_id, channel))
    }
}

/// An audience, apart by whether its sessions get the content of messages.
#[derive(Debug, Default)]
struct Remembered {
    with_content: IdSet,
    without_content: IdSet,
}

/// An audience as it is handed out; both parts ascending.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    pub with_content: Arc<[SubscriberId]>,
    pub without_content: Arc<[SubscriberId]>,
}

impl Split {
    pub fn all(self) -> Arc<[SubscriberId]> {
        if self.without_content.is_empty() {
            return self.with_content;
        }
        if self.with_content.is_empty() {
            return self.without_content;
        }
        let mut all: Vec<SubscriberId> = self.with_content.iter().chain(&*self.without_content).copied().collect();
        all.sort_unstable();
        all.into()
    }
    /// Those that stay.
    pub fn retain(self, stays: impl Fn(SubscriberId) -> bool) -> Self {
        let only = |ids: Arc<[SubscriberId]>| ids.iter().copied().filter(|id| stays(*id)).collect();
        Self { with_content: only(self.with_content), without_content: only(self.without_content) }
    }
}

struct Entry {
    subscriber: Subscriber,
    interest: Interest,
    /// The member's roles, as the session is filed in `classes`.
    roles: Arc<[RoleId]>,
}

/// The sessions of a guild, and the audiences made of them.
#[derive(Default)]
pub(crate) struct Subscribers {
    by_id: BTreeMap<SubscriberId, Entry>,
    by_user: BTreeMap<UserId, Vec<SubscriberId>>,
    classes: HashMap<Arc<[RoleId]>, HashMap<Interest, BTreeSet<SubscriberId>>>,
    remembered: HashMap<(Scope, Wanted), Remembered>,
    /// Connected bots.
    bots: BTreeSet<UserId>,
    /// Sessions that do not look at the guild.
    passive_count: usize,
}

impl Subscribers {
    /// Adds a session of a member, in place of one with its id.
    pub fn insert(&mut self, guild: &GuildSpace, subscriber: Subscriber) {
        self.remove(subscriber.id);
        let (id, user_id) = (subscriber.id, subscriber.user_id);
        let member = guild.members().get(user_id);
        if member.is_some_and(|member| member.user.bot) {
            self.bots.insert(user_id);
        }
        let is_passive = subscriber.is_passive();
        let interest = Interest { intents: subscriber.intents, passive: is_passive, typing: !is_passive };
        let roles = member.map_or_else(Arc::default, |member| Arc::from(&*member.row.roles));
        self.by_user.entry(user_id).or_default().push(id);
        self.by_id.insert(id, Entry { subscriber, interest, roles });
        self.file(id, true);
        self.follow(guild, id);
    }

    pub fn remove(&mut self, id: SubscriberId) -> Option<Subscriber> {
        self.file(id, false);
        let subscriber = self.by_id.remove(&id)?.subscriber;
        for audience in self.remembered.values_mut() {
            audience.with_content.set(id, false);
            audience.without_content.set(id, false);
        }
        if let Some(ids) = self.by_user.get_mut(&subscriber.user_id) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_user.remove(&subscriber.user_id);
                self.bots.remove(&subscriber.user_id);
            }
        }
        Some(subscriber)
    }

    /// Takes out all sessions of a user.
    pub fn remove_user(&mut self, user_id: UserId) {
        for id in self.of(user_id).to_vec() {
            self.remove(id);
        }
    }
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    pub fn get(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.by_id.get(&id).map(|entry| &entry.subscriber)
    }
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
    /// Those who are connected, by id.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.by_user.keys().copied()
    }
    /// Connected bots, by id.
    pub fn bots(&self) -> impl Iterator<Item = UserId> {
        self.bots.iter().copied()
    }
    /// The sessions of a user.
    pub fn of(&self, user_id: UserId) -> &[SubscriberId] {
        self.by_user.get(&user_id).map_or(&[], Vec::as_slice)
    }
    /// Whether a session does not look at the guild and gets deltas of it.
    pub fn is_passive(&self, id: SubscriberId) -> bool {
        self.by_id.get(&id).is_some_and(|entry| entry.interest.passive)
    }

    /// Whether there is such a session.
    pub const fn has_passive(&self) -> bool {
        self.passive_count > 0
    }

    /// A session that may be passive looks at the guild, or no longer.
    pub fn set_looks(&mut self, guild: &GuildSpace, id: SubscriberId, looks: bool, typing: bool) {
        self.file(id, false);
        if let Some(entry) = self.by_id.get_mut(&id) {
            let may_be_passive = entry.subscriber.is_passive();
            entry.interest.passive = may_be_passive && !looks;
            entry.interest.typing = !may_be_passive || typing;
        }
        self.file(id, true);
        self.follow(guild, id);
    }

    /// Sessions that do not look at the guild: classes of them whose members see the same channels.
    pub fn passive(&self) -> impl Iterator<Item = (&[RoleId], &BTreeSet<SubscriberId>)> {
        self.classes.iter().flat_map(|(roles, by_interest)| {
            by_interest.iter().filter(|(interest, _)| interest.passive).map(move |(_, ids)| (&**roles, ids))
        })
    }

    /// Takes over what changed in the guild.
    pub fn catch_up(&mut self, guild: &GuildSpace, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Member(user_id) => {
                    for id in self.of(user_id).to_vec() {
                        self.refile(guild, id);
                        self.follow(guild, id);
                    }
                }
                Note::Channel(id) => self.remembered.retain(|(scope, _), _| scope.channel_id() != Some(id)),
                Note::Permissions => self.remembered.retain(|(scope, _), _| *scope == Scope::Guild),
                Note::RoleGone => {
                    for id in self.by_id.keys().copied().collect::<Vec<_>>() {
                        self.refile(guild, id);
                    }
                    self.remembered.retain(|(scope, _), _| *scope == Scope::Guild);
                }
                Note::Shown(_) | Note::Order => {}
            }
        }
    }

    /// Those whom an event concerns and who want it, time-outs apart.
    pub fn audience(&mut self, guild: &GuildSpace, scope: Scope, wanted: Wanted) -> Split {
        if self.remembered.len() >= REMEMBERED_MAX && !self.remembered.contains_key(&(scope, wanted)) {
            self.remembered.clear();
        }
        if !self.remembered.contains_key(&(scope, wanted)) {
            let made = self.make(guild, scope, wanted);
            self.remembered.insert((scope, wanted), made);
        }
        let audience = self.remembered.entry((scope, wanted)).or_default();
        Split { with_content: audience.with_content.ids(), without_content: audience.without_content.ids() }
    }

    /// Puts an audience together of classes, and of those who are an exception to theirs.
    fn make(&self, guild: &GuildSpace, scope: Scope, wanted: Wanted) -> Remembered {
        let channel = match scope.channel_id() {
            None => None,
            Some(id) => match guild.channels().get(&id) {
                None => return Remembered::default(),
                channel => channel,
            },
        };
        let own = channel.into_iter().flat_map(|channel| &channel.permission_overwrites);
        let exceptions: BTreeSet<SubscriberId> = own
            .filter(|overwrite| overwrite.kind == OverwriteType::Member)
            .map(|overwrite| UserId(overwrite.id))
            .chain([guild.owner_id()])
            .flat_map(|user_id| self.of(user_id).iter().copied())
            .collect();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (roles, by_interest) in &self.classes {
            let admits = |channel| {
                let permissions = guild.class_permissions(roles, channel);
                scope.admits(channel.kind.is_voice_based(), permissions)
            };
            if !channel.is_none_or(admits) {
                continue;
            }
            for (interest, ids) in by_interest.iter().filter(|(interest, _)| interest.wants(wanted)) {
                let part = if interest.gets_content() { &mut with } else { &mut without };
                part.extend(ids.iter().filter(|id| !exceptions.contains(id)));
            }
        }
        for entry in exceptions.iter().filter_map(|id| self.by_id.get(id)) {
            if entry.interest.wants(wanted) && scope.admits_user(guild, entry.subscriber.user_id) {
                if entry.interest.gets_content() {
                    with.push(entry.subscriber.id)
                } else {
                    without.push(entry.subscriber.id)
                }
            }
        }
        Remembered { with_content: IdSet::new(with), without_content: IdSet::new(without) }
    }

    /// Brings what is remembered up to what a session may see and wants now.
    fn follow(&mut self, guild: &GuildSpace, id: SubscriberId) {
        let Some(entry) = self.by_id.get(&id) else { return };
        let (interest, user_id) = (entry.interest, entry.subscriber.user_id);
        for ((scope, wanted), audience) in &mut self.remembered {
            let is_in = interest.wants(*wanted) && scope.admits_user(guild, user_id);
            audience.with_content.set(id, is_in && interest.gets_content());
            audience.without_content.set(id, is_in && !interest.gets_content());
        }
    }

    fn refile(&mut self, guild: &GuildSpace, id: SubscriberId) {
        self.file(id, false);
        if let Some(entry) = self.by_id.get_mut(&id)
            && let Some(member) = guild.members().get(entry.subscriber.user_id)
            && *entry.roles != *member.row.roles
        {
            entry.roles = Arc::from(&*member.row.roles);
        }
        self.file(id, true);
    }

    /// Puts a session into its class or takes it out.
    fn file(&mut self, id: SubscriberId, is_in: bool) {
        let Some(Entry { interest, roles, .. }) = self.by_id.get(&id) else { return };
        let passive = usize::from(interest.passive);
        if is_in {
            if self.classes.entry(Arc::clone(roles)).or_default().entry(*interest).or_default().insert(id) {
                self.passive_count += passive;
            }
            return;
        }
        let Some(by_interest) = self.classes.get_mut(roles) else { return };
        if let Some(ids) = by_interest.get_mut(interest) {
            if ids.remove(&id) {
                self.passive_count -= passive;
            }
            if ids.is_empty() {
                by_interest.remove(interest);
            }
        }
        if by_interest.is_empty() {
            self.classes.remove(roles);
        }
    }
}
