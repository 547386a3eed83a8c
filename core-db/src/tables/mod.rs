//! The tables of the schema in the embedded engine, one file a table; `schema/` holds their CQL form.
//!
//! A table's file knows its keys, its rows, and what a write or read of it touches. Keys stand in the order of the CQL
//! clustering columns, so that a scan here and a query there answer alike.

pub(crate) mod accounts;
pub(crate) mod applications;
pub(crate) mod applications_by_owner;
pub(crate) mod attachments;
pub(crate) mod audit_log;
pub(crate) mod bans;
pub(crate) mod channels;
pub(crate) mod channels_by_guild;
pub(crate) mod dms;
pub(crate) mod dms_by_user;
pub(crate) mod emojis;
pub(crate) mod guilds;
pub(crate) mod guilds_by_user;
pub(crate) mod imports;
pub(crate) mod invites;
pub(crate) mod invites_by_guild;
pub(crate) mod leases;
pub(crate) mod members;
pub(crate) mod message_buckets;
pub(crate) mod message_edits;
pub(crate) mod messages;
pub(crate) mod messages_by_author;
pub(crate) mod operations;
pub(crate) mod outbox;
pub(crate) mod pins;
pub(crate) mod purges;
pub(crate) mod reaction_counts;
pub(crate) mod reactions;
pub(crate) mod read_states;
pub(crate) mod relationships;
pub(crate) mod retentions;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod stage_instances;
pub(crate) mod unique_keys;
pub(crate) mod virtual_shard_leases;
pub(crate) mod webhooks;
pub(crate) mod webhooks_by_guild;
pub(crate) mod worker_leases;

use fjall::Slice;

use crate::StoreError;
use crate::key::Key;

/// A table; the names are those of `schema/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    Leases,
    Accounts,
    UniqueKeys,
    Applications,
    ApplicationsByOwner,
    Guilds,
    Channels,
    ChannelsByGuild,
    Roles,
    Members,
    GuildsByUser,
    Bans,
    Invites,
    InvitesByGuild,
    Messages,
    MessageBuckets,
    MessagesByAuthor,
    Reactions,
    ReactionCounts,
    Pins,
    Dms,
    DmsByUser,
    ReadStates,
    Operations,
    Purges,
    MessagesToPurge,
    Retentions,
    Imports,
    MessageEdits,
    Attachments,
    Emojis,
    Webhooks,
    WebhooksByGuild,
    AuditLog,
    AuditLogBuckets,
    Settings,
    Relationships,
    Outbox,
    OutboxHours,
    WorkerLeases,
    VirtualShardLeases,
    StageInstances,
}

/// Which tree of the embedded engine holds a table.
///
/// A tree a table would make a start read forty manifests and would keep old journals alive for tables that are
/// written once a week. The trees that are written with every message have a tree each, so that their compaction
/// does not move anything else; all others share one, told apart by a first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tree {
    Rows,
    Messages,
    Authors,
    Operations,
    Outbox,
}

impl Tree {
    pub const ALL: [Self; 5] = [Self::Rows, Self::Messages, Self::Authors, Self::Operations, Self::Outbox];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Messages => "messages",
            Self::Authors => "messages_by_author",
            Self::Operations => "operations",
            Self::Outbox => "outbox",
        }
    }
}

macro_rules! tables {
    ($($table:ident = $tag:literal $name:literal),* $(,)?) => {
        impl Table {
            /// Every table.
            #[cfg(test)]
            pub const ALL: &'static [Self] = &[$(Self::$table),*];

            /// Its name in the schema.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$table => $name),* }
            }
            const fn number(self) -> u8 {
                match self { $(Self::$table => $tag),* }
            }
        }
    };
}

// The numbers are on disk: never change one, never use one again.
tables! {
    Leases = 1 "leases",
    Accounts = 2 "accounts",
    UniqueKeys = 3 "unique_keys",
    Applications = 4 "applications",
    ApplicationsByOwner = 5 "applications_by_owner",
    Guilds = 6 "guilds",
    Channels = 7 "channels",
    ChannelsByGuild = 8 "channels_by_guild",
    Roles = 9 "roles",
    Members = 10 "members",
    GuildsByUser = 11 "guilds_by_user",
    Bans = 12 "bans",
    Invites = 13 "invites",
    InvitesByGuild = 14 "invites_by_guild",
    Messages = 15 "messages",
    MessageBuckets = 16 "message_buckets",
    MessagesByAuthor = 17 "messages_by_author",
    Reactions = 18 "reactions",
    ReactionCounts = 19 "reaction_counts",
    Pins = 20 "pins",
    Dms = 21 "dms",
    DmsByUser = 22 "dms_by_user",
    ReadStates = 23 "read_states",
    Operations = 24 "operations",
    Purges = 25 "purges",
    MessagesToPurge = 26 "messages_to_purge",
    Retentions = 27 "retentions",
    Imports = 28 "imports",
    MessageEdits = 29 "message_edits",
    Attachments = 30 "attachments",
    Emojis = 31 "emojis",
    Webhooks = 32 "webhooks",
    WebhooksByGuild = 33 "webhooks_by_guild",
    AuditLog = 34 "audit_log",
    AuditLogBuckets = 35 "audit_log_buckets",
    Settings = 36 "settings",
    Relationships = 37 "relationships",
    Outbox = 38 "outbox",
    OutboxHours = 39 "outbox_hours",
    WorkerLeases = 40 "worker_leases",
    VirtualShardLeases = 41 "virtual_shard_leases",
    StageInstances = 42 "stage_instances",
}

impl Table {
    /// The tree that holds it.
    pub const fn tree(self) -> Tree {
        match self {
            Self::Messages => Tree::Messages,
            Self::MessagesByAuthor => Tree::Authors,
            Self::Operations => Tree::Operations,
            Self::Outbox => Tree::Outbox,
            _ => Tree::Rows,
        }
    }
    /// The first byte of its keys; none where the table has its tree for itself.
    pub const fn tag(self) -> Option<u8> {
        match self.tree() {
            Tree::Rows => Some(self.number()),
            _ => None,
        }
    }
}

/// A key with its row.
pub(crate) type Pair = (Slice, Slice);

/// Rows as somebody sees them: the stored ones, or those plus what the group under construction will write.
pub(crate) trait View {
    /// One row.
    fn get(&self, table: Table, key: &Key) -> Result<Option<Slice>, StoreError>;
    /// Rows whose keys begin with a prefix and come after a key, in order, at most `limit`.
    fn scan_after(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError>;
    /// Likewise, around what cannot be read, which is named in `damaged`.
    fn scan_around(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        damaged: &mut Vec<StoreError>,
    ) -> Result<Vec<Pair>, StoreError>;

    /// Rows whose keys begin with a prefix, in order, at most `limit`.
    fn scan(&self, table: Table, prefix: &Key, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.scan_after(table, prefix, None, limit)
    }
}

/// One change of one row, as a write is lowered to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Put(Table, Key, Slice),
    Delete(Table, Key),
    /// Marks a bucket as not empty; the engine leaves it out when it knows that the row exists.
    Bucket(Key),
}

/// Where lowered writes go.
pub(crate) trait Sink {
    fn change(&mut self, change: Change);

    fn put(&mut self, table: Table, key: Key, row: Slice) {
        self.change(Change::Put(table, key, row));
    }
    fn delete(&mut self, table: Table, key: Key) {
        self.change(Change::Delete(table, key));
    }
}

impl Sink for Vec<Change> {
    fn change(&mut self, change: Change) {
        self.push(change);
    }
}

/// The row of tables whose key says everything.
pub(crate) fn marker() -> Slice {
    Slice::from([1_u8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_table_has_one_schema_file_and_the_other_way_round() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schema");
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let table = name.strip_suffix(".cql").and_then(|name| name.split_once('_')).map(|(number, table)| {
                assert!(number.len() == 4 && number.parse::<u32>().is_ok(), "{name}");
                table.to_owned()
            });
            let table = table.unwrap_or_else(|| panic!("{name} is not NNNN_table.cql"));
            let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
            // Files that make no table add columns to one.
            if !text.contains("CREATE TABLE") {
                assert!(text.lines().any(|line| line.starts_with("ALTER TABLE ") && line.contains(" ADD ")), "{name}");
                continue;
            }
            assert!(text.contains(&format!("CREATE TABLE IF NOT EXISTS {table} (")), "{name}");
            assert!(files.insert(table), "{name}");
        }
        let tables: BTreeSet<_> = Table::ALL.iter().map(|table| table.name().to_owned()).collect();
        assert_eq!(files, tables);
    }

    #[test]
    fn numbers_on_disk_are_unique() {
        let numbers: BTreeSet<_> = Table::ALL.iter().map(|table| table.number()).collect();
        assert_eq!(numbers.len(), Table::ALL.len());
    }
}
