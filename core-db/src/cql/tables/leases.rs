//! `leases`: who has a node id until when, and what it may have used; written only by compare-and-set.
//!
//! A row is changed by its holder alone, and given back and taken over by raising its epoch: everything else is
//! conditional on that.

use super::prelude::*;
use crate::cql::cas::Applied;
use crate::cql::failure::Failure;

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq, scylla::DeserializeRow)]
pub struct Lease {
    #[scylla(default_when_null)]
    pub epoch: i64,
    #[scylla(default_when_null)]
    pub holder: String,
    /// 0 once it was given back.
    #[scylla(default_when_null)]
    pub expires_at_ms: i64,
    #[scylla(default_when_null)]
    pub id_ceiling_ms: i64,
    #[scylla(default_when_null)]
    pub write_timestamp_ceiling_us: i64,
}

/// The table's statements.
pub struct Leases {
    get: Statement,
    nodes: Statement,
    insert: Statement,
    take: Statement,
    renew: Statement,
    raise_ids: Statement,
    give_back: Statement,
}

const COLUMNS: [&str; 5] = ["epoch", "holder", "expires_at_ms", "id_ceiling_ms", "write_timestamp_ceiling_us"];

impl Leases {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Leases);
        let (get, nodes, insert, take, renew, raise_ids, give_back) = tokio::try_join!(
            table.select_serial(&COLUMNS, "node_id = ?"),
            table.select_all(&["node_id"]),
            table.compare_and_set(
                "INSERT INTO",
                "(node_id, epoch, holder, expires_at_ms, id_ceiling_ms, write_timestamp_ceiling_us) \
                 VALUES (?, ?, ?, ?, 0, ?) IF NOT EXISTS"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET epoch = ?, holder = ?, expires_at_ms = ?, write_timestamp_ceiling_us = ? WHERE node_id = ? \
                 IF epoch = ? AND expires_at_ms = ?"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET expires_at_ms = ?, write_timestamp_ceiling_us = ? WHERE node_id = ? \
                 IF epoch = ? AND expires_at_ms < ?"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET id_ceiling_ms = ?, expires_at_ms = ?, write_timestamp_ceiling_us = ? WHERE node_id = ? \
                 IF epoch = ? AND id_ceiling_ms < ? AND expires_at_ms < ?"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET epoch = ?, expires_at_ms = 0, write_timestamp_ceiling_us = ? WHERE node_id = ? IF epoch = ?"
            ),
        )?;
        Ok(Self { get, nodes, insert, take, renew, raise_ids, give_back })
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

    /// Makes a node's row as its first holder.
    pub async fn insert(&self, calls: &Calls, node_id: i64, lease: &Lease) -> Result<Applied, Failure> {
        let Lease { epoch, holder, expires_at_ms, write_timestamp_ceiling_us, .. } = lease;
        let values = (node_id, epoch, holder.as_str(), expires_at_ms, write_timestamp_ceiling_us);
        Applied::read(calls.once(&self.insert, &values).await?, Some("epoch"))
    }

    /// Takes a row over from the holder before; applied only while it is as it was found.
    pub async fn take(&self, calls: &Calls, node_id: i64, lease: &Lease, found: &Lease) -> Result<Applied, Failure> {
        let Lease { epoch, holder, expires_at_ms, write_timestamp_ceiling_us, .. } = lease;
        let values = (
            epoch,
            holder.as_str(),
            expires_at_ms,
            write_timestamp_ceiling_us,
            node_id,
            found.epoch,
            found.expires_at_ms,
        );
        Applied::read(calls.once(&self.take, &values).await?, Some("epoch"))
    }

    /// Makes the lease last until a later moment, with another ceiling of write timestamps.
    ///
    /// Not applied where it lasts as long already, so that an attempt which arrives late does not shorten it, or where the
    /// lease is another's: the epoch tells.
    pub async fn renew(&self, calls: &Calls, node_id: i64, lease: &Lease) -> Result<Applied, Failure> {
        let values = (lease.expires_at_ms, lease.write_timestamp_ceiling_us, node_id, lease.epoch, lease.expires_at_ms);
        Applied::read(calls.once(&self.renew, &values).await?, Some("epoch"))
    }

    /// Renews it likewise, and raises the ceiling of ids; not applied where either is as high already.
    pub async fn raise_ids(&self, calls: &Calls, node_id: i64, lease: &Lease) -> Result<Applied, Failure> {
        let values = (
            lease.id_ceiling_ms,
            lease.expires_at_ms,
            lease.write_timestamp_ceiling_us,
            node_id,
            lease.epoch,
            lease.id_ceiling_ms,
            lease.expires_at_ms,
        );
        Applied::read(calls.once(&self.raise_ids, &values).await?, Some("epoch"))
    }

    /// Ends the lease and its epoch, so that no attempt of the holder which arrives later is applied.
    pub async fn give_back(
        &self,
        calls: &Calls,
        node_id: i64,
        epoch: i64,
        last_write_timestamp_us: i64,
    ) -> Result<Applied, Failure> {
        let values = (epoch.saturating_add(1), last_write_timestamp_us, node_id, epoch);
        Applied::read(calls.once(&self.give_back, &values).await?, Some("epoch"))
    }
}
