//! `/stage-instances`: stages that are live.

use rookery_model::call::{Call, CreateStageInstance, ModifyStageInstance};
use rookery_model::stage_instance::PRIVACY_LEVEL_GUILD_ONLY;
use rookery_model::{ApiError, ChannelId, limits};

use super::{Input, Route};
use crate::read::Item;

pub const ROUTES: &[Route] = &[
    Route::post("", create),
    Route::get("/{channel_id}", |input| Ok(Call::GetStageInstance { channel_id: channel_id(input) })),
    Route::patch("/{channel_id}", modify),
    Route::delete("/{channel_id}", |input| Ok(Call::DeleteStageInstance { channel_id: channel_id(input) })),
];

fn channel_id(input: &Input<'_>) -> ChannelId {
    input.id("channel_id")
}

fn topic(item: Item<'_>) -> Option<String> {
    item.visible_string(limits::STAGE_TOPIC_MAX_CHARS)
}

/// Public stages are deprecated, and nobody could see one.
fn privacy_level(item: Item<'_>) -> Option<u8> {
    item.choice(&[PRIVACY_LEVEL_GUILD_ONLY])
}

fn create(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&[("guild_scheduled_event_id", "scheduled events")]);
    Ok(Call::CreateStageInstance(CreateStageInstance {
        channel_id: body.field("channel_id").required(|id| id.id()),
        topic: body.field("topic").required(topic),
        privacy_level: body.field("privacy_level").optional(privacy_level).unwrap_or(PRIVACY_LEVEL_GUILD_ONLY),
        send_start_notification: body.field("send_start_notification").optional(|send| send.boolean()).unwrap_or(false),
    }))
}

fn modify(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let changes = ModifyStageInstance {
        topic: body.field("topic").optional(topic),
        privacy_level: body.field("privacy_level").optional(privacy_level),
    };
    Ok(Call::ModifyStageInstance { channel_id: channel_id(input), changes })
}
