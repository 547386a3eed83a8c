//! `PATCH /guilds/{id}/roles`.

use rookery_model::call::{Reply, RolePosition};
use rookery_model::role::Role;
use rookery_model::{ApiError, ErrorCode, Permissions, RoleId};

use super::Cx;
use crate::Outcome;
use crate::access::Rank;
use crate::state::{GuildCore, GuildSpace};

impl GuildCore {
    pub(super) fn modify_role_positions(
        &mut self,
        cx: &mut Cx<'_>,
        positions: &[RolePosition],
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_ROLES)?;
        let old_order = order(guild);
        let new_order = reorder(guild, &old_order, positions)?;
        let rank = guild.rank(cx.caller.id());
        for (index, id) in new_order.iter().enumerate() {
            let role = guild.role(*id)?;
            // A role that is not below the caller keeps its place among those above it.
            if Rank::of_role(role) >= rank && old_order.get(index) != Some(id) {
                return Err(ErrorCode::MissingPermissions.into());
            }
        }
        let changed: Vec<Role> = new_order
            .iter()
            .zip(1_u32..)
            .filter_map(|(id, position)| {
                let role = guild.roles().get(id).filter(|role| role.position != position)?;
                Some(Role { position, ..role.clone() })
            })
            .collect();
        let mut out = Outcome::default();
        if new_order != old_order {
            self.change_roles(&mut out, changed)?;
        }
        out.reply = Reply::Roles(self.guild()?.roles().values().cloned().collect());
        Ok(out)
    }
}

/// All roles but `@everyone`, lowest first.
fn order(guild: &GuildSpace) -> Vec<RoleId> {
    let everyone = RoleId::from(guild.id());
    let mut roles: Vec<&Role> = guild.roles().values().filter(|role| role.id != everyone).collect();
    roles.sort_by_key(|role| Rank::of_role(role));
    roles.into_iter().map(|role| role.id).collect()
}

/// The order in which the named roles stand at the positions asked for, and the others around them as before.
fn reorder(guild: &GuildSpace, old: &[RoleId], positions: &[RolePosition]) -> Result<Vec<RoleId>, ApiError> {
    let mut wanted: Vec<(u32, RoleId)> = Vec::new();
    for entry in positions {
        guild.role(entry.id)?;
        let Some(position) = entry.position else { continue };
        if entry.id == RoleId::from(guild.id()) {
            // Clients send the whole list; only moving `@everyone` is wrong.
            if position == 0 {
                continue;
            }
            return Err(ErrorCode::InvalidRole.into());
        }
        wanted.retain(|(_, id)| *id != entry.id);
        wanted.push((position, entry.id));
    }
    // Of two that want one place the one that stood lower stays lower.
    wanted.sort_by_key(|(position, id)| (*position, old.iter().position(|other| other == id)));
    let mut new: Vec<RoleId> = old.iter().copied().filter(|id| wanted.iter().all(|(_, other)| other != id)).collect();
    for (position, id) in wanted {
        let index = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX).min(new.len());
        new.insert(index, id);
    }
    Ok(new)
}
