//! `POST /channels/{id}/messages`.

use rookery_model::call::{Call, CreateMessage};
use rookery_model::message::{MessageFlags, MessageReference, Nonce};
use rookery_model::{ApiError, ErrorCode, limits};
use serde_json::Value;

use super::{allowed_mentions::allowed_mentions, channel_id, message_form};
use crate::read::Item;
use crate::routes::Input;

/// Flags that an author may set.
const ALLOWED_FLAGS: MessageFlags = MessageFlags::SUPPRESS_EMBEDS.union(MessageFlags::SUPPRESS_NOTIFICATIONS);

pub fn create_message(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    message_form::refuse(&body);
    let reference = body.field("message_reference").optional(reference);
    let message = CreateMessage {
        channel_id: channel_id(input),
        content: body
            .field("content")
            .optional(|content| message_form::content(content, input.config))
            .unwrap_or_default(),
        tts: body.field("tts").optional(|tts| tts.boolean()).unwrap_or(false),
        embeds: body
            .field("embeds")
            .optional(|embeds| message_form::embed_list(embeds, input.config))
            .unwrap_or_default(),
        allowed_mentions: body.field("allowed_mentions").optional(allowed_mentions),
        fail_if_not_exists: reference.as_ref().is_none_or(|(_, fail)| *fail),
        message_reference: reference.map(|(reference, _)| reference),
        nonce: body.field("nonce").optional(nonce),
        enforce_nonce: body.field("enforce_nonce").optional(|enforce| enforce.boolean()).unwrap_or(false),
        flags: body.field("flags").optional(|flags| message_form::flags(flags, ALLOWED_FLAGS)).unwrap_or_default(),
    };
    if message.content.is_empty() && message.embeds.is_empty() {
        return Err(ErrorCode::EmptyMessage.into());
    }
    Ok(Call::CreateMessage(Box::new(message)))
}

/// The message replied to, and whether its absence fails the reply. Forwards (type 1) are not there yet.
fn reference(item: Item<'_>) -> Option<(MessageReference, bool)> {
    let object = item.object()?;
    let reference = MessageReference {
        kind: object.field("type").optional(|kind| kind.choice(&[0_u8])).unwrap_or(0),
        message_id: Some(object.field("message_id").required(|id| id.id())),
        channel_id: object.field("channel_id").optional(|id| id.id()),
        guild_id: object.field("guild_id").optional(|id| id.id()),
    };
    let fail_if_not_exists = object.field("fail_if_not_exists").optional(|fail| fail.boolean()).unwrap_or(true);
    Some((reference, fail_if_not_exists))
}

/// A short text or a whole number, echoed as it came.
fn nonce(item: Item<'_>) -> Option<Nonce> {
    match item.value() {
        Value::String(text) if text.chars().count() <= limits::NONCE_MAX_CHARS => Some(Nonce::Text(text.clone())),
        Value::String(_) => {
            let max = limits::NONCE_MAX_CHARS;
            item.fail("NONCE_TYPE_TOO_LONG", format!("Must be {max} or fewer characters long."))
        }
        Value::Number(number) if number.is_i64() => number.as_i64().map(Nonce::Integer),
        Value::Number(number) if number.is_u64() => {
            let (min, max) = (i64::MIN, i64::MAX);
            item.fail("NONCE_TYPE_OUT_OF_BOUNDS", format!("Must be between {min} and {max}."))
        }
        _ => item.fail("NONCE_TYPE_INVALID_TYPE", "This field must be a string or integer."),
    }
}
