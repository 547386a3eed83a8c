//! What the point of presence tells its operator: each event's log line and figure in one place.
//!
//! Nothing here takes a header, a body or a query: tokens and what users write are never logged.

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use metrics::{counter, gauge, histogram};
use rookery_link::CallError;

use crate::component::Fault;
use crate::dispatch::Target;

/// A request was answered.
pub(crate) fn request_answered(
    method: &Method,
    path: &str,
    target: Target,
    status: StatusCode,
    took: Duration,
    request_id: Option<uuid::Uuid>,
) {
    counter!("rookery_pop_requests_total", "target" => target.name(), "status" => status_class(status)).increment(1);
    histogram!("rookery_pop_request_seconds", "target" => target.name()).record(took.as_secs_f64());
    tracing::debug!(
        %method,
        path = %redact(path),
        status = status.as_u16(),
        took_us = took.as_micros() as u64,
        request_id = request_id.map(tracing::field::display),
        "request"
    );
}

/// A call to the region brought no reply.
pub(crate) fn region_call_failed(error: &CallError) {
    let kind = match error {
        CallError::Busy { .. } => "busy",
        CallError::Unavailable { .. } => "unavailable",
        CallError::ConnectionLost { .. } => "connection_lost",
        CallError::DeadlineExceeded => "deadline_exceeded",
        CallError::VersionUnsupported { .. } => "version_unsupported",
        CallError::TooLarge(_) => "too_large",
        CallError::Internal => "internal",
        CallError::Protocol { .. } => "protocol",
    };
    counter!("rookery_pop_region_call_failures_total", "kind" => kind).increment(1);
    tracing::debug!(%error, "a call to the region brought no reply");
}

/// A request was turned away because too much is under way.
pub(crate) fn overloaded(what: &'static str) {
    counter!("rookery_pop_overloaded_total", "what" => what).increment(1);
}

/// The component failed a request.
pub(crate) fn component_failed(fault: &Fault, last_words: &[u8]) {
    counter!("rookery_pop_component_faults_total", "kind" => fault.kind()).increment(1);
    let last_words = String::from_utf8_lossy(last_words);
    tracing::error!(%fault, last_words = last_words.trim_end(), "the component failed a request");
}

/// An instance was made.
pub(crate) fn component_instantiated() {
    counter!("rookery_pop_component_instances_total").increment(1);
}

/// How many instances wait for a request.
pub(crate) fn component_instances_idle(count: usize) {
    gauge!("rookery_pop_component_instances_idle").set(count as f64);
}

/// An address went over its limit of invalid requests.
pub(crate) fn client_limited(ip: IpAddr) {
    counter!("rookery_pop_clients_limited_total").increment(1);
    tracing::warn!(%ip, "too many invalid requests from one address; it is refused until the window ends");
}

/// A connection was opened.
pub(crate) fn connection_opened() {
    gauge!("rookery_pop_connections").increment(1.0);
}

/// A connection was closed.
pub(crate) fn connection_closed() {
    gauge!("rookery_pop_connections").decrement(1.0);
}

/// A connection was not taken.
pub(crate) fn connection_refused(why: &'static str) {
    counter!("rookery_pop_connections_refused_total", "why" => why).increment(1);
}

/// A connection ended in a way that is not a plain close.
pub(crate) fn connection_failed(error: &dyn std::fmt::Display) {
    counter!("rookery_pop_connections_failed_total").increment(1);
    tracing::trace!(%error, "connection failed");
}

/// No connection can be accepted for now.
pub(crate) fn accept_failed(error: &std::io::Error) {
    counter!("rookery_pop_accept_failures_total").increment(1);
    tracing::warn!(%error, "connections cannot be accepted; trying again");
}

fn status_class(status: StatusCode) -> &'static str {
    // The statuses that operators ask about stand alone, the others as their class.
    match status.as_u16() {
        401 => "401",
        403 => "403",
        404 => "404",
        413 => "413",
        429 => "429",
        500 => "500",
        503 => "503",
        504 => "504",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// A path without the secrets that some routes carry in it (webhook and interaction tokens, invite codes).
///
/// Kept are the names of routes and numbers; whatever else stands in a path is replaced.
fn redact(path: &str) -> String {
    let mut redacted = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            redacted.push('/');
        }
        let is_number = segment.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = segment.len() <= 24 && segment.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-' | b'_'));
        let is_version = segment.len() <= 3 && segment.starts_with('v');
        redacted.push_str(if is_number || is_name || is_version || segment == "@me" { segment } else { "…" });
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_paths_are_not_logged() {
        assert_eq!(redact("/api/v10/users/@me/guilds"), "/api/v10/users/@me/guilds");
        assert_eq!(redact("/api/v10/webhooks/123/aW50-ZXJ_hY3Rpb24"), "/api/v10/webhooks/123/…");
        assert_eq!(redact("/api/v10/invites/Ab3dEf"), "/api/v10/invites/…");
        assert_eq!(redact("/"), "/");
    }
}
