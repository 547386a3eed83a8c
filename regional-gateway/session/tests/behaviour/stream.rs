//! Go Live's opcodes: read in both encodings, closed with 4002 where they cannot be, 4003 too early.

use crate::common::*;
use rookery_model::gateway::{StreamCreate, StreamName, StreamRequest, StreamSetPaused};
use rookery_model::{ChannelId, GuildId};
use rookery_session::{Action, ClientPayload, Encoding, Frame};
use serde_json::{Value, json};

const KEY: &str = "guild:1:2:3";

fn all() -> Vec<(Value, StreamRequest)> {
    let named = || StreamName { stream_key: KEY.into() };
    let create = json!({ "type": "guild", "guild_id": "1", "channel_id": "2", "preferred_region": "eu" });
    let created = StreamCreate {
        guild_id: Some(GuildId::new(1)),
        channel_id: ChannelId::new(2),
        preferred_region: Some("eu".into()),
    };
    vec![
        (json!({ "op": 18, "d": create }), StreamRequest::Create(created)),
        (json!({ "op": 19, "d": { "stream_key": KEY } }), StreamRequest::Delete(named())),
        (json!({ "op": 20, "d": { "stream_key": KEY } }), StreamRequest::Watch(named())),
        (json!({ "op": 21, "d": { "stream_key": KEY } }), StreamRequest::Ping(named())),
        (
            json!({ "op": 22, "d": { "stream_key": KEY, "paused": true } }),
            StreamRequest::SetPaused(StreamSetPaused { stream_key: KEY.into(), paused: true }),
        ),
    ]
}

#[test]
fn they_reach_the_shell_in_both_encodings() {
    let (mut session, _) = session("v=10", 0);
    for (payload, expected) in all() {
        let (text, term) = (payload.to_string(), encode(Encoding::Etf, &payload));
        for (encoding, frame) in [(Encoding::Json, Frame::Text(&text)), (Encoding::Etf, Frame::Binary(&term))] {
            assert_eq!(
                ClientPayload::decode(encoding, frame),
                Ok(ClientPayload::Stream(expected.clone())),
                "{payload}"
            );
        }
        session.handle_frame(1, Frame::Text(&text));
        assert_eq!(session.poll_action(), Some(Action::Stream(expected)));
    }
}

#[test]
fn what_cannot_be_read_is_4002() {
    for bad in [
        r#"{"op":18,"d":{"type":"guild","channel_id":"2"}}"#,
        r#"{"op":18,"d":{"type":"party","guild_id":"1","channel_id":"2"}}"#,
        r#"{"op":19,"d":{}}"#,
        r#"{"op":20,"d":{"stream_key":7}}"#,
        r#"{"op":21,"d":null}"#,
        r#"{"op":22,"d":{"stream_key":"guild:1:2:3"}}"#,
    ] {
        let read = ClientPayload::decode(Encoding::Json, Frame::Text(bad));
        assert_eq!(read.map_err(|code| code.code()), Err(4002), "{bad}");
    }
}

#[test]
fn before_identify_it_is_4003() {
    for (payload, _) in all() {
        assert_eq!(close_code_of("v=10", Frame::Text(&payload.to_string())), Some(4003), "{payload}");
    }
}
