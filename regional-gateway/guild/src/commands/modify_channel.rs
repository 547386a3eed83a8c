//! `PATCH /channels/{id}`: a guild's channel, or a group DM.

use rookery_model::call::{ModifyChannel, Reply};
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::{ApiError, ChannelId, Patch, Permissions, limits};

use super::{Cx, channel_name};
use crate::Outcome;
use crate::state::{GuildCore, Space};

impl GuildCore {
    pub(super) fn modify_channel(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        changes: &ModifyChannel,
    ) -> Result<Outcome, ApiError> {
        if matches!(self.space, Space::Dm(_)) {
            return self.modify_group_dm(cx, channel_id, changes);
        }
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let guild = access.guild()?;
        access.require(Permissions::MANAGE_CHANNELS)?;
        access.require_text()?;
        let mut new = access.channel.clone();
        apply_kind(&mut new, changes)?;
        if let Some(name) = &changes.name {
            new.name = Some(channel_name(new.kind, name)?);
        }
        if let Some(position) = changes.position.clone().value() {
            new.position = position;
        }
        if new.kind != ChannelType::GuildCategory {
            apply_content(&mut new, changes)?;
        }
        match changes.parent_id {
            Patch::Keep => {}
            Patch::Clear => new.parent_id = None,
            Patch::Set(id) => {
                guild.check_parent(Some(channel_id), new.kind, id, self.limits.category_channels_max)?;
                new.parent_id = Some(id);
            }
        }
        match &changes.permission_overwrites {
            Patch::Keep => {}
            change => {
                access.require(Permissions::MANAGE_ROLES)?;
                let wanted = change.clone().value().unwrap_or_default();
                new.permission_overwrites = guild.check_overwrites(cx, Some(access.channel), &wanted)?;
            }
        }
        if let Patch::Set(rtc_region) = &changes.rtc_region
            && new.rtc_region != access.channel.rtc_region
        {
            self.limits.check_rtc_region(Some(rtc_region))?;
        }
        let moves = new.rtc_region != access.channel.rtc_region;
        let reply = Reply::Channel(Box::new(new.clone()));
        let mut out = Outcome { reply, ..self.change_channels(vec![new])? };
        if moves {
            self.move_room(&mut out, channel_id);
        }
        Ok(out)
    }
}

/// Text ↔ announcement is the only change of kind that there is.
fn apply_kind(new: &mut Channel, changes: &ModifyChannel) -> Result<(), ApiError> {
    let Some(kind) = changes.kind.filter(|kind| *kind != new.kind) else { return Ok(()) };
    let is_text = |kind| matches!(kind, ChannelType::GuildText | ChannelType::GuildAnnouncement);
    if !is_text(kind) || !is_text(new.kind) {
        return Err(ApiError::invalid_field(["type"], "BASE_TYPE_CHOICES", "Value must be one of {0, 5}."));
    }
    new.kind = kind;
    Ok(())
}

/// What categories do not have.
fn apply_content(new: &mut Channel, changes: &ModifyChannel) -> Result<(), ApiError> {
    changes.topic.clone().apply(&mut new.topic);
    set(&changes.nsfw, &mut new.nsfw, false);
    set(&changes.rate_limit_per_user, &mut new.rate_limit_per_user, 0);
    if new.kind.is_voice_based() {
        check_user_limit(new.kind, &changes.user_limit)?;
        let defaults = Channel::new(new.id, new.kind);
        set(&changes.bitrate.clone().some(), &mut new.bitrate, defaults.bitrate);
        set(&changes.user_limit.clone().some(), &mut new.user_limit, defaults.user_limit);
        set(&changes.video_quality_mode.clone().some(), &mut new.video_quality_mode, defaults.video_quality_mode);
        changes.rtc_region.clone().apply(&mut new.rtc_region);
    } else {
        changes.default_auto_archive_duration.clone().apply(&mut new.default_auto_archive_duration);
    }
    Ok(())
}

/// The edge does not know of which kind a channel is, and lets pass what a stage may have.
fn check_user_limit(kind: ChannelType, limit: &Patch<u32>) -> Result<(), ApiError> {
    match limit {
        Patch::Set(limit) if kind == ChannelType::GuildVoice && *limit > limits::VOICE_USER_LIMIT_MAX => {
            let message = format!("int value should be less than or equal to {}.", limits::VOICE_USER_LIMIT_MAX);
            Err(ApiError::invalid_field(["user_limit"], "NUMBER_TYPE_MAX", message))
        }
        _ => Ok(()),
    }
}

/// Null sets the default.
fn set<T: Clone>(change: &Patch<T>, field: &mut T, default: T) {
    match change {
        Patch::Keep => {}
        Patch::Clear => *field = default,
        Patch::Set(value) => *field = value.clone(),
    }
}

trait SomePatch<T> {
    /// The same change of an optional field.
    fn some(self) -> Patch<Option<T>>;
}

impl<T> SomePatch<T> for Patch<T> {
    fn some(self) -> Patch<Option<T>> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(Some(value)),
        }
    }
}
