//! `PATCH /channels/{id}`: which fields a kind of channel has is the region's to know.

use rookery_model::call::{Call, ModifyChannel};
use rookery_model::{ApiError, limits};

use super::{channel_id, form};
use crate::routes::Input;

/// Text, voice, category and announcement; a change is possible between text and announcement alone.
const KINDS: [u8; 4] = [0, 2, 4, 5];

pub fn modify_channel(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&form::NOT_YET);
    body.refuse(&[("icon", "icons of group DMs"), ("archived", "threads"), ("locked", "threads")]);
    let changes = ModifyChannel {
        name: body.field("name").optional(form::name),
        kind: body.field("type").optional(|kind| form::kind(kind, &KINDS)),
        position: body.field("position").patch(form::position),
        topic: body.field("topic").patch_text(limits::CHANNEL_TOPIC_MAX_CHARS),
        nsfw: body.field("nsfw").patch(|nsfw| nsfw.boolean()),
        rate_limit_per_user: body.field("rate_limit_per_user").patch(form::slowmode),
        bitrate: body.field("bitrate").patch(form::bitrate),
        user_limit: body.field("user_limit").patch(|limit| form::user_limit(limit, None)),
        permission_overwrites: body.field("permission_overwrites").patch(form::overwrites),
        parent_id: body.field("parent_id").patch(|id| id.id()),
        rtc_region: body.field("rtc_region").patch(form::rtc_region),
        video_quality_mode: body.field("video_quality_mode").patch(|mode| mode.choice(&form::VIDEO_QUALITY_MODES)),
        default_auto_archive_duration: body
            .field("default_auto_archive_duration")
            .patch(|minutes| minutes.choice(&form::AUTO_ARCHIVE_DURATIONS)),
    };
    Ok(Call::ModifyChannel { channel_id: channel_id(input), changes: Box::new(changes) })
}
