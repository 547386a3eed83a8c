//! `DELETE /channels/{id}`: a guild's channel; closes a DM, leaves a group DM.

use rookery_model::call::Reply;
use rookery_model::channel::Channel;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::InviteDelete;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, Permissions, Timestamp};

use super::Cx;
use super::invites::release_code;
use crate::Outcome;
use crate::state::{GuildCore, Space};

impl GuildCore {
    pub(super) fn delete_channel(&mut self, cx: &mut Cx<'_>, channel_id: ChannelId) -> Result<Outcome, ApiError> {
        if matches!(self.space, Space::Dm(_)) {
            return self.leave_dm(cx, channel_id);
        }
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.require(Permissions::MANAGE_CHANNELS)?;
        access.require_text()?;
        let channel = access.channel.clone();
        let guild_id = access.guild()?.id();

        let mut out = Outcome::reply(Reply::Channel(Box::new(channel.clone())));
        self.forget_invites(&mut out, cx.now, channel_id)?;
        // Children of a category move out of it, and are told about first: none is left with a parent unknown.
        let children: Vec<Channel> = self
            .guild()?
            .channels()
            .values()
            .filter(|child| child.parent_id == Some(channel_id))
            .map(|child| Channel { parent_id: None, ..child.clone() })
            .collect();
        let moved = self.change_channels(children)?;
        out.writes.extend(moved.writes);
        out.dispatches.extend(moved.dispatches);

        self.disconnect_channel(&mut out, channel_id);
        self.end_voice_status(&mut out, channel_id);
        self.end_stage(cx, &mut out, channel_id)?;
        // The audience is that of the channel while it is there.
        self.send_to_channel(&mut out, channel_id, Event::ChannelDelete(channel));
        self.guild_mut()?.remove_channel(channel_id);
        out.writes.push(Write::DeleteChannel { guild_id: Some(guild_id), channel_id });
        self.forget_special_channel(&mut out, channel_id)?;
        Ok(out)
    }

    /// The channel's invites end with it.
    fn forget_invites(&mut self, out: &mut Outcome, now: Timestamp, channel_id: ChannelId) -> Result<(), ApiError> {
        let guild = self.guild()?;
        let guild_id = guild.id();
        let codes: Vec<String> =
            guild.invites.values().filter(|i| i.channel_id == channel_id).map(|i| i.code.clone()).collect();
        for code in codes {
            self.guild_mut()?.invites.remove(&code);
            out.writes.push(Write::DeleteInvite { guild_id, code: code.clone() });
            out.writes.push(release_code(guild_id, code.clone()));
            let event = Event::InviteDelete(InviteDelete { channel_id, guild_id, code });
            self.send_to_permitted(out, now, channel_id, Permissions::MANAGE_CHANNELS, event);
        }
        Ok(())
    }

    /// The guild no longer names the channel for anything.
    fn forget_special_channel(&mut self, out: &mut Outcome, channel_id: ChannelId) -> Result<(), ApiError> {
        let mut properties = self.guild()?.properties().clone();
        for field in [
            &mut properties.afk_channel_id,
            &mut properties.system_channel_id,
            &mut properties.rules_channel_id,
            &mut properties.public_updates_channel_id,
            &mut properties.safety_alerts_channel_id,
            &mut properties.widget_channel_id,
        ] {
            if *field == Some(channel_id) {
                *field = None;
            }
        }
        if properties != *self.guild()?.properties() {
            out.writes.push(Write::PutGuild(properties.clone()));
            self.guild_mut()?.set_properties(properties);
            self.send_guild_update(out)?;
        }
        Ok(())
    }
}
