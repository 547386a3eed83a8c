//! Whether a copy is of one moment: nobody writes to the store from its beginning to its end.
//!
//! The embedded engine lets one process in. A cluster lets everybody in; but every process that may write keeps the
//! ceiling of its write timestamps ahead of the clock, in its row of `leases`. So a row that moves is a process that runs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::ArchiveError;
use crate::engine::LeaseRow;
use crate::{Store, StoreError};

/// A process that runs moves its row at least once in this time: it keeps it up to ten seconds ahead of its own
/// timestamps, and those may begin ten seconds ahead of the clock, behind a process that was killed.
const WINDOW: Duration = Duration::from_secs(20);
/// How often the rows are looked at while waiting for that.
const POLL: Duration = Duration::from_millis(500);

/// The beginning of a copy.
pub struct Moment {
    leases: Vec<LeaseRow>,
    begun: Instant,
}

impl Moment {
    /// Looks at who has used the store.
    pub async fn look(store: &Store) -> Result<Self, ArchiveError> {
        let mut leases = store.leases().await?;
        leases.sort_unstable_by_key(|lease| lease.node_id);
        Ok(Self { leases, begun: Instant::now() })
    }

    /// Likewise; refuses a store that is in use.
    pub async fn begin(store: &Store) -> Result<Self, ArchiveError> {
        let moment = Self::look(store).await?;
        // A process that ended well leaves a ceiling behind that is past; one that was killed, or runs, does not.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        if moment.leases.iter().any(|lease| lease.write_timestamp_ceiling_us > now_us) {
            moment.wait(store).await?;
        }
        Ok(moment)
    }

    /// Refuses what was copied while somebody used the store.
    pub async fn end(&self, store: &Store) -> Result<(), ArchiveError> {
        if self.leases.iter().any(|lease| lease.write_timestamp_ceiling_us > 0) {
            self.wait(store).await?;
        }
        self.check(store).await
    }

    /// What every node had used when it began, by node.
    pub fn leases(&self) -> &[LeaseRow] {
        &self.leases
    }

    /// Waits until a process that runs would have moved its row.
    async fn wait(&self, store: &Store) -> Result<(), ArchiveError> {
        while self.begun.elapsed() < WINDOW {
            self.check(store).await?;
            tokio::time::sleep(POLL).await;
        }
        self.check(store).await
    }

    async fn check(&self, store: &Store) -> Result<(), ArchiveError> {
        let now = match store.leases().await {
            Ok(now) => now,
            // As it was at the beginning.
            Err(StoreError::Corrupt { .. } | StoreError::Unavailable(_)) if self.leases.is_empty() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match moved(&self.leases, &now) {
            Some(node_id) => Err(ArchiveError::StoreInUse { node_id }),
            None => Ok(()),
        }
    }

    /// A moment whose leases cannot be read; the store is one that lets a single process in.
    pub fn without_leases() -> Self {
        Self { leases: Vec::new(), begun: Instant::now() }
    }
}

/// The first node that used more timestamps than before.
fn moved(then: &[LeaseRow], now: &[LeaseRow]) -> Option<u64> {
    let before = |node_id| then.iter().find(|lease| lease.node_id == node_id);
    let has_moved = |lease: &&LeaseRow| {
        lease.write_timestamp_ceiling_us != before(lease.node_id).map_or(0, |before| before.write_timestamp_ceiling_us)
    };
    now.iter().find(has_moved).map(|lease| lease.node_id)
}

/// What a store that was used between two moments has otherwise.
pub fn difference(then: &[LeaseRow], now: &[LeaseRow]) -> Option<String> {
    if let Some(node_id) = moved(then, now) {
        return Some(format!("node {node_id} has written"));
    }
    let ceiling = |leases: &[LeaseRow], node_id| {
        leases.iter().find(|lease| lease.node_id == node_id).map_or(0, |lease| lease.id_ceiling_ms)
    };
    let raised = |lease: &&LeaseRow| lease.id_ceiling_ms != ceiling(then, lease.node_id);
    let lease = now.iter().find(raised)?;
    let (node_id, then) = (lease.node_id, ceiling(then, lease.node_id));
    Some(format!("the id ceiling of node {node_id} is {}, it was {then}", lease.id_ceiling_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_writes_or_gives_ids_out_is_seen() {
        let lease = |node_id, id_ceiling_ms, write_timestamp_ceiling_us| LeaseRow {
            node_id,
            id_ceiling_ms,
            write_timestamp_ceiling_us,
        };
        let then = [lease(1, 10, 0), lease(2, 20, 500)];
        assert_eq!((moved(&then, &then), difference(&then, &then)), (None, None));
        let wrote = [lease(1, 10, 0), lease(2, 20, 501)];
        assert_eq!(moved(&then, &wrote), Some(2));
        // A region that was not there before.
        let came = [then[0], then[1], lease(3, 0, 1)];
        assert_eq!((moved(&then, &came), moved(&then, &[then[0], then[1], lease(3, 0, 0)])), (Some(3), None));
        let raised = [lease(1, 11, 0), then[1]];
        assert_eq!(moved(&then, &raised), None);
        assert!(difference(&then, &raised).unwrap().contains("node 1 is 11, it was 10"));
        assert_eq!(difference(&then, &wrote).unwrap(), "node 2 has written");
    }
}
