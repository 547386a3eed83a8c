//! Calls that are answered from memory.

use rookery_model::call::Reply;
use rookery_model::{ApiError, ChannelId, RoleId, UserId};

use super::Cx;
use crate::Outcome;
use crate::members::MemberEntry;
use crate::state::GuildCore;

impl GuildCore {
    /// Where voice channels of the guild can be.
    pub(super) fn list_voice_regions(&self, cx: &Cx<'_>) -> Result<Outcome, ApiError> {
        self.guild()?.require_member(cx.caller.id())?;
        Ok(Outcome::reply(Reply::VoiceRegions(self.limits.voice_regions.clone())))
    }

    pub(super) fn get_guild(&self, cx: &Cx<'_>, with_counts: bool) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let mut view = guild.view();
        if with_counts {
            view.approximate_member_count = Some(self.member_count_u32());
            view.approximate_presence_count = Some(self.presence_count());
        }
        Ok(Outcome::reply(Reply::Guild(Box::new(view))))
    }

    /// Only those that the caller sees.
    pub(super) fn list_guild_channels(&self, cx: &Cx<'_>) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let visible = guild.channels().values().filter(|channel| guild.can_view(cx.caller.id(), channel));
        Ok(Outcome::reply(Reply::Channels(visible.cloned().collect())))
    }

    pub(super) fn list_roles(&self, cx: &Cx<'_>) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        Ok(Outcome::reply(Reply::Roles(guild.roles().values().cloned().collect())))
    }

    pub(super) fn get_role(&self, cx: &Cx<'_>, id: RoleId) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        Ok(Outcome::reply(Reply::Role(Box::new(guild.role(id)?.clone()))))
    }

    pub(super) fn get_member(&self, cx: &Cx<'_>, id: UserId) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        Ok(Outcome::reply(Reply::Member(Box::new(guild.member(id)?.view()))))
    }

    pub(super) fn list_members(&self, cx: &Cx<'_>, limit: u16, after: UserId) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let page = guild.members().after(after).take(usize::from(limit)).map(MemberEntry::view);
        Ok(Outcome::reply(Reply::Members(page.collect())))
    }

    pub(super) fn search_members(&self, cx: &Cx<'_>, query: &str, limit: u16) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require_member(cx.caller.id())?;
        let found = guild.members().search(query, usize::from(limit));
        Ok(Outcome::reply(Reply::Members(found.into_iter().map(MemberEntry::view).collect())))
    }

    pub(super) fn list_guild_emojis(&self, cx: &Cx<'_>) -> Result<Outcome, ApiError> {
        self.guild()?.require_member(cx.caller.id())?;
        Ok(Outcome::reply(Reply::Emojis(Vec::new())))
    }

    pub(super) fn get_channel(&self, cx: &Cx<'_>, id: ChannelId) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), id)?;
        let channel = self.dm_view(cx.caller.id()).unwrap_or_else(|| access.channel.clone());
        Ok(Outcome::reply(Reply::Channel(Box::new(channel))))
    }
}
