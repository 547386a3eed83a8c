//! All that a store holds, section by section: what export, import and digests are made of.
//!
//! A dump names rows as the writes that make them, so that any engine can be filled from any other's. Tables that follow
//! from others (indexes) are rebuilt by those writes. What is deleted and still being removed is not there.

use rookery_model::store::{UniqueKey, Write};

use crate::tables::Table;

/// A part of a store; sections are exported and imported in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    Accounts,
    UniqueKeys,
    Applications,
    Guilds,
    Channels,
    Roles,
    Members,
    Bans,
    Invites,
    Retentions,
    Dms,
    DmListings,
    ReadStates,
    Messages,
    Pins,
    Reactions,
    ReactionCounts,
    MessageEdits,
    Attachments,
    Emojis,
    Webhooks,
    AuditLog,
    Settings,
    Relationships,
    Outbox,
    StageInstances,
}

impl Section {
    /// Every section, in order.
    pub const ALL: [Self; 26] = [
        Self::Accounts,
        Self::UniqueKeys,
        Self::Applications,
        Self::Guilds,
        Self::Channels,
        Self::Roles,
        Self::Members,
        Self::Bans,
        Self::Invites,
        Self::Retentions,
        Self::Dms,
        Self::DmListings,
        Self::ReadStates,
        Self::Messages,
        Self::Pins,
        Self::Reactions,
        Self::ReactionCounts,
        Self::MessageEdits,
        Self::Attachments,
        Self::Emojis,
        Self::Webhooks,
        Self::AuditLog,
        Self::Settings,
        Self::Relationships,
        Self::Outbox,
        Self::StageInstances,
    ];

    /// Its name, in archives and reports; archives hold it, so it never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::UniqueKeys => "unique_keys",
            Self::Applications => "applications",
            Self::Guilds => "guilds",
            Self::Channels => "channels",
            Self::Roles => "roles",
            Self::Members => "members",
            Self::Bans => "bans",
            Self::Invites => "invites",
            Self::Retentions => "retentions",
            Self::Dms => "dms",
            Self::DmListings => "dm_listings",
            Self::ReadStates => "read_states",
            Self::Messages => "messages",
            Self::Pins => "pins",
            Self::Reactions => "reactions",
            Self::ReactionCounts => "reaction_counts",
            Self::MessageEdits => "message_edits",
            Self::Attachments => "attachments",
            Self::Emojis => "emojis",
            Self::Webhooks => "webhooks",
            Self::AuditLog => "audit_log",
            Self::Settings => "settings",
            Self::Relationships => "relationships",
            Self::Outbox => "outbox",
            Self::StageInstances => "stage_instances",
        }
    }

    /// The section of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// The table that its rows are read from.
    pub(crate) const fn table(self) -> Table {
        match self {
            Self::Accounts => Table::Accounts,
            Self::UniqueKeys => Table::UniqueKeys,
            Self::Applications => Table::Applications,
            Self::Guilds => Table::Guilds,
            Self::Channels => Table::ChannelsByGuild,
            Self::Roles => Table::Roles,
            Self::Members => Table::Members,
            Self::Bans => Table::Bans,
            Self::Invites => Table::Invites,
            Self::Retentions => Table::Retentions,
            Self::Dms => Table::Dms,
            Self::DmListings => Table::DmsByUser,
            Self::ReadStates => Table::ReadStates,
            Self::Messages => Table::Messages,
            Self::Pins => Table::Pins,
            Self::Reactions => Table::Reactions,
            Self::ReactionCounts => Table::ReactionCounts,
            Self::MessageEdits => Table::MessageEdits,
            Self::Attachments => Table::Attachments,
            Self::Emojis => Table::Emojis,
            Self::Webhooks => Table::Webhooks,
            Self::AuditLog => Table::AuditLog,
            Self::Settings => Table::Settings,
            Self::Relationships => Table::Relationships,
            Self::Outbox => Table::Outbox,
            Self::StageInstances => Table::StageInstances,
        }
    }
}

/// A row of a dump, as what puts it into a store.
#[derive(Clone, Debug, PartialEq)]
pub enum DumpRow {
    Write(Write),
    /// A unique key and who holds it.
    Claim {
        key: UniqueKey,
        owner: u64,
    },
}

impl DumpRow {
    /// When its own id was issued, Unix milliseconds; 0 for rows that have none.
    pub(crate) fn issued_ms(&self) -> u64 {
        let Self::Write(write) = self else { return 0 };
        match write {
            Write::PutAccount(account) => account.user.id.0.unix_ms(),
            Write::PutApplication(application) => application.id.0.unix_ms(),
            Write::PutGuild(guild) => guild.id.0.unix_ms(),
            Write::PutChannel(channel) => channel.id.0.unix_ms(),
            Write::PutRole { role, .. } => role.id.0.unix_ms(),
            Write::PutDm(dm) => dm.channel.id.0.unix_ms(),
            Write::PutMessage(message) => message.id.0.unix_ms(),
            _ => 0,
        }
    }
}

/// Where a page of a dump ends. Only the engine that made it can read it: a key here, a place on the token ring there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpCursor(pub Vec<u8>);

/// A row, or a stretch of rows, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DamagedRow {
    /// Table as in `schema/`.
    pub table: String,
    /// The key in hexadecimal; two keys with `..` between them for all that lies between, themselves excluded.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A page of a dump.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DumpPage {
    /// In the engine's own order; a page may be empty and not the last.
    pub rows: Vec<DumpRow>,
    /// Rows that are missing from the page because they cannot be read.
    pub damaged: Vec<DamagedRow>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<DumpCursor>,
}

/// How a table gets into another store.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// As rows of a section.
    In(Section),
    /// It follows from the rows of a section.
    With(Section),
    /// It does not: why is told in `carried`.
    Not,
}

/// What becomes of each table when a store is moved; a new table does not compile until somebody has decided.
#[cfg(test)]
const fn carried(table: Table) -> Carried {
    match table {
        // An archive holds the id ceiling in its manifest; nothing else of a lease outlives its node.
        Table::Leases | Table::WorkerLeases | Table::VirtualShardLeases => Carried::Not,
        // Kept for minutes, for retries of calls under way: a store is moved while none are.
        Table::Operations => Carried::Not,
        // An export waits until what is deleted is removed.
        Table::Purges => Carried::Not,
        // What stands there is deleted.
        Table::MessagesToPurge => Carried::Not,
        // Says that an import into this store is unfinished.
        Table::Imports => Carried::Not,
        Table::Accounts => Carried::In(Section::Accounts),
        Table::UniqueKeys => Carried::In(Section::UniqueKeys),
        Table::Applications => Carried::In(Section::Applications),
        Table::ApplicationsByOwner => Carried::With(Section::Applications),
        Table::Guilds => Carried::In(Section::Guilds),
        Table::Channels => Carried::With(Section::Channels),
        Table::ChannelsByGuild => Carried::In(Section::Channels),
        Table::Roles => Carried::In(Section::Roles),
        Table::Members => Carried::In(Section::Members),
        Table::GuildsByUser => Carried::With(Section::Members),
        Table::Bans => Carried::In(Section::Bans),
        Table::Invites => Carried::In(Section::Invites),
        Table::InvitesByGuild => Carried::With(Section::Invites),
        Table::Messages => Carried::In(Section::Messages),
        Table::MessageBuckets | Table::MessagesByAuthor => Carried::With(Section::Messages),
        Table::Reactions => Carried::In(Section::Reactions),
        Table::ReactionCounts => Carried::In(Section::ReactionCounts),
        Table::Pins => Carried::In(Section::Pins),
        Table::Dms => Carried::In(Section::Dms),
        Table::DmsByUser => Carried::In(Section::DmListings),
        Table::ReadStates => Carried::In(Section::ReadStates),
        Table::Retentions => Carried::In(Section::Retentions),
        Table::MessageEdits => Carried::In(Section::MessageEdits),
        Table::Attachments => Carried::In(Section::Attachments),
        Table::Emojis => Carried::In(Section::Emojis),
        Table::Webhooks => Carried::In(Section::Webhooks),
        Table::AuditLog => Carried::In(Section::AuditLog),
        Table::Settings => Carried::In(Section::Settings),
        Table::Relationships => Carried::In(Section::Relationships),
        Table::Outbox => Carried::In(Section::Outbox),
        Table::StageInstances => Carried::In(Section::StageInstances),
        Table::WebhooksByGuild => Carried::With(Section::Webhooks),
        Table::AuditLogBuckets => Carried::With(Section::AuditLog),
        Table::OutboxHours => Carried::With(Section::Outbox),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_table_is_carried_by_a_section_or_left_out_on_purpose() {
        let mut with_rows = BTreeSet::new();
        for table in Table::ALL {
            match carried(*table) {
                Carried::In(section) => {
                    assert_eq!(section.table(), *table, "{}", table.name());
                    assert!(with_rows.insert(section), "two tables for {}", section.name());
                }
                Carried::With(section) => assert_ne!(section.table(), *table, "{}", table.name()),
                Carried::Not => {}
            }
        }
        assert_eq!(with_rows, Section::ALL.into_iter().collect());
    }

    #[test]
    fn names_of_sections_come_back() {
        for section in Section::ALL {
            assert_eq!(Section::of_name(section.name()), Some(section));
        }
        assert_eq!(Section::of_name("nothing"), None);
    }
}
