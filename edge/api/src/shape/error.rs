//! The API's error bodies.

use rookery_model::{ApiError, FieldError, PathSegment};
use serde_json::{Map, Value, json};

use crate::Response;

/// Seconds after which a request that found no room is worth another try.
const OVERLOAD_RETRY_AFTER_SECONDS: u32 = 1;

/// An error as the API answers it.
///
/// `{"message", "code"}`, with `errors` as a tree for a form that was wrong, with `retry_after` and `global` for a 429.
pub fn error_response(error: &ApiError) -> Response {
    let mut body = Map::new();
    body.insert("message".into(), json!(error.message));
    // A 429 has a code only where the API documents one.
    if error.code != 0 || error.retry_after.is_none() {
        body.insert("code".into(), json!(error.code));
    }
    if !error.errors.is_empty() {
        body.insert("errors".into(), tree(&error.errors));
    }
    if let Some(wait) = error.retry_after {
        body.insert("retry_after".into(), json!(milliseconds_kept(wait.seconds)));
        body.insert("global".into(), json!(wait.global));
    }
    let mut response = Response::json(error.status, Value::Object(body).to_string().into_bytes());
    match error.retry_after {
        Some(wait) => {
            response.push("retry-after", format!("{:.0}", wait.seconds.max(0.0).ceil()));
            response.push("x-ratelimit-scope", if wait.global { "global" } else { "user" });
            if wait.global {
                response.push("x-ratelimit-global", "true");
            }
        }
        None if error.status == 503 => response.push("retry-after", OVERLOAD_RETRY_AFTER_SECONDS.to_string()),
        None => {}
    }
    response
}

/// Rounded up, so that a client which waits exactly as long is not early.
fn milliseconds_kept(seconds: f64) -> f64 {
    (seconds.max(0.0) * 1_000.0).ceil() / 1_000.0
}

/// Field errors under their paths: `{"embeds": {"0": {"title": {"_errors": […]}}}}`.
fn tree(errors: &[FieldError]) -> Value {
    let mut root = Map::new();
    for error in errors {
        let mut node = &mut root;
        for segment in &error.path {
            node = child(node, segment);
        }
        let list = node.entry("_errors").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(json!({ "code": error.code, "message": error.message }));
        }
    }
    Value::Object(root)
}

fn child<'a>(node: &'a mut Map<String, Value>, segment: &PathSegment) -> &'a mut Map<String, Value> {
    let key = match segment {
        PathSegment::Index(index) => index.to_string(),
        PathSegment::Key(key) => key.to_string(),
    };
    let value = node.entry(key).or_insert(Value::Null);
    // A field named `_errors` would stand where a list does.
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::ErrorCode;

    fn body(error: &ApiError) -> Value {
        serde_json::from_slice(&error_response(error).body).unwrap()
    }

    #[test]
    fn field_errors_nest() {
        let path = |segments: Vec<PathSegment>| FieldError { path: segments, code: "C".into(), message: "m".into() };
        let error = ApiError::invalid_form(vec![
            path(vec!["embeds".into(), 0.into(), "title".into()]),
            path(vec!["embeds".into()]),
            path(vec!["embeds".into()]),
            path(vec![]),
        ]);
        let one = json!({"code": "C", "message": "m"});
        assert_eq!(
            body(&error),
            json!({
                "code": 50035, "message": "Invalid Form Body",
                "errors": {"embeds": {"0": {"title": {"_errors": [one]}}, "_errors": [one, one]}, "_errors": [one]},
            })
        );
    }

    #[test]
    fn a_rate_limit_tells_how_long_to_wait() {
        let response = error_response(&ApiError::rate_limited(ErrorCode::RateLimited, 1.2341, true));
        assert_eq!(response.status, 429);
        let value: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(value, json!({"message": "You are being rate limited.", "retry_after": 1.235, "global": true}));
        for (name, expected) in [("retry-after", "2"), ("x-ratelimit-global", "true"), ("x-ratelimit-scope", "global")]
        {
            assert!(response.headers.contains(&(name.into(), expected.into())), "{name}");
        }
        let slowmode = ApiError::rate_limited(ErrorCode::SlowmodeRateLimited, 5.0, false);
        assert_eq!(body(&slowmode)["code"], 20016);
        assert_eq!(body(&slowmode)["global"], false);
    }

    #[test]
    fn overload_says_when_to_come_back() {
        let response = error_response(&ErrorCode::Unavailable.into());
        assert!(response.headers.contains(&("retry-after".into(), "1".into())));
        assert_eq!(body(&ErrorCode::Unavailable.into()), json!({"message": "503: Service Unavailable", "code": 0}));
    }
}
