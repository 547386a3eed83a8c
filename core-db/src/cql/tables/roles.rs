//! `roles`: the roles of a guild.

use rookery_model::color::RoleColors;
use rookery_model::role::{Role, RoleTags};
use rookery_model::{GuildId, Permissions, RoleId};

use super::prelude::*;

/// Primary, secondary, tertiary.
type ColorTuple = (i32, Option<i32>, Option<i32>);

row! {
    guild_id: i64,
    role_id: i64,
    name: String,
    description: Option<String>,
    color: i32,
    colors: ColorTuple,
    hoist: bool,
    icon: Option<String>,
    unicode_emoji: Option<String>,
    position: i32,
    permissions: i64,
    managed: bool,
    mentionable: bool,
    flags: i32,
    has_tags: bool,
    tag_bot_id: Blank<i64>,
    tag_integration_id: Blank<i64>,
}

/// The table's statements.
pub struct Roles {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    of: Statement,
}

impl Roles {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Roles);
        let (put, delete, delete_all, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND role_id = ?"),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
        )?;
        Ok(Self { put, delete, delete_all, of })
    }

    pub fn put(&self, guild_id: GuildId, role: &Role, at: i64) -> Mutation {
        self.put.with(Partition::Of(guild_id.get(), 0), row(guild_id, role).at(at))
    }

    pub fn delete(&self, guild_id: GuildId, id: RoleId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(id)))
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    /// The roles of a guild, by id.
    pub async fn of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<Role>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(role).collect())
    }
}

fn row(guild_id: GuildId, role: &Role) -> Row {
    let Role {
        id,
        name,
        description,
        color,
        colors: RoleColors { primary_color, secondary_color, tertiary_color },
        hoist,
        icon,
        unicode_emoji,
        position,
        permissions,
        managed,
        mentionable,
        flags,
        tags,
    } = role;
    Row {
        guild_id: big(guild_id),
        role_id: big(*id),
        name: name.clone(),
        description: description.clone(),
        color: color.cast_signed(),
        colors: (
            primary_color.cast_signed(),
            secondary_color.map(u32::cast_signed),
            tertiary_color.map(u32::cast_signed),
        ),
        hoist: *hoist,
        icon: icon.clone(),
        unicode_emoji: unicode_emoji.clone(),
        position: position.cast_signed(),
        permissions: permissions.bits().cast_signed(),
        managed: *managed,
        mentionable: *mentionable,
        flags: flags.cast_signed(),
        has_tags: tags.is_some(),
        tag_bot_id: blank_id(tags.as_ref().and_then(|tags| tags.bot_id)),
        tag_integration_id: blank_id(tags.as_ref().and_then(|tags| tags.integration_id)),
    }
}

pub fn role(row: Row) -> Role {
    let (primary, secondary, tertiary) = row.colors;
    let tags = RoleTags { bot_id: id_or_none(row.tag_bot_id), integration_id: id_or_none(row.tag_integration_id) };
    Role {
        id: id(row.role_id),
        name: row.name,
        description: row.description,
        color: row.color.cast_unsigned(),
        colors: RoleColors {
            primary_color: primary.cast_unsigned(),
            secondary_color: secondary.map(i32::cast_unsigned),
            tertiary_color: tertiary.map(i32::cast_unsigned),
        },
        hoist: row.hoist,
        icon: row.icon,
        unicode_emoji: row.unicode_emoji,
        position: row.position.cast_unsigned(),
        permissions: Permissions::from_bits_retain(row.permissions.cast_unsigned()),
        managed: row.managed,
        mentionable: row.mentionable,
        flags: row.flags.cast_unsigned(),
        tags: row.has_tags.then_some(tags),
    }
}
