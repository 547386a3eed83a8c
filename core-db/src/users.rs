//! Users in lists, which one damaged account must not take away; what signs somebody in asks for the account itself.

use rookery_model::UserId;
use rookery_model::user::{Account, User};

use crate::StoreError;
use crate::engine::Engine;

/// Users in the order asked for, without those that do not exist or are damaged.
pub async fn sound(engine: &dyn Engine, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
    let accounts = match engine.accounts(ids).await {
        Err(StoreError::Corrupt { .. }) => one_by_one(engine, ids).await?,
        answer => answer?,
    };
    Ok(accounts.into_iter().map(|account| account.user).collect())
}

async fn one_by_one(engine: &dyn Engine, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
    let mut accounts = Vec::with_capacity(ids.len());
    for id in ids {
        match engine.accounts(&[*id]).await {
            Ok(account) => accounts.extend(account),
            // The engine has named it.
            Err(StoreError::Corrupt { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(accounts)
}
