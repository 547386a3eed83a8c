//! `/channels`: channels, their messages, pins, reactions, invites and overwrites.

mod allowed_mentions;
mod call;
mod create_invite;
mod create_message;
mod edit_message;
mod embeds;
pub mod form;
mod list_messages;
mod message_form;
mod modify_channel;
mod pins;
mod reactions;
mod set_voice_channel_status;

use rookery_model::call::Call;
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Snowflake, limits};

use super::{Input, Route};

pub const ROUTES: &[Route] = &[
    Route::post("/{channel_id}/messages", create_message::create_message),
    Route::get("/{channel_id}/messages", list_messages::list_messages),
    Route::get("/{channel_id}/messages/pins", pins::list_page),
    Route::put("/{channel_id}/messages/pins/{message_id}", pins::pin),
    Route::delete("/{channel_id}/messages/pins/{message_id}", pins::unpin),
    Route::post("/{channel_id}/messages/bulk-delete", bulk_delete),
    Route::get("/{channel_id}/messages/{message_id}", get_message),
    Route::patch("/{channel_id}/messages/{message_id}", edit_message::edit_message),
    Route::delete("/{channel_id}/messages/{message_id}", delete_message),
    Route::post("/{channel_id}/messages/{message_id}/ack", ack_message),
    Route::delete("/{channel_id}/messages/{message_id}/reactions", reactions::clear),
    Route::get("/{channel_id}/messages/{message_id}/reactions/{emoji_name}", reactions::list),
    Route::delete("/{channel_id}/messages/{message_id}/reactions/{emoji_name}", reactions::clear_emoji),
    Route::put("/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me", reactions::add),
    Route::delete("/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me", reactions::remove_own),
    Route::delete("/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}", reactions::remove),
    Route::post("/{channel_id}/typing", |input| Ok(Call::TriggerTyping { channel_id: channel_id(input) })),
    Route::get("/{channel_id}/pins", |input| Ok(Call::ListPins { channel_id: channel_id(input) })),
    Route::put("/{channel_id}/pins/{message_id}", pins::pin),
    Route::delete("/{channel_id}/pins/{message_id}", pins::unpin),
    Route::get("/{channel_id}/invites", |input| Ok(Call::ListChannelInvites { channel_id: channel_id(input) })),
    Route::post("/{channel_id}/invites", create_invite::create_invite),
    Route::get("/{channel_id}/call", call::get),
    Route::patch("/{channel_id}/call", call::modify),
    Route::post("/{channel_id}/call/ring", call::ring),
    Route::post("/{channel_id}/call/stop-ringing", call::stop_ringing),
    Route::put("/{channel_id}/voice-status", set_voice_channel_status::set_voice_channel_status),
    Route::put("/{channel_id}/permissions/{overwrite_id}", put_overwrite),
    Route::delete("/{channel_id}/permissions/{overwrite_id}", delete_overwrite),
    Route::get("/{channel_id}", |input| Ok(Call::GetChannel { channel_id: channel_id(input) })),
    Route::patch("/{channel_id}", modify_channel::modify_channel),
    Route::delete("/{channel_id}", |input| Ok(Call::DeleteChannel { channel_id: channel_id(input) })),
];

fn channel_id(input: &Input<'_>) -> ChannelId {
    input.id("channel_id")
}

fn message_id(input: &Input<'_>) -> MessageId {
    input.id("message_id")
}

fn get_message(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetMessage { channel_id: channel_id(input), message_id: message_id(input) })
}

fn delete_message(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::DeleteMessage { channel_id: channel_id(input), message_id: message_id(input) })
}

/// `POST …/bulk-delete` `{messages}`; a wrong count has an error code of its own.
fn bulk_delete(input: &Input<'_>) -> Result<Call, ApiError> {
    const COUNT: std::ops::RangeInclusive<usize> = 2..=limits::BULK_DELETE_MAX;
    let body = input.body()?;
    let channel_id = channel_id(input);
    let count = body.field("messages").optional(|messages| messages.value().as_array().map(Vec::len));
    if count.is_some_and(|count| !COUNT.contains(&count)) && input.is_valid() {
        return Err(ErrorCode::BulkDeleteCount.into());
    }
    let message_ids = body.field("messages").required(|messages| messages.set(COUNT, |id| id.id()));
    Ok(Call::BulkDeleteMessages { channel_id, message_ids })
}

/// `POST …/ack` `{manual, mention_count}`.
fn ack_message(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    Ok(Call::AckMessage {
        channel_id: channel_id(input),
        message_id: message_id(input),
        manual: body.field("manual").optional(|manual| manual.boolean()).unwrap_or(false),
        mention_count: body.field("mention_count").optional(|count| count.integer(0..=i64::from(u32::MAX))),
    })
}

fn put_overwrite(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let id: Snowflake = input.id("overwrite_id");
    Ok(Call::PutOverwrite { channel_id: channel_id(input), overwrite: form::overwrite(&body, id) })
}

fn delete_overwrite(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::DeleteOverwrite { channel_id: channel_id(input), overwrite_id: input.id("overwrite_id") })
}
