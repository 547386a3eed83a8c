//! Members that go: `DELETE /users/@me/guilds/{id}` and `DELETE /guilds/{id}/members/{id}`.

use rookery_model::gateway::event::GuildUser;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::guild::UnavailableGuild;
use rookery_model::store::Write;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, Permissions, RoleId, UserId};

use super::Cx;
use crate::state::GuildCore;
use crate::{Effect, Outcome};

impl GuildCore {
    pub(super) fn leave_guild(&mut self, cx: &mut Cx<'_>) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        if guild.owner_id() == cx.caller.id() {
            return Err(ErrorCode::InvalidGuild.into());
        }
        self.remove_member(cx.caller.id())
    }

    pub(super) fn kick_member(&mut self, cx: &mut Cx<'_>, user_id: UserId) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::KICK_MEMBERS)?;
        guild.member(user_id)?;
        guild.require_above_member(cx.caller.id(), user_id)?;
        self.remove_member(user_id)
    }

    /// Takes a member out: their sessions get GUILD_DELETE, the others GUILD_MEMBER_REMOVE.
    fn remove_member(&mut self, user_id: UserId) -> Result<Outcome, ApiError> {
        let guild = self.guild_mut()?;
        let guild_id = guild.id();
        let user = guild.member(user_id)?.user.clone();
        if guild.invites.values().any(|invite| invite.inviter_id == Some(user_id)) {
            guild.inviters.insert(user_id, user.clone());
        }
        let managed: Vec<RoleId> = guild
            .roles()
            .values()
            .filter(|role| role.tags.as_ref().is_some_and(|tags| tags.bot_id == Some(user_id)))
            .map(|role| role.id)
            .collect();
        let mut out = Outcome::default();
        self.disconnect(&mut out, user_id);
        self.presences.remove(user_id);
        self.guild_mut()?.remove_member(user_id);
        out.writes.push(Write::DeleteMember { guild_id, user_id });
        let sessions: Vec<SubscriberId> = self
            .subscribers
            .of(user_id)
            .iter()
            .copied()
            .filter(|id| self.subscribers.get(*id).is_some_and(|s| s.wants(Intents::GUILDS)))
            .collect();
        self.subscribers.of(user_id).iter().for_each(|id| self.lists.forget(*id));
        self.subscribers.remove_user(user_id);
        out.send(Event::GuildDelete(UnavailableGuild { id: guild_id, unavailable: None }), sessions);
        self.send_to_all(&mut out, Event::GuildMemberRemove(GuildUser { guild_id, user: User::clone(&user) }));
        // A bot's own role goes with the bot.
        for role_id in managed {
            self.remove_role(&mut out, role_id)?;
        }
        out.effects.push(Effect::MemberLeft { guild_id, user_id });
        Ok(out)
    }
}
