//! What readers, writers and the background share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rookery_model::MessageId;
use tokio::sync::Notify;

use super::buckets::Buckets;
use super::calls::Calls;
use super::clock::WriteClock;
use super::dump::Dumps;
use super::lanes::{Doubts, Lanes};
use super::lease::Held;
use super::outbox::KnownHours;
use super::policies::Purpose;
use super::purge::KnownDays;
use super::tables::Tables;
use super::widely::Widely;
use crate::config::CqlConfig;
use crate::doomed::{Doomed, Pending};
use crate::tables::purges::Purge;
use crate::{StoreError, StoreHealth};

/// The state of an engine.
pub struct Shared {
    pub config: CqlConfig,
    pub calls: Calls,
    pub tables: Tables,
    pub dumps: Dumps,
    pub clock: WriteClock,
    /// The node id's.
    pub lease: Held,
    pub lanes: Arc<Lanes>,
    pub doubts: Doubts,
    pub buckets: Buckets,
    pub doomed: Doomed,
    pub known_days: KnownDays,
    pub known_hours: KnownHours,
    /// Whether reads go beyond the replicas near by.
    pub widely: Widely,
    /// Wakes the background when there is something to remove.
    pub wake: Notify,
    /// Wakes the retention of messages when a guild's was changed.
    pub retention_changed: Notify,
    /// How often messages went in the background that readers saw until then.
    pub removals: AtomicU64,
    pub closed: AtomicBool,
}

impl Shared {
    pub fn new(config: CqlConfig, calls: Calls, tables: Tables, dumps: Dumps, clock: WriteClock) -> Self {
        Self {
            config,
            calls,
            tables,
            dumps,
            clock,
            lease: Held::default(),
            lanes: Arc::default(),
            doubts: Doubts::default(),
            buckets: Buckets::new(),
            doomed: Doomed::new(Pending::new()),
            known_days: KnownDays::default(),
            known_hours: KnownHours::default(),
            widely: Widely::default(),
            wake: Notify::new(),
            retention_changed: Notify::new(),
            removals: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Refuses once the store is closed.
    pub fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Whether writes are taken.
    pub fn health(&self) -> StoreHealth {
        match self.check_open() {
            Ok(()) => match self.lease.check(self.node_id()) {
                Err(StoreError::Unwritable(reason)) if self.calls.is_closed(Purpose::Write) => {
                    StoreHealth::unwritable(reason)
                }
                _ => self.calls.health(),
            },
            Err(error) => StoreHealth::unwritable(error.to_string()),
        }
    }

    /// Refuses what changes rows while the node id may be another process's.
    pub fn check_held(&self) -> Result<(), StoreError> {
        self.check_open()?;
        self.lease.check(self.node_id())
    }

    /// Likewise, and while the cluster does not answer writes.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        self.check_open()?;
        if !self.calls.is_closed(Purpose::Write) {
            return Err(StoreError::Unwritable(self.health().reason));
        }
        self.check_held()
    }

    /// The row of leases that is this process's.
    pub fn node_id(&self) -> i64 {
        self.config.node_id.cast_signed()
    }

    /// Hides contents that are being removed, each up to a message.
    pub fn doom(&self, purges: impl IntoIterator<Item = (Purge, MessageId)>) {
        self.doomed.apply(purges.into_iter().map(|(purge, through)| (purge, Some(through))));
        self.wake.notify_one();
    }

    /// Messages went that readers saw until now.
    pub fn removed(&self) {
        self.removals.fetch_add(1, Ordering::AcqRel);
    }
}
