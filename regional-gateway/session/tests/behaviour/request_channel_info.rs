//! REQUEST_CHANNEL_INFO: read in both encodings, closed with 4002 when malformed, 4003 too early.

use rookery_model::GuildId;
use rookery_model::gateway::RequestChannelInfo;
use rookery_session::{Action, ClientPayload, Encoding, Frame};
use serde_json::json;

use crate::common::*;

#[test]
fn it_reaches_the_shell_in_both_encodings() {
    let payload = json!({"op": 43, "d": {"guild_id": "5", "fields": ["status", "voice_start_time"]}});
    let (text, term) = (payload.to_string(), encode(Encoding::Etf, &payload));
    let wanted =
        RequestChannelInfo { guild_id: GuildId::new(5), fields: vec!["status".into(), "voice_start_time".into()] };
    for (encoding, frame) in [(Encoding::Json, Frame::Text(&text)), (Encoding::Etf, Frame::Binary(&term))] {
        let read = ClientPayload::decode(encoding, frame);
        assert_eq!(read, Ok(ClientPayload::RequestChannelInfo(wanted.clone())));
    }
    let (mut session, _) = session("v=10", 0);
    session.handle_frame(1, Frame::Text(&text));
    assert_eq!(session.poll_action(), Some(Action::RequestChannelInfo(wanted)));
}

#[test]
fn what_names_no_guild_or_field_is_4002_and_before_identify_all_is_4003() {
    for text in [
        r#"{"op":43,"d":{"fields":["status"]}}"#,
        r#"{"op":43,"d":{"guild_id":"5"}}"#,
        r#"{"op":43,"d":{"guild_id":"5","fields":"status"}}"#,
        r#"{"op":43,"d":null}"#,
    ] {
        let code = ClientPayload::decode(Encoding::Json, Frame::Text(text)).map_err(|code| code.code());
        assert_eq!(code, Err(4002), "{text}");
    }
    let early = r#"{"op":43,"d":{"guild_id":"5","fields":["status"]}}"#;
    assert_eq!(close_code_of("v=10", Frame::Text(early)), Some(4003));
}
