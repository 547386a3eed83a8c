//! What the link reports, one struct for each kind of event: it writes the log line and counts the metric.
//!
//! Payloads, operation ids and client addresses are never logged.

use std::net::SocketAddr;

use metrics::counter;

/// A point of presence has a working connection to a region.
pub(crate) struct Connected<'a> {
    pub(crate) target: &'a str,
    pub(crate) remote: SocketAddr,
    pub(crate) reconnect: bool,
}

impl Connected<'_> {
    pub(crate) fn emit(self) {
        if self.reconnect {
            counter!("rookery_link_client_reconnects_total", "target" => self.target.to_owned()).increment(1);
        }
        tracing::info!(region = self.target, remote = %self.remote, reconnect = self.reconnect, "link is up");
    }
}

/// An attempt to connect failed.
pub(crate) struct ConnectFailed<'a> {
    pub(crate) target: &'a str,
    pub(crate) error: &'a str,
    pub(crate) failures: u32,
}

impl ConnectFailed<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_client_connect_failures_total", "target" => self.target.to_owned()).increment(1);
        // The first failure is news, and then every 32nd; the metric has them all.
        if self.failures % 32 == 1 {
            tracing::warn!(
                region = self.target,
                error = self.error,
                failures = self.failures,
                "cannot connect to region"
            );
        } else {
            tracing::debug!(
                region = self.target,
                error = self.error,
                failures = self.failures,
                "cannot connect to region"
            );
        }
    }
}

/// A working connection is gone or no longer used.
pub(crate) struct Disconnected<'a> {
    pub(crate) target: &'a str,
    pub(crate) reason: &'a str,
}

impl Disconnected<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_client_disconnects_total", "target" => self.target.to_owned()).increment(1);
        tracing::warn!(region = self.target, reason = self.reason, "link is down");
    }
}

/// A region let a peer in.
pub(crate) struct PeerAdmitted<'a> {
    pub(crate) peer: &'a str,
    pub(crate) remote: SocketAddr,
}

impl PeerAdmitted<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_server_connections_total").increment(1);
        tracing::info!(peer = self.peer, remote = %self.remote, "peer connected");
    }
}

/// A region did not let a peer in.
pub(crate) struct PeerRefused<'a> {
    pub(crate) remote: SocketAddr,
    pub(crate) reason: &'a str,
}

impl PeerRefused<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_server_refused_connections_total").increment(1);
        tracing::warn!(remote = %self.remote, reason = self.reason, "peer refused");
    }
}

/// A peer's connection ended.
pub(crate) struct PeerGone<'a> {
    pub(crate) peer: &'a str,
    pub(crate) reason: &'a str,
}

impl PeerGone<'_> {
    pub(crate) fn emit(self) {
        tracing::info!(peer = self.peer, reason = self.reason, "peer disconnected");
    }
}

/// What came on a stream was not a call.
pub(crate) struct FrameRejected<'a> {
    pub(crate) peer: &'a str,
    pub(crate) reason: &'a str,
}

impl FrameRejected<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_server_rejected_frames_total").increment(1);
        tracing::warn!(peer = self.peer, reason = self.reason, "frame rejected");
    }
}

/// A handler panicked.
pub(crate) struct HandlerFailed<'a> {
    pub(crate) error: &'a str,
}

impl HandlerFailed<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_server_handler_failures_total").increment(1);
        tracing::error!(error = self.error, "the handler of a call failed");
    }
}

/// A handler's answer cannot be sent.
pub(crate) struct ReplyRejected<'a> {
    pub(crate) reason: &'a str,
}

impl ReplyRejected<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_link_server_rejected_replies_total").increment(1);
        tracing::error!(reason = self.reason, "the answer to a call cannot be sent");
    }
}
