//! The host's own answers, in the API's error shape.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use rookery_model::error::ErrorCode;
use serde::Serialize;

use crate::handler::{ApiResponse, HandleError};

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    code: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global: Option<bool>,
}

/// An error with its usual message.
pub(crate) fn error(code: ErrorCode) -> ApiResponse {
    error_with(code, code.message())
}

/// An error whose message says more than the code's usual one.
pub(crate) fn error_with(code: ErrorCode, message: &str) -> ApiResponse {
    json(code.status(), &ErrorBody { message, code: code.code(), retry_after: None, global: None })
}

/// A 408: the body did not arrive in time. The API has no code for it.
pub(crate) fn request_timeout() -> ApiResponse {
    let mut response =
        json(408, &ErrorBody { message: "408: Request Timeout", code: 0, retry_after: None, global: None });
    response.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A 400: the body broke off or is not framed as HTTP wants it.
pub(crate) fn broken_body() -> ApiResponse {
    json(400, &ErrorBody { message: "400: Bad Request", code: 0, retry_after: None, global: None })
}

/// A 429 for everything that an address sends, until `seconds` have passed.
pub(crate) fn client_limited(seconds: f64) -> ApiResponse {
    let code = ErrorCode::RateLimited;
    let seconds = (seconds * 1_000.0).ceil() / 1_000.0;
    let body = ErrorBody { message: code.message(), code: code.code(), retry_after: Some(seconds), global: Some(true) };
    let mut response = json(code.status(), &body);
    let whole_seconds = HeaderValue::from(seconds.ceil() as u64);
    response.headers.insert(header::RETRY_AFTER, whole_seconds);
    response.headers.insert("x-ratelimit-global", HeaderValue::from_static("true"));
    response.headers.insert("x-ratelimit-scope", HeaderValue::from_static("global"));
    response
}

impl From<HandleError> for ApiResponse {
    fn from(failure: HandleError) -> Self {
        match failure {
            HandleError::Overloaded => {
                let mut response = error(ErrorCode::Unavailable);
                response.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            HandleError::DeadlineExceeded => error(ErrorCode::DeadlineExceeded),
            HandleError::Failed(_) => error(ErrorCode::Internal),
        }
    }
}

fn json(status: u16, body: &ErrorBody<'_>) -> ApiResponse {
    let bytes = serde_json::to_vec(body).expect("strings and numbers always serialise");
    let mut headers = http::HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ApiResponse { status, headers, body: Bytes::from(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_apis_shape() {
        let too_large: serde_json::Value = serde_json::from_slice(&error(ErrorCode::BodyTooLarge).body).unwrap();
        assert_eq!(too_large, serde_json::json!({"code": 40005, "message": "Request entity too large"}));
        let failed = ApiResponse::from(HandleError::Failed("secret detail".into()));
        let failed: serde_json::Value = serde_json::from_slice(&failed.body).unwrap();
        assert_eq!(failed, serde_json::json!({"code": 0, "message": "500: Internal Server Error"}));
    }

    #[test]
    fn a_limited_client_learns_how_long() {
        let response = client_limited(1.2345);
        assert_eq!(response.headers[header::RETRY_AFTER], "2");
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["retry_after"], 1.235);
    }
}
