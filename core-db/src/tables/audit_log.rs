//! `audit_log`: who changed what in a guild, newest first.

use rookery_model::audit_log::AuditLogRow;
use rookery_model::{AuditLogEntryId, GuildId};

use super::{Sink, Table};
use crate::key::Key;
use crate::{StoreError, row};

/// The most that an entry's changes and options come to, bytes each.
const JSON_MAX_BYTES: usize = 256 * 1024;

/// All entries of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::AuditLog).id(guild_id.get())
}

fn key(guild_id: GuildId, id: AuditLogEntryId) -> Key {
    prefix(guild_id).newest_first(id.get())
}

/// Refuses what is larger than an entry may be.
pub fn check(entry: &AuditLogRow) -> Result<(), StoreError> {
    for (what, text) in [("changes", &entry.changes), ("options", &entry.options)] {
        let bytes = text.as_ref().map_or(0, String::len);
        if bytes > JSON_MAX_BYTES {
            let words = format!("{what} of an audit log entry of {bytes} bytes are larger than {JSON_MAX_BYTES}");
            return Err(StoreError::Invalid(words));
        }
    }
    Ok(())
}

pub fn put(sink: &mut impl Sink, entry: &AuditLogRow) -> Result<(), StoreError> {
    check(entry)?;
    sink.put(Table::AuditLog, key(entry.guild_id, entry.id), row::encode(entry)?);
    Ok(())
}

/// Where a page of entries below an id begins: the last key not in it.
pub fn page_start(guild_id: GuildId, before: Option<AuditLogEntryId>) -> Option<Key> {
    before.map(|id| key(guild_id, id))
}
