//! `purges`: what is still to be removed, in the background, `((period, slot), kind, id, through)`.

use rookery_model::MessageId;

use super::prelude::*;
use crate::cql::purge::Reader;
use crate::tables::purges::Purge;

row! { period: i32, slot: i8, kind: i8, id: i64, through: i64 }

const CHANNEL: i8 = 1;
const GUILD: i8 = 2;
const USER: i8 = 3;
const DAY: i8 = 4;

/// Over how many partitions the jobs of a period are spread.
pub const SLOTS: i8 = 4;
/// An hour.
const PERIOD_US: i64 = 3_600_000_000;

/// What a row of the table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// A deleted channel or guild, or an erased user, hidden from readers until it is gone: messages up to an id.
    Contents(Purge, MessageId),
    /// A day whose marked messages are removed, days since 1970.
    Day(i32),
}

/// A partition of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub period: i32,
    pub slot: i8,
}

/// A job and where it is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Noted {
    pub job: Job,
    pub place: Place,
}

impl Job {
    /// All contents of a channel or guild.
    pub fn all_of(purge: Purge) -> Self {
        Self::Contents(purge, MessageId::new(u64::MAX))
    }

    fn key(self) -> (i8, i64, i64) {
        match self {
            Self::Contents(Purge::Channel(id), _) => (CHANNEL, big(id), i64::MAX),
            Self::Contents(Purge::Guild(id), _) => (GUILD, big(id), i64::MAX),
            Self::Contents(Purge::User(id), through) => (USER, big(id), bound(through)),
            Self::Day(day) => (DAY, day.into(), 0),
        }
    }

    /// Where it is noted at a moment; days are not moved through time, they are few.
    pub fn noted(self, at: i64) -> Noted {
        let (_, id, _) = self.key();
        let place = match self {
            Self::Day(_) => Place::OF_DAYS,
            Self::Contents(..) => Place { period: period_of(at), slot: slot_of(id) },
        };
        Noted { job: self, place }
    }

    /// Reads a row; none is a later version's kind, which that version removes.
    fn of(row: &Row) -> Option<Self> {
        match row.kind {
            CHANNEL => Some(Self::all_of(Purge::Channel(id(row.id)))),
            GUILD => Some(Self::all_of(Purge::Guild(id(row.id)))),
            USER => Some(Self::Contents(Purge::User(id(row.id)), id(row.through))),
            DAY => i32::try_from(row.id).ok().map(Self::Day),
            _ => None,
        }
    }
}

impl Place {
    /// Where days are noted.
    pub const OF_DAYS: Self = Self { period: 0, slot: 0 };

    /// The places of the periods around one, and of days.
    pub fn around(period: i32) -> Vec<Self> {
        let places = [period - 1, period, period + 1]
            .into_iter()
            .flat_map(|period| (0..SLOTS).map(move |slot| Self { period, slot }));
        std::iter::once(Self::OF_DAYS).chain(places).collect()
    }
}

/// The period of a moment, in microseconds.
pub fn period_of(at: i64) -> i32 {
    i32::try_from(at.max(0) / PERIOD_US).unwrap_or(i32::MAX - 1)
}

/// Ids end in a sequence number that is mostly zero: the time above it spreads.
fn slot_of(id: i64) -> i8 {
    // Below 4.
    ((id ^ (id >> 22)) & i64::from(SLOTS - 1)) as i8
}

/// The table's statements.
pub struct Purges {
    put: Statement,
    delete: Statement,
    delete_place: Statement,
    at_place: Statement,
    places: Statement,
}

impl Purges {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Purges);
        let (put, delete, delete_place, at_place, places) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("period = ? AND slot = ? AND kind = ? AND id = ? AND through = ?"),
            table.delete("period = ? AND slot = ?"),
            table.select(Row::COLUMNS, "period = ? AND slot = ?"),
            table.select(&["DISTINCT period", "slot"], "token(period, slot) > ?"),
        )?;
        Ok(Self { put, delete, delete_place, at_place, places })
    }

    pub fn put(&self, job: Job, at: i64) -> Mutation {
        let Noted { place: Place { period, slot }, .. } = job.noted(at);
        let (kind, id, through) = job.key();
        self.put.with(partition(period, slot), Row { period, slot, kind, id, through }.at(at))
    }

    pub fn delete(&self, noted: Noted, at: i64) -> Mutation {
        let Noted { job, place: Place { period, slot } } = noted;
        let (kind, id, through) = job.key();
        self.delete.with(partition(period, slot), (at, period, slot, kind, id, through))
    }

    /// Removes a past place whole, with the tombstones of what was done.
    pub fn delete_place(&self, Place { period, slot }: Place, at: i64) -> Mutation {
        self.delete_place.with(partition(period, slot), (at, period, slot))
    }

    /// What is noted at a place.
    pub async fn at_place(&self, reader: &Reader<'_>, place: Place) -> Result<Vec<Noted>, StoreError> {
        let rows: Vec<Row> = reader.rows(&self.at_place, (place.period, place.slot)).await?;
        Ok(rows.iter().filter_map(|row| Some(Noted { job: Job::of(row)?, place })).collect())
    }

    /// The places where anything is noted: a walk over a small table.
    pub async fn places(&self, calls: &Calls) -> Result<Vec<Place>, StoreError> {
        // No token is the lowest number.
        let rows: Vec<(i32, i8)> = calls.all_rows(&self.places, (i64::MIN,)).await?;
        Ok(rows.into_iter().map(|(period, slot)| Place { period, slot }).collect())
    }

    /// The days among it: few rows.
    pub async fn days(&self, calls: &Calls) -> Result<Vec<Job>, StoreError> {
        let noted = self.at_place(&Reader::here(calls), Place::OF_DAYS).await?;
        Ok(noted.into_iter().map(|noted| noted.job).collect())
    }
}

fn partition(period: i32, slot: i8) -> Partition {
    Partition::Of(period.cast_unsigned().into(), slot.cast_unsigned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::UserId;

    #[test]
    fn a_job_is_noted_in_the_hour_of_its_timestamp() {
        let job = Job::Contents(Purge::User(UserId::new(5 << 22)), MessageId::new(9));
        let place = job.noted(7 * PERIOD_US + 5).place;
        assert_eq!((place.period, place.slot), (7, 1));
        assert_eq!(job.noted(8 * PERIOD_US).place.period, 8);
        assert!(Place::around(6).contains(&place) && Place::around(8).contains(&place));
        assert!(!Place::around(9).contains(&place) && Place::around(9).contains(&Job::Day(3).noted(0).place));
    }
}
