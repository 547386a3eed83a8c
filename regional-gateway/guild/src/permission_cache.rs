//! Permissions of members, computed once for everybody with the same roles.
//!
//! What roles give in a channel is the same for all members with one set of roles, however many they are: that part is
//! kept. What is a member's own (ownership, an overwrite of their own, a time-out) is applied on top each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rookery_model::channel::Channel;
use rookery_model::member::MemberRow;
use rookery_model::{ChannelId, GuildId, Permissions, RoleId, Timestamp, UserId};

use crate::state::GuildSpace;

/// Sets of roles that are remembered; beyond, all are forgotten and computed anew as needed.
const CLASSES_MAX: usize = 8_192;

/// A time at which no time-out runs any more.
pub(crate) const UNTIMED: Timestamp = Timestamp(i64::MAX);

/// The remembered part; behind a lock only so that looking at a guild needs no exclusive access.
#[derive(Default)]
pub(crate) struct PermissionCache {
    classes: Mutex<HashMap<Box<[RoleId]>, Class>>,
    /// How often a member's permissions in a channel were asked for.
    members_asked: AtomicU64,
}

/// What a set of roles gives.
struct Class {
    /// In the guild as a whole.
    base: Permissions,
    /// In a channel, after the overwrites for `@everyone` and roles.
    in_channels: HashMap<ChannelId, Permissions>,
}

impl PermissionCache {
    fn classes(&self) -> MutexGuard<'_, HashMap<Box<[RoleId]>, Class>> {
        // Every entry is a computed value: a panic elsewhere cannot leave one half written.
        self.classes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a single member's permissions in a channel were asked for; what is done by class does not count.
    pub fn members_asked(&self) -> u64 {
        self.members_asked.load(Ordering::Relaxed)
    }

    /// The role's permissions changed, or it is new or gone.
    pub fn forget_role(&self, role: RoleId, guild: GuildId) {
        let mut classes = self.classes();
        if role == RoleId::from(guild) {
            classes.clear();
        } else {
            classes.retain(|roles, _| roles.binary_search(&role).is_err());
        }
    }

    /// The channel's overwrites changed, or it is new or gone.
    pub fn forget_channel(&self, channel: ChannelId) {
        for class in self.classes().values_mut() {
            class.in_channels.remove(&channel);
        }
    }
}

impl GuildSpace {
    /// What a member may do in the guild as a whole; nothing for strangers.
    pub(crate) fn guild_permissions(&self, now: Timestamp, user_id: UserId) -> Permissions {
        if user_id == self.owner_id() {
            return Permissions::ALL_NAMED;
        }
        let Some(entry) = self.members().get(user_id) else { return Permissions::empty() };
        let base = self.with_class(&entry.row.roles, |class| class.base);
        if base.contains(Permissions::ADMINISTRATOR) {
            return Permissions::ALL_NAMED | base;
        }
        if is_timed_out(&entry.row, now) { base & Permissions::TIMED_OUT } else { base }
    }

    /// What a member may do in a channel; nothing for strangers.
    pub(crate) fn channel_permissions(&self, now: Timestamp, user_id: UserId, channel: &Channel) -> Permissions {
        if user_id == self.owner_id() {
            return Permissions::ALL_NAMED;
        }
        let Some(entry) = self.members().get(user_id) else { return Permissions::empty() };
        self.permissions.members_asked.fetch_add(1, Ordering::Relaxed);
        let (base, from_roles) = self.of_class(&entry.row.roles, channel);
        if base.contains(Permissions::ADMINISTRATOR) {
            return Permissions::ALL_NAMED | base;
        }
        let own = channel.permission_overwrites.iter().find(|o| o.is_for_member(user_id));
        let mut permissions = own.map_or(from_roles, |o| (from_roles - o.deny) | o.allow);
        permissions -= Permissions::ADMINISTRATOR;
        if is_timed_out(&entry.row, now) {
            permissions &= Permissions::TIMED_OUT;
        }
        without_implied(permissions)
    }

    /// What members with these roles may do in a channel, unless they own the guild or have an overwrite of their own.
    pub(crate) fn class_permissions(&self, roles: &[RoleId], channel: &Channel) -> Permissions {
        let (base, from_roles) = self.of_class(roles, channel);
        if base.contains(Permissions::ADMINISTRATOR) {
            return Permissions::ALL_NAMED | base;
        }
        without_implied(from_roles - Permissions::ADMINISTRATOR)
    }

    /// Whether members with these roles see a channel, unless they are an exception as above.
    pub(crate) fn class_views(&self, roles: &[RoleId], channel: &Channel) -> bool {
        self.class_permissions(roles, channel).contains(Permissions::VIEW_CHANNEL)
    }

    /// What roles give in the guild, and in a channel after the overwrites for roles.
    fn of_class(&self, roles: &[RoleId], channel: &Channel) -> (Permissions, Permissions) {
        self.with_class(roles, |class| {
            let from_roles = match class.in_channels.get(&channel.id) {
                Some(known) => *known,
                None => {
                    let computed = self.apply_role_overwrites(class.base, roles, channel);
                    class.in_channels.insert(channel.id, computed);
                    computed
                }
            };
            (class.base, from_roles)
        })
    }

    /// Whether a member sees a channel; time-outs take nothing of that, so it does not hang on the time.
    pub(crate) fn can_view(&self, user_id: UserId, channel: &Channel) -> bool {
        self.channel_permissions(Timestamp(0), user_id, channel).contains(Permissions::VIEW_CHANNEL)
    }

    /// Whether a member may read what is written in a channel, as far as its newest goes: the text of a voice channel is
    /// for those who may connect.
    pub(crate) fn can_read(&self, now: Timestamp, user_id: UserId, channel: &Channel) -> bool {
        let permissions = self.channel_permissions(now, user_id, channel);
        permissions.contains(Permissions::VIEW_CHANNEL)
            && (!channel.kind.is_voice_based() || permissions.contains(Permissions::CONNECT))
    }

    fn with_class<R>(&self, roles: &[RoleId], ask: impl FnOnce(&mut Class) -> R) -> R {
        let mut classes = self.permissions.classes();
        if let Some(class) = classes.get_mut(roles) {
            return ask(class);
        }
        let mut class = Class { base: self.base_of(roles), in_channels: HashMap::new() };
        let answer = ask(&mut class);
        if classes.len() >= CLASSES_MAX {
            classes.clear();
        }
        classes.insert(roles.into(), class);
        answer
    }

    fn base_of(&self, roles: &[RoleId]) -> Permissions {
        let of = |id: &RoleId| self.roles().get(id).map_or(Permissions::empty(), |role| role.permissions);
        roles.iter().fold(of(&RoleId::from(self.id())), |sum, id| sum | of(id))
    }

    fn apply_role_overwrites(&self, base: Permissions, roles: &[RoleId], channel: &Channel) -> Permissions {
        let everyone = RoleId::from(self.id());
        let (mut first, mut allow, mut deny) = (base, Permissions::empty(), Permissions::empty());
        for overwrite in &channel.permission_overwrites {
            if overwrite.is_for_role(everyone) {
                first = (base - overwrite.deny) | overwrite.allow;
            } else if roles.iter().any(|role| overwrite.is_for_role(*role)) {
                allow |= overwrite.allow;
                deny |= overwrite.deny;
            }
        }
        (first - deny) | allow
    }
}

/// Whether the member's time-out still runs.
pub(crate) fn is_timed_out(row: &MemberRow, now: Timestamp) -> bool {
    row.communication_disabled_until.is_some_and(|until| now < until)
}

/// Takes away what means nothing without what is missing ("Implicit Permissions" of the API's documentation).
fn without_implied(permissions: Permissions) -> Permissions {
    if !permissions.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    if permissions.contains(Permissions::SEND_MESSAGES) {
        return permissions;
    }
    permissions
        - (Permissions::MENTION_EVERYONE
            | Permissions::SEND_TTS_MESSAGES
            | Permissions::ATTACH_FILES
            | Permissions::EMBED_LINKS)
}
