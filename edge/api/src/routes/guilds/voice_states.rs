//! `/guilds/{id}/voice-states`.

use rookery_model::call::{Call, ModifyCurrentVoiceState, ModifyVoiceState};
use rookery_model::{ApiError, UserId};

use super::guild_id;
use crate::routes::Input;

fn user_id(input: &Input<'_>) -> UserId {
    input.id("user_id")
}

pub fn get_current(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetCurrentVoiceState { guild_id: guild_id(input) })
}

pub fn get(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetVoiceState { guild_id: guild_id(input), user_id: user_id(input) })
}

/// `PATCH …/voice-states/@me`.
pub fn modify_current(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let changes = ModifyCurrentVoiceState {
        channel_id: body.field("channel_id").optional(|id| id.id()),
        suppress: body.field("suppress").optional(|suppress| suppress.boolean()),
        request_to_speak_timestamp: body.field("request_to_speak_timestamp").patch_timestamp(),
    };
    Ok(Call::ModifyCurrentVoiceState { guild_id: guild_id(input), changes })
}

/// `PATCH …/voice-states/{user_id}`.
pub fn modify(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let changes = ModifyVoiceState {
        channel_id: body.field("channel_id").optional(|id| id.id()),
        suppress: body.field("suppress").optional(|suppress| suppress.boolean()),
    };
    Ok(Call::ModifyVoiceState { guild_id: guild_id(input), user_id: user_id(input), changes })
}
