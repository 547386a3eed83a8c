//! GUILD_SUBSCRIPTIONS and its bulk form: read in both encodings, closed with 4002 beyond bounds, 4003 too early.

use crate::common::*;
use rookery_session::{Action, ClientPayload, Encoding, Frame};
use serde_json::{Value, json};

fn both_encodings(payload: &Value) -> [Result<ClientPayload, u16>; 2] {
    let (text, term) = (payload.to_string(), encode(Encoding::Etf, payload));
    [(Encoding::Json, Frame::Text(&text)), (Encoding::Etf, Frame::Binary(&term))]
        .map(|(encoding, frame)| ClientPayload::decode(encoding, frame).map_err(|code| code.code()))
}

#[test]
fn both_forms_reach_the_shell_in_both_encodings() {
    let look = json!({"typing": true, "channels": {"5": [[0, 99], [100, 199]]}, "members": ["7"]});
    let mut one = look.clone();
    one["guild_id"] = json!("1");
    let single = both_encodings(&json!({"op": 14, "d": one}));
    assert_eq!(single[0], single[1]);
    let Ok(ClientPayload::GuildSubscriptions(single)) = &single[0] else { panic!("{single:?}") };
    let bulk = both_encodings(&json!({"op": 37, "d": {"subscriptions": {"1": look}}}));
    assert_eq!(bulk[0], bulk[1]);
    let Ok(ClientPayload::GuildSubscriptionsBulk(bulk)) = &bulk[0] else { panic!("{bulk:?}") };
    assert_eq!(bulk.subscriptions[&single.guild_id], single.subscription);

    let (mut session, _) = session("v=10", 0);
    session.handle_frame(1, Frame::Text(r#"{"op":37,"d":{"subscriptions":{"1":{"typing":true}}}}"#));
    assert!(matches!(session.poll_action(), Some(Action::GuildSubscriptionsBulk(_))));
}

#[test]
fn beyond_bounds_is_4002() {
    let ranges = |count: u32| (0..count).map(|n| json!([n * 100, n * 100 + 99])).collect::<Vec<_>>();
    let channels =
        |count: u64| (1..=count).map(|id| (id.to_string(), json!([[0, 99]]))).collect::<serde_json::Map<_, _>>();
    for (channels, is_read) in [
        (json!({"5": ranges(5)}), true),
        (json!({"5": ranges(6)}), false),
        (json!({"5": ranges(10_000)}), false),
        (json!({"5": [[0, 100]]}), false),
        (json!({"5": [[100, 199]]}), false),
        (json!({"5": "all"}), false),
        (Value::Object(channels(5)), true),
        (Value::Object(channels(6)), false),
    ] {
        let look = json!({"guild_id": "1", "channels": channels});
        for payload in [json!({"op": 14, "d": look}), json!({"op": 37, "d": {"subscriptions": {"1": look}}})] {
            let code = (!is_read).then_some(4002);
            assert_eq!(both_encodings(&payload).map(|read| read.err()), [code, code]);
        }
    }
}

#[test]
fn before_identify_it_is_4003() {
    assert_eq!(close_code_of("v=10", Frame::Text(r#"{"op":37,"d":{"subscriptions":{}}}"#)), Some(4003));
    assert_eq!(close_code_of("v=10", Frame::Text(r#"{"op":14,"d":{"guild_id":"1"}}"#)), Some(4003));
}
