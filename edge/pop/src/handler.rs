//! What stands between HTTP and the API: the component, or for benchmarks the same code run natively.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use crate::CallContext;

/// A request for the API with its whole body.
#[derive(Debug)]
pub struct ApiRequest {
    /// The method.
    pub method: Method,
    /// Path and query as the client sent them.
    pub uri: Uri,
    /// Only the headers that the API may look at, see [`ApiRequest::keep_headers`].
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The API's answer.
#[derive(Debug)]
pub struct ApiResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why a request got no answer from the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// No place was free in time.
    #[error("too many requests are under way")]
    Overloaded,
    /// The request's time ended.
    #[error("the request took too long")]
    DeadlineExceeded,
    /// The component trapped, used up its budget, or gave no proper answer.
    #[error("{0}")]
    Failed(String),
}

/// Runs the API.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// Dropping the future gives the request up.
    fn handle(&self, request: ApiRequest, context: Arc<CallContext>)
    -> BoxFuture<'_, Result<ApiResponse, HandleError>>;
}

/// The headers that the API may look at. Everything else (cookies, what proxies add) is no business of the
/// component's, and copying it in costs time.
const API_HEADERS: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::USER_AGENT,
    HeaderName::from_static("x-audit-log-reason"),
    HeaderName::from_static("x-discord-locale"),
    HeaderName::from_static("x-super-properties"),
];

impl ApiRequest {
    /// Leaves only the headers that the API may look at, and states the body's length if there is a body.
    pub fn keep_headers(mut self) -> Self {
        let mut kept = HeaderMap::with_capacity(API_HEADERS.len());
        for name in API_HEADERS {
            if let Some(value) = self.headers.remove(&name) {
                kept.insert(name, value);
            }
        }
        match self.body.len() {
            0 => kept.remove(header::CONTENT_LENGTH),
            length => kept.insert(header::CONTENT_LENGTH, length.into()),
        };
        self.headers = kept;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_sees_its_headers_and_the_bodys_true_length() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("authorization", "Bot x"), ("cookie", "secret"), ("content-length", "7")] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let uri = Uri::from_static("/api/v10/gateway");
        let request = ApiRequest { method: Method::POST, uri, headers, body: Bytes::from_static(b"{}") };
        let headers = request.keep_headers().headers;
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[header::AUTHORIZATION], "Bot x");
        assert_eq!(headers[header::CONTENT_LENGTH], "2");
    }
}
