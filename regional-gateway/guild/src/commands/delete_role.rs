//! `DELETE /guilds/{id}/roles/{id}`.

use rookery_model::channel::Channel;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::RoleDelete;
use rookery_model::store::Write;
use rookery_model::{ApiError, ErrorCode, Permissions, RoleId};

use super::Cx;
use crate::Outcome;
use crate::sight::Scope;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn delete_role(&mut self, cx: &mut Cx<'_>, role_id: RoleId) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_ROLES)?;
        let role = guild.role(role_id)?;
        if role.managed || role_id == RoleId::from(guild.id()) {
            return Err(ErrorCode::InvalidRole.into());
        }
        guild.require_above_role(cx.caller.id(), role)?;
        let mut out = Outcome::default();
        self.remove_role(&mut out, role_id)?;
        Ok(out)
    }

    /// Takes a role out of guild, members and channels. Members' rows are left with an id that means nothing any more:
    /// ids are never given twice, and rewriting a million rows for one role helps nobody.
    pub(super) fn remove_role(&mut self, out: &mut Outcome, role_id: RoleId) -> Result<(), ApiError> {
        let mut before = self.sight(Scope::everything());
        let guild = self.guild_mut()?;
        let guild_id = guild.id();
        let named: Vec<Channel> = guild
            .channels()
            .values()
            .filter(|channel| channel.permission_overwrites.iter().any(|o| o.is_for_role(role_id)))
            .cloned()
            .collect();
        guild.remove_role(role_id);
        out.writes.push(Write::DeleteRole { guild_id, role_id });
        for old in &named {
            let mut channel = old.clone();
            channel.permission_overwrites.retain(|o| !o.is_for_role(role_id));
            out.writes.push(Write::PutChannel(channel.clone()));
            guild.put_channel(channel);
        }
        before.remember(named);
        self.send_to_all(out, Event::GuildRoleDelete(RoleDelete { guild_id, role_id }));
        self.announce_sight(&before, out);
        Ok(())
    }
}
