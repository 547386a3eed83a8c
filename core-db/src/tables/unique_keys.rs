//! `unique_keys`: names that only one row may hold, claimed by compare-and-set.

use fjall::Slice;
use rookery_model::UserId;
use rookery_model::store::UniqueKey;

use super::{Sink, Table, View};
use crate::key::{Key, Parts, check_text};
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

/// Who holds a key.
pub fn get(view: &impl View, key: &Key) -> Result<Option<u64>, StoreError> {
    let row = view.get(Table::UniqueKeys, key)?;
    row.map(|bytes| owner(key.as_bytes(), &bytes)).transpose()
}

/// The holder that a row names.
pub fn owner(key: &[u8], bytes: &[u8]) -> Result<u64, StoreError> {
    let owner = <[u8; 8]>::try_from(bytes);
    owner.map(u64::from_be_bytes).map_err(|_| row::corrupt(Table::UniqueKeys, key, "not eight bytes"))
}

/// The key that stored bytes mean.
pub fn parse(stored: &[u8]) -> Option<UniqueKey> {
    let mut parts = Parts::of(stored, Table::UniqueKeys)?;
    let kind = parts.kind()?;
    if kind == 4 {
        return Some(UniqueKey::DmPair(UserId::new(parts.id()?), UserId::new(parts.id()?)));
    }
    let text = std::str::from_utf8(parts.tail()).ok()?.to_owned();
    match kind {
        1 => Some(UniqueKey::Email(text)),
        2 => Some(UniqueKey::Username(text)),
        3 => Some(UniqueKey::InviteCode(text)),
        _ => None,
    }
}
