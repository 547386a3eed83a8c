//! `purges`: what is still to be removed, in the background.

use super::prelude::*;
use crate::tables::purges::Purge;

row! { kind: i8, id: i64 }

const CHANNEL: i8 = 1;
const GUILD: i8 = 2;
const DAY: i8 = 3;

/// What a row of the table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// A deleted channel or guild, hidden from readers until it is gone.
    Contents(Purge),
    /// A day whose marked messages are removed, days since 1970.
    Day(i32),
}

impl Job {
    fn key(self) -> (i8, i64) {
        match self {
            Self::Contents(Purge::Channel(id)) => (CHANNEL, big(id)),
            Self::Contents(Purge::Guild(id)) => (GUILD, big(id)),
            Self::Day(day) => (DAY, day.into()),
        }
    }

    /// Reads a key; none is a later version's kind, which that version removes.
    fn of(kind: i8, raw: i64) -> Option<Self> {
        match kind {
            CHANNEL => Some(Self::Contents(Purge::Channel(id(raw)))),
            GUILD => Some(Self::Contents(Purge::Guild(id(raw)))),
            DAY => i32::try_from(raw).ok().map(Self::Day),
            _ => None,
        }
    }
}

/// The table's statements.
pub struct Purges {
    put: Statement,
    delete: Statement,
    of_kind: Statement,
}

impl Purges {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Purges);
        let (put, delete, of_kind) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("kind = ? AND id = ?"),
            table.select(&["kind", "id"], "kind = ?"),
        )?;
        Ok(Self { put, delete, of_kind })
    }

    pub fn put(&self, job: Job, at: i64) -> Mutation {
        let (kind, id) = job.key();
        self.put.with(Partition::Of(kind.cast_unsigned().into(), 0), Row { kind, id }.at(at))
    }

    pub fn delete(&self, job: Job, at: i64) -> Mutation {
        let (kind, id) = job.key();
        self.delete.with(Partition::Of(kind.cast_unsigned().into(), 0), (at, kind, id))
    }

    /// Everything that is to be removed.
    pub async fn all(&self, calls: &Calls) -> Result<Vec<Job>, StoreError> {
        let mut jobs = Vec::new();
        for kind in [CHANNEL, GUILD, DAY] {
            jobs.extend(self.of_kind(calls, kind).await?);
        }
        Ok(jobs)
    }

    /// The days among it: few rows.
    pub async fn days(&self, calls: &Calls) -> Result<Vec<Job>, StoreError> {
        self.of_kind(calls, DAY).await
    }

    async fn of_kind(&self, calls: &Calls, kind: i8) -> Result<Vec<Job>, StoreError> {
        let rows: Vec<(i8, i64)> = calls.all_rows(&self.of_kind, (kind,)).await?;
        Ok(rows.into_iter().filter_map(|(kind, id)| Job::of(kind, id)).collect())
    }
}
