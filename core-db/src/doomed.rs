//! What was deleted and is still being removed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rookery_model::{ChannelId, GuildId};

use crate::tables::purges::Purge;

/// Channels and guilds that were deleted and whose contents are still being removed: nobody sees those any more.
pub struct Doomed {
    any: AtomicBool,
    pending: RwLock<BTreeSet<Purge>>,
}

impl Doomed {
    pub fn new(pending: BTreeSet<Purge>) -> Self {
        Self { any: AtomicBool::new(!pending.is_empty()), pending: RwLock::new(pending) }
    }
    /// Begins or ends purges.
    pub fn apply(&self, purges: impl Iterator<Item = (Purge, bool)>) {
        let mut pending = self.pending.write();
        for (purge, begun) in purges {
            if begun {
                pending.insert(purge)
            } else {
                pending.remove(&purge)
            };
        }
        self.any.store(!pending.is_empty(), Ordering::Release);
    }
    /// Whether there is anything to remove.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
    /// What is to be removed.
    pub fn pending(&self) -> BTreeSet<Purge> {
        self.pending.read().clone()
    }
    fn holds(&self, purge: Purge) -> bool {
        self.any() && self.pending.read().contains(&purge)
    }
    pub fn channel(&self, id: ChannelId) -> bool {
        self.holds(Purge::Channel(id))
    }
    pub fn guild(&self, id: GuildId) -> bool {
        self.holds(Purge::Guild(id))
    }
}
