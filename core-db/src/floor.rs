//! The bare engines, as benchmarks hold them against the store: the same rows, keys and syncs of the embedded one, the
//! same statements of CQL, nothing around them.

use std::ops::Bound;
use std::path::Path;

use fjall::{OwnedWriteBatch, PersistMode};
use rookery_model::ChannelId;
use rookery_model::store::Write;

use crate::StoreError;
pub use crate::cql::floor::{BareDriver, BareMessage, drop_keyspaces};
use crate::embedded::db::Db;
use crate::key::Key;
use crate::lower::{Step, lower};
use crate::tables::{Change, Table, messages};

/// Block cache, as the embedded engine's default has it.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The engine without a store around it.
pub struct BareEngine {
    db: Db,
}

/// Rows ready to be written.
#[derive(Clone)]
pub struct BareRows(Vec<(Table, Key, Option<fjall::Slice>)>);

impl BareRows {
    /// The rows of a batch that depends on no stored row.
    pub fn prepare(batch: Vec<Write>) -> Result<Self, StoreError> {
        let mut rows = Vec::new();
        for step in lower(batch)? {
            match step {
                Step::Change(Change::Put(table, key, row)) => rows.push((table, key, Some(row))),
                Step::Change(Change::Delete(table, key)) => rows.push((table, key, None)),
                // The store writes a bucket's row once in ten days of a channel: a floor must not write it every time.
                Step::Change(Change::Bucket(_)) => {}
                Step::Lookup(_) => return Err(StoreError::Invalid("the batch depends on stored rows".into())),
            }
        }
        Ok(Self(rows))
    }
}

impl BareEngine {
    /// Opens the engine in an empty folder.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = Db::open(folder, CACHE_BYTES).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { db })
    }

    /// Writes rows as one batch with one sync.
    pub fn commit(&self, rows: impl IntoIterator<Item = BareRows>) -> Result<(), StoreError> {
        let mut batch =
            OwnedWriteBatch::with_capacity(self.db.database().clone(), 64).durability(Some(PersistMode::SyncData));
        for (table, key, row) in rows.into_iter().flat_map(|rows| rows.0) {
            match row {
                Some(row) => batch.insert(self.db.tree(table), key.into_slice(), row),
                None => batch.remove(self.db.tree(table), key.into_slice()),
            }
        }
        batch.commit().map_err(|error| StoreError::Unwritable(error.to_string()))
    }

    /// Bytes of the newest rows of a channel's newest bucket, undecoded.
    pub fn newest_messages(&self, channel_id: ChannelId, limit: usize) -> Result<usize, StoreError> {
        let prefix = messages::prefix(channel_id);
        let end = prefix.end();
        let range = (Bound::Included(prefix.as_bytes()), Bound::Excluded(&end[..]));
        let rows = self.db.tree(Table::Messages).range::<&[u8], _>(range).take(limit);
        let rows: fjall::Result<Vec<_>> = rows.map(fjall::Guard::into_inner).collect();
        let rows = rows.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(rows.iter().map(|(key, row)| key.len() + row.len()).sum())
    }
}
