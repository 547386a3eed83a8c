//! The time during which this process owns a virtual shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{ShardRef, boot_clock};

/// Until when anything may be acknowledged, by the clock of leases.
#[derive(Debug)]
pub struct LeaseEnd(AtomicU64);

impl LeaseEnd {
    /// A process that needs no lease.
    pub fn never() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(u64::MAX)))
    }

    /// A process that has none yet.
    pub fn passed() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(0)))
    }

    /// It is renewed, or over.
    pub fn set(&self, until_ms: u64) {
        self.0.store(until_ms, Ordering::Release);
    }

    pub(super) fn is_ahead(&self) -> bool {
        match self.0.load(Ordering::Acquire) {
            u64::MAX => true,
            until_ms => boot_clock::now_ms() < until_ms,
        }
    }
}

/// A shard that this process owns, from its activation until it is given away or lost. Owners are loaded under it.
#[derive(Debug)]
pub struct Tenure {
    pub shard: ShardRef,
    pub epoch: u64,
    /// At which epoch it was owned before by somebody who gave it away, if that is certain.
    pub predecessor: Option<u64>,
    lease: Arc<LeaseEnd>,
    /// It was lost: nothing of it is acknowledged or told any more.
    is_void: AtomicBool,
    /// Its owners are to end what they began, and leave.
    stop: CancellationToken,
    /// Its owners.
    owners: TaskTracker,
}

impl Tenure {
    pub(super) fn new(
        shard: ShardRef,
        epoch: u64,
        predecessor: Option<u64>,
        lease: Arc<LeaseEnd>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (is_void, owners) = (AtomicBool::new(false), TaskTracker::new());
        Arc::new(Self { shard, epoch, predecessor, lease, is_void, stop, owners })
    }

    /// Whether what is durable by now may be acknowledged, and told.
    pub fn may_acknowledge(&self) -> bool {
        !self.is_void.load(Ordering::Acquire) && self.lease.is_ahead()
    }

    /// Fires when its owners are to leave.
    pub const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Its owners, who are waited for.
    pub const fn owners(&self) -> &TaskTracker {
        &self.owners
    }

    /// It is over: nothing of it is acknowledged any more.
    pub(super) fn void(&self) {
        self.is_void.store(true, Ordering::Release);
        self.stop.cancel();
    }

    /// Has its owners end what they began; returns when they have.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.owners.close();
        self.owners.wait().await;
    }
}
