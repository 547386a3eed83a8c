//! `webhooks_by_guild`: the webhooks of a guild, and the channel that each writes into.

use fjall::Slice;
use rookery_model::webhook::WebhookRow;
use rookery_model::{ChannelId, GuildId, WebhookId};

use super::{Sink, Table, View, webhooks};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// All webhooks of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::WebhooksByGuild).id(guild_id.get())
}

pub fn put(sink: &mut impl Sink, webhook: &WebhookRow) {
    let channel_id = Slice::from(webhook.channel_id.get().to_be_bytes());
    sink.put(Table::WebhooksByGuild, prefix(webhook.guild_id).id(webhook.id.get()), channel_id);
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, id: WebhookId) {
    sink.delete(Table::WebhooksByGuild, prefix(guild_id).id(id.get()));
}

/// The webhook that a key of a guild names.
pub fn id(guild_id: GuildId, key: &[u8]) -> Result<WebhookId, StoreError> {
    let id = Parts::after(key, &prefix(guild_id)).and_then(|mut parts| parts.id());
    id.map(WebhookId::new).ok_or_else(|| row::corrupt(Table::WebhooksByGuild, key, "key without an id"))
}

/// The ids of a guild's webhooks, each with its channel.
pub fn ids_of(view: &impl View, guild_id: GuildId) -> Result<Vec<(WebhookId, ChannelId)>, StoreError> {
    let pair = |key: &[u8], bytes: &[u8]| {
        let channel_id = <[u8; 8]>::try_from(bytes);
        let channel_id = channel_id.map_err(|_| row::corrupt(Table::WebhooksByGuild, key, "not eight bytes"))?;
        Ok((id(guild_id, key)?, ChannelId::new(u64::from_be_bytes(channel_id))))
    };
    let rows = view.scan(Table::WebhooksByGuild, &prefix(guild_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| pair(key, bytes)).collect()
}

/// The webhooks of a guild, by id.
pub fn of(view: &impl View, guild_id: GuildId) -> Result<Vec<WebhookRow>, StoreError> {
    let mut found = Vec::new();
    for (id, _) in ids_of(view, guild_id)? {
        found.extend(webhooks::get(view, id)?.filter(|webhook| webhook.guild_id == guild_id));
    }
    Ok(found)
}
