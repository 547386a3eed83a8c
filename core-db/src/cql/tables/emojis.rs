//! `emojis`: the custom emojis of a guild.

use rookery_model::message::Emoji;
use rookery_model::store::EmojiRow;
use rookery_model::{EmojiId, GuildId};

use super::prelude::*;

row! {
    guild_id: i64,
    emoji_id: i64,
    user_id: Blank<i64>,
    name: String,
    roles: Vec<i64>,
    require_colons: bool,
    managed: bool,
    animated: bool,
    available: bool,
}

/// The table's statements.
pub struct Emojis {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    of: Statement,
}

impl Emojis {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Emojis);
        let (put, delete, delete_all, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND emoji_id = ?"),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
        )?;
        Ok(Self { put, delete, delete_all, of })
    }

    pub fn put(&self, emoji: &EmojiRow, at: i64) -> Result<Mutation, StoreError> {
        let EmojiRow { guild_id, user_id, emoji } = emoji;
        let Emoji { id, name, roles, require_colons, managed, animated, available } = emoji;
        let row = Row {
            guild_id: big(*guild_id),
            emoji_id: big(*id),
            user_id: blank_id(*user_id),
            name: name.clone(),
            roles: bigs(roles),
            require_colons: *require_colons,
            managed: *managed,
            animated: *animated,
            available: *available,
        };
        self.put.with_sized(Partition::Of(guild_id.get(), 0), name.len() + roles.len() * 12, row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, id: EmojiId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(id)))
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    /// The emojis of a guild, by id.
    pub async fn of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<EmojiRow>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(emoji).collect())
    }
}

pub fn emoji(row: Row) -> EmojiRow {
    EmojiRow {
        guild_id: id(row.guild_id),
        user_id: id_or_none(row.user_id),
        emoji: Emoji {
            id: id(row.emoji_id),
            name: row.name,
            roles: ids(row.roles),
            require_colons: row.require_colons,
            managed: row.managed,
            animated: row.animated,
            available: row.available,
        },
    }
}
