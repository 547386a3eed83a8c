//! Invites: got, listed, deleted.

use rookery_model::call::Reply;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::InviteDelete;
use rookery_model::invite::{Invite, InviteRow};
use rookery_model::store::{UniqueKey, Write};
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, Permissions, Timestamp};

use super::Cx;
use crate::Outcome;
use crate::access::require;
use crate::state::GuildCore;

/// Gives the code of an invite free, which its guild holds.
pub(super) fn release_code(guild_id: GuildId, code: String) -> Write {
    Write::DeleteUnique { key: UniqueKey::InviteCode(code), owner: guild_id.get() }
}

impl GuildCore {
    /// An invite as anybody may see it, who need not have signed in; none once it ended.
    pub fn invite_view(&self, now: Timestamp, code: &str, with_counts: bool) -> Option<Invite> {
        let row = self.valid_invite(now, code).ok()?;
        self.show_invite_row(self.guild().ok()?, row, with_counts, false)
    }

    pub(super) fn get_invite(&self, cx: &Cx<'_>, code: &str, with_counts: bool) -> Result<Outcome, ApiError> {
        let invite = self.invite_view(cx.now, code, with_counts).ok_or(ErrorCode::UnknownInvite)?;
        Ok(Outcome::reply(Reply::Invite(Box::new(invite))))
    }

    /// 10006 for invites that are unknown or ended, and for all of a guild that is gone.
    pub(super) fn valid_invite(&self, now: Timestamp, code: &str) -> Result<&InviteRow, ApiError> {
        let guild = self.guild().map_err(|_| ErrorCode::UnknownInvite)?;
        guild.invites.get(code).filter(|row| row.is_valid(now)).ok_or_else(|| ErrorCode::UnknownInvite.into())
    }

    /// Takes an invite that ended out of memory and store.
    pub(super) fn forget_invite(&mut self, code: &str) -> Result<[Write; 2], ApiError> {
        let guild = self.guild_mut()?;
        guild.invites.remove(code);
        Ok([
            Write::DeleteInvite { guild_id: guild.id(), code: code.to_owned() },
            release_code(guild.id(), code.to_owned()),
        ])
    }

    pub(super) fn delete_invite(&mut self, cx: &mut Cx<'_>, code: &str) -> Result<Outcome, ApiError> {
        let row = self.valid_invite(cx.now, code)?;
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let in_guild = guild.guild_permissions(cx.now, cx.caller.id());
        let in_channel = self.permissions_in(cx.now, cx.caller.id(), row.channel_id);
        if !in_guild.contains(Permissions::MANAGE_GUILD) {
            require(in_channel, Permissions::MANAGE_CHANNELS)?;
        }
        let (channel_id, guild_id) = (row.channel_id, guild.id());
        let mut out = self.show_invite(row, false)?;
        out.writes.extend(self.forget_invite(code)?);
        let event = Event::InviteDelete(InviteDelete { channel_id, guild_id, code: code.to_owned() });
        self.send_to_permitted(&mut out, cx.now, channel_id, Permissions::MANAGE_CHANNELS, event);
        Ok(out)
    }

    pub(super) fn list_channel_invites(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.guild()?;
        access.require(Permissions::MANAGE_CHANNELS)?;
        self.list_invites(cx, true, |row| row.channel_id == channel_id)
    }

    pub(super) fn list_guild_invites(&self, cx: &Cx<'_>) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let own = guild.guild_permissions(cx.now, cx.caller.id());
        let manages = own.contains(Permissions::MANAGE_GUILD);
        if !manages {
            require(own, Permissions::VIEW_AUDIT_LOG)?;
        }
        self.list_invites(cx, manages, |_| true)
    }

    fn list_invites(
        &self,
        cx: &Cx<'_>,
        with_metadata: bool,
        wanted: impl Fn(&InviteRow) -> bool,
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let rows = guild.invites.values().filter(|row| row.is_valid(cx.now) && wanted(row));
        let invites = rows.filter_map(|row| self.show_invite_row(guild, row, false, with_metadata)).collect();
        Ok(Outcome::reply(Reply::Invites(invites)))
    }
}
