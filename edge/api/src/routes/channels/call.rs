//! `/channels/{id}/call`: calls in DMs.

use rookery_model::call::Call;
use rookery_model::{ApiError, UserId, limits};

use super::{Input, channel_id, form};
use crate::read::Object;

pub fn get(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetCall { channel_id: channel_id(input) })
}

pub fn modify(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let region = body.field("region").patch(form::rtc_region);
    Ok(Call::ModifyCall { channel_id: channel_id(input), region })
}

pub fn ring(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    Ok(Call::RingCall { channel_id: channel_id(input), recipients: recipients(&body) })
}

pub fn stop_ringing(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    Ok(Call::StopRingingCall { channel_id: channel_id(input), recipients: recipients(&body) })
}

/// None where nobody is named.
fn recipients(body: &Object<'_>) -> Option<Vec<UserId>> {
    body.field("recipients").optional(|users| users.set(0..=limits::GROUP_DM_RECIPIENTS_MAX, |id| id.id()))
}
