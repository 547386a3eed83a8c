//! What the host adds to every call of a request: operation id, deadline, trace context, client address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::HeaderMap;
use rookery_link::CallHeader;
use tokio::time::Instant;
use uuid::Uuid;

use crate::RegionCallError;

/// The part of a request that its handler may not choose.
#[derive(Debug)]
pub struct CallContext {
    operation_id: [u8; 16],
    calls: AtomicU32,
    deadline: Instant,
    max_call_time: Duration,
    traceparent: String,
    client_ip: IpAddr,
}

impl CallContext {
    /// A new operation id.
    pub fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    /// A context; `deadline` ends the whole request, `max_call_time` one call within it.
    pub fn new(id: Uuid, headers: &HeaderMap, client_ip: IpAddr, deadline: Instant, max_call_time: Duration) -> Self {
        let traceparent = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .filter(|value| is_traceparent(value))
            .map_or_else(new_traceparent, str::to_owned);
        Self {
            operation_id: id.into_bytes(),
            calls: AtomicU32::new(0),
            deadline,
            max_call_time,
            traceparent,
            client_ip,
        }
    }

    /// When the request ends, finished or not.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The request's trace context.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The operation id as people write it.
    pub fn request_id(&self) -> Uuid {
        Uuid::from_bytes(self.operation_id)
    }

    /// The header of the request's next call; refused once `max_calls` were made or the time is up.
    ///
    /// The first call of a request has the request's operation id, the following ones ids derived from it: a request
    /// that makes two calls must not have the second taken for a repetition of the first.
    pub fn next_call(&self, max_calls: u32) -> Result<CallHeader, RegionCallError> {
        let ordinal = self.calls.fetch_add(1, Ordering::Relaxed);
        let left = self.deadline.saturating_duration_since(Instant::now()).min(self.max_call_time);
        if ordinal >= max_calls {
            return Err(RegionCallError::Busy);
        }
        if left.is_zero() {
            return Err(RegionCallError::DeadlineExceeded);
        }
        let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
        let mut header = CallHeader::new(derive_id(self.operation_id, ordinal), deadline_ms);
        header.traceparent = Some(self.traceparent.clone());
        header.client_ip = Some(self.client_ip);
        Ok(header)
    }
}

/// The id of a request's n-th call: the last four octets, random in UUIDv7, carry the number.
fn derive_id(mut id: [u8; 16], ordinal: u32) -> [u8; 16] {
    for (octet, number) in id[12..].iter_mut().zip(ordinal.to_be_bytes()) {
        *octet ^= number;
    }
    id
}

/// Whether a value has the form of version 00 of W3C Trace Context, section 3.2.
fn is_traceparent(value: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let not_zero = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = value.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    trace.len() == 32
        && span.len() == 16
        && flags.len() == 2
        && hex(trace)
        && hex(span)
        && hex(flags)
        && not_zero(trace)
        && not_zero(span)
}

fn new_traceparent() -> String {
    let (trace, span): (u128, u64) = rand::random();
    // Zero is not a valid id; it turns up once in 2^64 requests, but then it would be refused downstream.
    format!("00-{:032x}-{:016x}-00", trace.max(1), span.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn context(headers: &HeaderMap) -> CallContext {
        CallContext::new(
            CallContext::new_id(),
            headers,
            IP,
            Instant::now() + Duration::from_secs(60),
            Duration::from_secs(10),
        )
    }

    #[test]
    fn calls_of_one_request_have_different_ids_and_the_first_the_requests() {
        let context = context(&HeaderMap::new());
        let ids: Vec<_> = (0..300).map(|_| context.next_call(300).unwrap().operation_id).collect();
        assert_eq!(ids[0], context.request_id().into_bytes());
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 300);
        assert_eq!(context.next_call(300).unwrap_err(), RegionCallError::Busy);
    }

    #[test]
    fn a_call_gets_no_more_time_than_the_request_has() {
        let soon = Instant::now() + Duration::from_millis(500);
        let context = CallContext::new(CallContext::new_id(), &HeaderMap::new(), IP, soon, Duration::from_secs(10));
        assert!(context.next_call(1).unwrap().deadline_ms <= 500);
        let past =
            CallContext::new(CallContext::new_id(), &HeaderMap::new(), IP, Instant::now(), Duration::from_secs(10));
        assert_eq!(past.next_call(1).unwrap_err(), RegionCallError::DeadlineExceeded);
    }

    #[test]
    fn a_well_formed_trace_context_is_kept_and_any_other_replaced() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", good.parse().unwrap());
        assert_eq!(context(&headers).traceparent(), good);
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            headers.insert("traceparent", bad.parse().unwrap());
            let context = context(&headers);
            assert_ne!(context.traceparent(), bad);
            assert!(is_traceparent(context.traceparent()));
        }
    }
}
