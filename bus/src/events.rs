//! What the bus reports: log lines and metrics. Payloads are in neither.

use metrics::{counter, gauge};

/// A message was taken.
pub(crate) fn published(size: usize) {
    counter!("rookery_bus_published_total").increment(1);
    counter!("rookery_bus_published_bytes_total").increment(size as u64);
}

/// A message came for a subscription.
pub(crate) fn received(size: usize) {
    counter!("rookery_bus_received_total").increment(1);
    counter!("rookery_bus_received_bytes_total").increment(size as u64);
}

/// Messages that were not taken, or not taken further.
pub(crate) struct Dropped {
    pub(crate) reason: &'static str,
    pub(crate) count: u64,
}

impl Dropped {
    pub(crate) fn emit(self) {
        counter!("rookery_bus_dropped_total", "reason" => self.reason).increment(self.count);
        tracing::debug!(reason = self.reason, count = self.count, "the bus dropped messages");
    }
}

/// The connection to a server stands.
pub(crate) struct Connected;

impl Connected {
    pub(crate) fn emit(self) {
        gauge!("rookery_bus_connected").set(1.0);
        tracing::info!("the bus is connected");
    }
}

/// The connection is gone; the engine connects again.
pub(crate) struct Disconnected;

impl Disconnected {
    pub(crate) fn emit(self) {
        gauge!("rookery_bus_connected").set(0.0);
        counter!("rookery_bus_disconnects_total").increment(1);
        tracing::warn!("the bus lost its connection");
    }
}

/// The bus is closed.
pub(crate) struct Closed;

impl Closed {
    pub(crate) fn emit(self) {
        gauge!("rookery_bus_connected").set(0.0);
        tracing::info!("the bus is closed");
    }
}

/// The server or the client library complains.
pub(crate) struct Complaint<'a> {
    pub(crate) error: &'a str,
    /// How many before it.
    pub(crate) earlier: u64,
}

impl Complaint<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_bus_errors_total").increment(1);
        // The first is news, and then every 32nd; the metric has them all.
        if self.earlier.is_multiple_of(32) {
            tracing::warn!(error = self.error, earlier = self.earlier, "the bus has a problem");
        } else {
            tracing::debug!(error = self.error, earlier = self.earlier, "the bus has a problem");
        }
    }
}
