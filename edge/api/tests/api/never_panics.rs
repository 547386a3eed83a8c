//! Whatever a client sends, it gets an answer.

use proptest::prelude::*;
use rookery_edge_api::{Request, routes};
use rookery_model::call::Reply;
use serde_json::{Value, json};

use crate::harness::{Host, OPERATOR_SECRET, TOKEN, ok};

/// Names of fields that routes read, so that the values behind them are met.
const FIELDS: [&str; 48] = [
    "content",
    "embeds",
    "title",
    "description",
    "fields",
    "name",
    "value",
    "footer",
    "text",
    "author",
    "image",
    "url",
    "timestamp",
    "color",
    "allowed_mentions",
    "parse",
    "users",
    "roles",
    "message_reference",
    "message_id",
    "nonce",
    "flags",
    "messages",
    "channels",
    "id",
    "parent_id",
    "permission_overwrites",
    "allow",
    "deny",
    "type",
    "position",
    "topic",
    "nick",
    "communication_disabled_until",
    "recipients",
    "recipient_id",
    "email",
    "username",
    "password",
    "login",
    "guild_id",
    "authorize",
    "permissions",
    "colors",
    "primary_color",
    "unicode_emoji",
    "system_channel_id",
    "max_age",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        (0..6_i64).prop_map(Value::from),
        "[0-9]{1,20}".prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "https?://[a-z:@/\\[\\]]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&FIELDS[..]), inner), 0..8).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A known route with anything in the places of its parameters.
fn target() -> impl Strategy<Value = (String, String)> {
    let segment = prop_oneof!["[0-9]{1,20}", "[^/]{0,12}", "(%[0-9A-F]{2}){0,6}", "[a-z]{1,5}:[0-9]{1,5}"];
    (prop::sample::select(routes()), prop::collection::vec(segment, 4)).prop_map(|(route, segments)| {
        let mut given = segments.into_iter();
        let path: Vec<String> = route
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { given.next().unwrap_or_default() } else { part.to_owned() })
            .collect();
        (route.method.to_owned(), format!("/api/v10{}", path.join("/")))
    })
}

fn check(request: Request) {
    let host = Host::answering(&ok(Reply::NoContent));
    let response = host.send(request);
    assert!((200..=599).contains(&response.status));
    if !response.body.is_empty() {
        serde_json::from_slice::<Value>(&response.body).unwrap();
    }
    assert!(host.call().is_none() || response.status < 300 || response.status == 500);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn known_routes_with_any_body(
        (method, path) in target(),
        query in prop::option::of("((limit|before|after|around|type|query|with_counts|scope)=[^&]{0,8}&?){0,4}"),
        body in value(),
    ) {
        let value = if path.starts_with("/api/v10/operator") {
            format!("Operator {OPERATOR_SECRET}")
        } else {
            TOKEN.clone()
        };
        let headers = vec![("authorization".to_owned(), value.into_bytes())];
        check(Request { method, path, query, headers, body: body.to_string().into_bytes() });
    }

    #[test]
    fn any_request(
        method in "(GET|POST|PUT|PATCH|DELETE|[A-Z]{0,8})",
        path in "(/api(/v[0-9]{1,3})?)?(/[^/]{0,12}){0,10}",
        query in prop::option::of(".{0,40}"),
        header in prop::collection::vec(any::<u8>(), 0..160),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let headers = vec![("Authorization".to_owned(), header.clone()), ("X-Audit-Log-Reason".to_owned(), header)];
        check(Request { method, path, query, headers, body });
    }
}
