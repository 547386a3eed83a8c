//! Cross-origin requests: the API may be called from any page, because no cookie ever authenticates.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::handler::ApiResponse;

const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What a page may send, should the browser not say what it wants to send.
const USUAL_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, x-audit-log-reason");
/// What a page may read besides what browsers always show.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-ratelimit-reset-after, \
     x-ratelimit-bucket, x-ratelimit-global, x-ratelimit-scope, date",
);
/// A day, the most that a browser honours anywhere.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The answer to a browser's question.
pub(crate) fn preflight(request: &HeaderMap) -> ApiResponse {
    let wanted = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(USUAL_HEADERS);
    let headers = HeaderMap::from_iter([
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
        (header::VARY, HeaderValue::from_static("access-control-request-headers")),
    ]);
    ApiResponse { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }
}

/// Lets any page read a response.
pub(crate) fn allow(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
