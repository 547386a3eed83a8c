//! `webhooks`: webhooks by id.

use rookery_model::webhook::WebhookRow;
use rookery_model::{GuildId, WebhookId};

use super::{Sink, Table, View, webhooks_by_guild};
use crate::key::Key;
use crate::{StoreError, row};

fn key(id: WebhookId) -> Key {
    Key::of(Table::Webhooks).id(id.get())
}

pub fn put(sink: &mut impl Sink, webhook: &WebhookRow) -> Result<(), StoreError> {
    sink.put(Table::Webhooks, key(webhook.id), row::encode(webhook)?);
    webhooks_by_guild::put(sink, webhook);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, id: WebhookId) {
    sink.delete(Table::Webhooks, key(id));
    webhooks_by_guild::delete(sink, guild_id, id);
}

pub fn get(view: &impl View, id: WebhookId) -> Result<Option<WebhookRow>, StoreError> {
    let key = key(id);
    let row = view.get(Table::Webhooks, &key)?;
    row.map(|bytes| row::decode(Table::Webhooks, key.as_bytes(), &bytes)).transpose()
}
