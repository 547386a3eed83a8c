//! The state of a guild or DM, and how it comes into memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rookery_model::channel::Channel;
use rookery_model::guild::GuildProperties;
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::message::MessageRow;
use rookery_model::role::Role;
use rookery_model::stage_instance::StageInstance;
use rookery_model::store::DmRow;
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};

use crate::calls::Calls;
use crate::journal::{Journal, Note};
use crate::live_lists::LiveLists;
use crate::members::Members;
use crate::passive::Passive;
use crate::permission_cache::PermissionCache;
use crate::presence::Presences;
use crate::recent::Recent;
use crate::subscribers::Subscribers;
use crate::voice::Voice;
use crate::{Limits, Outcome};

/// All rows of a guild, as the shell reads them.
#[derive(Clone, Debug)]
pub struct GuildState {
    pub properties: GuildProperties,
    pub roles: Vec<Role>,
    /// `last_message_id` is not written with each message: the shell fills in the newest message's id.
    pub channels: Vec<Channel>,
    pub members: Vec<(MemberRow, User)>,
    pub invites: Vec<InviteRow>,
    /// Inviters who are no members.
    pub inviters: Vec<User>,
    pub banned: Vec<UserId>,
    pub stage_instances: Vec<StageInstance>,
}

/// The rows of a DM or group DM.
#[derive(Clone, Debug)]
pub struct DmState {
    /// As in [`GuildState::channels`], with the newest message's id.
    pub row: DmRow,
    /// Those of `row.user_ids`.
    pub users: Vec<User>,
    /// That of `row.call_message_id`.
    pub call_message: Option<MessageRow>,
}

/// A guild, or a DM, which is a guild without roles: its only writer.
pub struct GuildCore {
    pub(crate) limits: Limits,
    pub(crate) space: Space,
    pub(crate) subscribers: Subscribers,
    pub(crate) recent: Recent,
    pub(crate) passive: Passive,
    pub(crate) lists: LiveLists,
    pub(crate) presences: Presences,
    pub(crate) voice: Voice,
    /// None in a guild.
    pub(crate) calls: Calls,
}

pub(crate) enum Space {
    Guild(Box<GuildSpace>),
    Dm(Box<DmSpace>),
}

/// A guild's rows, indexed. Changed only through the methods below, which keep the caches true.
pub(crate) struct GuildSpace {
    properties: GuildProperties,
    roles: BTreeMap<RoleId, Role>,
    channels: BTreeMap<ChannelId, Channel>,
    members: Members,
    pub(crate) invites: BTreeMap<String, InviteRow>,
    pub(crate) inviters: HashMap<UserId, Arc<User>>,
    pub(crate) banned: HashSet<UserId>,
    /// Stages that are live, by channel.
    pub(crate) stage_instances: BTreeMap<ChannelId, StageInstance>,
    pub(crate) is_deleted: bool,
    pub(crate) permissions: PermissionCache,
    /// What audiences must follow.
    pub(crate) for_audiences: Journal,
    /// What member lists must follow.
    pub(crate) for_lists: Journal,
    /// Grows with every change of what somebody may see or do in a channel, time-outs included.
    sight_version: u64,
}

/// A DM's or group DM's row.
pub(crate) struct DmSpace {
    pub(crate) channel: Channel,
    /// Everybody in it, in the order of the row.
    pub(crate) users: Vec<Arc<User>>,
    /// Those in whose list this core has put the DM; others may have closed it.
    pub(crate) listed: HashSet<UserId>,
    /// The message of the call that goes on, as the row is to name it.
    pub(crate) call_message_id: Option<MessageId>,
}

/// What a guild knows that is in no row: who is there, and who is in voice.
pub struct Transient {
    presences: Presences,
    voice: Voice,
    calls: Calls,
}

impl GuildCore {
    /// A guild out of its rows.
    pub fn load(state: GuildState, limits: Limits) -> Self {
        let roles: BTreeMap<RoleId, Role> = state.roles.into_iter().map(|role| (role.id, role)).collect();
        let mut members = Members::default();
        for (mut row, user) in state.members {
            // Deleting a role leaves its id in the rows of its members; ids are never given twice.
            row.roles.retain(|id| roles.contains_key(id));
            row.roles.sort_unstable();
            members.put(row, Arc::new(user));
        }
        let space = GuildSpace {
            properties: state.properties,
            roles,
            channels: state.channels.into_iter().map(|channel| (channel.id, channel)).collect(),
            members,
            invites: state.invites.into_iter().map(|invite| (invite.code.clone(), invite)).collect(),
            inviters: state.inviters.into_iter().map(|user| (user.id, Arc::new(user))).collect(),
            banned: state.banned.into_iter().collect(),
            stage_instances: state.stage_instances.into_iter().map(|stage| (stage.channel_id, stage)).collect(),
            is_deleted: false,
            permissions: PermissionCache::default(),
            for_audiences: Journal::default(),
            for_lists: Journal::default(),
            sight_version: 0,
        };
        Self::with_space(Space::Guild(Box::new(space)), limits)
    }

    /// A DM or group DM out of its row.
    pub fn load_dm(state: DmState, limits: Limits) -> Self {
        let mut by_id: HashMap<UserId, Arc<User>> = state.users.into_iter().map(|u| (u.id, Arc::new(u))).collect();
        let users = state.row.user_ids.iter().filter_map(|id| by_id.remove(id)).collect();
        let call_message_id = state.row.call_message_id;
        let space = DmSpace { channel: state.row.channel, users, listed: HashSet::new(), call_message_id };
        let calls = Calls::load(&space, state.call_message);
        Self { calls, ..Self::with_space(Space::Dm(Box::new(space)), limits) }
    }

    /// Takes out what is in no row, for the next core of this guild.
    pub fn take_transient(&mut self) -> Transient {
        Transient {
            presences: std::mem::take(&mut self.presences),
            voice: std::mem::take(&mut self.voice),
            calls: std::mem::take(&mut self.calls),
        }
    }

    /// Takes over what an earlier core knew, once the sessions that are left are subscribed. The outcome tells of voice
    /// connections that cannot go on.
    pub fn keep_transient(&mut self, now: Timestamp, transient: Transient) -> Outcome {
        let mut out = Outcome::default();
        self.keep_presences(transient.presences);
        match self.space {
            Space::Guild(_) => self.keep_voice(&mut out, now, transient.voice),
            Space::Dm(_) => self.keep_call(&mut out, transient.voice, transient.calls),
        }
        self.update_lists(&mut out);
        out
    }

    fn with_space(space: Space, limits: Limits) -> Self {
        Self {
            limits,
            space,
            subscribers: Subscribers::default(),
            recent: Recent::default(),
            passive: Passive::default(),
            lists: LiveLists::default(),
            presences: Presences::default(),
            voice: Voice::default(),
            calls: Calls::default(),
        }
    }
}

impl GuildSpace {
    pub(crate) const fn id(&self) -> GuildId {
        self.properties.id
    }
    pub(crate) const fn owner_id(&self) -> UserId {
        self.properties.owner_id
    }
    pub(crate) const fn properties(&self) -> &GuildProperties {
        &self.properties
    }
    pub(crate) const fn roles(&self) -> &BTreeMap<RoleId, Role> {
        &self.roles
    }
    pub(crate) const fn channels(&self) -> &BTreeMap<ChannelId, Channel> {
        &self.channels
    }
    pub(crate) const fn members(&self) -> &Members {
        &self.members
    }
    pub(crate) const fn sight_version(&self) -> u64 {
        self.sight_version
    }
    fn note(&mut self, note: Note) {
        match note {
            Note::Member(_) | Note::Channel(_) | Note::Permissions | Note::RoleGone => self.sight_version += 1,
            Note::Shown(_) | Note::Order => {}
        }
        self.for_audiences.note(note);
        self.for_lists.note(note);
    }

    pub(crate) fn set_properties(&mut self, properties: GuildProperties) {
        let owners = [self.properties.owner_id, properties.owner_id];
        if self.properties.afk_channel_id != properties.afk_channel_id {
            // Nobody speaks there.
            self.sight_version += 1;
        }
        self.properties = properties;
        if owners[0] != owners[1] {
            owners.into_iter().for_each(|owner| self.note(Note::Member(owner)));
        }
    }

    pub(crate) fn put_role(&mut self, role: Role) {
        let old = self.roles.get(&role.id);
        let shown = |role: &Role| role.hoist.then_some(role.position);
        let is_reordered = shown(&role) != old.and_then(shown);
        if old.is_none_or(|old| old.permissions != role.permissions) {
            self.permissions.forget_role(role.id, self.properties.id);
            self.note(Note::Permissions);
        }
        if is_reordered {
            self.note(Note::Order);
        }
        self.roles.insert(role.id, role);
    }

    /// Takes a role out of the guild and of its members; overwrites for it are the caller's to remove.
    pub(crate) fn remove_role(&mut self, id: RoleId) {
        self.roles.remove(&id);
        self.members.remove_role(id);
        self.permissions.forget_role(id, self.properties.id);
        self.note(Note::RoleGone);
    }

    pub(crate) fn put_channel(&mut self, channel: Channel) {
        let old = self.channels.get(&channel.id);
        if old.is_none_or(|old| old.permission_overwrites != channel.permission_overwrites) {
            self.permissions.forget_channel(channel.id);
            self.note(Note::Channel(channel.id));
        }
        self.channels.insert(channel.id, channel);
    }

    pub(crate) fn remove_channel(&mut self, id: ChannelId) -> Option<Channel> {
        self.permissions.forget_channel(id);
        self.note(Note::Channel(id));
        self.channels.remove(&id)
    }

    /// Notes the newest message; kept out of the stored row, see [`GuildState::channels`].
    pub(crate) fn set_last_message(&mut self, id: ChannelId, message_id: rookery_model::MessageId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.last_message_id = Some(message_id);
        }
    }

    pub(crate) fn put_member(&mut self, row: MemberRow, user: Arc<User>) {
        let user_id = row.user_id;
        let old = self.members.get(user_id).map(|old| &old.row);
        let sees_as_before = old.is_some_and(|old| old.roles == row.roles);
        if old.is_none_or(|old| old.communication_disabled_until != row.communication_disabled_until) {
            self.sight_version += 1;
        }
        self.members.put(row, user);
        self.note(if sees_as_before { Note::Shown(user_id) } else { Note::Member(user_id) });
    }

    pub(crate) fn remove_member(&mut self, id: UserId) {
        self.members.remove(id);
        self.note(Note::Member(id));
    }
}
