//! Reactions: `…/messages/{id}/reactions/{emoji}`.

use rookery_model::call::{Call, EmojiRef};
use rookery_model::{ApiError, ErrorCode, UserId};

use super::{channel_id, message_id};
use crate::emoji;
use crate::routes::Input;

const PAGE_MAX: i64 = 100;
const PAGE_DEFAULT: u8 = 25;

fn emoji(input: &Input<'_>) -> Result<EmojiRef, ApiError> {
    emoji::parse(input.segment("emoji_name")).ok_or_else(|| ErrorCode::UnknownEmoji.into())
}

pub fn add(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::AddReaction { channel_id: channel_id(input), message_id: message_id(input), emoji: emoji(input)? })
}

pub fn remove_own(input: &Input<'_>) -> Result<Call, ApiError> {
    remove_of(input, None)
}

pub fn remove(input: &Input<'_>) -> Result<Call, ApiError> {
    remove_of(input, Some(input.id("user_id")))
}

fn remove_of(input: &Input<'_>, user_id: Option<UserId>) -> Result<Call, ApiError> {
    let (channel_id, message_id) = (channel_id(input), message_id(input));
    Ok(Call::RemoveReaction { channel_id, message_id, emoji: emoji(input)?, user_id })
}

/// `GET …?after=&limit=&type=`; the type of burst reactions has no list here.
pub fn list(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query();
    query.integer("type", 0..=0, 0_u8);
    Ok(Call::ListReactions {
        channel_id: channel_id(input),
        message_id: message_id(input),
        after: query.id("after"),
        limit: query.integer("limit", 1..=PAGE_MAX, PAGE_DEFAULT),
        emoji: emoji(input)?,
    })
}

pub fn clear(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::ClearReactions { channel_id: channel_id(input), message_id: message_id(input), emoji: None })
}

pub fn clear_emoji(input: &Input<'_>) -> Result<Call, ApiError> {
    let (channel_id, message_id) = (channel_id(input), message_id(input));
    Ok(Call::ClearReactions { channel_id, message_id, emoji: Some(emoji(input)?) })
}
