//! `POST /invites/{code}`, and how somebody becomes a member.

use std::sync::Arc;

use rookery_model::call::Reply;
use rookery_model::gateway::Event;
use rookery_model::member::MemberRow;
use rookery_model::message::MessageType;
use rookery_model::store::Write;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, RoleId};

use super::Cx;
use crate::state::GuildCore;
use crate::{Effect, Outcome};

/// System channel flag SUPPRESS_JOIN_NOTIFICATIONS.
const SUPPRESS_JOIN_NOTIFICATIONS: u32 = 1;

impl GuildCore {
    pub(super) fn accept_invite(&mut self, cx: &mut Cx<'_>, code: &str) -> Result<Outcome, ApiError> {
        if cx.caller.user.bot {
            return Err(ErrorCode::BotsCannotUse.into());
        }
        let mut row = self.valid_invite(cx.now, code)?.clone();
        let guild = self.guild()?;
        if guild.banned.contains(&cx.caller.id()) {
            return Err(ErrorCode::UserBanned.into());
        }
        let is_new = !guild.members().contains(cx.caller.id());
        let mut invite = self.show_invite_row(guild, &row, false, false).ok_or(ErrorCode::UnknownInvite)?;
        invite.new_member = Some(is_new);
        let mut out = Outcome::reply(Reply::Invite(Box::new(invite)));
        if !is_new {
            return Ok(out);
        }
        self.check_room()?;
        row.uses += 1;
        if row.is_valid(cx.now) {
            self.guild_mut()?.invites.insert(row.code.clone(), row.clone());
            out.writes.push(Write::PutInvite(row));
        } else {
            out.writes.extend(self.forget_invite(code)?);
        }
        self.join(cx, &mut out, cx.caller.user.clone(), Vec::new())?;
        Ok(out)
    }

    /// 30019 once the guild is full.
    pub(super) fn check_room(&self) -> Result<(), ApiError> {
        let is_full = self.guild()?.members().len() >= self.limits.members_max;
        if is_full { Err(ErrorCode::MaxMembers.into()) } else { Ok(()) }
    }

    /// Makes somebody a member, and says so in the system channel if there is one.
    pub(super) fn join(
        &mut self,
        cx: &mut Cx<'_>,
        out: &mut Outcome,
        user: User,
        roles: Vec<RoleId>,
    ) -> Result<(), ApiError> {
        let user_id = user.id;
        let guild = self.guild_mut()?;
        let row = MemberRow {
            guild_id: guild.id(),
            user_id,
            nick: None,
            avatar: None,
            roles,
            joined_at: cx.now,
            deaf: false,
            mute: false,
            pending: false,
            flags: 0,
            communication_disabled_until: None,
        };
        guild.put_member(row.clone(), Arc::new(user));
        let event = guild.member_event(guild.member(user_id)?, Event::GuildMemberAdd);
        let properties = guild.properties();
        let suppressed = properties.system_channel_flags & SUPPRESS_JOIN_NOTIFICATIONS != 0;
        let welcome_in = properties.system_channel_id.filter(|_| !suppressed);
        let guild_id = guild.id();
        out.writes.push(Write::PutMember(row));
        out.effects.push(Effect::MemberJoined { guild_id, user_id });
        self.send_to_all(out, event);
        if let Some(channel_id) = welcome_in.filter(|id| guild_has_channel(self, *id)) {
            self.post_system(cx, out, channel_id, user_id, MessageType::UserJoin, |_| {});
        }
        Ok(())
    }
}

fn guild_has_channel(core: &GuildCore, id: rookery_model::ChannelId) -> bool {
    core.guild().is_ok_and(|guild| guild.channels().contains_key(&id))
}
