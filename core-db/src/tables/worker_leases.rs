//! `worker_leases`: worker ids with the node that holds each, written only by compare-and-set.

use rookery_model::lease::WorkerLease;

use super::{Change, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn key(worker_id: u16) -> Key {
    Key::of(Table::WorkerLeases).id(worker_id.into())
}

pub fn get(view: &impl View, worker_id: u16) -> Result<Option<WorkerLease>, StoreError> {
    let key = key(worker_id);
    let row = view.get(Table::WorkerLeases, &key)?;
    row.map(|bytes| row::decode(Table::WorkerLeases, key.as_bytes(), &bytes)).transpose()
}

pub fn change(lease: &WorkerLease) -> Result<Change, StoreError> {
    Ok(Change::Put(Table::WorkerLeases, key(lease.worker_id), row::encode(lease)?))
}

/// All of them, by worker id.
pub fn all(view: &impl View) -> Result<Vec<WorkerLease>, StoreError> {
    let rows = view.scan(Table::WorkerLeases, &Key::of(Table::WorkerLeases), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::WorkerLeases, key, bytes)).collect()
}
