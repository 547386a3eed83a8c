//! HELLO and the time within which a client must say who it is.

use crate::common::*;
use rookery_session::{Connection, SessionConfig};
use serde_json::json;

#[test]
fn hello_is_the_first_frame_in_every_encoding_and_compression() {
    for query in ["v=10&encoding=json", "v=9&encoding=etf", "compress=zlib-stream", "encoding=etf&compress=zlib-stream"]
    {
        let mut connection = Connection::new(0, config(), params(query));
        let hello = Reader::new(params(query)).read(&connection.poll_transmit().expect("HELLO"));
        assert_eq!((&hello["op"], &hello["s"], &hello["t"]), (&json!(10), &json!(null), &json!(null)), "{query}");
        assert_eq!(hello["d"]["heartbeat_interval"], 41_250, "{query}");
        assert!(connection.poll_transmit().is_none());
    }
}

#[test]
fn json_goes_as_text_and_everything_else_as_binary() {
    let is_binary = |query| Connection::new(0, config(), params(query)).poll_transmit().map(|t| t.is_binary);
    assert_eq!(is_binary("encoding=json"), Some(false));
    assert_eq!(is_binary("encoding=json&compress=brotli-stream"), Some(false));
    assert_eq!(is_binary("encoding=etf"), Some(true));
    assert_eq!(is_binary("encoding=cbor"), Some(true));
    assert_eq!(is_binary("encoding=json&compress=zlib-stream"), Some(true));
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let mut connection = connect("v=10");
    let due_ms = connection.poll_timeout().expect("a timeout");
    assert_eq!(due_ms, SessionConfig::default().identify_timeout_ms);
    connection.handle_timeout(due_ms - 1);
    assert_eq!(closed_with(&mut connection), None);
    connection.handle_timeout(due_ms);
    assert_eq!(closed_with(&mut connection), Some(4009));
    assert_eq!(connection.poll_timeout(), None);
}
