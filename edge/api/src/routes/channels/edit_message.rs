//! `PATCH /channels/{id}/messages/{id}`.

use rookery_model::call::{Call, EditMessage};
use rookery_model::message::MessageFlags;
use rookery_model::{ApiError, ErrorCode, Patch};

use super::{allowed_mentions::allowed_mentions, channel_id, message_form, message_id};
use crate::routes::Input;

pub fn edit_message(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    message_form::refuse(&body);
    let edit = EditMessage {
        channel_id: channel_id(input),
        message_id: message_id(input),
        content: or_clear(
            body.field("content").patch(|content| message_form::content(content, input.config)),
            String::is_empty,
        ),
        embeds: or_clear(
            body.field("embeds").patch(|embeds| message_form::embed_list(embeds, input.config)),
            Vec::is_empty,
        ),
        flags: body.field("flags").patch(|flags| message_form::flags(flags, MessageFlags::SUPPRESS_EMBEDS)),
        allowed_mentions: body.field("allowed_mentions").patch(allowed_mentions),
    };
    // If only one of the two is cleared, the region knows whether the other is left.
    if edit.content == Patch::Clear && edit.embeds == Patch::Clear {
        return Err(ErrorCode::EmptyMessage.into());
    }
    Ok(Call::EditMessage(Box::new(edit)))
}

/// An empty value clears, as null does.
fn or_clear<T>(patch: Patch<T>, is_empty: impl Fn(&T) -> bool) -> Patch<T> {
    match patch {
        Patch::Set(value) if is_empty(&value) => Patch::Clear,
        other => other,
    }
}
