//! Who may do what, as errors: unknown, hidden, not permitted.

use std::cmp::Reverse;

use rookery_model::channel::Channel;
use rookery_model::role::Role;
use rookery_model::{ApiError, ChannelId, ErrorCode, Permissions, RoleId, Timestamp, UserId};

use crate::Caller;
use crate::members::MemberEntry;
use crate::state::{DmSpace, GuildCore, GuildSpace, Space};

/// What a caller who may see a channel may read of its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    Readable,
    /// Without READ_MESSAGE_HISTORY: lists are empty, single messages are refused with 50013.
    Hidden,
}

/// A channel that the caller may see, and what they may do in it.
pub(crate) struct Access<'a> {
    pub channel: &'a Channel,
    pub permissions: Permissions,
    /// None in DMs.
    pub guild: Option<&'a GuildSpace>,
}

impl Access<'_> {
    /// 50013 unless all of these are there.
    pub fn require(&self, wanted: Permissions) -> Result<(), ApiError> {
        require(self.permissions, wanted)
    }
    /// 50013 unless one of these is there.
    pub fn require_any(&self, wanted: Permissions) -> Result<(), ApiError> {
        if self.permissions.intersects(wanted) { Ok(()) } else { Err(ErrorCode::MissingPermissions.into()) }
    }
    /// The text of a voice channel is for those who may connect.
    pub fn require_text(&self) -> Result<(), ApiError> {
        if self.channel.kind.is_voice_based() { self.require(Permissions::CONNECT) } else { Ok(()) }
    }
    /// The guild, or 50003 in DMs.
    pub fn guild(&self) -> Result<&GuildSpace, ApiError> {
        self.guild.ok_or_else(|| ErrorCode::CannotExecuteOnDm.into())
    }
}

/// 50013 unless all of `wanted` are in `permissions`.
pub(crate) fn require(permissions: Permissions, wanted: Permissions) -> Result<(), ApiError> {
    if permissions.contains(wanted) { Ok(()) } else { Err(ErrorCode::MissingPermissions.into()) }
}

/// A place in the hierarchy: the owner, then the highest role (position, then the older one), then nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Member,
    Role(u32, Reverse<RoleId>),
    Owner,
}

impl Rank {
    pub const fn of_role(role: &Role) -> Self {
        Self::Role(role.position, Reverse(role.id))
    }
}

impl GuildSpace {
    /// Where a member stands.
    pub(crate) fn rank(&self, user_id: UserId) -> Rank {
        if user_id == self.owner_id() {
            return Rank::Owner;
        }
        let roles = self.members().get(user_id).map_or(&[][..], |entry| &entry.row.roles);
        roles.iter().filter_map(|id| self.roles().get(id)).map(Rank::of_role).max().unwrap_or(Rank::Member)
    }
    /// 50013 unless the caller stands above the role.
    pub(crate) fn require_above_role(&self, caller: UserId, role: &Role) -> Result<(), ApiError> {
        if self.rank(caller) > Rank::of_role(role) { Ok(()) } else { Err(ErrorCode::MissingPermissions.into()) }
    }
    /// 50013 unless the caller stands above the member.
    pub(crate) fn require_above_member(&self, caller: UserId, member: UserId) -> Result<(), ApiError> {
        if self.rank(caller) > self.rank(member) { Ok(()) } else { Err(ErrorCode::MissingPermissions.into()) }
    }
    /// 50001 for strangers, 50013 unless the caller may do this in the guild as a whole.
    pub(crate) fn require(&self, now: Timestamp, caller: &Caller, wanted: Permissions) -> Result<(), ApiError> {
        self.require_member(caller.id())?;
        require(self.guild_permissions(now, caller.id()), wanted)
    }
    /// 50001 for strangers.
    pub(crate) fn require_member(&self, user_id: UserId) -> Result<&MemberEntry, ApiError> {
        self.members().get(user_id).ok_or_else(|| ErrorCode::MissingAccess.into())
    }
    /// 10007 for strangers.
    pub(crate) fn member(&self, user_id: UserId) -> Result<&MemberEntry, ApiError> {
        self.members().get(user_id).ok_or_else(|| ErrorCode::UnknownMember.into())
    }
    /// 10011 if there is none.
    pub(crate) fn role(&self, id: RoleId) -> Result<&Role, ApiError> {
        self.roles().get(&id).ok_or_else(|| ErrorCode::UnknownRole.into())
    }
}

impl DmSpace {
    /// Everybody in it.
    pub(crate) fn user_ids(&self) -> Vec<UserId> {
        self.users.iter().map(|user| user.id).collect()
    }
    /// Whether the user is in it.
    pub(crate) fn contains(&self, user_id: UserId) -> bool {
        self.users.iter().any(|user| user.id == user_id)
    }
}

impl GuildCore {
    /// The guild; 50003 in DMs, 10004 once it is deleted.
    pub(crate) fn guild(&self) -> Result<&GuildSpace, ApiError> {
        match &self.space {
            Space::Guild(guild) if guild.is_deleted => Err(ErrorCode::UnknownGuild.into()),
            Space::Guild(guild) => Ok(guild),
            Space::Dm(_) => Err(ErrorCode::CannotExecuteOnDm.into()),
        }
    }
    /// As [`GuildCore::guild`], to change it.
    pub(crate) fn guild_mut(&mut self) -> Result<&mut GuildSpace, ApiError> {
        match &mut self.space {
            Space::Guild(guild) if guild.is_deleted => Err(ErrorCode::UnknownGuild.into()),
            Space::Guild(guild) => Ok(guild),
            Space::Dm(_) => Err(ErrorCode::CannotExecuteOnDm.into()),
        }
    }

    /// The channel; 10003 if there is none, 50001 for those who do not see it.
    pub(crate) fn access(
        &self,
        now: Timestamp,
        user_id: UserId,
        channel_id: ChannelId,
    ) -> Result<Access<'_>, ApiError> {
        match &self.space {
            Space::Dm(dm) => {
                if dm.channel.id != channel_id {
                    return Err(ErrorCode::UnknownChannel.into());
                }
                if !dm.contains(user_id) {
                    return Err(ErrorCode::MissingAccess.into());
                }
                Ok(Access { channel: &dm.channel, permissions: Permissions::DM, guild: None })
            }
            Space::Guild(guild) => {
                let channel = guild.channels().get(&channel_id).filter(|_| !guild.is_deleted);
                let channel = channel.ok_or(ErrorCode::UnknownChannel)?;
                let permissions = guild.channel_permissions(now, user_id, channel);
                if !permissions.contains(Permissions::VIEW_CHANNEL) {
                    return Err(ErrorCode::MissingAccess.into());
                }
                Ok(Access { channel, permissions, guild: Some(guild) })
            }
        }
    }

    /// Whether somebody may list messages, reactions and pins of a channel: 10003, 50001, 50008, 50013.
    pub fn authorize_read(&self, now: Timestamp, user_id: UserId, channel_id: ChannelId) -> Result<History, ApiError> {
        let access = self.access(now, user_id, channel_id)?;
        if !access.channel.kind.is_text_based() {
            return Err(ErrorCode::CannotMessageNonText.into());
        }
        access.require_text()?;
        let is_readable = access.permissions.contains(Permissions::READ_MESSAGE_HISTORY);
        Ok(if is_readable { History::Readable } else { History::Hidden })
    }

    /// What a user may do in a channel; nothing for strangers and in channels that do not exist.
    pub fn permissions_in(&self, now: Timestamp, user_id: UserId, channel_id: ChannelId) -> Permissions {
        self.access(now, user_id, channel_id).map_or(Permissions::empty(), |access| access.permissions)
    }

    /// What a member may do in the guild as a whole; nothing in DMs.
    pub fn guild_permissions(&self, now: Timestamp, user_id: UserId) -> Permissions {
        self.guild().map_or(Permissions::empty(), |guild| guild.guild_permissions(now, user_id))
    }
}
