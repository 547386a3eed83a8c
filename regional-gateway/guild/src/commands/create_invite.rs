//! `POST /channels/{id}/invites`.

use rookery_model::call::{CreateInvite, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::InviteCreate;
use rookery_model::invite::InviteRow;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, Permissions, Timestamp};

use super::Cx;
use crate::state::{GuildCore, GuildSpace};
use crate::{Caller, Outcome};

impl GuildCore {
    pub(super) fn create_invite(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        wanted: &CreateInvite,
    ) -> Result<Outcome, ApiError> {
        let guild = self.may_invite(cx.now, cx.caller, channel_id)?;
        if let Some(row) = self.reusable_invite(cx.now, cx.caller, channel_id, wanted) {
            return self.show_invite(row, true);
        }
        let guild_id = guild.id();
        self.check_room_for_invite(cx.now, guild)?;
        let ended: Vec<String> =
            guild.invites.values().filter(|row| !row.is_valid(cx.now)).map(|row| row.code.clone()).collect();
        // Asked for by `needs` whenever it comes to this.
        let code = cx.given.invite_code.clone().ok_or(ErrorCode::Internal)?;
        let row = InviteRow {
            code,
            guild_id,
            channel_id,
            inviter_id: Some(cx.caller.id()),
            uses: 0,
            max_uses: wanted.max_uses,
            max_age: wanted.max_age,
            temporary: wanted.temporary,
            created_at: cx.now,
        };
        let mut out = self.show_invite(&row, true)?;
        for code in ended {
            out.writes.extend(self.forget_invite(&code)?);
        }
        self.guild_mut()?.invites.insert(row.code.clone(), row.clone());
        out.writes.push(Write::PutInvite(row.clone()));
        let event = Event::InviteCreate(InviteCreate {
            channel_id,
            guild_id,
            code: row.code.clone(),
            created_at: row.created_at,
            inviter: Some(cx.caller.user.clone()),
            max_age: row.max_age,
            max_uses: row.max_uses,
            temporary: row.temporary,
            uses: 0,
            kind: 0,
            expires_at: row.expires_at(),
        });
        self.send_to_permitted(&mut out, cx.now, channel_id, Permissions::MANAGE_CHANNELS, event);
        Ok(out)
    }

    /// The guild, if the caller may make invites to the channel: 50003, 50001, 50013, 50024.
    fn may_invite(&self, now: Timestamp, caller: &Caller, channel_id: ChannelId) -> Result<&GuildSpace, ApiError> {
        let access = self.access(now, caller.id(), channel_id)?;
        let guild = access.guild.ok_or(ErrorCode::CannotExecuteOnDm)?;
        access.require(Permissions::CREATE_INSTANT_INVITE)?;
        if access.channel.kind == ChannelType::GuildCategory {
            return Err(ErrorCode::WrongChannelType.into());
        }
        Ok(guild)
    }

    /// 30016 once the guild has all the invites it may have.
    fn check_room_for_invite(&self, now: Timestamp, guild: &GuildSpace) -> Result<(), ApiError> {
        let valid = guild.invites.values().filter(|row| row.is_valid(now)).count();
        if valid >= self.limits.invites_max { Err(ErrorCode::MaxInvites.into()) } else { Ok(()) }
    }

    /// Whether the call will make an invite that does not exist yet, and so wants a code of its own.
    pub(crate) fn wants_invite_code(
        &self,
        now: Timestamp,
        caller: &Caller,
        channel_id: ChannelId,
        wanted: &CreateInvite,
    ) -> bool {
        self.may_invite(now, caller, channel_id).is_ok_and(|guild| {
            self.reusable_invite(now, caller, channel_id, wanted).is_none()
                && self.check_room_for_invite(now, guild).is_ok()
        })
    }

    /// An invite that is just what is asked for, unless a new one is wanted.
    fn reusable_invite(
        &self,
        now: Timestamp,
        caller: &Caller,
        channel_id: ChannelId,
        wanted: &CreateInvite,
    ) -> Option<&InviteRow> {
        let invites = self.guild().ok().filter(|_| !wanted.unique)?.invites.values();
        invites
            .filter(|row| row.channel_id == channel_id && row.inviter_id == Some(caller.id()) && row.is_valid(now))
            .find(|row| {
                (row.max_age, row.max_uses, row.temporary) == (wanted.max_age, wanted.max_uses, wanted.temporary)
            })
    }

    /// An answer with an invite.
    pub(super) fn show_invite(&self, row: &InviteRow, with_metadata: bool) -> Result<Outcome, ApiError> {
        let invite = self.show_invite_row(self.guild()?, row, false, with_metadata).ok_or(ErrorCode::UnknownInvite)?;
        Ok(Outcome::reply(Reply::Invite(Box::new(invite))))
    }
}
