//! What one address may send: so many invalid requests in a window, then nothing until the window ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use moka::sync::Cache;
use rookery_model::client_network;

use crate::config::ClientLimits;
use crate::events;

/// Counts invalid requests by address.
pub(crate) struct ClientLimit {
    windows: Option<Cache<IpAddr, Arc<Window>>>,
    max_invalid: u32,
    window: Duration,
}

struct Window {
    opened: Instant,
    invalid: AtomicU32,
}

impl ClientLimit {
    pub fn new(limits: &ClientLimits) -> Self {
        let window = Duration::from_secs(limits.invalid_window_s);
        let windows = (limits.invalid_requests > 0)
            .then(|| Cache::builder().max_capacity(limits.max_tracked).time_to_live(window).build());
        Self { windows, max_invalid: limits.invalid_requests, window }
    }

    /// How long the address must still wait, if it is over its limit.
    pub fn refusal(&self, ip: IpAddr) -> Option<Duration> {
        let window = self.windows.as_ref()?.get(&client_network(ip))?;
        if window.invalid.load(Ordering::Relaxed) < self.max_invalid {
            return None;
        }
        let left = self.window.saturating_sub(window.opened.elapsed());
        (!left.is_zero()).then_some(left)
    }

    /// Takes note of an answer.
    pub fn note(&self, ip: IpAddr, status: StatusCode, headers: &HeaderMap) {
        if let Some(windows) = &self.windows
            && is_invalid(status, headers)
        {
            let window = windows.get_with(client_network(ip), || {
                Arc::new(Window { opened: Instant::now(), invalid: AtomicU32::new(0) })
            });
            if window.invalid.fetch_add(1, Ordering::Relaxed) + 1 == self.max_invalid {
                events::client_limited(ip);
            }
        }
    }
}

/// As the API documents it: 401, 403 and 429, but not a 429 whose scope says that others caused it.
fn is_invalid(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
        StatusCode::TOO_MANY_REQUESTS => headers.get("x-ratelimit-scope").is_none_or(|scope| scope != "shared"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(invalid_requests: u32) -> ClientLimit {
        ClientLimit::new(&ClientLimits { invalid_requests, ..ClientLimits::default() })
    }

    #[test]
    fn an_address_is_refused_once_over_its_limit_and_others_are_not() {
        let limit = limit(3);
        let (bad, good): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..3 {
            assert!(limit.refusal(bad).is_none());
            limit.note(bad, StatusCode::UNAUTHORIZED, &HeaderMap::new());
            limit.note(good, StatusCode::NOT_FOUND, &HeaderMap::new());
        }
        assert!(limit.refusal(bad).unwrap() <= Duration::from_secs(600));
        assert!(limit.refusal(good).is_none());
    }

    #[test]
    fn a_shared_limit_is_not_the_clients_fault() {
        let limit = limit(1);
        let ip = "192.0.2.1".parse().unwrap();
        let shared = HeaderMap::from_iter([("x-ratelimit-scope".parse().unwrap(), "shared".parse().unwrap())]);
        limit.note(ip, StatusCode::TOO_MANY_REQUESTS, &shared);
        assert!(limit.refusal(ip).is_none());
        limit.note(ip, StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new());
        assert!(limit.refusal(ip).is_some());
    }

    #[test]
    fn zero_lifts_the_limit() {
        let limit = limit(0);
        let ip = "192.0.2.1".parse().unwrap();
        for _ in 0..10 {
            limit.note(ip, StatusCode::UNAUTHORIZED, &HeaderMap::new());
        }
        assert!(limit.refusal(ip).is_none());
    }
}
