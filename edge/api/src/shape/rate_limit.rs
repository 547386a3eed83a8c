//! The rate-limit headers.

use rookery_model::call::RateLimitInfo;

use crate::Response;

/// Adds the headers of the bucket that the call was counted in.
pub fn push_headers(response: &mut Response, info: &RateLimitInfo) {
    response.push("x-ratelimit-limit", info.limit.to_string());
    response.push("x-ratelimit-remaining", info.remaining.to_string());
    response.push("x-ratelimit-reset", format!("{:.3}", info.reset));
    response.push("x-ratelimit-reset-after", format!("{:.3}", info.reset_after.max(0.0)));
    // A name that is no header value would cost the whole response.
    if info.bucket.bytes().all(|byte| byte.is_ascii_graphic()) {
        response.push("x-ratelimit-bucket", info.bucket.clone());
    }
    if response.status == 429 {
        let scope = info.scope.as_deref().filter(|scope| ["user", "shared"].contains(scope));
        response.headers.retain(|(name, _)| name != "x-ratelimit-scope");
        response.push("x-ratelimit-scope", scope.unwrap_or("user"));
    }
}
