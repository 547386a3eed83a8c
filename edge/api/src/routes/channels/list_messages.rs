//! `GET /channels/{id}/messages?limit=&before=&after=&around=`.

use rookery_model::call::{Call, MessageRange};
use rookery_model::{ApiError, MessageId, limits};

use super::channel_id;
use crate::routes::Input;

const LIMIT_DEFAULT: u8 = 50;

type Build = fn(MessageId) -> MessageRange;
const DIRECTIONS: [(&str, Build); 3] =
    [("around", MessageRange::Around), ("before", MessageRange::Before), ("after", MessageRange::After)];

pub fn list_messages(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query();
    let mut range = None;
    for (name, build) in DIRECTIONS {
        let id = query.id(name);
        if query.text(name).is_some() && range.is_some() {
            query.error(name, "MUTUALLY_EXCLUSIVE", "Only one of around, before and after may be given.");
        }
        range = range.or(id.map(build));
    }
    Ok(Call::ListMessages {
        channel_id: channel_id(input),
        range: range.unwrap_or(MessageRange::Latest),
        limit: query.integer("limit", 1..=limits::MESSAGE_PAGE_MAX as i64, LIMIT_DEFAULT),
    })
}
