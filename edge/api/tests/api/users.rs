//! `/users`, `/gateway` and `/voice`.

use rookery_model::call::{Call, GatewayBot, ListCurrentUserGuilds, ModifyCurrentUser, Reply, SessionStartLimit};
use rookery_model::{ChannelId, GuildId, Patch, UserId};
use serde_json::json;

use crate::harness::{
    Case, Host, call_of, case, check, error, errors_of, json_of, not_supported, ok, request, required,
};
use crate::samples;

pub fn cases() -> Vec<Case> {
    let gateway =
        || Reply::GatewayUrl { url: "wss://g".into(), webtransport_url: None, webtransport_cert_sha256: vec![] };
    let limit = SessionStartLimit { total: 1000, remaining: 999, reset_after: 5, max_concurrency: 1 };
    vec![
        case!(GET "/users/@me", "/users/@me", None => Call::GetCurrentUser => 200 samples::current_user()),
        case!(PATCH "/users/@me", "/users/@me", Some(json!({
            "username": "Ann", "global_name": null, "accent_color": 255, "avatar": null,
        })) => Call::ModifyCurrentUser(ModifyCurrentUser {
            username: Some("Ann".into()),
            global_name: Patch::Clear,
            accent_color: Patch::Set(255),
            ..Default::default()
        }) => 200 samples::current_user()),
        case!(GET "/users/{user_id}", "/users/8", None =>
            Call::GetUser { user_id: UserId::new(8) } => 200 Reply::User(Box::new(samples::user()))),
        case!(GET "/users/@me/guilds", "/users/@me/guilds?limit=5&after=3&with_counts=True", None =>
            Call::ListCurrentUserGuilds(ListCurrentUserGuilds {
                before: None,
                after: Some(GuildId::new(3)),
                limit: 5,
                with_counts: true,
            }) => 200 Reply::PartialGuilds(Vec::new())),
        case!(GET "/users/@me/guilds/{guild_id}/member", "/users/@me/guilds/10/member", None =>
            Call::GetCurrentUserGuildMember { guild_id: GuildId::new(10) } => 200 samples::member()),
        case!(DELETE "/users/@me/guilds/{guild_id}", "/users/@me/guilds/10", None =>
            Call::LeaveGuild { guild_id: GuildId::new(10) } => 204 Reply::NoContent),
        case!(GET "/users/@me/channels", "/users/@me/channels", None =>
            Call::ListDms => 200 Reply::Channels(vec![samples::channel_entity()])),
        case!(POST "/users/@me/channels", "/users/@me/channels", Some(json!({"recipient_id": "8"})) =>
            Call::CreateDm { recipient_ids: vec![UserId::new(8)], name: None } => 200 samples::channel()),
        case!(GET "/gateway", "/gateway", None => Call::GetGateway => 200 gateway()),
        case!(GET "/gateway/bot", "/gateway/bot", None => Call::GetGatewayBot => 200 Reply::GatewayBot(GatewayBot {
            url: "wss://g".into(),
            shards: 1,
            session_start_limit: limit,
        })),
        case!(POST "/gateway/url", "/gateway/url", None => Call::GatewayUrl => 200 gateway()),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn several_recipients_make_a_group() {
    let call = call_of("POST", "/users/@me/channels", json!({"recipients": ["8", 9], "name": " Birds "}));
    let recipient_ids = vec![UserId::new(8), UserId::new(9)];
    assert_eq!(call, Call::CreateDm { recipient_ids, name: Some("Birds".into()) });
}

#[test]
fn wrong_recipients() {
    let errors = |body| errors_of("POST", "/users/@me/channels", body);
    assert_eq!(errors(json!({})), json!({"recipient_id": required()}));
    assert_eq!(errors(json!({"recipient_id": null})), json!({"recipient_id": required()}));
    let not_snowflake = |value: &str| error("NUMBER_TYPE_COERCE", &format!("Value \"{value}\" is not snowflake."));
    assert_eq!(errors(json!({"recipient_id": "me"})), json!({"recipient_id": not_snowflake("me")}));
    assert_eq!(errors(json!({"recipient_id": -1})), json!({"recipient_id": not_snowflake("-1")}));
    assert_eq!(errors(json!({"recipient_id": 1.5})), json!({"recipient_id": not_snowflake("1.5")}));
    assert_eq!(errors(json!({"recipient_id": {"a": 1}})), json!({"recipient_id": not_snowflake("{…}")}));
    let too_large = error("NUMBER_TYPE_MAX", "snowflake value should be less than or equal to 9223372036854775807.");
    assert_eq!(errors(json!({"recipient_id": "9223372036854775808"})), json!({"recipient_id": too_large}));
    assert_eq!(
        errors(json!({"recipients": ["8", "8", null]})),
        json!({"recipients": {
            "1": error("SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value"),
            "2": required(),
        }})
    );
    assert_eq!(
        errors(json!({"recipients": (1..11).collect::<Vec<u32>>()})),
        json!({"recipients": error("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 9 in length.")})
    );
    assert_eq!(
        errors(json!({"recipients": "8"})),
        json!({"recipients": error("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")})
    );
    let group = json!({"recipient_id": "8", "access_tokens": ["t"]});
    assert_eq!(errors(group), json!({"access_tokens": not_supported("group DMs opened with access tokens")}));
}

#[test]
fn clearing_texts_of_ones_own() {
    let call = call_of("PATCH", "/users/@me", json!({"global_name": " ", "bio": null, "accent_color": null}));
    assert_eq!(
        call,
        Call::ModifyCurrentUser(ModifyCurrentUser {
            global_name: Patch::Clear,
            bio: Some(String::new()),
            accent_color: Patch::Clear,
            ..Default::default()
        })
    );
}

#[test]
fn a_bot_may_be_called_what_a_person_may_not() {
    let named = |name: &str| call_of("PATCH", "/users/@me", json!({ "username": name }));
    let changes = |name: &str| ModifyCurrentUser { username: Some(name.into()), ..Default::default() };
    assert_eq!(named(" Café Bot "), Call::ModifyCurrentUser(changes("Café Bot")));
    let wrong = |name: &str| {
        let errors = errors_of("PATCH", "/users/@me", json!({ "username": name }));
        errors["username"]["_errors"][0]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(wrong(" x "), "BASE_TYPE_BAD_LENGTH");
    assert_eq!(wrong(&"ü".repeat(33)), "BASE_TYPE_BAD_LENGTH");
    assert_eq!(wrong("a@b"), "USERNAME_INVALID_CONTAINS");
    assert_eq!(wrong("Everyone"), "USERNAME_RESERVED");
}

#[test]
fn an_own_page_has_its_limits() {
    assert_eq!(
        errors_of("PATCH", "/users/@me", json!({"avatar": "data:", "accent_color": 0x100_0000, "username": 5})),
        json!({
            "avatar": not_supported("avatars"),
            "accent_color": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215."),
            "username": error("STRING_TYPE_CONVERT", "Could not interpret \"5\" as string."),
        })
    );
    assert_eq!(
        errors_of("GET", "/users/@me/guilds?limit=201&before=x&with_counts=maybe", json!({})),
        json!({
            "limit": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 200."),
            "before": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake."),
            "with_counts": error("BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
        })
    );
    assert_eq!(
        errors_of("GET", "/users/abc", json!({})),
        json!({"user_id": error("NUMBER_TYPE_COERCE", "Value \"abc\" is not snowflake.")})
    );
}

#[test]
fn the_best_gateway_names_both_transports() {
    let webtransport_url = Some("https://w".to_owned());
    for (webtransport_url, expected) in [(None, json!(null)), (webtransport_url, json!("https://w"))] {
        let webtransport_cert_sha256 = vec!["ab".repeat(32)];
        let reply = Reply::GatewayUrl { url: "wss://g".into(), webtransport_url, webtransport_cert_sha256 };
        let host = Host::answering(&ok(reply));
        let answer = json_of(&host.send(request("POST", "/gateway/url", None)));
        assert_eq!(
            answer,
            json!({
                "url": "wss://g",
                "webtransport_url": expected,
                "webtransport_cert_sha256": ["ab".repeat(32)],
            })
        );
    }
}

#[test]
fn a_channel_id_is_a_string() {
    let host = Host::answering(&ok(samples::channel()));
    let answer = json_of(&host.send(request("POST", "/users/@me/channels", Some(&json!({"recipient_id": 8})))));
    assert_eq!(answer["id"], ChannelId::new(20).to_string());
}
