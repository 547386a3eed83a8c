//! Responses: entities, errors of the region, rate limits, failures of the link.

use rookery_edge_api::{CallFailure, Response};
use rookery_model::call::{CallReply, RateLimitInfo, Reply};
use rookery_model::{ApiError, ErrorCode, FieldError, PathSegment};
use serde_json::json;

use crate::harness::{Host, bare, json_of, ok, request};
use crate::samples;

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let mut values = response.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} stands twice");
    value
}

fn answer(reply: &CallReply) -> Response {
    Host::answering(reply).send(request("GET", "/channels/20/messages/60", None))
}

fn bucket(scope: Option<&str>) -> Option<RateLimitInfo> {
    Some(RateLimitInfo {
        bucket: "abcd1234".into(),
        limit: 5,
        remaining: 0,
        reset: 1_470_173_023.123_4,
        reset_after: 1.0,
        scope: scope.map(str::to_owned),
    })
}

#[test]
fn entities_as_the_api_writes_them() {
    let response = answer(&ok(samples::message()));
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    let message = json_of(&response);
    assert_eq!(message["id"], "175928847299117063");
    assert_eq!(message["timestamp"], "2016-04-30T11:18:25.796000+00:00");
    assert_eq!(message["author"]["discriminator"], "0");
    let guild = json_of(&answer(&ok(samples::guild())));
    assert_eq!((&guild["id"], &guild["roles"][0]["permissions"]), (&json!("9007199254740993"), &json!("2")));
}

#[test]
fn no_content_has_no_body() {
    let response = answer(&ok(Reply::NoContent));
    assert_eq!((response.status, response.body.len(), header(&response, "content-type")), (204, 0, None));
}

#[test]
fn errors_of_the_region_pass_through() {
    let refused = |error: ApiError| {
        let response = answer(&CallReply { rate_limit: None, moved: None, result: Err(error) });
        (response.status, json_of(&response))
    };
    let unknown = (404, json!({"message": "Unknown Message", "code": 10008}));
    assert_eq!(refused(ErrorCode::UnknownMessage.into()), unknown);
    let path = vec![PathSegment::from("email")];
    let taken =
        FieldError { path, code: "EMAIL_ALREADY_REGISTERED".into(), message: "Email is already registered.".into() };
    assert_eq!(
        refused(ApiError::invalid_form(vec![taken])).1["errors"],
        json!({"email": {"_errors": [{"code": "EMAIL_ALREADY_REGISTERED", "message": "Email is already registered."}]}})
    );
}

#[test]
fn rate_limit_headers_are_on_every_answer() {
    for result in [Ok(samples::message()), Err(ErrorCode::UnknownMessage.into())] {
        let response = answer(&CallReply { rate_limit: bucket(Some("user")), moved: None, result });
        assert_eq!(header(&response, "x-ratelimit-limit"), Some("5"));
        assert_eq!(header(&response, "x-ratelimit-remaining"), Some("0"));
        assert_eq!(header(&response, "x-ratelimit-reset"), Some("1470173023.123"));
        assert_eq!(header(&response, "x-ratelimit-reset-after"), Some("1.000"));
        assert_eq!(header(&response, "x-ratelimit-bucket"), Some("abcd1234"));
        assert_eq!(header(&response, "x-ratelimit-scope"), None);
        assert_eq!(header(&response, "retry-after"), None);
    }
    assert_eq!(header(&answer(&ok(samples::message())), "x-ratelimit-limit"), None);
}

#[test]
fn too_many_requests() {
    let limited = |code, scope: Option<&str>, global| {
        let error = ApiError::rate_limited(code, 64.57, global);
        answer(&CallReply { rate_limit: bucket(scope), moved: None, result: Err(error) })
    };
    let route = limited(ErrorCode::RateLimited, Some("shared"), false);
    assert_eq!(route.status, 429);
    assert_eq!(
        json_of(&route),
        json!({"message": "You are being rate limited.", "retry_after": 64.57, "global": false})
    );
    assert_eq!(header(&route, "retry-after"), Some("65"));
    assert_eq!(header(&route, "x-ratelimit-scope"), Some("shared"));
    assert_eq!(header(&route, "x-ratelimit-global"), None);

    let global = limited(ErrorCode::RateLimited, Some("global"), true);
    assert_eq!(header(&global, "x-ratelimit-global"), Some("true"));
    assert_eq!(header(&global, "x-ratelimit-scope"), Some("global"));
    assert_eq!(header(&global, "retry-after"), Some("65"));
    for name in ["limit", "remaining", "reset", "reset-after", "bucket"] {
        assert_eq!(header(&global, &format!("x-ratelimit-{name}")), None, "the global limit has no {name}");
    }

    let slowmode = json_of(&limited(ErrorCode::SlowmodeRateLimited, None, false));
    assert_eq!((&slowmode["code"], &slowmode["retry_after"]), (&json!(20016), &json!(64.57)));
}

#[test]
fn failures_of_the_link() {
    for (failure, status, retry_after) in [
        (CallFailure::Busy, 503, Some("1")),
        (CallFailure::Unavailable, 503, Some("1")),
        (CallFailure::DeadlineExceeded, 504, None),
        (CallFailure::TooLarge, 413, None),
    ] {
        let response = Host::giving(Err(failure)).send(request("GET", "/channels/20", None));
        assert_eq!((response.status, header(&response, "retry-after")), (status, retry_after), "{failure}");
        assert!(json_of(&response)["message"].is_string());
    }
}

#[test]
fn an_answer_that_is_none() {
    for bytes in [&b""[..], b"\xff", b"{}"] {
        let response = Host::giving(Ok(bytes.to_vec())).send(request("GET", "/channels/20", None));
        assert_eq!(json_of(&response), json!({"message": "500: Internal Server Error", "code": 0}));
    }
    // A reply that the call never has.
    let response = Host::answering(&ok(Reply::NoContent)).send(request("POST", "/applications/40/bot", None));
    assert_eq!(response.status, 500);
}

#[test]
fn paths_that_lead_nowhere() {
    let response = Host::answering(&ok(Reply::NoContent)).send(request("GET", "/nothing", None));
    assert_eq!((response.status, json_of(&response)), (404, json!({"message": "404: Not Found", "code": 0})));
    let response = Host::answering(&ok(Reply::NoContent)).send(request("PUT", "/channels/20/messages", None));
    assert_eq!((response.status, json_of(&response)["code"].clone()), (405, json!(0)));
    assert_eq!(header(&response, "allow"), Some("POST, GET, HEAD"));
    let mut old = bare("GET", "/gateway", None);
    old.path = "/api/v6/gateway".into();
    let response = Host::answering(&ok(Reply::NoContent)).send(old);
    assert_eq!((response.status, json_of(&response)["code"].clone()), (400, json!(50041)));
}
