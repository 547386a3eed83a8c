//! `leases`: what a node may do until when; in a keyspace of its own, written only by compare-and-set.

use super::prelude::*;
use crate::cql::cas::Applied;
use crate::cql::failure::Failure;

/// What the engine reads of its row.
#[derive(Clone, Copy, Debug, Default, scylla::DeserializeRow)]
pub struct Lease {
    #[scylla(default_when_null)]
    pub id_ceiling_ms: i64,
    #[scylla(default_when_null)]
    pub write_timestamp_ceiling_us: i64,
}

/// The table's statements.
pub struct Leases {
    get: Statement,
    nodes: Statement,
    begin: Statement,
    raise_ids: Statement,
    raise_timestamps: Statement,
    settle_timestamps: Statement,
}

impl Leases {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Leases);
        let (get, nodes, begin, raise_ids, raise_timestamps, settle_timestamps) = tokio::try_join!(
            table.select_serial(&["id_ceiling_ms", "write_timestamp_ceiling_us"], "node_id = ?"),
            table.select_all(&["node_id"]),
            table.compare_and_set(
                "INSERT INTO",
                "(node_id, id_ceiling_ms, write_timestamp_ceiling_us) VALUES (?, 0, 0) IF NOT EXISTS"
            ),
            table.compare_and_set("UPDATE", "SET id_ceiling_ms = ? WHERE node_id = ? IF id_ceiling_ms < ?"),
            table.compare_and_set(
                "UPDATE",
                "SET write_timestamp_ceiling_us = ? WHERE node_id = ? IF write_timestamp_ceiling_us < ?"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET write_timestamp_ceiling_us = ? WHERE node_id = ? IF write_timestamp_ceiling_us = ?"
            ),
        )?;
        Ok(Self { get, nodes, begin, raise_ids, raise_timestamps, settle_timestamps })
    }

    /// A node's row, after everything that was written to it.
    pub async fn get(&self, calls: &Calls, node_id: i64) -> Result<Option<Lease>, StoreError> {
        calls.row(&self.get, (node_id,)).await
    }

    /// All nodes' rows, each after everything that was written to it.
    pub async fn all(&self, calls: &Calls) -> Result<Vec<(i64, Lease)>, StoreError> {
        let nodes: Vec<(i64,)> = calls.all_rows(&self.nodes, ()).await?;
        let rows = nodes.into_iter().map(|(node_id,)| async move {
            Ok::<_, StoreError>((node_id, self.get(calls, node_id).await?.unwrap_or_default()))
        });
        futures_util::future::try_join_all(rows).await
    }

    /// Makes a node's row.
    pub async fn begin(&self, calls: &Calls, node_id: i64) -> Result<Applied, Failure> {
        Applied::read(calls.once(&self.begin, &(node_id,)).await?, None)
    }

    /// Raises the ceiling of ids; not applied where it is as high already.
    pub async fn raise_ids(&self, calls: &Calls, node_id: i64, ceiling_ms: i64) -> Result<Applied, Failure> {
        Applied::read(calls.once(&self.raise_ids, &(ceiling_ms, node_id, ceiling_ms)).await?, Some("id_ceiling_ms"))
    }

    /// Likewise of write timestamps.
    pub async fn raise_timestamps(&self, calls: &Calls, node_id: i64, ceiling_us: i64) -> Result<Applied, Failure> {
        let result = calls.once(&self.raise_timestamps, &(ceiling_us, node_id, ceiling_us)).await?;
        Applied::read(result, Some("write_timestamp_ceiling_us"))
    }

    /// Lowers the ceiling of write timestamps from what it is known to be.
    pub async fn settle_timestamps(
        &self,
        calls: &Calls,
        node_id: i64,
        ceiling_us: i64,
        last_us: i64,
    ) -> Result<Applied, Failure> {
        Applied::read(calls.once(&self.settle_timestamps, &(last_us, node_id, ceiling_us)).await?, None)
    }
}
