//! What readers, writers and the background share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rookery_model::{ChannelId, GuildId};
use tokio::sync::Notify;

use super::buckets::Buckets;
use super::calls::Calls;
use super::clock::WriteClock;
use super::lanes::Lanes;
use super::purge::KnownDays;
use super::tables::Tables;
use crate::config::CqlConfig;
use crate::doomed::Doomed;
use crate::tables::purges::Purge;
use crate::{StoreError, StoreHealth};

/// The state of an engine.
pub struct Shared {
    pub config: CqlConfig,
    pub calls: Calls,
    pub tables: Tables,
    pub clock: WriteClock,
    /// What is stored as the ceiling of write timestamps.
    pub timestamp_ceiling_us: AtomicI64,
    pub lanes: Arc<Lanes>,
    pub buckets: Buckets,
    pub doomed: Doomed,
    pub known_days: KnownDays,
    /// Wakes the background when there is something to remove.
    pub wake: Notify,
    pub closed: AtomicBool,
}

impl Shared {
    pub fn new(config: CqlConfig, calls: Calls, tables: Tables, clock: WriteClock) -> Self {
        Self {
            config,
            calls,
            tables,
            clock,
            timestamp_ceiling_us: AtomicI64::new(0),
            lanes: Arc::default(),
            buckets: Buckets::new(),
            doomed: Doomed::new(BTreeSet::new()),
            known_days: KnownDays::default(),
            wake: Notify::new(),
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
            Ok(()) => self.calls.health(),
            Err(error) => StoreHealth::unwritable(error.to_string()),
        }
    }

    /// The row of leases that is this process's.
    pub fn node_id(&self) -> i64 {
        self.config.node_id.cast_signed()
    }

    /// Hides contents that are being removed.
    pub fn doom(&self, purges: impl IntoIterator<Item = Purge>) {
        self.doomed.apply(purges.into_iter().map(|purge| (purge, true)));
        self.wake.notify_one();
    }

    /// What a guild that is being removed answers.
    pub fn in_guild<T: Default>(&self, id: GuildId, answer: T) -> T {
        if self.doomed.guild(id) { T::default() } else { answer }
    }

    /// What a channel that is being removed answers.
    pub fn in_channel<T: Default>(&self, id: ChannelId, answer: T) -> T {
        if self.doomed.channel(id) { T::default() } else { answer }
    }
}
