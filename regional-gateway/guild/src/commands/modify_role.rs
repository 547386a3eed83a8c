//! `PATCH /guilds/{id}/roles/{id}`.

use rookery_model::call::{ModifyRole, Reply};
use rookery_model::gateway::Event;
use rookery_model::gateway::event::RoleEvent;
use rookery_model::role::Role;
use rookery_model::store::Write;
use rookery_model::{ApiError, Patch, Permissions, RoleId};

use super::{Cx, colors_of};
use crate::Outcome;
use crate::access::require;
use crate::sight::Scope;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn modify_role(
        &mut self,
        cx: &mut Cx<'_>,
        role_id: RoleId,
        changes: &ModifyRole,
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_ROLES)?;
        let old = guild.role(role_id)?;
        guild.require_above_role(cx.caller.id(), old)?;
        let mut new = old.clone();
        apply(&mut new, changes, role_id == RoleId::from(guild.id()));
        // Only what one has oneself can be given or taken away.
        require(guild.guild_permissions(cx.now, cx.caller.id()), old.permissions ^ new.permissions)?;
        let mut out = Outcome::reply(Reply::Role(Box::new(new.clone())));
        if *old != new {
            self.change_roles(&mut out, vec![new])?;
        }
        Ok(out)
    }

    /// Puts changed roles in place and tells what appears and vanishes by it.
    pub(super) fn change_roles(&mut self, out: &mut Outcome, roles: Vec<Role>) -> Result<(), ApiError> {
        let before = self.sight(Scope::everything());
        for role in roles {
            let guild = self.guild_mut()?;
            let guild_id = guild.id();
            guild.put_role(role.clone());
            out.writes.push(Write::PutRole { guild_id, role: role.clone() });
            self.send_to_all(out, Event::GuildRoleUpdate(RoleEvent { guild_id, role }));
        }
        self.announce_sight(&before, out);
        Ok(())
    }
}

/// Null sets the default; `@everyone` keeps its name and is never hoisted or mentionable.
fn apply(role: &mut Role, changes: &ModifyRole, is_everyone: bool) {
    match changes.permissions {
        Patch::Keep => {}
        Patch::Clear => role.permissions = Permissions::empty(),
        Patch::Set(permissions) => role.permissions = permissions & Permissions::ALL_NAMED,
    }
    let color = match changes.color {
        Patch::Keep => None,
        Patch::Clear => Some(0),
        Patch::Set(color) => Some(color),
    };
    let colors = match changes.colors {
        Patch::Keep => None,
        Patch::Clear => Some(rookery_model::color::RoleColors::default()),
        Patch::Set(colors) => Some(colors),
    };
    if let Some(colors) = colors_of(color, colors) {
        role.colors = colors;
        role.color = colors.primary_color;
    }
    changes.unicode_emoji.clone().apply(&mut role.unicode_emoji);
    if is_everyone {
        return;
    }
    match &changes.name {
        Patch::Keep => {}
        Patch::Clear => role.name = "new role".into(),
        Patch::Set(name) => role.name.clone_from(name),
    }
    for (change, field) in [(&changes.hoist, &mut role.hoist), (&changes.mentionable, &mut role.mentionable)] {
        match change {
            Patch::Keep => {}
            Patch::Clear => *field = false,
            Patch::Set(value) => *field = *value,
        }
    }
}
