//! Removes outcomes of operations that nobody will ask for again.

use std::ops::Bound;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::db::{Db, Direction, OnDamage};
use super::purge::STEP_ROWS;
use crate::StoreError;
use crate::key::{Key, Parts};
use crate::tables::{Table, operations};

/// How often old operations are looked for.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often the search begins at the first key, for late ids behind where it stands.
const FULL_INTERVAL: Duration = Duration::from_secs(600);

/// Where the removal stands.
#[derive(Debug)]
pub struct OperationRetention {
    keep_ms: u64,
    /// The last key removed: a search from the first key would walk over the marks of all that was removed before.
    cursor: Option<Key>,
    cursor_since: Instant,
    due: Instant,
}

impl OperationRetention {
    pub fn new(keep_ms: u64) -> Self {
        let now = Instant::now();
        Self { keep_ms, cursor: None, cursor_since: now, due: now }
    }

    /// Whether a step is due.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// The keys to remove now, at most [`STEP_ROWS`].
    pub fn step(&mut self, db: &Db) -> Result<Vec<Key>, StoreError> {
        if !self.is_due() {
            return Ok(Vec::new());
        }
        if self.cursor_since.elapsed() >= FULL_INTERVAL {
            self.cursor = None;
            self.cursor_since = Instant::now();
        }
        self.due = Instant::now() + INTERVAL;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        let end = operations::older_than(now_ms.saturating_sub(self.keep_ms));
        let begin = self.cursor.as_ref().map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.as_bytes()));
        if self.cursor.as_ref().is_some_and(|cursor| cursor.as_bytes() >= end.as_bytes()) {
            return Ok(Vec::new());
        }
        let to = Bound::Excluded(end.as_bytes());
        let tail = |key: &[u8]| Parts::of(key, Table::Operations).map(|parts| operations::key(parts.tail()));
        let keys =
            db.page_of(Table::Operations, (begin, to), Direction::Forward, STEP_ROWS, OnDamage::LeaveOut, |key, _| {
                Ok(tail(key))
            })?;
        if let Some(last) = keys.last() {
            self.cursor = Some(last.clone());
        }
        if keys.len() == STEP_ROWS {
            self.due = Instant::now();
        }
        Ok(keys)
    }
}
