//! `PUT /channels/{id}/voice-status` `{status}`: what is going on in a voice channel.

use rookery_model::call::Call;
use rookery_model::{ApiError, Patch, limits};

use super::{Input, channel_id};

/// An absent status is none, as null and an empty one are: the description of the API does not require the field.
pub fn set_voice_channel_status(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let status = match body.field("status").patch_text(limits::VOICE_CHANNEL_STATUS_MAX_CHARS) {
        Patch::Set(status) => Some(status),
        Patch::Clear | Patch::Keep => None,
    };
    Ok(Call::SetVoiceChannelStatus { channel_id: channel_id(input), status })
}
