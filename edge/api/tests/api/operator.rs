//! `/operator`.

use rookery_model::call::{Call, OperatorCall, OperatorReply, Reply, SeedReply, SeededUser};
use rookery_model::{ApplicationId, ChannelId, GuildId, MessageId, UserId};
use serde_json::json;

use crate::harness::{Case, Host, call_of, case, check, error, errors_of, json_of, ok, request, required};
use crate::samples;

pub fn cases() -> Vec<Case> {
    let draining = || Reply::Operator(OperatorReply::Draining { sessions: 3 });
    vec![
        case!(POST "/operator/seed", "/operator/seed", Some(json!({"users": 5000, "members": 1_000_000})) =>
            Call::Operator(OperatorCall::Seed { users: 5000, members: 1_000_000 }) => 200 seeded()),
        case!(GET "/operator/status", "/operator/status", None => Call::Operator(OperatorCall::Status) => 200 draining()),
        case!(GET "/operator/user", "/operator/user?query=ann%40example.com", None =>
            Call::Operator(OperatorCall::User { query: "ann@example.com".into() }) => 200 draining()),
        case!(GET "/operator/guild/{guild_id}", "/operator/guild/10", None =>
            Call::Operator(OperatorCall::Guild { guild_id: GuildId::new(10) }) => 200 draining()),
        case!(POST "/operator/user/{user_id}/erase", "/operator/user/7/erase", None =>
            Call::Operator(OperatorCall::EraseUser { user_id: UserId::new(7) }) => 200 draining()),
        case!(PUT "/operator/guild/{guild_id}/retention", "/operator/guild/10/retention", Some(json!({"max_age_days": 30})) =>
            Call::Operator(OperatorCall::SetRetention { guild_id: GuildId::new(10), max_age_days: Some(30) }) =>
            200 draining()),
        case!(POST "/operator/region/{region}/take-over", "/operator/region/eu/take-over", None =>
            Call::Operator(OperatorCall::TakeOver { region: "eu".into(), is_begun: true }) => 200 draining()),
        case!(POST "/operator/region/{region}/give-back", "/operator/region/eu-1/give-back", None =>
            Call::Operator(OperatorCall::TakeOver { region: "eu-1".into(), is_begun: false }) => 200 draining()),
        case!(POST "/operator/drain", "/operator/drain", None => Call::Operator(OperatorCall::Drain) => 200 draining()),
    ]
}

fn seeded() -> Reply {
    let seeded = |id| SeededUser { id: UserId::new(id), token: format!("t{id}") };
    Reply::Operator(OperatorReply::Seed(Box::new(SeedReply {
        guild_id: GuildId::new(1),
        channel_id: ChannelId::new(2),
        voice_channel_id: ChannelId::new(3),
        owner: seeded(4),
        application_id: ApplicationId::new(5),
        bot: seeded(5),
        users: vec![seeded(6)],
    })))
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn a_seed_is_answered_as_the_contract_says() {
    let answer = json_of(&Host::answering(&ok(seeded())).send(request("POST", "/operator/seed", None)));
    let seeded = |id: &str| json!({"id": id, "token": format!("t{id}")});
    assert_eq!(
        answer,
        json!({
            "guild_id": "1", "channel_id": "2", "voice_channel_id": "3", "owner": seeded("4"), "application_id": "5",
            "bot": seeded("5"), "users": [seeded("6")],
        })
    );
}

#[test]
fn the_other_answers() {
    let answer =
        |reply| json_of(&Host::answering(&ok(Reply::Operator(reply))).send(request("GET", "/operator/status", None)));
    assert_eq!(answer(OperatorReply::Draining { sessions: 3 }), json!({"sessions": 3}));
    let guild = OperatorReply::Guild {
        guild: Box::new(samples::guild_entity()),
        member_count: 2,
        channel_count: 1,
        retention_days: Some(30),
    };
    let guild = answer(guild);
    assert_eq!((&guild["member_count"], &guild["guild"]["name"]), (&json!(2), &json!("Birds")));
    assert_eq!(guild["retention_days"], json!(30));
    let (user_id, through) = (UserId::new(7), MessageId::new(9));
    assert_eq!(answer(OperatorReply::Erasing { user_id, through }), json!({"user_id": "7", "through": "9"}));
    let retention = OperatorReply::Retention { guild_id: GuildId::new(10), max_age_days: None };
    assert_eq!(answer(retention), json!({"guild_id": "10", "max_age_days": null}));
    let taken = OperatorReply::TakeOver { region: "eu".into(), by: "us".into(), is_begun: true };
    assert_eq!(answer(taken), json!({"region": "eu", "by": "us", "taken_over": true}));
}

#[test]
fn numbers_and_queries_have_limits() {
    assert_eq!(
        call_of("POST", "/operator/seed", json!({})),
        Call::Operator(OperatorCall::Seed { users: 0, members: 0 })
    );
    assert_eq!(
        errors_of("POST", "/operator/seed", json!({"users": -1, "members": 1_000_001})),
        json!({
            "users": error("NUMBER_TYPE_MIN", "int value should be greater than or equal to 0."),
            "members": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 1000000."),
        })
    );
    assert_eq!(errors_of("GET", "/operator/user", json!({})), json!({"query": required()}));
    assert_eq!(
        call_of("PUT", "/operator/guild/10/retention", json!({"max_age_days": null})),
        Call::Operator(OperatorCall::SetRetention { guild_id: GuildId::new(10), max_age_days: None })
    );
    assert_eq!(
        errors_of("PUT", "/operator/guild/10/retention", json!({"max_age_days": 0})),
        json!({"max_age_days": error("NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.")})
    );
    // What was left out by mistake does not lift the limit.
    assert_eq!(errors_of("PUT", "/operator/guild/10/retention", json!({})), json!({"max_age_days": required()}));
    assert_eq!(
        errors_of("PUT", "/operator/guild/10/retention", json!({"max_age_day": 30})),
        json!({"max_age_days": required()})
    );
}
