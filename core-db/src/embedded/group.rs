//! The changes of many batches, made durable together.

use std::collections::{BTreeMap, HashMap, HashSet};

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use rookery_model::MessageId;

use super::db::Db;
use crate::StoreError;
use crate::key::Key;
use crate::tables::purges::Purge;
use crate::tables::{Change, Pair, Table, View, marker, purges};

/// Buckets known to be in the index; beyond this many the memory starts anew.
const KNOWN_BUCKETS_MAX: usize = 65_536;

/// The last change of each row, in the order of first changes.
///
/// The engine gives all rows of a batch one sequence number, so that a row may stand in it only once.
#[derive(Debug, Default)]
pub struct Group {
    changes: Vec<(Table, Key, Option<Slice>)>,
    index: HashMap<(Table, Key), usize>,
    /// The changes of each table, so that a scan of a table does not walk over all others'.
    by_table: HashMap<Table, Vec<usize>>,
    buckets: Vec<Key>,
    bytes: usize,
}

impl Group {
    /// Adds a change, over an earlier one of the same row.
    pub fn add(&mut self, change: Change, known: &KnownBuckets) {
        match change {
            Change::Put(table, key, row) => self.set(table, key, Some(row)),
            Change::Delete(table, key) => self.set(table, key, None),
            Change::Bucket(key) => {
                if !known.0.contains(&key) {
                    self.buckets.push(key.clone());
                    self.set(Table::MessageBuckets, key, Some(marker()));
                }
            }
        }
    }

    fn set(&mut self, table: Table, key: Key, row: Option<Slice>) {
        self.bytes += key.as_bytes().len() + row.as_ref().map_or(0, |row| row.len());
        match self.index.entry((table, key)) {
            std::collections::hash_map::Entry::Occupied(entry) => self.changes[*entry.get()].2 = row,
            std::collections::hash_map::Entry::Vacant(entry) => {
                self.by_table.entry(table).or_default().push(self.changes.len());
                self.changes.push((table, entry.key().1.clone(), row));
                entry.insert(self.changes.len() - 1);
            }
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
    /// Rows to write.
    pub fn rows(&self) -> usize {
        self.changes.len()
    }
    /// Bytes of keys and rows.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes of a table.
    fn of_table(&self, table: Table) -> impl Iterator<Item = (&Key, &Option<Slice>)> {
        let indices = self.by_table.get(&table).into_iter().flatten();
        indices.map(|index| (&self.changes[*index].1, &self.changes[*index].2))
    }

    /// Whether rows of a table change.
    pub fn touches(&self, table: Table) -> bool {
        self.by_table.contains_key(&table)
    }

    /// Purges that the group begins, up to which message id, and those that it ends.
    pub fn purges(&self) -> impl Iterator<Item = (Purge, Option<MessageId>)> {
        self.of_table(Table::Purges).filter_map(|(key, row)| {
            let through = row.as_ref().map(|row| purges::parse_row(key.as_bytes(), row)).transpose();
            Some((purges::parse(key.as_bytes()).ok()?, through.ok()?))
        })
    }

    /// Makes the group durable, then visible; a reader never sees what is not durable.
    pub fn commit(self, db: &Db, known: &mut KnownBuckets) -> fjall::Result<()> {
        let batch = OwnedWriteBatch::with_capacity(db.database().clone(), self.changes.len());
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for (table, key, row) in self.changes {
            match row {
                Some(row) => batch.insert(db.tree(table), key.into_slice(), row),
                None => batch.remove(db.tree(table), key.into_slice()),
            }
        }
        batch.commit()?;
        known.add(self.buckets);
        Ok(())
    }
}

/// Buckets whose index row is durable.
#[derive(Debug, Default)]
pub struct KnownBuckets(HashSet<Key>);

impl KnownBuckets {
    fn add(&mut self, keys: Vec<Key>) {
        if self.0.len() + keys.len() > KNOWN_BUCKETS_MAX {
            self.0.clear();
        }
        self.0.extend(keys);
    }
    /// Forgets them: index rows may have been removed.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// What is stored, with the group under construction and the batch under construction over it.
pub struct Layers<'a> {
    pub db: &'a Db,
    pub group: &'a Group,
    pub batch: &'a [Change],
}

impl Layers<'_> {
    /// What the batch under construction says of a row.
    fn in_batch(&self, table: Table, key: &Key) -> Option<Option<Slice>> {
        self.batch.iter().rev().find_map(|change| match change {
            Change::Put(in_table, in_key, row) if (*in_table, in_key) == (table, key) => Some(Some(row.clone())),
            Change::Delete(in_table, in_key) if (*in_table, in_key) == (table, key) => Some(None),
            _ => None,
        })
    }

    /// What is stored of a range, as the layers change it.
    fn over(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        stored: impl FnOnce(usize) -> Result<Vec<Pair>, StoreError>,
    ) -> Result<Vec<Pair>, StoreError> {
        let in_group = self.group.of_table(table).map(|(key, row)| (key, row.clone()));
        let in_batch = self.batch.iter().filter_map(|change| match change {
            Change::Put(in_table, key, row) if *in_table == table => Some((key, Some(row.clone()))),
            Change::Delete(in_table, key) if *in_table == table => Some((key, None)),
            _ => None,
        });
        let over = in_group
            .chain(in_batch)
            .map(|(key, row)| (key.as_bytes(), row))
            .filter(|(key, _)| key.starts_with(prefix.as_bytes()) && after.is_none_or(|after| *key > after.as_bytes()));
        let over: BTreeMap<&[u8], Option<Slice>> = over.collect();
        if over.is_empty() {
            return stored(limit);
        }
        // Rows that the layers delete must not count against the limit.
        let mut rows: BTreeMap<Slice, Slice> = stored(limit.saturating_add(over.len()))?.into_iter().collect();
        for (key, row) in over {
            match row {
                Some(row) => rows.insert(Slice::from(key), row),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().take(limit).collect())
    }
}

impl View for Layers<'_> {
    fn get(&self, table: Table, key: &Key) -> Result<Option<Slice>, StoreError> {
        if let Some(row) = self.in_batch(table, key) {
            return Ok(row);
        }
        match self.group.index.get(&(table, key.clone())) {
            Some(index) => Ok(self.group.changes[*index].2.clone()),
            None => self.db.get(table, key),
        }
    }

    fn scan_after(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.over(table, prefix, after, limit, |limit| self.db.scan_after(table, prefix, after, limit))
    }

    fn scan_around(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        damaged: &mut Vec<StoreError>,
    ) -> Result<Vec<Pair>, StoreError> {
        self.over(table, prefix, after, limit, |limit| self.db.scan_around(table, prefix, after, limit, damaged))
    }
}
