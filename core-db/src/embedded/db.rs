//! The open trees of the embedded engine.

use std::io::ErrorKind;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::damage::{Faults, Found, KnownDamage};
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

    /// Up to `limit` rows of a range as `read` understands them; it answers none for what is not to be seen.
    pub fn page_of<T>(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        limit: usize,
        on_damage: OnDamage,
        mut read: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut page = Vec::with_capacity(limit.min(128));
        if limit == 0 {
            return Ok(page);
        }
        self.walk(table, range, direction, limit, Faults::OfFiles, |found| {
            let row = match found {
                Found::Row(key, row) => read(&key, &row),
                Found::Stretch(stretch) => Err(stretch.error()),
            };
            match (row, on_damage) {
                (Ok(row), _) => page.extend(row),
                (Err(error @ StoreError::Corrupt { .. }), OnDamage::LeaveOut) => self.damage.note(&error),
                (Err(error), _) => return Err(error),
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
        on_damage: OnDamage,
        read: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let end = prefix.end();
        let range = (begin(prefix, after), Bound::Excluded(&end[..]));
        self.page_of(table, range, Direction::Forward, limit, on_damage, read)
    }

    fn rows_after(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        mut on_damage: impl FnMut(StoreError) -> Result<(), StoreError>,
    ) -> Result<Vec<Pair>, StoreError> {
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        let end = prefix.end();
        let range = (begin(prefix, after), Bound::Excluded(&end[..]));
        self.walk(table, range, Direction::Forward, limit, Faults::OfFiles, |found| {
            match found {
                Found::Row(key, row) => rows.push((key, row)),
                Found::Stretch(stretch) => on_damage(stretch.error())?,
            }
            Ok(if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(rows)
    }
}

/// What becomes of a page in which a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// The row is left out, logged and counted: it must not take the others away. Only for lists where a missing row
    /// grants nothing.
    LeaveOut,
    /// There is no page, and the error names the row.
    Refuse,
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
        self.rows_after(table, prefix, after, limit, Err)
    }

    fn scan_around(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        damaged: &mut Vec<StoreError>,
    ) -> Result<Vec<Pair>, StoreError> {
        self.rows_after(table, prefix, after, limit, |damage| {
            self.damage.note(&damage);
            damaged.push(damage);
            Ok(())
        })
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

/// A failed read: a file that ends too early or holds what it should not is damage, as is what the engine finds wrong;
/// any other fault of the file system may pass.
pub fn read_error(table: Table, key: &[u8], error: &fjall::Error) -> StoreError {
    match io_error(error) {
        Some(error) if !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
            StoreError::Unavailable(format!("table {}: {error}", table.name()))
        }
        _ => row::corrupt(table, key, error.to_string()),
    }
}

/// Whether a medium does not give a block back: another read may succeed, so readers are told to come again; whoever
/// saves what can be saved goes around it.
pub fn is_lost_block(error: &fjall::Error) -> bool {
    /// As all Unixes number it.
    const EIO: i32 = 5;
    io_error(error).is_some_and(|error| error.raw_os_error() == Some(EIO))
}

fn io_error(error: &fjall::Error) -> Option<&std::io::Error> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn faults_that_pass_are_told_from_damage() {
        let of = |error: io::Error| fjall::Error::Storage(fjall::LsmError::Io(error));
        let name = |error: &fjall::Error| match read_error(Table::Bans, &[0xab], error) {
            StoreError::Corrupt { table: "bans", key, .. } if key == "ab" => "damage",
            StoreError::Unavailable(reason) if reason.contains("bans") => "passes",
            other => panic!("{other:?}"),
        };
        let (lost, too_many) = (of(io::Error::from_raw_os_error(5)), of(io::Error::from_raw_os_error(24)));
        assert_eq!((name(&lost), is_lost_block(&lost)), ("passes", true));
        assert_eq!((name(&too_many), is_lost_block(&too_many)), ("passes", false));
        let short = of(ErrorKind::UnexpectedEof.into());
        assert_eq!((name(&short), is_lost_block(&short)), ("damage", false));
    }
}
