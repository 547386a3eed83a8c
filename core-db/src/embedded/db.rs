//! The open trees of the embedded engine.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::damage::{Found, KnownDamage};
use crate::StoreError;
use crate::key::Key;
use crate::row;
use crate::tables::{Pair, Table, Tree, View};

/// Sealed memtables of a tree at which the committer waits for them to be flushed.
///
/// The engine itself waits inside a commit at four, and would wait for ever if its flush worker died meanwhile. Only the
/// committer writes, so that staying below here keeps it from ever getting there.
const SEALED_MEMTABLES_MAX: usize = 2;
/// Likewise for unmerged tables, where the engine's own limit is 30.
const L0_RUNS_MAX: usize = 24;

/// The database with its trees.
pub struct Db {
    // Dropped before the database, whose end waits for its workers.
    trees: [Keyspace; Tree::ALL.len()],
    database: Database,
    damage: KnownDamage,
}

impl Db {
    /// Opens or creates the database in a folder; the journals must have been checked.
    pub fn open(folder: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let database = Database::builder(folder)
            .cache_size(cache_bytes)
            .worker_threads(2)
            // The committer says itself when to write through.
            .manual_journal_persist(true)
            .journal_compression(fjall::CompressionType::None)
            .open()?;
        let open = |tree: Tree| database.keyspace(tree.name(), || options(tree));
        let trees = [
            open(Tree::Rows)?,
            open(Tree::Messages)?,
            open(Tree::Authors)?,
            open(Tree::Operations)?,
            open(Tree::Outbox)?,
        ];
        Ok(Self { trees, database, damage: KnownDamage::default() })
    }

    /// The database, to make batches of.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Damage that was met in rows since the database was opened.
    pub const fn damage(&self) -> &KnownDamage {
        &self.damage
    }

    /// The tree of a table.
    pub const fn tree(&self, table: Table) -> &Keyspace {
        match table.tree() {
            Tree::Rows => &self.trees[0],
            Tree::Messages => &self.trees[1],
            Tree::Authors => &self.trees[2],
            Tree::Operations => &self.trees[3],
            Tree::Outbox => &self.trees[4],
        }
    }

    /// Whether a background worker failed; then no write will be taken until the database is opened anew.
    pub fn is_poisoned(&self) -> bool {
        matches!(self.database.persist(PersistMode::Buffer), Err(fjall::Error::Poisoned))
    }

    /// Whether writes must wait for the background to catch up.
    pub fn is_behind(&self) -> bool {
        self.trees
            .iter()
            .any(|tree| tree.sealed_memtable_count() >= SEALED_MEMTABLES_MAX || tree.tree.l0_run_count() >= L0_RUNS_MAX)
    }

    /// Rows of a range in order, or from its end backwards.
    pub fn page(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let range = self.tree(table).range::<&[u8], _>((from, to));
        let read = |guard: fjall::Guard| guard.into_inner().map_err(|error| read_error(table, &[], &error));
        match direction {
            Direction::Forward => range.take(limit).map(read).collect(),
            Direction::Backward => range.rev().take(limit).map(read).collect(),
        }
    }

    /// Up to `limit` rows of a range as `read` understands them; it answers none for what is not to be seen.
    ///
    /// Damaged rows are left out, logged and counted: one of them must not take the others away. Only for lists where a
    /// missing row grants nothing.
    pub fn page_of<T>(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        limit: usize,
        mut read: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut page = Vec::with_capacity(limit.min(128));
        if limit == 0 {
            return Ok(page);
        }
        self.walk(table, range, direction, limit, |found| {
            match found {
                Found::Row(key, row) => match read(&key, &row) {
                    Ok(Some(row)) => page.push(row),
                    Ok(None) => {}
                    Err(StoreError::Corrupt { key, reason, .. }) => self.damage.note(table, key, &reason),
                    Err(other) => return Err(other),
                },
                Found::Stretch(stretch) => self.damage.note(table, stretch.keys(), &stretch.reason),
            }
            Ok(if page.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(page)
    }

    /// Likewise, of the rows that begin with a prefix and come after a key.
    pub fn page_of_prefix<T>(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        read: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let end = prefix.end();
        self.page_of(table, (begin(prefix, after), Bound::Excluded(&end)), Direction::Forward, limit, read)
    }

    /// Rows that begin with a prefix and come after a key.
    pub fn page_after(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.page(table, begin(prefix, after), Bound::Excluded(&prefix.end()), Direction::Forward, limit)
    }
}

/// Which way a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

impl View for Db {
    fn get(&self, table: Table, key: &Key) -> Result<Option<fjall::Slice>, StoreError> {
        let row = self.tree(table).get(key.as_bytes());
        row.map_err(|error| read_error(table, key.as_bytes(), &error))
    }

    fn scan_after(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.page_after(table, prefix, after, limit)
    }
}

/// Where a prefix begins, or goes on after a key.
pub fn begin<'a>(prefix: &'a Key, after: Option<&'a Key>) -> Bound<&'a [u8]> {
    after.map_or(Bound::Included(prefix.as_bytes()), |after| Bound::Excluded(after.as_bytes()))
}

fn options(tree: Tree) -> KeyspaceCreateOptions {
    let memtable_bytes = match tree {
        Tree::Messages => 32 * 1024 * 1024,
        Tree::Rows | Tree::Authors | Tree::Operations | Tree::Outbox => 16 * 1024 * 1024,
    };
    KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
}

/// A failed read: the file system's fault is temporary, anything else is damage.
pub fn read_error(table: Table, key: &[u8], error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            StoreError::Unavailable(format!("table {}: {error}", table.name()))
        }
        other => row::corrupt(table, key, other.to_string()),
    }
}
