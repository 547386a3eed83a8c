//! `purges`: what is still to be removed, in the background.

use rookery_model::{MessageId, UserId};

use super::prelude::*;
use crate::tables::purges::Purge;

row! { kind: i8, id: i64, through: Blank<i64> }

const CHANNEL: i8 = 1;
const GUILD: i8 = 2;
const USER: i8 = 3;
const DAY: i8 = 4;

/// What a row of the table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// A deleted channel or guild, or an erased user, hidden from readers until it is gone: messages up to an id.
    Contents(Purge, MessageId),
    /// A day whose marked messages are removed, days since 1970.
    Day(i32),
}

impl Job {
    /// All contents of a channel or guild.
    pub fn all_of(purge: Purge) -> Self {
        Self::Contents(purge, MessageId::new(u64::MAX))
    }

    fn key(self) -> (i8, i64) {
        match self {
            Self::Contents(Purge::Channel(id), _) => (CHANNEL, big(id)),
            Self::Contents(Purge::Guild(id), _) => (GUILD, big(id)),
            Self::Contents(Purge::User(id), _) => (USER, big(id)),
            Self::Day(day) => (DAY, day.into()),
        }
    }

    /// Reads a row; none is a later version's kind, which that version removes.
    fn of(row: Row) -> Option<Self> {
        match row.kind {
            CHANNEL => Some(Self::all_of(Purge::Channel(id(row.id)))),
            GUILD => Some(Self::all_of(Purge::Guild(id(row.id)))),
            USER => Some(Self::Contents(Purge::User(id(row.id)), id_or_none(row.through)?)),
            DAY => i32::try_from(row.id).ok().map(Self::Day),
            _ => None,
        }
    }
}

/// The table's statements.
pub struct Purges {
    put: Statement,
    delete: Statement,
    of_kind: Statement,
    get: Statement,
}

impl Purges {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Purges);
        let (put, delete, of_kind, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("kind = ? AND id = ?"),
            table.select(Row::COLUMNS, "kind = ?"),
            table.select(&["through"], "kind = ? AND id = ?"),
        )?;
        Ok(Self { put, delete, of_kind, get })
    }

    pub fn put(&self, job: Job, at: i64) -> Mutation {
        let (kind, id) = job.key();
        let through = match job {
            Job::Contents(Purge::User(_), through) => Blank(Some(bound(through))),
            _ => Blank(None),
        };
        self.put.with(Partition::Of(kind.cast_unsigned().into(), 0), Row { kind, id, through }.at(at))
    }

    pub fn delete(&self, job: Job, at: i64) -> Mutation {
        let (kind, id) = job.key();
        self.delete.with(Partition::Of(kind.cast_unsigned().into(), 0), (at, kind, id))
    }

    /// Everything that is to be removed.
    pub async fn all(&self, calls: &Calls) -> Result<Vec<Job>, StoreError> {
        let mut jobs = Vec::new();
        for kind in [CHANNEL, GUILD, USER, DAY] {
            jobs.extend(self.of_kind(calls, kind).await?);
        }
        Ok(jobs)
    }

    /// Up to which message the erasure of a user goes that is under way.
    pub async fn through(&self, calls: &Calls, user_id: UserId) -> Result<Option<MessageId>, StoreError> {
        let row: Option<(Blank<i64>,)> = calls.row(&self.get, (USER, big(user_id))).await?;
        Ok(row.and_then(|(through,)| id_or_none(through)))
    }

    /// The days among it: few rows.
    pub async fn days(&self, calls: &Calls) -> Result<Vec<Job>, StoreError> {
        self.of_kind(calls, DAY).await
    }

    async fn of_kind(&self, calls: &Calls, kind: i8) -> Result<Vec<Job>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of_kind, (kind,)).await?;
        Ok(rows.into_iter().filter_map(Job::of).collect())
    }
}
