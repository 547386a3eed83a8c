//! Rows that cannot be understood: left out of pages, logged and counted, so that one does not take the others away.

use scylla::deserialize::row::{ColumnIterator, DeserializeRow};
use scylla::deserialize::{DeserializationError, TypeCheckError};
use scylla::frame::response::result::ColumnSpec;

use super::calls::{Calls, chain};
use super::statement::Statement;
use crate::StoreError;

/// A row of a page; the first `KEY` columns of the query are the numbers of its key.
#[derive(Debug)]
pub enum Decoded<R, const KEY: usize> {
    Row(R),
    Damaged(Damage<KEY>),
}

/// What is wrong with a row, and where it stands.
#[derive(Debug)]
pub struct Damage<const KEY: usize> {
    pub key: [i64; KEY],
    pub reason: String,
}

impl<'frame, 'metadata, R, const KEY: usize> DeserializeRow<'frame, 'metadata> for Decoded<R, KEY>
where
    R: DeserializeRow<'frame, 'metadata>,
{
    fn type_check(specs: &[ColumnSpec<'_>]) -> Result<(), TypeCheckError> {
        R::type_check(specs)
    }

    fn deserialize(row: ColumnIterator<'frame, 'metadata>) -> Result<Self, DeserializationError> {
        let columns = row.clone();
        let error = match R::deserialize(row) {
            Ok(row) => return Ok(Self::Row(row)),
            Err(error) => error,
        };
        match key(columns) {
            Some(key) => Ok(Self::Damaged(Damage { key, reason: chain(&error) })),
            // Nobody could go on behind it.
            None => Err(error),
        }
    }
}

fn key<const KEY: usize>(mut columns: ColumnIterator<'_, '_>) -> Option<[i64; KEY]> {
    let mut key = [0; KEY];
    for part in &mut key {
        let bytes = columns.next()?.ok()?.slice?.as_slice();
        *part = match bytes.len() {
            1 => i8::from_be_bytes(bytes.try_into().ok()?).into(),
            4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
            _ => i64::from_be_bytes(bytes.try_into().ok()?),
        };
    }
    Some(key)
}

impl Calls {
    /// Notes that a row is left out.
    pub fn left_out(&self, statement: &Statement, key: &[i64], reason: &str) {
        let key = key.iter().map(|part| format!("{part:016x}")).collect();
        let (table, reason) = (statement.table.name(), reason.to_owned());
        self.counters.damage.note(&StoreError::Corrupt { table, key, reason });
    }

    /// What rows mean; those that cannot be understood are noted and left out.
    pub fn understood<R, T, const KEY: usize>(
        &self,
        statement: &Statement,
        rows: Vec<Decoded<R, KEY>>,
        read: impl Fn(R) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut understood = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Decoded::Row(row) => match read(row) {
                    Ok(meaning) => understood.push(meaning),
                    Err(error @ StoreError::Corrupt { .. }) => self.counters.damage.note(&error),
                    Err(error) => return Err(error),
                },
                Decoded::Damaged(Damage { key, reason }) => self.left_out(statement, &key, &reason),
            }
        }
        Ok(understood)
    }

    /// Rows of a partition behind a place, in the order of their second key column.
    ///
    /// `read` answers a row's place and what it means. The page is full where there are enough rows beside the damaged.
    pub async fn page_around_damage<R, T>(
        &self,
        statement: &Statement,
        of: i64,
        mut from: i64,
        limit: i32,
        read: impl Fn(R) -> (i64, T),
    ) -> Result<Vec<T>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let wanted = usize::try_from(limit).unwrap_or(0);
        let mut page = Vec::new();
        loop {
            let asked = wanted - page.len();
            let asked_rows = i32::try_from(asked).unwrap_or(i32::MAX);
            let rows: Vec<Decoded<R, 2>> = self.rows(statement, (of, from, asked_rows)).await?;
            let is_last = rows.len() < asked;
            for row in rows {
                match row {
                    Decoded::Row(row) => {
                        let (place, meaning) = read(row);
                        from = place;
                        page.push(meaning);
                    }
                    Decoded::Damaged(Damage { key, reason }) => {
                        self.left_out(statement, &key, &reason);
                        from = key[1];
                    }
                }
            }
            if is_last || page.len() >= wanted {
                return Ok(page);
            }
        }
    }
}
