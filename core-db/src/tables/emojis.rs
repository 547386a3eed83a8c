//! `emojis`: the custom emojis of a guild.

use rookery_model::store::EmojiRow;
use rookery_model::{EmojiId, GuildId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// All emojis of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::Emojis).id(guild_id.get())
}

pub fn put(sink: &mut impl Sink, emoji: &EmojiRow) -> Result<(), StoreError> {
    sink.put(Table::Emojis, prefix(emoji.guild_id).id(emoji.emoji.id.get()), row::encode(emoji)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, id: EmojiId) {
    sink.delete(Table::Emojis, prefix(guild_id).id(id.get()));
}

/// The emojis of a guild, by id.
pub fn of(view: &impl View, guild_id: GuildId) -> Result<Vec<EmojiRow>, StoreError> {
    let rows = view.scan(Table::Emojis, &prefix(guild_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::Emojis, key, bytes)).collect()
}
