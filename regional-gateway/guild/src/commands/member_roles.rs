//! Roles of members: `PUT` and `DELETE /guilds/{id}/members/{id}/roles/{id}`.

use rookery_model::gateway::Event;
use rookery_model::member::MemberRow;
use rookery_model::store::Write;
use rookery_model::{ApiError, ErrorCode, Permissions, RoleId, UserId};

use super::Cx;
use crate::Outcome;
use crate::sight::Scope;
use crate::state::{GuildCore, GuildSpace};

impl GuildSpace {
    /// Whether the caller may give the role to somebody or take it away.
    pub(super) fn check_assignable(&self, caller: UserId, role_id: RoleId) -> Result<(), ApiError> {
        if role_id == RoleId::from(self.id()) {
            return Err(ErrorCode::InvalidRole.into());
        }
        let role = self.role(role_id)?;
        if role.managed {
            return Err(ErrorCode::MissingPermissions.into());
        }
        self.require_above_role(caller, role)
    }
}

impl GuildCore {
    pub(super) fn add_member_role(
        &mut self,
        cx: &mut Cx<'_>,
        user_id: UserId,
        role_id: RoleId,
    ) -> Result<Outcome, ApiError> {
        let mut row = self.role_change(cx, user_id, role_id)?;
        if let Err(place) = row.roles.binary_search(&role_id) {
            row.roles.insert(place, role_id);
        }
        self.change_member(row)
    }

    pub(super) fn remove_member_role(
        &mut self,
        cx: &mut Cx<'_>,
        user_id: UserId,
        role_id: RoleId,
    ) -> Result<Outcome, ApiError> {
        let mut row = self.role_change(cx, user_id, role_id)?;
        row.roles.retain(|id| *id != role_id);
        self.change_member(row)
    }

    fn role_change(&self, cx: &Cx<'_>, user_id: UserId, role_id: RoleId) -> Result<MemberRow, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_ROLES)?;
        let member = guild.member(user_id)?;
        guild.check_assignable(cx.caller.id(), role_id)?;
        Ok(member.row.clone())
    }

    /// Puts a changed member in place; nothing happens if it is as before.
    pub(super) fn change_member(&mut self, row: MemberRow) -> Result<Outcome, ApiError> {
        let user_id = row.user_id;
        let mut out = Outcome::default();
        let old = self.guild()?.member(user_id)?;
        if old.row == row {
            return Ok(out);
        }
        let user = old.user.clone();
        let before = self.sight(Scope::of_user(user_id));
        let guild = self.guild_mut()?;
        guild.put_member(row.clone(), user);
        let event = guild.member_event(guild.member(user_id)?, Event::GuildMemberUpdate);
        out.writes.push(Write::PutMember(row));
        self.send_about_member(&mut out, user_id, event);
        self.announce_sight(&before, &mut out);
        Ok(out)
    }
}
