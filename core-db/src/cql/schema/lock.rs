//! Who may migrate: one row, taken by compare-and-set, that expires when its holder dies.

use std::time::{Duration, Instant};

use super::{SCOPE, execute};
use crate::OpenError;
use crate::cql::calls::Values;
use crate::cql::cas::Applied;
use crate::cql::connect::Cluster;

/// How long the row outlives its holder, seconds.
const EXPIRES_AFTER_S: u32 = 120;
/// How often the holder makes it last again. Three times may fail before it expires.
const RENEWED_EVERY: Duration = Duration::from_secs(EXPIRES_AFTER_S as u64 / 4);
/// How long to wait for another holder: as long as it takes to expire, and a migration more.
const WAIT: Duration = Duration::from_secs(180);
/// How often to look.
const INTERVAL: Duration = Duration::from_millis(100);

/// The right to migrate a keyspace.
#[derive(Debug)]
pub struct Lock {
    holder: String,
}

impl Lock {
    /// Waits for the right to migrate.
    pub async fn acquire(cluster: &Cluster) -> Result<Self, OpenError> {
        let holder = format!("{}-{:032x}", std::process::id(), rand::random::<u128>());
        let lock = Self { holder };
        let begin = Instant::now();
        loop {
            let Some(holder) = lock.try_acquire(cluster).await? else { return Ok(lock) };
            if begin.elapsed() >= WAIT {
                let waited_ms = WAIT.as_millis() as u64;
                return Err(OpenError::SchemaLocked { keyspace: cluster.config.keyspace.clone(), holder, waited_ms });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Tries once; answers who else holds it.
    async fn try_acquire(&self, cluster: &Cluster) -> Result<Option<String>, OpenError> {
        let keyspace = &cluster.config.keyspace;
        let insert = format!(
            "INSERT INTO {keyspace}.schema_lock (scope, holder) VALUES ('{SCOPE}', ?) \
             IF NOT EXISTS USING TTL {EXPIRES_AFTER_S}"
        );
        if self.applied(cluster, &insert, &(self.holder.as_str(),)).await? {
            return Ok(None);
        }
        let select = format!("SELECT holder FROM {keyspace}.schema_lock WHERE scope = '{SCOPE}'");
        let holders: Vec<(String,)> = super::rows(cluster, &select, &()).await?;
        match holders.into_iter().next() {
            // An earlier attempt was applied without our hearing of it.
            Some((holder,)) if holder == self.holder => Ok(None),
            Some((holder,)) => Ok(Some(holder)),
            None => Ok(Some("somebody who just let go".into())),
        }
    }

    /// Makes the row last for as long as this is polled; ends only when somebody else has it, or nobody can tell any more.
    pub async fn keep(&self, cluster: &Cluster) -> OpenError {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            let begin = Instant::now();
            match self.renew(cluster).await {
                Ok(()) => renewed = begin,
                Err(error) if is_lost(&error) || renewed.elapsed().as_secs() >= EXPIRES_AFTER_S.into() => {
                    return error;
                }
                Err(error) => tracing::warn!(%error, "cannot renew the schema's lock; trying again"),
            }
        }
    }

    /// Makes the row last again; fails when somebody else took it.
    pub async fn renew(&self, cluster: &Cluster) -> Result<(), OpenError> {
        let keyspace = &cluster.config.keyspace;
        let update = format!(
            "UPDATE {keyspace}.schema_lock USING TTL {EXPIRES_AFTER_S} SET holder = ? WHERE scope = '{SCOPE}' IF holder = ?"
        );
        let values = (self.holder.as_str(), self.holder.as_str());
        if self.applied(cluster, &update, &values).await? {
            return Ok(());
        }
        Err(OpenError::SchemaLocked {
            keyspace: keyspace.clone(),
            holder: "another process, which took the lock over".into(),
            waited_ms: u64::from(EXPIRES_AFTER_S) * 1_000,
        })
    }

    /// Lets go; if that fails the row expires.
    pub async fn release(self, cluster: &Cluster) {
        let keyspace = &cluster.config.keyspace;
        let delete = format!("DELETE FROM {keyspace}.schema_lock WHERE scope = '{SCOPE}' IF holder = ?");
        if let Err(error) = self.applied(cluster, &delete, &(self.holder.as_str(),)).await {
            tracing::warn!(%error, "cannot let go of the schema's lock; it expires");
        }
    }

    async fn applied(&self, cluster: &Cluster, text: &str, values: Values<'_>) -> Result<bool, OpenError> {
        let result = execute(cluster, text, values).await?;
        match Applied::read(result, None) {
            Ok(applied) => Ok(applied == Applied::Yes),
            Err(failure) => Err(OpenError::Refused {
                contact_points: cluster.config.contact_points.clone(),
                reason: format!("{failure:?}; statement: {text}"),
            }),
        }
    }
}

/// Whether somebody else holds it, as opposed to that it cannot be told.
const fn is_lost(error: &OpenError) -> bool {
    matches!(error, OpenError::SchemaLocked { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cql::connect::connect;
    use crate::cql::tests::{config, drop_keyspaces};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_lost_the_lock_hears_of_it_and_takes_nothing_from_the_next_holder() {
        let Some(config) = config() else { return };
        let cluster = connect(config.clone()).await.unwrap();
        super::super::bootstrap(&cluster).await.unwrap();
        let lock = Lock::acquire(&cluster).await.unwrap();
        lock.renew(&cluster).await.unwrap();
        // It expired meanwhile, and another process took it.
        let table = format!("{}.schema_lock", config.keyspace);
        let taken = format!("UPDATE {table} SET holder = 'next' WHERE scope = '{SCOPE}' IF holder = ?");
        assert!(lock.applied(&cluster, &taken, &(lock.holder.as_str(),)).await.unwrap());
        let lost = lock.renew(&cluster).await.unwrap_err();
        assert!(is_lost(&lost) && lost.to_string().contains("took the lock over"), "{lost}");
        lock.release(&cluster).await;
        let select = format!("SELECT holder FROM {table} WHERE scope = '{SCOPE}'");
        let holders: Vec<(String,)> = super::super::rows(&cluster, &select, &()).await.unwrap();
        assert_eq!(holders, [("next".to_owned(),)]);
        drop_keyspaces(&config).await;
    }
}
