//! `unique_keys`: names that only one row may hold, claimed by compare-and-set.

use fjall::Slice;
use rookery_model::store::UniqueKey;

use super::{Sink, Table, View};
use crate::key::{Key, check_text};
use crate::{StoreError, row};

/// The key of a claim; the kind comes first, so that an e-mail address never meets a username.
pub fn key(unique: &UniqueKey) -> Result<Key, StoreError> {
    let key = Key::of(Table::UniqueKeys);
    Ok(match unique {
        UniqueKey::Email(email) => {
            check_text("an e-mail address", email)?;
            key.kind(1).tail(email.as_bytes())
        }
        UniqueKey::Username(name) => {
            check_text("a username", name)?;
            key.kind(2).tail(name.as_bytes())
        }
        UniqueKey::InviteCode(code) => {
            check_text("an invite code", code)?;
            key.kind(3).tail(code.as_bytes())
        }
        UniqueKey::DmPair(one, other) => {
            let (low, high) = if one <= other { (one, other) } else { (other, one) };
            key.kind(4).id(low.get()).id(high.get())
        }
    })
}

pub fn put(sink: &mut impl Sink, key: Key, owner: u64) {
    sink.put(Table::UniqueKeys, key, Slice::from(owner.to_be_bytes()));
}

pub fn delete(sink: &mut impl Sink, unique: &UniqueKey) -> Result<(), StoreError> {
    sink.delete(Table::UniqueKeys, key(unique)?);
    Ok(())
}

/// Who holds a key.
pub fn get(view: &impl View, key: &Key) -> Result<Option<u64>, StoreError> {
    let Some(bytes) = view.get(Table::UniqueKeys, key)? else { return Ok(None) };
    let owner = <[u8; 8]>::try_from(&*bytes);
    let owner = owner.map_err(|_| row::corrupt(Table::UniqueKeys, key.as_bytes(), "not eight bytes"))?;
    Ok(Some(u64::from_be_bytes(owner)))
}
