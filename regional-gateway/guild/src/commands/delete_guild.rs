//! `DELETE /guilds/{id}`.

use rookery_model::gateway::Event;
use rookery_model::guild::UnavailableGuild;
use rookery_model::store::Write;
use rookery_model::{ApiError, ErrorCode};

use super::Cx;
use super::invites::release_code;
use crate::live_lists::LiveLists;
use crate::passive::Passive;
use crate::state::GuildCore;
use crate::{Effect, Outcome};

impl GuildCore {
    pub(super) fn delete_guild(&mut self, cx: &mut Cx<'_>) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        if guild.owner_id() != cx.caller.id() {
            return Err(ErrorCode::MissingPermissions.into());
        }
        let guild_id = guild.id();
        let user_ids = guild.members().iter().map(|entry| entry.row.user_id).collect();
        let mut out = Outcome::default();
        out.writes.extend(guild.invites.keys().map(|code| release_code(guild_id, code.clone())));
        out.writes.push(Write::DeleteGuild(guild_id));
        self.send_to_all(&mut out, Event::GuildDelete(UnavailableGuild { id: guild_id, unavailable: None }));
        out.effects.push(Effect::GuildDeleted { guild_id, user_ids });
        self.guild_mut()?.is_deleted = true;
        self.subscribers.clear();
        (self.lists, self.passive) = (LiveLists::default(), Passive::default());
        self.presences.clear();
        self.put_all_out(&mut out);
        self.voice.clear();
        Ok(out)
    }
}
