//! `POST /guilds/{id}/channels`.

use rookery_model::call::{CreateChannel, Reply};
use rookery_model::channel::{Channel, ChannelType, Overwrite};
use rookery_model::gateway::Event;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, Permissions};

use super::{Cx, channel_name};
use crate::Outcome;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn create_guild_channel(
        &mut self,
        cx: &mut Cx<'_>,
        wanted: &CreateChannel,
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_CHANNELS)?;
        if guild.channels().len() >= self.limits.channels_max {
            return Err(ErrorCode::MaxChannels.into());
        }
        let parent = match wanted.parent_id {
            Some(id) => Some(guild.check_parent(None, wanted.kind, id, self.limits.category_channels_max)?),
            None => None,
        };
        let overwrites = match parent {
            // A channel made in a category starts with the category's overwrites.
            Some(parent) if wanted.permission_overwrites.is_empty() => parent.permission_overwrites.clone(),
            _ => guild.check_overwrites(cx, None, &wanted.permission_overwrites)?,
        };
        let position = wanted.position.unwrap_or_else(|| guild.last_position(wanted.kind, wanted.parent_id));
        self.limits.check_rtc_region(wanted.rtc_region.as_deref())?;
        let guild_id = guild.id();
        let template = new_channel(guild_id, ChannelId::default(), wanted, wanted.parent_id, overwrites, position)?;
        let channel = Channel { id: ChannelId(cx.ids.next_id()), ..template };

        self.guild_mut()?.put_channel(channel.clone());
        let mut out = Outcome::reply(Reply::Channel(Box::new(channel.clone())));
        out.writes.push(Write::PutChannel(channel.clone()));
        self.send_to_channel(&mut out, channel.id, Event::ChannelCreate(channel));
        Ok(out)
    }
}

/// A channel as asked for; only the fields of its kind are taken.
pub(crate) fn new_channel(
    guild_id: GuildId,
    id: ChannelId,
    wanted: &CreateChannel,
    parent_id: Option<ChannelId>,
    permission_overwrites: Vec<Overwrite>,
    position: u32,
) -> Result<Channel, ApiError> {
    let kind = wanted.kind;
    if !matches!(
        kind,
        ChannelType::GuildText
            | ChannelType::GuildVoice
            | ChannelType::GuildCategory
            | ChannelType::GuildAnnouncement
            | ChannelType::GuildStageVoice
    ) {
        return Err(ApiError::invalid_field(["type"], "BASE_TYPE_CHOICES", "Value must be one of {0, 2, 4, 5, 13}."));
    }
    let mut channel = Channel {
        guild_id: Some(guild_id),
        name: Some(channel_name(kind, &wanted.name)?),
        permission_overwrites,
        position,
        ..Channel::new(id, kind)
    };
    if kind == ChannelType::GuildCategory {
        return Ok(channel);
    }
    channel.parent_id = parent_id;
    channel.nsfw = wanted.nsfw;
    channel.rate_limit_per_user = wanted.rate_limit_per_user.unwrap_or(0);
    channel.topic.clone_from(&wanted.topic);
    if kind.is_voice_based() {
        channel.bitrate = wanted.bitrate.or(channel.bitrate);
        channel.user_limit = wanted.user_limit.or(channel.user_limit);
        channel.rtc_region.clone_from(&wanted.rtc_region);
        channel.video_quality_mode = wanted.video_quality_mode.or(channel.video_quality_mode);
    } else {
        channel.default_auto_archive_duration = wanted.default_auto_archive_duration;
    }
    Ok(channel)
}
