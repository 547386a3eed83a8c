//! Pages of messages.

use std::ops::Bound;

use rookery_model::ChannelId;

use super::db::{Db, Direction};
use crate::doomed::Doomed;
use crate::engine::MessageRange;
use crate::tables::{Table, messages};
use crate::{MessagePage, StoreError};

/// A page of a channel, newest first.
pub fn page(
    db: &Db,
    doomed: &Doomed,
    channel_id: ChannelId,
    range: MessageRange,
    limit: usize,
) -> Result<MessagePage, StoreError> {
    let hidden = doomed.hidden();
    let prefix = messages::prefix(channel_id);
    let read = |key: &[u8], bytes: &[u8]| {
        let message = messages::decode(key, bytes)?;
        Ok((!hidden.message_of(message.author_id, message.id)).then_some(message))
    };
    let page = match range {
        MessageRange::Latest => db.page_of_prefix(Table::Messages, &prefix, None, limit, read)?,
        MessageRange::Before(id) => {
            db.page_of_prefix(Table::Messages, &prefix, Some(&messages::key(channel_id, id)), limit, read)?
        }
        MessageRange::After(id) => {
            // Newer messages stand before: backwards from the id they come oldest first.
            let to = messages::key(channel_id, id);
            let range = (Bound::Included(prefix.as_bytes()), Bound::Excluded(to.as_bytes()));
            let mut page = db.page_of(Table::Messages, range, Direction::Backward, limit, read)?;
            page.reverse();
            page
        }
    };
    Ok(page.into())
}
