//! Messages that nobody should send, and how each is closed.

use crate::common::*;
use proptest::prelude::*;
use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::{Frame, VoiceConfig};
use serde_json::json;

fn code_for(frame: Frame<'_>) -> Option<VoiceCloseCode> {
    let mut session = session(8);
    session.handle_frame(1, frame);
    closed_with(&mut session)
}

#[test]
fn what_is_no_payload_cannot_be_decoded() {
    for text in ["", "{", "null", "[]", "{}", r#"{"op":"5"}"#, r#"{"op":-1}"#, r#"{"op":5.5,"d":{}}"#, r#"{"d":{}}"#] {
        assert_eq!(code_for(Frame::Text(text)), Some(VoiceCloseCode::FailedToDecode), "{text}");
    }
    for text in [r#"{"op":5}"#, r#"{"op":5,"d":null}"#, r#"{"op":5,"d":[1,2]}"#, r#"{"op":5,"d":{"speaking":"x"}}"#] {
        assert_eq!(code_for(Frame::Text(text)), Some(VoiceCloseCode::FailedToDecode), "{text}");
    }
    let deep = format!(r#"{{"op":5,"d":{}}}"#, "[".repeat(20_000));
    assert_eq!(code_for(Frame::Text(&deep)), Some(VoiceCloseCode::FailedToDecode));
}

#[test]
fn opcodes_that_are_none_or_the_servers_are_unknown() {
    for op in [2_u64, 4, 6, 8, 9, 10, 11, 13, 17, 18, 19, 20, 21, 22, 24, 33, 255, 256, u64::MAX] {
        assert_eq!(
            code_for(Frame::Text(&json!({"op": op, "d": {}}).to_string())),
            Some(VoiceCloseCode::UnknownOpcode),
            "{op}"
        );
    }
    // JSON in a binary message reads as opcode 123.
    for op in [25_u8, 27, 29, 30, 2, 123, 255] {
        assert_eq!(code_for(Frame::Binary(&[op, 1])), Some(VoiceCloseCode::UnknownOpcode), "{op}");
    }
}

#[test]
fn the_wrong_form_of_an_opcode_cannot_be_decoded() {
    for frame in
        [Frame::Text(r#"{"op":26,"d":{}}"#), Frame::Binary(&[5, b'{', b'}']), Frame::Binary(&[]), Frame::Binary(&[26])]
    {
        assert_eq!(code_for(frame), Some(VoiceCloseCode::FailedToDecode), "{frame:?}");
    }
}

#[test]
fn too_long_ones_are_not_looked_at() {
    let max_bytes = VoiceConfig::default().payload_max_bytes;
    let long = |bytes: usize| {
        let head = r#"{"op":5,"d":{"speaking":1,"x":""#;
        format!("{head}{}\"}}}}", "x".repeat(bytes - head.len() - 3))
    };
    let (fits, too_long) = (long(max_bytes), long(max_bytes + 1));
    assert_eq!((fits.len(), too_long.len()), (max_bytes, max_bytes + 1));
    assert_eq!(code_for(Frame::Text(&fits)), None);
    assert_eq!(code_for(Frame::Text(&too_long)), Some(VoiceCloseCode::FailedToDecode));
    assert_eq!(code_for(Frame::Binary(&vec![26; max_bytes + 1])), Some(VoiceCloseCode::FailedToDecode));
}

#[test]
fn too_many_are_closed_with_4021() {
    let mut session = session_with(8, VoiceConfig { rate_events: Some(5), ..VoiceConfig::default() });
    // IDENTIFY was the first.
    for n in 0..4 {
        send(&mut session, n, &json!({"op": 5, "d": {"speaking": 1}}));
    }
    assert_eq!(closed_with(&mut session), None);
    send(&mut session, 60_000, &json!({"op": 5, "d": {"speaking": 1}}));
    assert_eq!(closed_with(&mut session), None, "another window");
    (0..5).for_each(|_| send(&mut session, 60_001, &json!({"op": 5, "d": {"speaking": 1}})));
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::RateLimited));
}

proptest! {
    #[test]
    fn no_text_panics(number in 4_u8..9, op in 0_u8..34, d in ".{0,60}") {
        let mut session = session(number);
        session.handle_frame(1, Frame::Text(&format!(r#"{{"op":{op},"d":{d}}}"#)));
        session.handle_frame(1, Frame::Text(&d));
        while session.poll_transmit().is_some() {}
        events(&mut session);
    }

    #[test]
    fn no_bytes_panic(number in 4_u8..9, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut session = session(number);
        session.handle_frame(1, Frame::Binary(&bytes));
        while session.poll_transmit().is_some() {}
        events(&mut session);
    }
}
