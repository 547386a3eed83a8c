//! `leases`: what a node may do until when; the embedded engine has one node and keeps its id ceiling.

use fjall::Slice;

use super::{Sink, Table, View};
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
