//! `POST /oauth2/authorize` with scope `bot`: a bot becomes a member, with a role of its own.

use rookery_model::call::{Authorize, CreateRole, Reply};
use rookery_model::role::{Role, RoleTags};
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, Permissions, RoleId, UserId};

use super::Cx;
use super::create_role::new_role;
use crate::Outcome;
use crate::state::GuildCore;

/// Where the authorising page goes on to.
const AUTHORIZED_LOCATION: &str = "/oauth2/authorized";

impl GuildCore {
    /// The shell has checked that the application exists, has a bot, and that the caller may add it.
    pub(super) fn authorize(&mut self, cx: &mut Cx<'_>, wanted: &Authorize) -> Result<Outcome, ApiError> {
        if cx.caller.user.bot {
            return Err(ErrorCode::BotsCannotUse.into());
        }
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_GUILD)?;
        let bot_id = UserId::from(wanted.client_id);
        let bot = cx.given.users.get(&bot_id).cloned().flatten().ok_or(ErrorCode::UnknownApplication)?;
        // Nobody hands on more than they have.
        let own = guild.guild_permissions(cx.now, cx.caller.id());
        let permissions = wanted.permissions & Permissions::ALL_NAMED & own;
        let mut out = Outcome::reply(Reply::Authorized { location: AUTHORIZED_LOCATION.into() });
        if guild.members().contains(bot_id) {
            self.authorize_again(&mut out, bot_id, permissions, own)?;
            return Ok(out);
        }
        if guild.banned.contains(&bot_id) {
            return Err(ErrorCode::UserBanned.into());
        }
        self.check_room()?;
        let roles = match self.bot_role(cx, &bot, permissions)? {
            Some(role) => {
                let id = role.id;
                self.add_role(&mut out, role)?;
                vec![id]
            }
            None => Vec::new(),
        };
        self.join(cx, &mut out, bot, roles)?;
        Ok(out)
    }

    /// A bot that asks for nothing needs no role.
    fn bot_role(&self, cx: &mut Cx<'_>, bot: &User, permissions: Permissions) -> Result<Option<Role>, ApiError> {
        if permissions.is_empty() {
            return Ok(None);
        }
        if self.guild()?.roles().len() >= self.limits.roles_max {
            return Err(ErrorCode::MaxRoles.into());
        }
        let wanted = CreateRole { name: Some(bot.username.clone()), ..CreateRole::default() };
        let tags = RoleTags { bot_id: Some(bot.id), integration_id: None };
        let role = new_role(RoleId(cx.ids.next_id()), &wanted, permissions, 1);
        Ok(Some(Role { managed: true, tags: Some(tags), ..role }))
    }

    /// Authorising a member anew sets what its role gives, as far as the caller has it to give or take.
    fn authorize_again(
        &mut self,
        out: &mut Outcome,
        bot_id: UserId,
        wanted: Permissions,
        own: Permissions,
    ) -> Result<(), ApiError> {
        let guild = self.guild()?;
        let own_role = guild
            .roles()
            .values()
            .find(|role| role.tags.as_ref().is_some_and(|tags| tags.bot_id == Some(bot_id)))
            .map(|role| Role { permissions: (role.permissions - own) | wanted, ..role.clone() })
            .filter(|new| guild.roles().get(&new.id).is_some_and(|old| old != new));
        match own_role {
            Some(role) => self.change_roles(out, vec![role]),
            None => Ok(()),
        }
    }
}
