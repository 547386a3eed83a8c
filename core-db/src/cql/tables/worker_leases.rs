//! `worker_leases`: worker ids with the node that holds each; in the leases' keyspace, written only by compare-and-set.

use rookery_model::lease::WorkerLease;

use super::prelude::*;
use crate::cql::cas::Applied;
use crate::cql::failure::Failure;

row! {
    worker_id: i32,
    node_id: i64,
    epoch: i64,
    id_ceiling_ms: i64,
    write_timestamp_ceiling_us: i64,
    expires_at_us: i64,
}

/// The table's statements.
pub struct WorkerLeases {
    begin: Statement,
    swap: Statement,
    get: Statement,
    all: Statement,
}

impl WorkerLeases {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::WorkerLeases);
        let (begin, swap, get, all) = tokio::try_join!(
            table.compare_and_set(
                "INSERT INTO",
                "(worker_id, node_id, epoch, id_ceiling_ms, write_timestamp_ceiling_us, expires_at_us) \
                 VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET node_id = ?, epoch = ?, id_ceiling_ms = ?, write_timestamp_ceiling_us = ?, expires_at_us = ? \
                 WHERE worker_id = ? IF node_id = ? AND epoch = ? AND id_ceiling_ms = ? \
                 AND write_timestamp_ceiling_us = ? AND expires_at_us = ?"
            ),
            table.select_serial(Row::COLUMNS, "worker_id = ?"),
            table.select(Row::COLUMNS, "token(worker_id) >= ?"),
        )?;
        Ok(Self { begin, swap, get, all })
    }

    /// Puts a lease in the place of what is expected.
    pub async fn swap(
        &self,
        calls: &Calls,
        before: Option<&WorkerLease>,
        after: &WorkerLease,
    ) -> Result<Applied, Failure> {
        let a = row(after);
        let result = match before.map(row) {
            None => calls.once(&self.begin, &a).await?,
            Some(b) => {
                let values = (
                    a.node_id,
                    a.epoch,
                    a.id_ceiling_ms,
                    a.write_timestamp_ceiling_us,
                    a.expires_at_us,
                    a.worker_id,
                    b.node_id,
                    b.epoch,
                    b.id_ceiling_ms,
                    b.write_timestamp_ceiling_us,
                    b.expires_at_us,
                );
                calls.once(&self.swap, &values).await?
            }
        };
        Applied::read(result, None)
    }

    /// A lease, after everything that was swapped before.
    pub async fn get(&self, calls: &Calls, worker_id: u16) -> Result<Option<WorkerLease>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (i32::from(worker_id),)).await?;
        row.map(lease).transpose()
    }

    /// All of them, by worker id, as far as a majority of replicas has heard.
    pub async fn all(&self, calls: &Calls) -> Result<Vec<WorkerLease>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.all, (i64::MIN,)).await?;
        let leases: Result<Vec<WorkerLease>, _> = rows.into_iter().map(lease).collect();
        let mut leases = leases?;
        leases.sort_by_key(|lease| lease.worker_id);
        Ok(leases)
    }
}

fn row(lease: &WorkerLease) -> Row {
    let WorkerLease { worker_id, node_id, epoch, id_ceiling_ms, write_timestamp_ceiling_us, expires_at } = lease;
    Row {
        worker_id: (*worker_id).into(),
        node_id: node_id.cast_signed(),
        epoch: epoch.cast_signed(),
        id_ceiling_ms: id_ceiling_ms.cast_signed(),
        write_timestamp_ceiling_us: *write_timestamp_ceiling_us,
        expires_at_us: expires_at.0,
    }
}

fn lease(row: Row) -> Result<WorkerLease, StoreError> {
    let worker_id = u16::try_from(row.worker_id);
    Ok(WorkerLease {
        worker_id: worker_id.map_err(|_| corrupt(Table::WorkerLeases, &[row.worker_id.into()], "no worker id"))?,
        node_id: row.node_id.cast_unsigned(),
        epoch: row.epoch.cast_unsigned(),
        id_ceiling_ms: row.id_ceiling_ms.cast_unsigned(),
        write_timestamp_ceiling_us: row.write_timestamp_ceiling_us,
        expires_at: Timestamp(row.expires_at_us),
    })
}
