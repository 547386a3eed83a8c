//! The routes against the reference description of the API, and against the document that lists them.

use std::collections::{BTreeMap, BTreeSet};

use rookery_edge_api::routes;
use serde_json::json;

use crate::harness::{Case, errors_of};
use crate::{accounts, applications, channels, guilds, messages, operator, reactions, users, voice};

const REFERENCE: &str = include_str!("reference.txt");
const DOCUMENT: &str = include_str!("../../../../docs/api-coverage.md");

/// Routes that the reference description does not have; where their shapes come from stands in the document.
const ABSENT: [&str; 30] = [
    "GET /channels/{channel_id}/call",
    "PATCH /channels/{channel_id}/call",
    "POST /channels/{channel_id}/call/ring",
    "POST /channels/{channel_id}/call/stop-ringing",
    "POST /channels/{channel_id}/messages/{message_id}/ack",
    "POST /guilds",
    "DELETE /guilds/{guild_id}",
    "POST /guilds/{guild_id}/delete",
    "GET /users/@me/channels",
    "POST /gateway/url",
    "POST /invites/{code}",
    "POST /auth/register",
    "POST /auth/login",
    "POST /auth/logout",
    "GET /applications",
    "POST /applications",
    "DELETE /applications/{application_id}",
    "POST /applications/{application_id}/delete",
    "POST /applications/{application_id}/bot",
    "POST /applications/{application_id}/bot/reset",
    "POST /oauth2/authorize",
    "POST /operator/seed",
    "GET /operator/status",
    "GET /operator/user",
    "GET /operator/guild/{guild_id}",
    "POST /operator/user/{user_id}/erase",
    "PUT /operator/guild/{guild_id}/retention",
    "POST /operator/region/{region}/give-back",
    "POST /operator/region/{region}/take-over",
    "POST /operator/drain",
];

/// Parameters of queries that routes read, each with a text that is no value of it.
const QUERIES: [(&str, &str, &[&str]); 8] = [
    ("GET /channels/{channel_id}/messages", "/channels/20/messages", &["around", "before", "after", "limit"]),
    ("GET /channels/{channel_id}/messages/pins", "/channels/20/messages/pins", &["before", "limit"]),
    (
        "GET /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}",
        "/channels/20/messages/60/reactions/%F0%9F%91%8D",
        &["after", "limit", "type"],
    ),
    ("GET /guilds/{guild_id}", "/guilds/10", &["with_counts"]),
    ("GET /guilds/{guild_id}/members", "/guilds/10/members", &["limit", "after"]),
    ("GET /guilds/{guild_id}/members/search", "/guilds/10/members/search", &["limit"]),
    ("GET /invites/{code}", "/invites/abc", &["with_counts"]),
    ("GET /users/@me/guilds", "/users/@me/guilds", &["before", "after", "limit", "with_counts"]),
];

struct Operation {
    query: BTreeSet<&'static str>,
    statuses: Vec<&'static str>,
}

fn reference() -> BTreeMap<String, Operation> {
    let lines = REFERENCE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [method, path, query, statuses] = words[..] else { panic!("{line}") };
            let operation = Operation { query: query.split(',').collect(), statuses: statuses.split(',').collect() };
            (format!("{method} {path}"), operation)
        })
        .collect()
}

fn cases() -> Vec<Case> {
    [accounts::cases, applications::cases, channels::cases, guilds::cases, messages::cases, operator::cases]
        .into_iter()
        .chain([reactions::cases, users::cases, voice::cases])
        .flat_map(|cases| cases())
        .collect()
}

fn names() -> BTreeSet<String> {
    routes().into_iter().map(|route| format!("{} {}", route.method, route.path)).collect()
}

#[test]
fn a_route_is_in_the_reference_or_known_to_be_absent() {
    let reference = reference();
    let absent: BTreeSet<String> = ABSENT.iter().map(|name| (*name).to_owned()).collect();
    let unknown: Vec<String> =
        names().into_iter().filter(|name| !reference.contains_key(name) && !absent.contains(name)).collect();
    assert_eq!(unknown, Vec::<String>::new());
    assert!(absent.iter().all(|name| !reference.contains_key(name)), "no longer absent");
    assert!(absent.is_subset(&names()), "no longer a route");
}

#[test]
fn every_route_has_a_test_of_its_ordinary_use() {
    let tested: BTreeSet<String> = cases().iter().map(|case| format!("{} {}", case.method, case.route)).collect();
    let untested: Vec<String> = names().difference(&tested).cloned().collect();
    assert_eq!(untested, Vec::<String>::new());
}

#[test]
fn statuses_are_those_of_the_reference() {
    let reference = reference();
    for case in cases() {
        let name = format!("{} {}", case.method, case.route);
        if let Some(operation) = reference.get(&name) {
            assert!(operation.statuses.contains(&&*case.status.to_string()), "{name} answers {}", case.status);
        }
    }
}

#[test]
fn parameters_of_queries_are_those_of_the_reference_and_are_read() {
    let reference = reference();
    for (name, target, parameters) in QUERIES {
        for parameter in parameters {
            assert!(reference[name].query.contains(parameter), "{name} has no {parameter}");
            let method = name.split(' ').next().unwrap();
            let errors = errors_of(method, &format!("{target}?{parameter}=%21"), json!({}));
            assert!(errors.get(*parameter).is_some(), "{name} does not read {parameter}: {errors}");
        }
    }
}

#[test]
fn the_document_lists_every_route_once() {
    let listed: Vec<String> = DOCUMENT
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('`');
            cells.next().map(str::to_owned)
        })
        .collect();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(unique.len(), listed.len(), "a route is listed twice");
    assert_eq!(unique.symmetric_difference(&names()).collect::<Vec<_>>(), Vec::<&String>::new());
}
