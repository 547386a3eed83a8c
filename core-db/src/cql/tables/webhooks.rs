//! `webhooks`: webhooks by id.

use rookery_model::WebhookId;
use rookery_model::webhook::WebhookRow;

use super::prelude::*;

row! {
    webhook_id: i64,
    kind as "type": i8,
    guild_id: i64,
    channel_id: i64,
    user_id: Blank<i64>,
    name: Option<String>,
    avatar: Option<String>,
    secret: Option<String>,
    application_id: Blank<i64>,
    source_channel_id: Blank<i64>,
    source_guild_id: Blank<i64>,
}

/// The table's statements.
pub struct Webhooks {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Webhooks {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Webhooks);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("webhook_id = ?"),
            table.select(Row::COLUMNS, "webhook_id = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    pub fn put(&self, webhook: &WebhookRow, at: i64) -> Result<Mutation, StoreError> {
        let WebhookRow {
            id,
            kind,
            guild_id,
            channel_id,
            user_id,
            name,
            avatar,
            token,
            application_id,
            source_channel_id,
            source_guild_id,
        } = webhook;
        let row = Row {
            webhook_id: big(*id),
            kind: kind.cast_signed(),
            guild_id: big(*guild_id),
            channel_id: big(*channel_id),
            user_id: blank_id(*user_id),
            name: name.clone(),
            avatar: avatar.clone(),
            secret: token.clone(),
            application_id: blank_id(*application_id),
            source_channel_id: blank_id(*source_channel_id),
            source_guild_id: blank_id(*source_guild_id),
        };
        let bytes = [name, avatar, token].into_iter().flatten().map(String::len).sum();
        self.put.with_sized(Partition::Of(id.get(), 0), bytes, row.at(at))
    }

    pub fn delete(&self, id: WebhookId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(id.get(), 0), (at, big(id)))
    }

    pub async fn get(&self, calls: &Calls, id: WebhookId) -> Result<Option<WebhookRow>, StoreError> {
        let row: Option<Row> = calls.row_from_anywhere(&self.get, (big(id),), Some(id.timestamp())).await?;
        Ok(row.map(webhook))
    }
}

pub fn webhook(row: Row) -> WebhookRow {
    WebhookRow {
        id: id(row.webhook_id),
        kind: row.kind.cast_unsigned(),
        guild_id: id(row.guild_id),
        channel_id: id(row.channel_id),
        user_id: id_or_none(row.user_id),
        name: row.name,
        avatar: row.avatar,
        token: row.secret,
        application_id: id_or_none(row.application_id),
        source_channel_id: id_or_none(row.source_channel_id),
        source_guild_id: id_or_none(row.source_guild_id),
    }
}
