//! Pins: the paged list, and the two paths to pin and unpin.

use rookery_model::call::Call;
use rookery_model::{ApiError, limits};

use super::{channel_id, message_id};
use crate::routes::Input;

/// `GET /channels/{id}/messages/pins?before=&limit=`.
pub fn list_page(input: &Input<'_>) -> Result<Call, ApiError> {
    let max = limits::CHANNEL_PINS_MAX as u8;
    let query = input.query();
    Ok(Call::ListPinsPage {
        channel_id: channel_id(input),
        before: query.timestamp("before"),
        limit: query.integer("limit", 1..=i64::from(max), max),
    })
}

pub fn pin(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::PinMessage { channel_id: channel_id(input), message_id: message_id(input) })
}

pub fn unpin(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::UnpinMessage { channel_id: channel_id(input), message_id: message_id(input) })
}
