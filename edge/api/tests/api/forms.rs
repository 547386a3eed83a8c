//! Rules of every body: JSON, size, depth.

use rookery_model::call::Reply;
use serde_json::json;

use crate::harness::{Host, json_of, ok, request};
use crate::samples;

fn send(body: Vec<u8>, content_type: &str) -> (u16, serde_json::Value) {
    let host = Host::answering(&ok(samples::message()));
    let mut request = request("POST", "/channels/20/messages", None);
    request.headers[0].1 = content_type.into();
    request.body = body;
    let response = host.send(request);
    (response.status, json_of(&response))
}

#[test]
fn broken_json() {
    let deep = [vec![b'['; 100_000 / 2], vec![b']'; 100_000 / 2]].concat();
    for body in
        [&b"{"[..], b"{\"content\": }", b"\xff\xfe", b"{} {}", b"{'content': 'x'}", b"{\"content\": \"\xff\"}", &deep]
    {
        let (status, answer) = send(body.to_vec(), "application/json");
        assert_eq!(
            (status, answer),
            (400, json!({"message": "The request body contains invalid JSON.", "code": 50109}))
        );
    }
}

#[test]
fn values_nested_as_deep_as_the_parser_lets_them() {
    let nested = format!("{}{}", "{\"embeds\":[".repeat(60), "]}".repeat(60));
    let (status, answer) = send(nested.into_bytes(), "application/json");
    assert_eq!((status, &answer["code"]), (400, &json!(50035)));
}

#[test]
fn the_content_type_is_not_asked_for() {
    for content_type in ["application/json", "application/json; charset=utf-8", "text/plain", ""] {
        assert_eq!(send(b"{\"content\": \"x\"}".to_vec(), content_type).0, 200, "{content_type}");
    }
    for multipart in ["multipart/form-data; boundary=x", "MULTIPART/mixed"] {
        assert_eq!(send(b"{\"content\": \"x\"}".to_vec(), multipart).0, 415, "{multipart}");
    }
}

#[test]
fn bodies_have_a_size() {
    let body = |bytes: usize| {
        let mut body = br#"{"content": "x"}"#.to_vec();
        body.resize(bytes, b' ');
        body
    };
    assert_eq!(send(body(100_000), "application/json").0, 200);
    let (status, answer) = send(body(100_001), "application/json");
    assert_eq!((status, answer), (413, json!({"message": "Request entity too large", "code": 40005})));
}

#[test]
fn unknown_fields_and_the_last_of_two() {
    let (status, _) = send(br#"{"content": 5, "unknown": {"a": []}, "content": "x"}"#.to_vec(), "application/json");
    assert_eq!(status, 200);
}

#[test]
fn a_body_of_a_get_is_not_read() {
    let host = Host::answering(&ok(Reply::Messages(Vec::new())));
    let mut request = request("GET", "/channels/20/messages", None);
    request.body = b"not json".to_vec();
    assert_eq!(host.send(request).status, 200);
}
