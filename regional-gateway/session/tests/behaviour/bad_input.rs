//! Frames that are no payloads.

use crate::common::*;
use rookery_session::{Encoding, Frame};
use serde_json::json;

#[test]
fn garbage_is_4002() {
    let texts = [
        "",
        " ",
        "garbage",
        "{",
        "[]",
        "5",
        "null",
        "{}",
        r#"{"op":null}"#,
        r#"{"op":"1"}"#,
        r#"{"op":1.5,"d":null}"#,
        r#"{"d":{}}"#,
        r#"[1,null]"#,
        r#"{"op":1,"d":null}trailing"#,
        r#"{"op":1,"d":"x"}"#,
        r#"{"op":1,"d":-1}"#,
    ];
    for text in texts {
        assert_eq!(close_code_of("v=10", Frame::Text(text)), Some(4002), "{text}");
        assert_eq!(close_code_of("encoding=etf", Frame::Text(text)), Some(4002), "{text}");
        assert_eq!(close_code_of("encoding=etf", Frame::Binary(text.as_bytes())), Some(4002), "{text}");
    }
    assert_eq!(close_code_of("v=10", Frame::Binary(b"{\"op\":1,\"d\":\"\xff\"}")), Some(4002));
    // Also where nobody looks.
    assert_eq!(close_code_of("v=10", Frame::Binary(b"{\"op\":1,\"x\":{\"\x8b\":0}}")), Some(4002));
    assert_eq!(close_code_of("v=10", Frame::Text(&"[".repeat(4_000))), Some(4002));
}

#[test]
fn unknown_and_server_opcodes_are_4001() {
    for op in [json!(-1), json!(0), json!(5), json!(7), json!(9), json!(10), json!(11), json!(12), json!(u64::MAX)] {
        let payload = json!({"op": op, "d": null});
        assert_eq!(close_code_of("v=10", Frame::Text(&payload.to_string())), Some(4001), "{op}");
        let bytes = encode(Encoding::Etf, &payload);
        assert_eq!(close_code_of("encoding=etf", Frame::Binary(&bytes)), Some(4001), "{op}");
    }
}

#[test]
fn payloads_of_more_than_4096_bytes_are_4002() {
    let payload = |len: usize| {
        let head = r#"{"op":1,"d":null,"pad":""#;
        format!("{head}{}\"}}", "x".repeat(len - head.len() - 2))
    };
    assert_eq!(close_code_of("v=10", Frame::Text(&payload(4_096))), None);
    assert_eq!(close_code_of("v=10", Frame::Text(&payload(4_097))), Some(4002));
}

#[test]
fn json_may_come_in_binary_messages() {
    let mut connection = connect("v=10");
    connection.handle_frame(1, Frame::Binary(br#" { "op" : 1 , "d" : 3.0 } "#));
    assert_eq!(closed_with(&mut connection), None);
    assert!(connection.poll_transmit().is_some());
}
