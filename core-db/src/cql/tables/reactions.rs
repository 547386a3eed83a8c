//! `reactions`: who reacted with what, `((channel_id, message_id), emoji, user_id)`.

use futures_util::{StreamExt as _, TryStreamExt as _};
use rookery_model::message::ReactionEmoji;
use rookery_model::store::{ReactionCountRow, ReactionRow};
use rookery_model::{ChannelId, MessageId, UserId};

use super::prelude::*;
use super::reaction_counts::{emoji, emoji_key};
use crate::engine::OwnReaction;

row! {
    channel_id: i64,
    message_id: i64,
    emoji: String,
    user_id: i64,
    emoji_name: Option<String>,
    emoji_animated: bool,
}

/// How many messages are asked about at a time.
const CONCURRENT: usize = 16;
/// How many emojis one query names; ScyllaDB takes a hundred.
const EMOJIS_MAX: usize = 100;

/// The table's statements.
pub struct Reactions {
    put: Statement,
    delete: Statement,
    delete_emoji: Statement,
    delete_of_message: Statement,
    page: Statement,
    own: Statement,
}

impl Reactions {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Reactions);
        let (put, delete, delete_emoji, delete_of_message, page, own) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND message_id = ? AND emoji = ? AND user_id = ?"),
            table.delete("channel_id = ? AND message_id = ? AND emoji = ?"),
            table.delete("channel_id = ? AND message_id = ?"),
            table.select(&["user_id"], "channel_id = ? AND message_id = ? AND emoji = ? AND user_id > ? LIMIT ?"),
            table.select(&["emoji"], "channel_id = ? AND message_id = ? AND emoji IN ? AND user_id = ?"),
        )?;
        Ok(Self { put, delete, delete_emoji, delete_of_message, page, own })
    }

    pub fn put(&self, reaction: &ReactionRow, at: i64) -> Result<Mutation, StoreError> {
        let ReactionRow { channel_id, message_id, emoji, user_id } = reaction;
        let row = Row {
            channel_id: big(*channel_id),
            message_id: big(*message_id),
            emoji: emoji_key(emoji)?,
            user_id: big(*user_id),
            emoji_name: emoji.name.clone(),
            emoji_animated: emoji.animated,
        };
        Ok(self.put.with(Partition::Of(channel_id.get(), message_id.get()), row.at(at)))
    }

    pub fn delete(&self, reaction: &ReactionRow, at: i64) -> Result<Mutation, StoreError> {
        let ReactionRow { channel_id, message_id, emoji, user_id } = reaction;
        let values = (at, big(*channel_id), big(*message_id), emoji_key(emoji)?, big(*user_id));
        Ok(self.delete.with(Partition::Of(channel_id.get(), message_id.get()), values))
    }

    /// Removes all reactions of a message, or all of one emoji.
    pub fn clear(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: Option<&ReactionEmoji>,
        at: i64,
    ) -> Result<Mutation, StoreError> {
        let partition = Partition::Of(channel_id.get(), message_id.get());
        let (channel_id, message_id) = (big(channel_id), big(message_id));
        Ok(match emoji {
            Some(emoji) => self.delete_emoji.with(partition, (at, channel_id, message_id, emoji_key(emoji)?)),
            None => self.delete_of_message.with(partition, (at, channel_id, message_id)),
        })
    }

    /// Who reacted with an emoji, above a user.
    pub async fn page(
        &self,
        calls: &Calls,
        (channel_id, message_id): (ChannelId, MessageId),
        emoji: &ReactionEmoji,
        after: Option<UserId>,
        limit: i32,
    ) -> Result<Vec<UserId>, StoreError> {
        let Ok(emoji) = emoji_key(emoji) else { return Ok(Vec::new()) };
        let values = (big(channel_id), big(message_id), emoji, after.map_or(i64::MIN, bound), limit);
        let rows: Vec<(i64,)> = calls.rows(&self.page, values).await?;
        Ok(rows.into_iter().map(|(user_id,)| id(user_id)).collect())
    }

    /// Which of the emojis that stand on messages are a user's own, in the order of the counts.
    pub async fn own(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        user_id: UserId,
        counts: Vec<ReactionCountRow>,
    ) -> Result<Vec<OwnReaction>, StoreError> {
        let messages: Vec<Vec<ReactionCountRow>> =
            counts.chunk_by(|one, next| one.message_id == next.message_id).map(<[_]>::to_vec).collect();
        let own: Vec<Vec<OwnReaction>> = futures_util::stream::iter(messages)
            .map(|counts| self.own_of_message(calls, channel_id, user_id, counts))
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        Ok(own.into_iter().flatten().collect())
    }

    async fn own_of_message(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        user_id: UserId,
        counts: Vec<ReactionCountRow>,
    ) -> Result<Vec<OwnReaction>, StoreError> {
        let mut own = Vec::new();
        for counts in counts.chunks(EMOJIS_MAX) {
            let Some(first) = counts.first() else { break };
            let emojis: Vec<String> = counts.iter().map(|count| count.emoji.key()).collect();
            let values = (big(channel_id), big(first.message_id), emojis, big(user_id));
            let found: Vec<(String,)> = calls.rows(&self.own, values).await?;
            let is_own = |count: &&ReactionCountRow| found.iter().any(|(emoji,)| *emoji == count.emoji.key());
            own.extend(
                counts
                    .iter()
                    .filter(is_own)
                    .map(|count| OwnReaction { message_id: count.message_id, emoji: count.emoji.clone() }),
            );
        }
        Ok(own)
    }
}

/// A reaction out of its row.
pub fn reaction(row: Row) -> Result<ReactionRow, StoreError> {
    let key = [row.channel_id, row.message_id, row.user_id];
    let emoji = emoji(&row.emoji, row.emoji_name, row.emoji_animated);
    Ok(ReactionRow {
        channel_id: id(row.channel_id),
        message_id: id(row.message_id),
        emoji: emoji.ok_or_else(|| corrupt(Table::Reactions, &key, "an emoji's id is no id"))?,
        user_id: id(row.user_id),
    })
}
