//! Voice states and stage instances.

use rookery_model::call::{
    Call, CreateStageInstance, ModifyCurrentVoiceState, ModifyStageInstance, ModifyVoiceState, Reply,
};
use rookery_model::voice::VoiceRegion;
use rookery_model::{ChannelId, GuildId, Patch, Timestamp, UserId};
use serde_json::json;

use crate::harness::{Case, call_of, case, check, error, errors_of, not_supported, required};
use crate::samples;

const GUILD: GuildId = GuildId::new(10);
const STAGE: ChannelId = ChannelId::new(20);
const USER: UserId = UserId::new(7);

pub fn cases() -> Vec<Case> {
    let own = ModifyCurrentVoiceState {
        channel_id: Some(STAGE),
        suppress: Some(true),
        request_to_speak_timestamp: Patch::Set(Timestamp(1_628_594_197_020_000)),
    };
    let ask = json!({
        "channel_id": "20", "suppress": true, "request_to_speak_timestamp": "2021-08-10T11:16:37.020Z",
    });
    let others = ModifyVoiceState { channel_id: Some(STAGE), suppress: Some(false) };
    let stage = CreateStageInstance {
        channel_id: STAGE,
        topic: "Owls".into(),
        privacy_level: 2,
        send_start_notification: true,
    };
    let start = json!({
        "channel_id": "20", "topic": " Owls ", "privacy_level": 2, "send_start_notification": true,
        "guild_scheduled_event_id": null,
    });
    let changes = ModifyStageInstance { topic: Some("Owls".into()), privacy_level: None };
    let regions = || Reply::VoiceRegions(vec![VoiceRegion::new("eu", true)]);
    vec![
        case!(GET "/voice/regions", "/voice/regions", None => Call::ListVoiceRegions => 200 regions()),
        case!(GET "/guilds/{guild_id}/regions", "/guilds/10/regions", None =>
            Call::ListGuildVoiceRegions { guild_id: GUILD } => 200 regions()),
        case!(GET "/guilds/{guild_id}/voice-states/@me", "/guilds/10/voice-states/@me", None =>
            Call::GetCurrentVoiceState { guild_id: GUILD } => 200 samples::voice_state()),
        case!(GET "/guilds/{guild_id}/voice-states/{user_id}", "/guilds/10/voice-states/7", None =>
            Call::GetVoiceState { guild_id: GUILD, user_id: USER } => 200 samples::voice_state()),
        case!(PATCH "/guilds/{guild_id}/voice-states/@me", "/guilds/10/voice-states/@me", Some(ask) =>
            Call::ModifyCurrentVoiceState { guild_id: GUILD, changes: own } => 204 Reply::NoContent),
        case!(PATCH "/guilds/{guild_id}/voice-states/{user_id}", "/guilds/10/voice-states/7",
            Some(json!({"channel_id": "20", "suppress": false})) =>
            Call::ModifyVoiceState { guild_id: GUILD, user_id: USER, changes: others } => 204 Reply::NoContent),
        case!(POST "/stage-instances", "/stage-instances", Some(start) =>
            Call::CreateStageInstance(stage) => 200 samples::stage_instance()),
        case!(GET "/stage-instances/{channel_id}", "/stage-instances/20", None =>
            Call::GetStageInstance { channel_id: STAGE } => 200 samples::stage_instance()),
        case!(PATCH "/stage-instances/{channel_id}", "/stage-instances/20", Some(json!({"topic": "Owls"})) =>
            Call::ModifyStageInstance { channel_id: STAGE, changes } => 200 samples::stage_instance()),
        case!(DELETE "/stage-instances/{channel_id}", "/stage-instances/20", None =>
            Call::DeleteStageInstance { channel_id: STAGE } => 204 Reply::NoContent),
        case!(PUT "/channels/{channel_id}/voice-status", "/channels/20/voice-status",
            Some(json!({"status": " Owls and rooks "})) =>
            Call::SetVoiceChannelStatus { channel_id: STAGE, status: Some("Owls and rooks".into()) } =>
            204 Reply::NoContent),
        case!(GET "/channels/{channel_id}/call", "/channels/20/call", None =>
            Call::GetCall { channel_id: STAGE } => 200 Reply::Ringable(true)),
        case!(PATCH "/channels/{channel_id}/call", "/channels/20/call", Some(json!({"region": "eu"})) =>
            Call::ModifyCall { channel_id: STAGE, region: Patch::Set("eu".into()) } => 204 Reply::NoContent),
        case!(POST "/channels/{channel_id}/call/ring", "/channels/20/call/ring", Some(json!({"recipients": ["7"]})) =>
            Call::RingCall { channel_id: STAGE, recipients: Some(vec![USER]) } => 204 Reply::NoContent),
        case!(POST "/channels/{channel_id}/call/stop-ringing", "/channels/20/call/stop-ringing", None =>
            Call::StopRingingCall { channel_id: STAGE, recipients: None } => 204 Reply::NoContent),
    ]
}

#[test]
fn requests_become_calls() {
    check(cases());
}

#[test]
fn who_is_rung_is_named_once_or_not_at_all() {
    let rung = |body| match call_of("POST", "/channels/20/call/ring", body) {
        Call::RingCall { recipients, .. } => recipients,
        other => panic!("{other:?}"),
    };
    assert_eq!(rung(json!({})), None);
    assert_eq!(rung(json!({"recipients": null})), None);
    assert_eq!(rung(json!({"recipients": []})), Some(vec![]));
    let errors = errors_of("POST", "/channels/20/call/ring", json!({"recipients": ["7", "7"]}));
    assert_eq!(
        errors["recipients"]["1"],
        error("SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value")
    );
    let many: Vec<String> = (1..=11).map(|id| id.to_string()).collect();
    let errors = errors_of("POST", "/channels/20/call/stop-ringing", json!({"recipients": many}));
    assert!(errors["recipients"]["_errors"].is_array(), "{errors}");
    let region = |body| match call_of("PATCH", "/channels/20/call", body) {
        Call::ModifyCall { region, .. } => region,
        other => panic!("{other:?}"),
    };
    assert_eq!((region(json!({})), region(json!({"region": null}))), (Patch::Keep, Patch::Clear));
}

#[test]
fn a_status_of_a_voice_channel_is_short_or_none() {
    let status = |body| match call_of("PUT", "/channels/20/voice-status", body) {
        Call::SetVoiceChannelStatus { status, .. } => status,
        other => panic!("{other:?}"),
    };
    for nothing in [json!({}), json!({"status": null}), json!({"status": ""}), json!({"status": "  "})] {
        assert_eq!(status(nothing), None);
    }
    let longest = "é".repeat(500);
    assert_eq!(status(json!({"status": longest})), Some(longest));
    let errors = errors_of("PUT", "/channels/20/voice-status", json!({"status": "é".repeat(501)}));
    let too_long = error("BASE_TYPE_MAX_LENGTH", "Must be 500 or fewer in length.");
    assert_eq!(errors, json!({"status": too_long}));
    assert!(errors_of("PUT", "/channels/20/voice-status", json!({"status": 5})).get("status").is_some());
}

#[test]
fn a_request_to_speak_is_left_set_and_cleared() {
    let asked = |body| match call_of("PATCH", "/guilds/10/voice-states/@me", body) {
        Call::ModifyCurrentVoiceState { changes, .. } => changes.request_to_speak_timestamp,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(json!({})), Patch::Keep);
    assert_eq!(asked(json!({"request_to_speak_timestamp": null})), Patch::Clear);
    // As some libraries say it.
    assert_eq!(asked(json!({"request_to_speak_timestamp": ""})), Patch::Clear);
}

#[test]
fn mistakes_stand_under_their_fields() {
    let wrong = json!({"channel_id": "x", "suppress": "no", "request_to_speak_timestamp": "tomorrow"});
    let errors = errors_of("PATCH", "/guilds/10/voice-states/@me", wrong);
    for field in ["channel_id", "suppress", "request_to_speak_timestamp"] {
        assert!(errors.get(field).is_some(), "{errors}");
    }
    assert!(errors_of("PATCH", "/guilds/10/voice-states/seven", json!({})).get("user_id").is_some());
    let nothing = errors_of("POST", "/stage-instances", json!({}));
    assert_eq!(nothing, json!({"channel_id": required(), "topic": required()}));
    let wrong = json!({
        "channel_id": "20", "topic": "x".repeat(121), "privacy_level": 1, "send_start_notification": 3,
        "guild_scheduled_event_id": "5",
    });
    let errors = errors_of("POST", "/stage-instances", wrong);
    assert_eq!(errors["privacy_level"], error("BASE_TYPE_CHOICES", "Value must be one of {2}."));
    assert_eq!(errors["guild_scheduled_event_id"], not_supported("scheduled events"));
    assert!(errors.get("topic").is_some() && errors.get("send_start_notification").is_some(), "{errors}");
    assert!(errors_of("PATCH", "/stage-instances/20", json!({"topic": " "})).get("topic").is_some());
}

#[test]
fn stages_are_made_as_channels_are() {
    let made = |limit| json!({"name": "Stage", "type": 13, "user_limit": limit});
    let Call::CreateGuildChannel { channel, .. } = call_of("POST", "/guilds/10/channels", made(10_000)) else {
        panic!()
    };
    assert_eq!(channel.user_limit, Some(10_000));
    assert!(errors_of("POST", "/guilds/10/channels", made(10_001)).get("user_limit").is_some());
    let voice = json!({"name": "Voice", "type": 2, "user_limit": 100});
    assert!(errors_of("POST", "/guilds/10/channels", voice).get("user_limit").is_some());
}
