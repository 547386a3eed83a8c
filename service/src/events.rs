//! Internal events: one struct for each, which writes its log line and counts its metric.
//!
//! A crate keeps its own in an `events.rs`; these are what every process has. User content and tokens go into none.

use std::time::Duration;

use metrics::{counter, gauge};

/// Something that operators can see.
pub trait Event {
    /// Writes the log line and counts the metric.
    fn emit(self);
}

/// Emits an event; reads better where the event is built in place.
pub fn emit(event: impl Event) {
    event.emit();
}

/// A process is ready for work.
pub struct ProcessReady<'a> {
    /// `dev`, `pop`, `region`, …
    pub role: &'a str,
    /// The version of the build.
    pub version: &'a str,
    /// Since the process began.
    pub took: Duration,
}

impl Event for ProcessReady<'_> {
    fn emit(self) {
        let labels = [("role", self.role.to_owned()), ("version", self.version.to_owned())];
        gauge!("rookery_build_info", &labels).set(1.0);
        let took_ms = self.took.as_millis() as u64;
        tracing::info!(role = self.role, version = self.version, took_ms, "ready");
    }
}

/// A process was asked to end.
pub struct DrainStarted<'a> {
    /// The signal's name, or what else asked.
    pub reason: &'a str,
    /// How long work in flight may take.
    pub deadline: Duration,
}

impl Event for DrainStarted<'_> {
    fn emit(self) {
        gauge!("rookery_draining").set(1.0);
        tracing::info!(reason = self.reason, deadline_ms = self.deadline.as_millis() as u64, "draining");
    }
}

/// A process has drained, or has given up on it.
pub struct DrainEnded {
    /// Tasks that were still running.
    pub unfinished: usize,
    /// Since the drain began.
    pub took: Duration,
}

impl Event for DrainEnded {
    fn emit(self) {
        let took_ms = self.took.as_millis() as u64;
        if self.unfinished == 0 {
            tracing::info!(took_ms, "drained");
        } else {
            counter!("rookery_drain_unfinished_total").increment(self.unfinished as u64);
            tracing::warn!(took_ms, unfinished = self.unfinished, "gave up draining");
        }
    }
}
