//! `webhooks_by_guild`: the webhooks of a guild, and the channel that each writes into.

use rookery_model::webhook::WebhookRow;
use rookery_model::{ChannelId, GuildId, WebhookId};

use super::prelude::*;
use crate::cql::purge::Reader;

row! { guild_id: i64, webhook_id: i64, channel_id: i64 }

/// The table's statements.
pub struct WebhooksByGuild {
    put: Statement,
    delete: Statement,
    of: Statement,
    page: Statement,
    delete_all: Statement,
}

impl WebhooksByGuild {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::WebhooksByGuild);
        let (put, delete, of, page, delete_all) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND webhook_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
            table.select(&["webhook_id"], "guild_id = ? AND webhook_id > ? LIMIT ?"),
            table.delete("guild_id = ?"),
        )?;
        Ok(Self { put, delete, of, page, delete_all })
    }

    pub fn put(&self, webhook: &WebhookRow, at: i64) -> Mutation {
        let row =
            Row { guild_id: big(webhook.guild_id), webhook_id: big(webhook.id), channel_id: big(webhook.channel_id) };
        self.put.with(Partition::Of(webhook.guild_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, id: WebhookId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(id)))
    }

    /// The ids of a guild's webhooks, each with its channel.
    pub async fn of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<(WebhookId, ChannelId)>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(|row| (id(row.webhook_id), id(row.channel_id))).collect())
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    /// The ids of a guild's webhooks above one.
    pub async fn ids_above(
        &self,
        reader: &Reader<'_>,
        guild_id: GuildId,
        after: Option<WebhookId>,
        limit: i32,
    ) -> Result<Vec<WebhookId>, StoreError> {
        let values = (big(guild_id), after.map_or(i64::MIN, bound), limit);
        let rows: Vec<(i64,)> = reader.rows(&self.page, values).await?;
        Ok(rows.into_iter().map(|(webhook_id,)| id(webhook_id)).collect())
    }
}
