//! IDENTIFY: what is accepted, and the code for everything else.

use crate::common::*;
use rookery_model::UserId;
use rookery_model::gateway::{CloseCode, Identify, Intents, Shard};
use rookery_session::{Action, Frame, SessionInit};
use serde_json::{Value, json};

fn waiting_identify(payload: &Value) -> Identify {
    let mut connection = connect("v=10");
    send(&mut connection, 1, payload);
    match connection.poll_action() {
        Some(Action::Identify(identify)) => *identify,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_each_library_sends_is_understood() {
    let payloads = [
        // discord.js 14
        r#"{"op":2,"d":{"token":"abc","properties":{"os":"linux","browser":"@discordjs/ws 1.2.1","device":"@discordjs/ws 1.2.1"},"intents":33281,"compress":false,"shard":[0,1]}}"#,
        // discord.py 2.7
        r#"{"op":2,"d":{"token":"abc","properties":{"os":"linux","browser":"discord.py","device":"discord.py"},"compress":true,"large_threshold":250,"shard":[0,1],"presence":{"status":"online","game":null,"since":0,"afk":false},"intents":33281}}"#,
        // twilight 0.18
        r#"{"d":{"compress":false,"intents":33281,"large_threshold":50,"properties":{"browser":"twilight.rs","device":"twilight.rs","os":"linux"},"shard":[0,1],"token":"Bot abc"},"op":2}"#,
        // serenity 0.12
        r#"{"op":2,"d":{"compress":true,"token":"Bot abc","large_threshold":250,"shard":[0,1],"intents":33281,"properties":{"browser":"serenity","device":"serenity","os":"linux"},"presence":{"afk":false,"status":"online","since":{"secs_since_epoch":1700000000,"nanos_since_epoch":1},"activities":[]}}}"#,
    ];
    for payload in payloads {
        let identify = waiting_identify(&serde_json::from_str(payload).expect("JSON"));
        assert_eq!(identify.token.bare(), "abc", "{payload}");
        assert_eq!(identify.intents().map(|i| i.map(|i| i.bits())), Ok(Some(33281)), "{payload}");
        assert_eq!(identify.shard(), Ok(Some(Shard { id: 0, count: 1 })), "{payload}");
    }
}

#[test]
fn bad_shards_are_4010() {
    for shard in [json!([1, 1]), json!([0, 0]), json!([-1, 1]), json!([0]), json!([0, 1, 2]), json!([])] {
        let payload = json!({"op": 2, "d": {"token": "t", "intents": 0, "shard": shard}}).to_string();
        assert_eq!(close_code_of("v=10", Frame::Text(&payload)), Some(4010), "{payload}");
    }
}

#[test]
fn bad_intents_are_4013() {
    for intents in [json!(1 << 17), json!(u64::MAX), json!(-1), json!(0.5)] {
        let payload = json!({"op": 2, "d": {"token": "t", "intents": intents}}).to_string();
        assert_eq!(close_code_of("v=9", Frame::Text(&payload)), Some(4013), "{payload}");
    }
}

#[test]
fn undecodable_data_is_4002() {
    for d in [
        json!(null),
        json!([]),
        json!("t"),
        json!({}),
        json!({"token": 5}),
        json!({"token": "t", "intents": "513"}),
        json!({"token": "t", "shard": "0/1"}),
        json!({"token": "t", "presence": {"status": "asleep"}}),
        json!(["t", {}, false]),
    ] {
        let payload = json!({"op": 2, "d": d}).to_string();
        assert_eq!(close_code_of("v=10", Frame::Text(&payload)), Some(4002), "{payload}");
    }
    assert_eq!(close_code_of("v=10", Frame::Text(r#"{"op":2}"#)), Some(4002));
}

#[test]
fn bots_must_name_intents_and_hold_the_privileged_ones() {
    let of = |intents: Value, is_bot, granted| {
        let identify = waiting_identify(&json!({"op": 2, "d": {"token": "t", "intents": intents}}));
        SessionInit::from_identify("s", UserId::new(7), is_bot, granted, &identify).map(|init| init.intents)
    };
    let none = Intents::empty();
    let content = Intents::MESSAGE_CONTENT;
    assert_eq!(of(json!(null), true, none), Err(CloseCode::InvalidIntents));
    assert_eq!(of(json!(null), false, none), Ok(None));
    assert_eq!(of(json!(0), true, none), Ok(Some(none)));
    assert_eq!(of(json!(1 << 15), true, none), Err(CloseCode::DisallowedIntents));
    assert_eq!(of(json!(1 << 15), true, Intents::GUILD_MEMBERS), Err(CloseCode::DisallowedIntents));
    assert_eq!(of(json!(1 << 15), true, content), Ok(Some(content)));
}

#[test]
fn twice_is_4005() {
    let mut connection = connect("v=10");
    send(&mut connection, 1, &identify(0));
    assert!(matches!(connection.poll_action(), Some(Action::Identify(_))));
    send(&mut connection, 2, &identify(0));
    assert_eq!(closed_with(&mut connection), Some(4005));

    let (mut session, _) = session("v=10", 0);
    session.handle_frame(2, Frame::Text(r#"{"op":6,"d":{"token":"t","session_id":"s1","seq":0}}"#));
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::AlreadyAuthenticated));
}

#[test]
fn anything_else_first_is_4003() {
    let payloads = [
        r#"{"op":3,"d":{"since":null,"activities":[],"status":"online","afk":false}}"#,
        r#"{"op":8,"d":{"guild_id":"1","query":"","limit":0}}"#,
        // Not even read.
        r#"{"op":4,"d":"garbage"}"#,
    ];
    for payload in payloads {
        assert_eq!(close_code_of("v=10", Frame::Text(payload)), Some(4003), "{payload}");
    }
}

#[test]
fn a_refused_token_is_4004() {
    let mut connection = connect("v=10");
    send(&mut connection, 1, &identify(0));
    assert!(matches!(connection.poll_action(), Some(Action::Identify(_))));
    connection.close(CloseCode::AuthenticationFailed);
    assert_eq!(closed_with(&mut connection), Some(4004));
    connection.handle_frame(3, Frame::Text(r#"{"op":1,"d":null}"#));
    assert!(connection.poll_transmit().is_none() && connection.poll_action().is_none());
}

#[test]
fn commands_of_an_identified_client_reach_the_shell() {
    let (mut session, _) = session("v=10", 0);
    session.handle_frame(1, Frame::Text(r#"{"op":3,"d":{"since":null,"activities":[],"status":"dnd","afk":false}}"#));
    session.handle_frame(1, Frame::Text(r#"{"op":4,"d":{"guild_id":"1","channel_id":null}}"#));
    session.handle_frame(1, Frame::Text(r#"{"op":8,"d":{"guild_id":"1","user_ids":["7"]}}"#));
    session.handle_frame(1, Frame::Text(r#"{"op":14,"d":{"guild_id":"1","channels":{"5":[[0,99]]}}}"#));
    session.handle_frame(1, Frame::Text(r#"{"op":31,"d":{"guild_ids":["1"]}}"#));
    let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
    assert!(
        matches!(
            &actions[..],
            [
                Action::PresenceUpdate(_),
                Action::VoiceStateUpdate(_),
                Action::RequestGuildMembers(_),
                Action::GuildSubscriptions(_),
                Action::RequestSoundboardSounds(_)
            ]
        ),
        "{actions:?}"
    );
}
