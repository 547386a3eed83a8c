//! `POST /guilds/{id}/roles`.

use rookery_model::call::{CreateRole, Reply};
use rookery_model::color::RoleColors;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::RoleEvent;
use rookery_model::role::Role;
use rookery_model::store::Write;
use rookery_model::{ApiError, ErrorCode, Permissions, RoleId};

use super::Cx;
use crate::Outcome;
use crate::access::require;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn create_role(&mut self, cx: &mut Cx<'_>, wanted: &CreateRole) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_ROLES)?;
        let everyone = guild.role(RoleId::from(guild.id()))?.permissions;
        let permissions = wanted.permissions.unwrap_or(everyone) & Permissions::ALL_NAMED;
        if wanted.permissions.is_some() {
            require(guild.guild_permissions(cx.now, cx.caller.id()), permissions)?;
        }
        if guild.roles().len() >= self.limits.roles_max {
            return Err(ErrorCode::MaxRoles.into());
        }
        let role = new_role(RoleId(cx.ids.next_id()), wanted, permissions, 1);
        let mut out = Outcome::reply(Reply::Role(Box::new(role.clone())));
        self.add_role(&mut out, role)?;
        Ok(out)
    }

    /// Puts a new role in place; it has no members yet.
    pub(super) fn add_role(&mut self, out: &mut Outcome, role: Role) -> Result<(), ApiError> {
        let guild = self.guild_mut()?;
        let guild_id = guild.id();
        guild.put_role(role.clone());
        out.writes.push(Write::PutRole { guild_id, role: role.clone() });
        self.send_to_all(out, Event::GuildRoleCreate(RoleEvent { guild_id, role }));
        Ok(())
    }
}

/// A role as asked for.
pub(crate) fn new_role(id: RoleId, wanted: &CreateRole, permissions: Permissions, position: u32) -> Role {
    let colors = colors_of(wanted.color, wanted.colors).unwrap_or_default();
    Role {
        id,
        name: wanted.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "new role".into()),
        description: None,
        color: colors.primary_color,
        colors,
        hoist: wanted.hoist,
        icon: None,
        unicode_emoji: wanted.unicode_emoji.clone(),
        position,
        permissions,
        managed: false,
        mentionable: wanted.mentionable,
        flags: 0,
        tags: None,
    }
}

/// `colors` tells more than the older `color`; none if neither was given.
pub(crate) fn colors_of(color: Option<u32>, colors: Option<RoleColors>) -> Option<RoleColors> {
    colors.or_else(|| color.map(|primary_color| RoleColors { primary_color, ..RoleColors::default() }))
}
