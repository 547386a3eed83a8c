//! `leases`: what a node may do until when; the embedded engine has one node and keeps its id ceiling.

use fjall::Slice;
use rookery_model::lease::LeaseSwap;

use super::{Change, Sink, Table, View, virtual_shard_leases, worker_leases};
use crate::key::Key;
use crate::{StoreError, row};

/// The only node of an embedded store.
const NODE: u64 = 0;

fn key() -> Key {
    Key::of(Table::Leases).id(NODE)
}

pub fn put_id_ceiling(sink: &mut impl Sink, ceiling_ms: u64) {
    sink.put(Table::Leases, key(), Slice::from(ceiling_ms.to_be_bytes()));
}

/// No id was issued above this moment; 0 before the first.
pub fn id_ceiling(view: &impl View) -> Result<u64, StoreError> {
    let key = key();
    let Some(bytes) = view.get(Table::Leases, &key)? else { return Ok(0) };
    let ceiling = <[u8; 8]>::try_from(&*bytes);
    let ceiling = ceiling.map_err(|_| row::corrupt(Table::Leases, key.as_bytes(), "not eight bytes"))?;
    Ok(u64::from_be_bytes(ceiling))
}

/// What a swap changes; none if something else stands there than it expects.
pub fn swap(view: &impl View, swap: &LeaseSwap) -> Result<Option<Change>, StoreError> {
    match swap {
        LeaseSwap::Worker { before, after } => {
            let stands = worker_leases::get(view, after.worker_id)?;
            (stands == *before).then(|| worker_leases::change(after)).transpose()
        }
        LeaseSwap::VirtualShard { before, after } => {
            let stands = virtual_shard_leases::get(view, &after.region, after.virtual_shard)?;
            (stands == *before).then(|| virtual_shard_leases::change(after)).transpose()
        }
    }
}
