//! `unique_keys`: names that only one row may hold, claimed by compare-and-set and never written otherwise.

use rookery_model::store::UniqueKey;

use super::prelude::*;
use crate::cql::cas::Applied;
use crate::cql::failure::Failure;
use crate::key::check_text;

/// The table's statements.
pub struct UniqueKeys {
    claim: Statement,
    release: Statement,
    get: Statement,
}

impl UniqueKeys {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::UniqueKeys);
        let (claim, release, get) = tokio::try_join!(
            table.compare_and_set("INSERT INTO", "(kind, name, owner_id) VALUES (?, ?, ?) IF NOT EXISTS"),
            table.compare_and_set("DELETE FROM", "WHERE kind = ? AND name = ? IF owner_id = ?"),
            table.select(&["owner_id"], "kind = ? AND name = ?"),
        )?;
        Ok(Self { claim, release, get })
    }

    /// Claims a key; says who holds it when it is not free.
    pub async fn claim(&self, calls: &Calls, key: &Key, owner: i64) -> Result<Applied, Failure> {
        let result = calls.once(&self.claim, &(key.kind, key.name.as_str(), owner)).await?;
        Applied::read(result, Some("owner_id"))
    }

    /// Gives a key free if an owner holds it.
    pub async fn release(&self, calls: &Calls, key: &Key, owner: i64) -> Result<Applied, Failure> {
        let result = calls.once(&self.release, &(key.kind, key.name.as_str(), owner)).await?;
        Applied::read(result, Some("owner_id"))
    }

    /// Who holds a key, as far as a majority of replicas has heard.
    pub async fn get(&self, calls: &Calls, key: &Key) -> Result<Option<i64>, StoreError> {
        let row: Option<(Option<i64>,)> = calls.row(&self.get, (key.kind, key.name.as_str())).await?;
        Ok(row.and_then(|(owner,)| owner))
    }
}

/// The partition of a unique key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    kind: i8,
    name: String,
}

impl Key {
    /// The partition of a key, if keys can hold its text.
    pub fn of(key: &UniqueKey) -> Result<Self, StoreError> {
        let text = |kind, what: &str, text: &String| {
            check_text(what, text)?;
            Ok(Self { kind, name: text.clone() })
        };
        match key {
            UniqueKey::Email(email) => text(1, "an e-mail address", email),
            UniqueKey::Username(name) => text(2, "a username", name),
            UniqueKey::InviteCode(code) => text(3, "an invite code", code),
            UniqueKey::DmPair(one, other) => {
                let (low, high) = if one <= other { (one, other) } else { (other, one) };
                Ok(Self { kind: 4, name: format!("{low}:{high}") })
            }
        }
    }
}
