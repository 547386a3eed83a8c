//! `virtual_shard_leases`: virtual shards of a region with the node that owns each, written only by compare-and-set.

use rookery_model::lease::VirtualShardLease;

use super::{Change, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn prefix(region: &str) -> Key {
    Key::of(Table::VirtualShardLeases).text(region)
}

fn key(region: &str, virtual_shard: u16) -> Key {
    prefix(region).id(virtual_shard.into())
}

pub fn get(view: &impl View, region: &str, virtual_shard: u16) -> Result<Option<VirtualShardLease>, StoreError> {
    let key = key(region, virtual_shard);
    let row = view.get(Table::VirtualShardLeases, &key)?;
    row.map(|bytes| row::decode(Table::VirtualShardLeases, key.as_bytes(), &bytes)).transpose()
}

pub fn change(lease: &VirtualShardLease) -> Result<Change, StoreError> {
    Ok(Change::Put(Table::VirtualShardLeases, key(&lease.region, lease.virtual_shard), row::encode(lease)?))
}

/// Those of a region, by number.
pub fn of(view: &impl View, region: &str) -> Result<Vec<VirtualShardLease>, StoreError> {
    let rows = view.scan(Table::VirtualShardLeases, &prefix(region), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::VirtualShardLeases, key, bytes)).collect()
}
