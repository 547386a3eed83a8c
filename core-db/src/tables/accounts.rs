//! `accounts`: users with what signs them in.

use rookery_model::UserId;
use rookery_model::user::Account;

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn key(id: UserId) -> Key {
    Key::of(Table::Accounts).id(id.get())
}

pub fn put(sink: &mut impl Sink, account: &Account) -> Result<(), StoreError> {
    sink.put(Table::Accounts, key(account.user.id), row::encode(account)?);
    Ok(())
}

/// Accounts in the order asked for; missing ones are left out.
pub fn get(view: &impl View, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
    let mut accounts = Vec::with_capacity(ids.len());
    for id in ids {
        let key = key(*id);
        if let Some(bytes) = view.get(Table::Accounts, &key)? {
            accounts.push(row::decode(Table::Accounts, key.as_bytes(), &bytes)?);
        }
    }
    Ok(accounts)
}
