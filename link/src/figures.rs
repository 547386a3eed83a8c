//! Metrics of the busy path, with handles kept so that a call does not look them up.
//!
//! The handles belong to the recorder that is installed when a client or server is made, so telemetry starts first.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::header::Status;

/// A client's figures, for the recorder and for [`crate::Client::stats`].
pub(crate) struct ClientMetrics {
    in_flight: Gauge,
    call_seconds: Histogram,
    failed_call_seconds: Histogram,
    busy: Counter,
    retries: Counter,
    pub(crate) in_flight_now: AtomicUsize,
    pub(crate) retries_so_far: AtomicU64,
    pub(crate) connections_so_far: AtomicU64,
}

impl ClientMetrics {
    pub(crate) fn new(target: &str) -> Self {
        let target = target.to_owned();
        Self {
            in_flight: gauge!("rookery_link_client_calls_in_flight", "target" => target.clone()),
            call_seconds: histogram!("rookery_link_client_call_seconds", "target" => target.clone(), "outcome" => "ok"),
            failed_call_seconds: histogram!(
                "rookery_link_client_call_seconds",
                "target" => target.clone(),
                "outcome" => "error"
            ),
            busy: counter!("rookery_link_client_busy_total", "target" => target.clone()),
            retries: counter!("rookery_link_client_retries_total", "target" => target),
            in_flight_now: AtomicUsize::new(0),
            retries_so_far: AtomicU64::new(0),
            connections_so_far: AtomicU64::new(0),
        }
    }

    pub(crate) fn refused_busy(&self) {
        self.busy.increment(1);
    }

    pub(crate) fn retried(&self) {
        self.retries_so_far.fetch_add(1, Ordering::Relaxed);
        self.retries.increment(1);
    }

    pub(crate) fn finished(&self, ok: bool, took: Duration) {
        let seconds = if ok { &self.call_seconds } else { &self.failed_call_seconds };
        seconds.record(took.as_secs_f64());
    }

    /// Counts a call as in flight until the returned value is dropped.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight_now.fetch_add(1, Ordering::Relaxed);
        self.in_flight.increment(1);
        InFlight { metrics: self }
    }
}

/// One call in flight.
pub(crate) struct InFlight<'a> {
    metrics: &'a ClientMetrics,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight_now.fetch_sub(1, Ordering::Relaxed);
        self.metrics.in_flight.decrement(1);
    }
}

/// A server's figures.
pub(crate) struct ServerMetrics {
    pub(crate) in_flight: Gauge,
    call_seconds: Histogram,
    ok: Counter,
    busy: Counter,
    deadline_exceeded: Counter,
    other: Counter,
}

impl ServerMetrics {
    pub(crate) fn new() -> Self {
        let calls = |status: Status| counter!("rookery_link_server_calls_total", "status" => status.name());
        Self {
            in_flight: gauge!("rookery_link_server_calls_in_flight"),
            call_seconds: histogram!("rookery_link_server_call_seconds"),
            ok: calls(Status::Ok),
            busy: calls(Status::Busy),
            deadline_exceeded: calls(Status::DeadlineExceeded),
            other: counter!("rookery_link_server_calls_total", "status" => "other"),
        }
    }

    pub(crate) fn answered(&self, status: Status, took: Duration) {
        match status {
            Status::Ok => {
                self.call_seconds.record(took.as_secs_f64());
                self.ok.increment(1);
            }
            Status::Busy => self.busy.increment(1),
            Status::DeadlineExceeded => self.deadline_exceeded.increment(1),
            _ => self.other.increment(1),
        }
    }
}
