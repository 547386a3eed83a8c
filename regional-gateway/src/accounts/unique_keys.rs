//! Names and addresses that only one account may have: claimed before the account is written, taken over from those
//! who never came to bear them.

use std::time::Duration;

use moka::sync::Cache;
use rookery_model::store::{UniqueKey, Write};
use rookery_model::user::Account;
use rookery_model::{ApiError, FieldError, UserId};

use super::{Accounts, slot};
use crate::errors::from_store;

/// A claim that its holder's account does not bear is free again after this; the account follows its claims within
/// milliseconds.
const ORPHANED_CLAIM_MS: u64 = 60_000;
/// Such claims remembered from when they were first met, and for how long.
const ORPHANS_REMEMBERED: u64 = 10_000;
const ORPHANS_KEPT: Duration = Duration::from_secs(600);

/// When a claim was first met that the account of its holder does not bear.
pub(super) type Orphans = Cache<UniqueKey, u64>;

/// None met yet.
pub(super) fn no_orphans() -> Orphans {
    Cache::builder().max_capacity(ORPHANS_REMEMBERED).time_to_live(ORPHANS_KEPT).build()
}

/// The unique keys of a change: claimed before the account is written, left with it.
#[derive(Default)]
pub(super) struct KeyChanges {
    pub claimed: Vec<UniqueKey>,
    pub left: Vec<UniqueKey>,
}

impl Accounts {
    /// Gives an account a new name and address, each if it is free.
    pub(super) async fn change_keys(
        &self,
        account: &mut Account,
        name: Option<String>,
        email: Option<String>,
        now_ms: u64,
    ) -> Result<KeyChanges, ApiError> {
        let mut keys = KeyChanges::default();
        if let Some(name) = name {
            // Bots share names with whom they like.
            if !account.user.bot {
                let key = UniqueKey::Username(name.to_lowercase());
                if !self.claim(&key, account.user.id, now_ms).await? {
                    return Err(ApiError::invalid_form(vec![username_taken()]));
                }
                keys.left.push(UniqueKey::Username(account.user.username.to_lowercase()));
                keys.claimed.push(key);
            }
            account.user.username = name;
        }
        if let Some(email) = email {
            let key = UniqueKey::Email(email.to_lowercase());
            if !self.claim(&key, account.user.id, now_ms).await? {
                self.release(account.user.id, keys.claimed).await;
                return Err(ApiError::invalid_form(vec![email_taken()]));
            }
            if let Some(old) = account.email.replace(email) {
                keys.left.push(UniqueKey::Email(old.to_lowercase()));
            }
            account.verified = false;
            keys.claimed.push(key);
        }
        Ok(keys)
    }

    /// Whether the key is now this user's, whose lock the caller holds.
    ///
    /// A claim that a crash or a lost write left without its account is taken over.
    pub(super) async fn claim(&self, key: &UniqueKey, id: UserId, now_ms: u64) -> Result<bool, ApiError> {
        let Err(holder) = self.store.claim(key.clone(), id.get()).await.map_err(from_store)? else { return Ok(true) };
        let holder = UserId::new(holder);
        // A holder who is just changing keeps the claim, and no two take it from one holder.
        let _alone = match self.changing[slot(holder)].try_lock() {
            Ok(guard) => Some(guard),
            Err(_) if slot(holder) == slot(id) => None,
            Err(_) => return Ok(false),
        };
        let is_still_held = self.store.unique(key).await.map_err(from_store)? == Some(holder.get());
        if !is_still_held || !self.is_orphaned(key, holder, now_ms).await? {
            return Ok(false);
        }
        // Named, because another process may have taken it over by now.
        let release = Write::DeleteUnique { key: key.clone(), owner: holder.get() };
        self.store.write(vec![release]).await.map_err(from_store)?;
        self.orphans.invalidate(key);
        Ok(self.store.claim(key.clone(), id.get()).await.map_err(from_store)?.is_ok())
    }

    /// Whether a claim has gone without its account for long enough.
    async fn is_orphaned(&self, key: &UniqueKey, holder: UserId, now_ms: u64) -> Result<bool, ApiError> {
        let since_ms = match self.store.account(holder).await.map_err(from_store)? {
            Some(account) if bears(&account, key) => return Ok(false),
            // Nothing tells when a change claimed it: it counts from when it was first met.
            Some(_) => self.orphans.get_with(key.clone(), || now_ms),
            // A new account's claims are as old as its id.
            None => holder.0.unix_ms(),
        };
        Ok(now_ms.saturating_sub(since_ms) >= ORPHANED_CLAIM_MS)
    }

    /// Whose name or address it is: not who once claimed it and never came to bear it.
    pub(super) async fn bearer(&self, key: &UniqueKey) -> Result<Option<Account>, ApiError> {
        let Some(id) = self.store.unique(key).await.map_err(from_store)? else { return Ok(None) };
        let account = self.store.account(UserId::new(id)).await.map_err(from_store)?;
        Ok(account.filter(|account| bears(account, key)))
    }

    /// Gives keys free that a user claimed and will not bear.
    pub(super) async fn release(&self, id: UserId, keys: impl IntoIterator<Item = UniqueKey>) {
        let batch: Vec<_> = keys.into_iter().map(|key| Write::DeleteUnique { key, owner: id.get() }).collect();
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.store.write(batch).await {
            tracing::warn!(%error, "claims of a refused registration stay until they are taken over");
        }
    }
}

/// Whether the account's name or address is the key's.
fn bears(account: &Account, key: &UniqueKey) -> bool {
    match key {
        UniqueKey::Email(email) => account.email.as_ref().is_some_and(|own| own.to_lowercase() == *email),
        UniqueKey::Username(name) => account.user.username.to_lowercase() == *name,
        UniqueKey::InviteCode(_) | UniqueKey::DmPair(..) => false,
    }
}

pub(super) fn email_taken() -> FieldError {
    FieldError::new(["email"], "EMAIL_ALREADY_REGISTERED", "Email is already registered.")
}

pub(super) fn username_taken() -> FieldError {
    FieldError::new(
        ["username"],
        "USERNAME_ALREADY_TAKEN",
        "Username is unavailable. Try adding numbers, letters, underscores _ or periods.",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rookery_core_db::{EmbeddedConfig, Store};
    use rookery_token::{KeyId, SigningKey};

    use super::*;
    use crate::passwords::Passwords;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_orphaned_claim_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(EmbeddedConfig::new(folder.path())).unwrap();
        // As two processes over one database: what one of them locks, the other does not see.
        let processes = [(); 2].map(|()| {
            let signing_key = SigningKey::generate(KeyId(1), &[7; 32]);
            let public_keys = signing_key.public_keys();
            Arc::new(Accounts::new(
                store.clone(),
                signing_key,
                public_keys,
                Passwords::new(1).unwrap(),
                Arc::new(crate::peers::Peers::alone()),
            ))
        });
        let id = |n: u64| UserId::new((10 * ORPHANED_CLAIM_MS + n) << 22);
        for round in 0..40 {
            let key = UniqueKey::Username(format!("name{round}"));
            store.claim(key.clone(), UserId::new(1 << 22).get()).await.unwrap().unwrap();
            let claims = (0..8).map(|n| {
                let (accounts, key, id) = (Arc::clone(&processes[usize::from(n % 2 == 1)]), key.clone(), id(n));
                tokio::spawn(async move { accounts.claim(&key, id, id.0.unix_ms()).await.unwrap() })
            });
            let won = futures_util::future::join_all(claims).await.into_iter().filter(|won| *won.as_ref().unwrap());
            assert_eq!(won.count(), 1, "round {round}");
            // A fresh claim is no orphan.
            assert!(!processes[0].claim(&key, id(9), id(9).0.unix_ms()).await.unwrap());
        }
    }
}
