//! CALL_CONNECT: read in both encodings, closed with 4002 when malformed, 4003 too early.

use rookery_model::ChannelId;
use rookery_model::gateway::CallConnect;
use rookery_session::{Action, ClientPayload, Encoding, Frame};
use serde_json::json;

use crate::common::*;

#[test]
fn it_reaches_the_shell_in_both_encodings() {
    let payload = json!({"op": 13, "d": {"channel_id": "5"}});
    let (text, term) = (payload.to_string(), encode(Encoding::Etf, &payload));
    let wanted = CallConnect { channel_id: ChannelId::new(5) };
    for (encoding, frame) in [(Encoding::Json, Frame::Text(&text)), (Encoding::Etf, Frame::Binary(&term))] {
        assert_eq!(ClientPayload::decode(encoding, frame), Ok(ClientPayload::CallConnect(wanted)));
    }
    let (mut session, _) = session("v=10", 0);
    session.handle_frame(1, Frame::Text(&text));
    assert_eq!(session.poll_action(), Some(Action::CallConnect(wanted)));
}

#[test]
fn what_names_no_channel_is_4002_and_before_identify_all_is_4003() {
    for text in [r#"{"op":13,"d":{}}"#, r#"{"op":13,"d":null}"#, r#"{"op":13,"d":{"channel_id":"general"}}"#] {
        let code = ClientPayload::decode(Encoding::Json, Frame::Text(text)).map_err(|code| code.code());
        assert_eq!(code, Err(4002), "{text}");
    }
    assert_eq!(close_code_of("v=10", Frame::Text(r#"{"op":13,"d":{"channel_id":"5"}}"#)), Some(4003));
}
