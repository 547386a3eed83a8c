//! Reads that a majority of all replicas agrees to, for a while, where those near by suffice otherwise.
//!
//! A region that was lost comes back with a data centre that lacks what others wrote for it meanwhile, until the database
//! has brought it there by its hints. Whoever read near by would see a past that others know better.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::info;

use super::shared::Shared;
use crate::config::Durability;

/// Until when.
#[derive(Debug, Default)]
pub struct Widely {
    until: Mutex<Option<Instant>>,
}

/// Begins now, or goes on for longer. The task that ends it is the caller's to run; none where one runs already.
pub fn begin(shared: &Arc<Shared>) -> Option<impl Future<Output = ()> + use<>> {
    let lasts = Duration::from_millis(shared.config.catch_up_ms);
    // A majority of all anyhow.
    if shared.config.durability == Durability::Global {
        return None;
    }
    let was = shared.widely.until.lock().replace(Instant::now() + lasts);
    if was.is_some() {
        return None;
    }
    shared.calls.profiles.read_widely(true);
    info!(
        for_ms = shared.config.catch_up_ms,
        "reads are of a majority of all replicas: those near by may lack what others wrote"
    );
    let shared = shared.clone();
    Some(async move {
        loop {
            let until = *shared.widely.until.lock();
            let Some(until) = until.filter(|until| *until > Instant::now()) else { break };
            tokio::time::sleep_until(until.into()).await;
        }
        *shared.widely.until.lock() = None;
        shared.calls.profiles.read_widely(false);
        info!("reads are of the replicas near by again");
    })
}
