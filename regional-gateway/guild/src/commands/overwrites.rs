//! Permission overwrites: `PUT` and `DELETE /channels/{id}/permissions/{id}`, and lists of them in other bodies.

use rookery_model::channel::{Channel, Overwrite, OverwriteType};
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, Permissions, RoleId, Snowflake, UserId};

use super::Cx;
use crate::Outcome;
use crate::sight::Scope;
use crate::state::{GuildCore, GuildSpace};

impl GuildSpace {
    /// Checks a new list of overwrites and returns it as it is kept, each target once.
    ///
    /// Only what the caller may do in the guild can be allowed or denied, unless an overwrite of the channel lets them
    /// manage its permissions; MANAGE_ROLES itself only administrators can set. What stays as it was is not asked for.
    pub(super) fn check_overwrites(
        &self,
        cx: &Cx<'_>,
        channel: Option<&Channel>,
        wanted: &[Overwrite],
    ) -> Result<Vec<Overwrite>, ApiError> {
        let old = channel.map_or(&[][..], |channel| &channel.permission_overwrites);
        let mut kept: Vec<Overwrite> = Vec::with_capacity(wanted.len());
        for overwrite in wanted {
            let known = old.iter().any(|o| same_target(o, overwrite)) || self.is_target(overwrite);
            if !known {
                return Err(ErrorCode::UnknownOverwrite.into());
            }
            kept.retain(|o| !same_target(o, overwrite));
            kept.push(Overwrite {
                allow: overwrite.allow & Permissions::ALL_NAMED,
                // What is both allowed and denied is allowed, as the computation has it.
                deny: (overwrite.deny & Permissions::ALL_NAMED) - overwrite.allow,
                ..*overwrite
            });
        }
        let mut changed = Permissions::empty();
        for overwrite in kept.iter().chain(old) {
            let before = old.iter().find(|o| same_target(o, overwrite));
            let after = kept.iter().find(|o| same_target(o, overwrite));
            let bits =
                |o: Option<&Overwrite>| o.map_or((Permissions::empty(), Permissions::empty()), |o| (o.allow, o.deny));
            let ((allow_before, deny_before), (allow_after, deny_after)) = (bits(before), bits(after));
            changed |= (allow_before ^ allow_after) | (deny_before ^ deny_after);
        }
        self.check_changed_bits(cx, channel, changed)?;
        Ok(kept)
    }

    fn check_changed_bits(&self, cx: &Cx<'_>, channel: Option<&Channel>, changed: Permissions) -> Result<(), ApiError> {
        let own = self.guild_permissions(cx.now, cx.caller.id());
        let is_admin = own.contains(Permissions::ADMINISTRATOR);
        if is_admin {
            return Ok(());
        }
        let manages_here = channel.is_some_and(|channel| {
            self.channel_permissions(cx.now, cx.caller.id(), channel).contains(Permissions::MANAGE_ROLES)
                && channel
                    .permission_overwrites
                    .iter()
                    .any(|o| o.allow.contains(Permissions::MANAGE_ROLES) && self.is_for(o, cx.caller.id()))
        });
        let settable = if manages_here { Permissions::ALL_NAMED } else { own } - Permissions::MANAGE_ROLES;
        crate::access::require(settable, changed)
    }

    fn is_target(&self, overwrite: &Overwrite) -> bool {
        match overwrite.kind {
            OverwriteType::Role => self.roles().contains_key(&RoleId(overwrite.id)),
            OverwriteType::Member => self.members().contains(UserId(overwrite.id)),
        }
    }

    fn is_for(&self, overwrite: &Overwrite, user_id: UserId) -> bool {
        overwrite.is_for_member(user_id)
            || overwrite.is_for_role(RoleId::from(self.id()))
            || self.members().get(user_id).is_some_and(|m| m.row.roles.iter().any(|r| overwrite.is_for_role(*r)))
    }
}

fn same_target(a: &Overwrite, b: &Overwrite) -> bool {
    (a.id, a.kind) == (b.id, b.kind)
}

impl GuildCore {
    pub(super) fn put_overwrite(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        overwrite: Overwrite,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let guild = access.guild()?;
        access.require(Permissions::MANAGE_ROLES)?;
        let mut wanted = access.channel.permission_overwrites.clone();
        wanted.retain(|o| !same_target(o, &overwrite));
        wanted.push(overwrite);
        let permission_overwrites = guild.check_overwrites(cx, Some(access.channel), &wanted)?;
        let changed = Channel { permission_overwrites, ..access.channel.clone() };
        self.change_channels(vec![changed])
    }

    pub(super) fn delete_overwrite(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        target: Snowflake,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let guild = access.guild()?;
        access.require(Permissions::MANAGE_ROLES)?;
        let mut wanted = access.channel.permission_overwrites.clone();
        wanted.retain(|o| o.id != target);
        if wanted.len() == access.channel.permission_overwrites.len() {
            return Err(ErrorCode::UnknownOverwrite.into());
        }
        let permission_overwrites = guild.check_overwrites(cx, Some(access.channel), &wanted)?;
        let changed = Channel { permission_overwrites, ..access.channel.clone() };
        self.change_channels(vec![changed])
    }

    /// Puts changed channels in place and tells those who see them, saw them or see them now.
    pub(super) fn change_channels(&mut self, channels: Vec<Channel>) -> Result<Outcome, ApiError> {
        let mut out = Outcome::default();
        let before = self.sight(Scope::of_channels(channels.iter().map(|channel| channel.id)));
        let guild = self.guild_mut()?;
        for channel in channels {
            if guild.channels().get(&channel.id).is_none_or(|old| *old != channel) {
                out.writes.push(Write::PutChannel(channel.clone()));
                guild.put_channel(channel);
            }
        }
        self.announce_sight(&before, &mut out);
        Ok(out)
    }
}
