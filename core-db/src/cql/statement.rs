//! Prepared statements and what is done with them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared;

use super::connect;
use super::counters::Counters;
use super::policies::{Observer, Profiles, Purpose};
use crate::config::CqlConfig;
use crate::tables::Table;
use crate::{OpenError, StoreError};

/// The largest row, bytes: well below half a commit log segment, the most that a node takes in one mutation.
pub const ROW_MAX_BYTES: usize = 2 * 1024 * 1024;
/// What a row costs besides its texts and blobs, about.
const ROW_BYTES: usize = 64;

/// A statement of one table, prepared for one purpose.
#[derive(Clone, Debug)]
pub struct Statement {
    pub prepared: Arc<PreparedStatement>,
    pub table: Table,
    pub purpose: Purpose,
}

/// Which partition of a table a mutation changes: mutations of one partition go together.
///
/// Two numbers are the columns of most partition keys. Keys of text stand alone (`ALONE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// A partition that other mutations may share.
    Of(u64, u64),
    /// One that is not grouped.
    Alone,
}

/// A change of rows, with its timestamp among the values.
pub struct Mutation {
    pub statement: Statement,
    pub partition: Partition,
    pub values: Box<dyn SerializeRow + Send + Sync>,
    pub bytes: usize,
}

impl std::fmt::Debug for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutation").field("table", &self.statement.table).finish_non_exhaustive()
    }
}

impl Statement {
    /// The statement with its values.
    pub fn with(&self, partition: Partition, values: impl SerializeRow + Send + Sync + 'static) -> Mutation {
        Mutation { statement: self.clone(), partition, values: Box::new(values), bytes: ROW_BYTES }
    }

    /// Likewise, of a row whose texts and blobs come to so many bytes.
    pub fn with_sized(
        &self,
        partition: Partition,
        bytes: usize,
        values: impl SerializeRow + Send + Sync + 'static,
    ) -> Result<Mutation, StoreError> {
        if bytes > ROW_MAX_BYTES {
            return Err(StoreError::Invalid(format!(
                "a row of {bytes} bytes in table {} is larger than {ROW_MAX_BYTES}",
                self.table.name()
            )));
        }
        Ok(Mutation { bytes: bytes + ROW_BYTES, ..self.with(partition, values) })
    }
}

/// Prepares statements.
#[derive(Clone, Copy)]
pub struct Preparer<'a> {
    pub session: &'a Session,
    pub profiles: &'a Profiles,
    pub config: &'a CqlConfig,
    pub counters: &'a Arc<Counters>,
}

impl<'a> Preparer<'a> {
    /// Prepares statements of a table.
    pub fn table(self, table: Table) -> TablePreparer<'a> {
        let name = match table {
            Table::Leases | Table::WorkerLeases | Table::VirtualShardLeases => {
                format!("{}.{}", self.config.lease_keyspace(), table.name())
            }
            _ => format!("{}.{}", self.config.keyspace, table.name()),
        };
        TablePreparer { preparer: self, table, name }
    }
}

/// Prepares statements of one table.
pub struct TablePreparer<'a> {
    preparer: Preparer<'a>,
    table: Table,
    name: String,
}

impl TablePreparer<'_> {
    /// A put of a whole row, values in the order of columns, then the timestamp.
    pub async fn insert(&self, columns: &[&str]) -> Result<Statement, OpenError> {
        let text = format!("{} USING TIMESTAMP ?", self.insert_text(columns));
        self.prepare(Purpose::Write, text).await
    }

    /// The text of an insertion, for those that add to it.
    pub fn insert_text(&self, columns: &[&str]) -> String {
        let marks = vec!["?"; columns.len()].join(", ");
        format!("INSERT INTO {} ({}) VALUES ({marks})", self.name, columns.join(", "))
    }

    /// A deletion of the rows that a condition on the key names; the timestamp comes first.
    pub async fn delete(&self, of: &str) -> Result<Statement, OpenError> {
        self.prepare(Purpose::Write, format!("DELETE FROM {} USING TIMESTAMP ? WHERE {of}", self.name)).await
    }

    /// A query; `of` is the condition on the key with what follows it.
    pub async fn select(&self, columns: &[&str], of: &str) -> Result<Statement, OpenError> {
        self.prepare(Purpose::Read, self.select_text(columns, of)).await
    }

    /// A query of a table of few rows.
    pub async fn select_all(&self, columns: &[&str]) -> Result<Statement, OpenError> {
        self.prepare(Purpose::Read, format!("SELECT {} FROM {}", columns.join(", "), self.name)).await
    }

    /// A query for what is written by compare-and-set.
    pub async fn select_serial(&self, columns: &[&str], of: &str) -> Result<Statement, OpenError> {
        let purpose = match self.table {
            Table::Leases => Purpose::LeaseRead,
            Table::WorkerLeases | Table::VirtualShardLeases => Purpose::SharedLeaseRead,
            _ => Purpose::SerialRead,
        };
        self.prepare(purpose, self.select_text(columns, of)).await
    }

    fn select_text(&self, columns: &[&str], of: &str) -> String {
        format!("SELECT {} FROM {} WHERE {of}", columns.join(", "), self.name)
    }

    /// A write with a text of its own.
    pub async fn write(&self, text: String) -> Result<Statement, OpenError> {
        self.prepare(Purpose::Write, text).await
    }

    /// A compare-and-set; `rest` follows the verb and the table's name.
    pub async fn compare_and_set(&self, verb: &str, rest: &str) -> Result<Statement, OpenError> {
        let purpose = match self.table {
            Table::Leases => Purpose::Lease,
            Table::WorkerLeases | Table::VirtualShardLeases => Purpose::SharedLease,
            _ => Purpose::CompareAndSet,
        };
        self.prepare(purpose, format!("{verb} {} {rest}", self.name)).await
    }

    /// Boxed: a table joins several of these, and the driver's part of each is large.
    fn prepare(&self, purpose: Purpose, text: String) -> BoxFuture<'_, Result<Statement, OpenError>> {
        Box::pin(self.prepare_now(purpose, text))
    }

    async fn prepare_now(&self, purpose: Purpose, text: String) -> Result<Statement, OpenError> {
        let Preparer { session, profiles, config, counters } = self.preparer;
        let mut statement = unprepared::Statement::new(text.as_str());
        statement.set_execution_profile_handle(Some(profiles.of(purpose)));
        let prepared = session.prepare(statement).await;
        let mut prepared = prepared.map_err(|error| connect::prepare_error(config, &text, &error))?;
        prepared.set_is_idempotent(purpose.is_idempotent());
        if purpose == Purpose::Read {
            prepared.set_history_listener(Arc::new(Observer(counters.clone())));
        }
        Ok(Statement { prepared: Arc::new(prepared), table: self.table, purpose })
    }
}
