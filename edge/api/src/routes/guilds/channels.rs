//! `/guilds/{id}/channels`.

use rookery_model::call::{Call, ChannelPosition, CreateChannel};
use rookery_model::channel::ChannelType;
use rookery_model::{ApiError, limits};

use super::guild_id;
use crate::read::{Item, Object};
use crate::routes::Input;
use crate::routes::channels::form;

/// Text, voice, category, announcement and stage.
const KINDS: [u8; 5] = [0, 2, 4, 5, 13];

/// `POST /guilds/{id}/channels`.
pub fn create(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    Ok(Call::CreateGuildChannel { guild_id: guild_id(input), channel: Box::new(self::form(&body)) })
}

/// A channel's fields.
pub fn form(object: &Object<'_>) -> CreateChannel {
    object.refuse(&form::NOT_YET);
    let kind = object.field("type").optional(|kind| form::kind(kind, &KINDS)).unwrap_or(ChannelType::GuildText);
    CreateChannel {
        name: object.field("name").required(form::name),
        kind,
        topic: object.field("topic").patch_text(limits::CHANNEL_TOPIC_MAX_CHARS).value(),
        bitrate: object.field("bitrate").optional(form::bitrate),
        user_limit: object.field("user_limit").optional(|limit| form::user_limit(limit, Some(kind))),
        rate_limit_per_user: object.field("rate_limit_per_user").optional(form::slowmode),
        position: object.field("position").optional(form::position),
        permission_overwrites: object.field("permission_overwrites").optional(form::overwrites).unwrap_or_default(),
        parent_id: object.field("parent_id").optional(|id| id.id()),
        nsfw: object.field("nsfw").optional(|nsfw| nsfw.boolean()).unwrap_or(false),
        rtc_region: object.field("rtc_region").optional(form::rtc_region),
        video_quality_mode: object.field("video_quality_mode").optional(|mode| mode.choice(&form::VIDEO_QUALITY_MODES)),
        default_auto_archive_duration: object
            .field("default_auto_archive_duration")
            .optional(|minutes| minutes.choice(&form::AUTO_ARCHIVE_DURATIONS)),
    }
}

/// `PATCH /guilds/{id}/channels`: a list.
pub fn modify_positions(input: &Input<'_>) -> Result<Call, ApiError> {
    let positions = input.json()?.list(1..=limits::GUILD_CHANNELS_MAX, position);
    Ok(Call::ModifyChannelPositions { guild_id: guild_id(input), positions: positions.unwrap_or_default() })
}

fn position(item: Item<'_>) -> Option<ChannelPosition> {
    let object = item.object()?;
    Some(ChannelPosition {
        id: object.field("id").required(|id| id.id()),
        position: object.field("position").optional(form::position),
        lock_permissions: object.field("lock_permissions").optional(|lock| lock.boolean()).unwrap_or(false),
        parent_id: object.field("parent_id").patch(|id| id.id()),
    })
}
