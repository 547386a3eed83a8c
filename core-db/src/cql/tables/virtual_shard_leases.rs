//! `virtual_shard_leases`: virtual shards with the node that owns each; in the leases' keyspace, written only by
//! compare-and-set.

use rookery_model::lease::VirtualShardLease;

use super::prelude::*;
use crate::cql::cas::Applied;
use crate::cql::failure::Failure;

row! {
    region: String,
    virtual_shard: i32,
    node_id: i64,
    epoch: i64,
    id_ceiling_ms: i64,
    write_timestamp_ceiling_us: i64,
}

/// The table's statements.
pub struct VirtualShardLeases {
    begin: Statement,
    swap: Statement,
    get: Statement,
    all: Statement,
}

impl VirtualShardLeases {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::VirtualShardLeases);
        let (begin, swap, get, all) = tokio::try_join!(
            table.compare_and_set(
                "INSERT INTO",
                "(region, virtual_shard, node_id, epoch, id_ceiling_ms, write_timestamp_ceiling_us) \
                 VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS"
            ),
            table.compare_and_set(
                "UPDATE",
                "SET node_id = ?, epoch = ?, id_ceiling_ms = ?, write_timestamp_ceiling_us = ? \
                 WHERE region = ? AND virtual_shard = ? \
                 IF node_id = ? AND epoch = ? AND id_ceiling_ms = ? AND write_timestamp_ceiling_us = ?"
            ),
            table.select_serial(Row::COLUMNS, "region = ? AND virtual_shard = ?"),
            table.select_all(Row::COLUMNS),
        )?;
        Ok(Self { begin, swap, get, all })
    }

    /// Puts a lease in the place of what is expected.
    pub async fn swap(
        &self,
        calls: &Calls,
        before: Option<&VirtualShardLease>,
        after: &VirtualShardLease,
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
                    a.region.as_str(),
                    a.virtual_shard,
                    b.node_id,
                    b.epoch,
                    b.id_ceiling_ms,
                    b.write_timestamp_ceiling_us,
                );
                calls.once(&self.swap, &values).await?
            }
        };
        Applied::read(result, None)
    }

    /// A lease, after everything that was swapped before.
    pub async fn get(
        &self,
        calls: &Calls,
        region: &str,
        virtual_shard: u16,
    ) -> Result<Option<VirtualShardLease>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (region, i32::from(virtual_shard))).await?;
        row.map(lease).transpose()
    }

    /// Those of a region, by number, as far as a majority of replicas has heard.
    pub async fn of(&self, calls: &Calls, region: &str) -> Result<Vec<VirtualShardLease>, StoreError> {
        // A walk over the whole table, which has little else: thousands of partitions that are asked for by name are as many
        // questions between the database's nodes, each as far as a majority is.
        let rows = calls.all_rows::<Row>(&self.all, ()).await?;
        let leases: Result<Vec<VirtualShardLease>, _> =
            rows.into_iter().filter(|row| row.region == region).map(lease).collect();
        let mut leases = leases?;
        leases.sort_by_key(|lease| lease.virtual_shard);
        Ok(leases)
    }
}

fn row(lease: &VirtualShardLease) -> Row {
    let VirtualShardLease { region, virtual_shard, node_id, epoch, id_ceiling_ms, write_timestamp_ceiling_us } = lease;
    Row {
        region: region.clone(),
        virtual_shard: (*virtual_shard).into(),
        node_id: node_id.cast_signed(),
        epoch: epoch.cast_signed(),
        id_ceiling_ms: id_ceiling_ms.cast_signed(),
        write_timestamp_ceiling_us: *write_timestamp_ceiling_us,
    }
}

fn lease(row: Row) -> Result<VirtualShardLease, StoreError> {
    let (key, number) = ([row.virtual_shard.into()], u16::try_from(row.virtual_shard));
    Ok(VirtualShardLease {
        region: row.region,
        virtual_shard: number.map_err(|_| corrupt(Table::VirtualShardLeases, &key, "no virtual shard"))?,
        node_id: row.node_id.cast_unsigned(),
        epoch: row.epoch.cast_unsigned(),
        id_ceiling_ms: row.id_ceiling_ms.cast_unsigned(),
        write_timestamp_ceiling_us: row.write_timestamp_ceiling_us,
    })
}
