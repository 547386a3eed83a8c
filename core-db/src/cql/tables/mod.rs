//! The tables of the schema in the CQL engine, one file a table, named as in `crate::tables`.
//!
//! A table's file knows its row, its prepared statements, and how the model's type becomes the row and back. Every put
//! writes every column (see `value::Blank`), with the timestamp that the caller took for the write.

/// Declares a table's row.
///
/// `Row` is what a query answers, `Put` is the row with its timestamp. A column whose name is a Rust keyword stands
/// after `as`.
macro_rules! row {
    ($($field:ident $(as $column:literal)? : $kind:ty),* $(,)?) => {
        #[derive(Debug, scylla::SerializeRow, scylla::DeserializeRow)]
        pub struct Row {
            $($(#[scylla(rename = $column)])? pub $field: $kind),*
        }

        impl Row {
            /// The columns.
            pub const COLUMNS: &'static [&'static str] = &[$($crate::cql::tables::column!($field $($column)?)),*];

            /// The row, to be put.
            #[allow(dead_code, reason = "not every table is put by this form")]
            pub fn at(self, write_timestamp_us: i64) -> Put {
                Put { row: self, write_timestamp_us }
            }
        }

        /// A row with the timestamp of its put.
        #[derive(Debug, scylla::SerializeRow)]
        pub struct Put {
            #[scylla(flatten)]
            pub row: Row,
            #[scylla(rename = "[timestamp]")]
            pub write_timestamp_us: i64,
        }
    };
}

/// The name of a column.
macro_rules! column {
    ($field:ident $column:literal) => {
        $column
    };
    ($field:ident) => {
        stringify!($field)
    };
}
pub(crate) use column;

pub(crate) mod accounts;
pub(crate) mod applications;
pub(crate) mod applications_by_owner;
pub(crate) mod attachments;
pub(crate) mod audit_log;
pub(crate) mod audit_log_buckets;
pub(crate) mod bans;
#[macro_use]
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
pub(crate) mod messages_to_purge;
pub(crate) mod operations;
pub(crate) mod outbox;
pub(crate) mod outbox_hours;
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

/// What the files of tables need.
mod prelude {
    pub use super::super::calls::Calls;
    pub use super::super::statement::{Mutation, Partition, Preparer, Statement};
    pub use super::super::value::*;
    pub(crate) use super::corrupt;
    pub(crate) use crate::tables::Table;
    pub use crate::{OpenError, StoreError};
    pub use rookery_model::Timestamp;
}

use super::statement::Preparer;
use crate::tables::Table;
use crate::{OpenError, StoreError};

/// The error for a row that cannot be understood; the key's numbers name it.
pub(crate) fn corrupt(table: Table, key: &[i64], reason: impl Into<String>) -> StoreError {
    let key = key.iter().map(|part| format!("{part:016x}")).collect();
    StoreError::Corrupt { table: table.name(), key, reason: reason.into() }
}

/// Declares the struct of all tables and how it is prepared.
macro_rules! all_tables {
    ($($table:ident: $kind:ident),* $(,)?) => {
        /// All tables with their statements.
        pub(crate) struct Tables {
            $(pub $table: $table::$kind),*
        }

        impl Tables {
            /// Prepares every statement, all at once: each is a round trip to every node.
            pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
                let ($($table),*) = tokio::try_join!($(Box::pin($table::$kind::prepare(preparer))),*)?;
                Ok(Self { $($table),* })
            }
        }
    };
}

all_tables! {
    accounts: Accounts,
    applications: Applications,
    applications_by_owner: ApplicationsByOwner,
    attachments: Attachments,
    audit_log: AuditLog,
    audit_log_buckets: AuditLogBuckets,
    bans: Bans,
    channels: Channels,
    channels_by_guild: ChannelsByGuild,
    dms: Dms,
    dms_by_user: DmsByUser,
    emojis: Emojis,
    guilds: Guilds,
    guilds_by_user: GuildsByUser,
    imports: Imports,
    invites: Invites,
    invites_by_guild: InvitesByGuild,
    leases: Leases,
    members: Members,
    message_buckets: MessageBuckets,
    message_edits: MessageEdits,
    messages: Messages,
    messages_by_author: MessagesByAuthor,
    messages_to_purge: MessagesToPurge,
    operations: Operations,
    outbox: Outbox,
    outbox_hours: OutboxHours,
    pins: Pins,
    purges: Purges,
    reaction_counts: ReactionCounts,
    reactions: Reactions,
    read_states: ReadStates,
    relationships: Relationships,
    retentions: Retentions,
    roles: Roles,
    settings: Settings,
    stage_instances: StageInstances,
    unique_keys: UniqueKeys,
    virtual_shard_leases: VirtualShardLeases,
    webhooks: Webhooks,
    webhooks_by_guild: WebhooksByGuild,
    worker_leases: WorkerLeases,
}
