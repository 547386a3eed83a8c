//! `PATCH /guilds/{id}/members/{id}` and `/guilds/{id}/members/@me`.

use rookery_model::call::{ModifyMember, Reply};
use rookery_model::member::MemberRow;
use rookery_model::{ApiError, ErrorCode, Patch, Permissions, RoleId, Timestamp, UserId};

use super::Cx;
use crate::Outcome;
use crate::access::require;
use crate::state::{GuildCore, GuildSpace};
use crate::voice::Connection;

/// A time-out lasts 28 days at most.
const TIME_OUT_MAX_US: i64 = 28 * 24 * 3_600 * 1_000_000;
/// Clients compute the 28 days by their own clocks.
const TIME_OUT_SLACK_US: i64 = 60 * 1_000_000;
/// The only member flag that can be set: BYPASSES_VERIFICATION.
const SETTABLE_FLAGS: u32 = 1 << 2;

impl GuildCore {
    pub(super) fn modify_member(
        &mut self,
        cx: &mut Cx<'_>,
        user_id: UserId,
        changes: &ModifyMember,
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let mut row = guild.member(user_id)?.row.clone();
        apply_nick(guild, cx, &mut row, &changes.nick)?;
        apply_roles(guild, cx, &mut row, &changes.roles)?;
        apply_time_out(guild, cx, &mut row, &changes.communication_disabled_until)?;
        apply_flags(guild, cx, &mut row, &changes.flags)?;
        let moved = self.apply_voice(cx, &mut row, changes)?;
        let mut out = self.change_member_and_show(row)?;
        if !changes.mute.is_keep() || !changes.deaf.is_keep() {
            self.announce_voice(&mut out, user_id);
        }
        if let Some(moved) = moved {
            self.move_member(&mut out, user_id, moved);
        }
        Ok(out)
    }

    /// Mute, deaf and channel are states of voice: whoever is in no voice channel has none of them, as the API documents
    /// (40032).
    ///
    /// Returns where the member is moved to, if it is asked for.
    fn apply_voice(
        &self,
        cx: &Cx<'_>,
        row: &mut MemberRow,
        changes: &ModifyMember,
    ) -> Result<Option<Option<Connection>>, ApiError> {
        let own = self.guild()?.guild_permissions(cx.now, cx.caller.id());
        let moderations = [
            (&changes.mute, Permissions::MUTE_MEMBERS, &mut row.mute),
            (&changes.deaf, Permissions::DEAFEN_MEMBERS, &mut row.deaf),
        ];
        for (change, wanted, field) in moderations {
            if !change.is_keep() {
                require(own, wanted)?;
                self.voice.get(row.user_id).ok_or(ErrorCode::TargetNotInVoice)?;
                *field = change.clone().value().unwrap_or(false);
            }
        }
        // Out of voice is where most members are.
        let is_there = self.voice.get(row.user_id).is_some();
        if changes.channel_id.is_keep() || matches!(changes.channel_id, Patch::Clear) && !is_there {
            return Ok(None);
        }
        self.check_move(cx.now, cx.caller.id(), row.user_id, changes.channel_id.clone().value()).map(Some)
    }

    pub(super) fn modify_current_member(&mut self, cx: &mut Cx<'_>, nick: &Patch<String>) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let mut row = guild.require_member(cx.caller.id())?.row.clone();
        apply_nick(guild, cx, &mut row, nick)?;
        self.change_member_and_show(row)
    }

    fn change_member_and_show(&mut self, row: MemberRow) -> Result<Outcome, ApiError> {
        let user_id = row.user_id;
        let out = self.change_member(row)?;
        let member = self.guild()?.member(user_id)?.view();
        Ok(Outcome { reply: Reply::Member(Box::new(member)), ..out })
    }
}

fn apply_nick(guild: &GuildSpace, cx: &Cx<'_>, row: &mut MemberRow, nick: &Patch<String>) -> Result<(), ApiError> {
    if nick.is_keep() {
        return Ok(());
    }
    let own = guild.guild_permissions(cx.now, cx.caller.id());
    if row.user_id == cx.caller.id() {
        if !own.intersects(Permissions::CHANGE_NICKNAME | Permissions::MANAGE_NICKNAMES) {
            return Err(ErrorCode::MissingPermissions.into());
        }
    } else {
        require(own, Permissions::MANAGE_NICKNAMES)?;
        guild.require_above_member(cx.caller.id(), row.user_id)?;
    }
    // An empty nick is none.
    nick.clone().apply(&mut row.nick);
    row.nick = row.nick.take().map(|nick| nick.trim().to_owned()).filter(|nick| !nick.is_empty());
    Ok(())
}

fn apply_roles(
    guild: &GuildSpace,
    cx: &Cx<'_>,
    row: &mut MemberRow,
    roles: &Patch<Vec<RoleId>>,
) -> Result<(), ApiError> {
    if roles.is_keep() {
        return Ok(());
    }
    require(guild.guild_permissions(cx.now, cx.caller.id()), Permissions::MANAGE_ROLES)?;
    let everyone = RoleId::from(guild.id());
    let mut wanted = roles.clone().value().unwrap_or_default();
    wanted.retain(|id| *id != everyone);
    wanted.sort_unstable();
    wanted.dedup();
    let changed = wanted
        .iter()
        .filter(|id| row.roles.binary_search(id).is_err())
        .chain(row.roles.iter().filter(|id| wanted.binary_search(id).is_err()));
    for id in changed {
        guild.check_assignable(cx.caller.id(), *id)?;
    }
    row.roles = wanted;
    Ok(())
}

fn apply_time_out(
    guild: &GuildSpace,
    cx: &Cx<'_>,
    row: &mut MemberRow,
    until: &Patch<Timestamp>,
) -> Result<(), ApiError> {
    if until.is_keep() {
        return Ok(());
    }
    require(guild.guild_permissions(cx.now, cx.caller.id()), Permissions::MODERATE_MEMBERS)?;
    guild.require_above_member(cx.caller.id(), row.user_id)?;
    if let Patch::Set(until) = until {
        if guild.guild_permissions(cx.now, row.user_id).contains(Permissions::ADMINISTRATOR) {
            return Err(ErrorCode::MissingPermissions.into());
        }
        if until.0.saturating_sub(cx.now.0) > TIME_OUT_MAX_US + TIME_OUT_SLACK_US {
            return Err(ApiError::invalid_field(
                ["communication_disabled_until"],
                "INVALID_COMMUNICATION_DISABLED_TIMESTAMP",
                "Cannot be more than 28 days in the future",
            ));
        }
    }
    until.clone().apply(&mut row.communication_disabled_until);
    Ok(())
}

fn apply_flags(guild: &GuildSpace, cx: &Cx<'_>, row: &mut MemberRow, flags: &Patch<u32>) -> Result<(), ApiError> {
    if flags.is_keep() {
        return Ok(());
    }
    let own = guild.guild_permissions(cx.now, cx.caller.id());
    let moderates = Permissions::MODERATE_MEMBERS | Permissions::KICK_MEMBERS | Permissions::BAN_MEMBERS;
    if !own.intersects(Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES) && !own.contains(moderates) {
        return Err(ErrorCode::MissingPermissions.into());
    }
    let wanted = flags.clone().value().unwrap_or(0);
    row.flags = (row.flags & !SETTABLE_FLAGS) | (wanted & SETTABLE_FLAGS);
    Ok(())
}
