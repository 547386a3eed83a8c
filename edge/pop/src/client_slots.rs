//! How many connections are open, all told and by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rookery_model::client_network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::events;

/// Places for connections.
pub(crate) struct ClientSlots {
    all: Arc<Semaphore>,
    by_client: Mutex<HashMap<IpAddr, u32>>,
    max_per_client: u32,
}

/// One open connection, until dropped.
pub(crate) struct ClientSlot {
    slots: Arc<ClientSlots>,
    key: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl ClientSlots {
    pub fn new(max_open: u32, max_per_client: u32) -> Self {
        Self { all: Arc::new(Semaphore::new(max_open as usize)), by_client: Mutex::default(), max_per_client }
    }

    /// Waits for a free place, to be had before a connection is accepted.
    pub async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.all).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Gives the place to a connection from `ip`; `None` if that address has too many.
    pub fn occupy(self: &Arc<Self>, place: OwnedSemaphorePermit, ip: IpAddr) -> Option<ClientSlot> {
        let key = client_network(ip);
        let mut by_client = self.by_client.lock();
        let open = by_client.entry(key).or_insert(0);
        if *open >= self.max_per_client {
            return None;
        }
        *open += 1;
        events::connection_opened();
        Some(ClientSlot { slots: Arc::clone(self), key, _place: place })
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        events::connection_closed();
        let mut by_client = self.slots.by_client.lock();
        if let Some(open) = by_client.get_mut(&self.key) {
            *open -= 1;
            if *open == 0 {
                by_client.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let slots = Arc::new(ClientSlots::new(2, 1));
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = slots.occupy(slots.place().await, one).unwrap();
        assert!(slots.occupy(slots.place().await, one).is_none());
        let second = slots.occupy(slots.place().await, two).unwrap();
        assert!(slots.place().now_or_never().is_none());
        drop((first, second));
        assert!(slots.by_client.lock().is_empty());
        assert!(slots.occupy(slots.place().await, one).is_some());
    }
}
