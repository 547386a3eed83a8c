//! Messages: create, list, edit, delete, acknowledge.

use rookery_model::call::{Call, CreateMessage, EditMessage, MessageRange, Reply};
use rookery_model::message::{AllowedMentions, MessageFlags, MessageReference, Nonce};
use rookery_model::{ChannelId, MessageId, Patch, RoleId, UserId};
use serde_json::{Value, json};

use crate::harness::{
    Case, Host, call_of, case, check, error, errors_of, json_of, not_supported, ok, refused, request, required,
};
use crate::samples;

const CHANNEL: ChannelId = ChannelId::new(20);
const MESSAGE: MessageId = MessageId::new(60);

fn new_message(content: &str) -> CreateMessage {
    CreateMessage {
        channel_id: CHANNEL,
        content: content.into(),
        tts: false,
        embeds: Vec::new(),
        allowed_mentions: None,
        message_reference: None,
        fail_if_not_exists: true,
        nonce: None,
        enforce_nonce: false,
        flags: MessageFlags::empty(),
    }
}

fn edit() -> EditMessage {
    EditMessage {
        channel_id: CHANNEL,
        message_id: MESSAGE,
        content: Patch::Keep,
        embeds: Patch::Keep,
        flags: Patch::Keep,
        allowed_mentions: Patch::Keep,
    }
}

pub fn create(body: Value) -> CreateMessage {
    match call_of("POST", "/channels/20/messages", body) {
        Call::CreateMessage(message) => *message,
        other => panic!("{other:?}"),
    }
}

pub fn create_errors(body: Value) -> Value {
    errors_of("POST", "/channels/20/messages", body)
}

pub fn cases() -> Vec<Case> {
    let (channel_id, message_id) = (CHANNEL, MESSAGE);
    let manual = json!({"manual": true, "mention_count": 3, "token": null});
    vec![
        case!(POST "/channels/{channel_id}/messages", "/channels/20/messages", Some(json!({"content": "hello"})) =>
            Call::CreateMessage(Box::new(new_message("hello"))) => 200 samples::message()),
        case!(GET "/channels/{channel_id}/messages", "/channels/20/messages?limit=100&before=60", None =>
            Call::ListMessages { channel_id, range: MessageRange::Before(MESSAGE), limit: 100 }
            => 200 Reply::Messages(vec![samples::message_entity()])),
        case!(GET "/channels/{channel_id}/messages/{message_id}", "/channels/20/messages/60", None =>
            Call::GetMessage { channel_id, message_id } => 200 samples::message()),
        case!(PATCH "/channels/{channel_id}/messages/{message_id}", "/channels/20/messages/60", Some(json!({"content": "b"})) =>
            Call::EditMessage(Box::new(EditMessage { content: Patch::Set("b".into()), ..edit() })) => 200 samples::message()),
        case!(DELETE "/channels/{channel_id}/messages/{message_id}", "/channels/20/messages/60", None =>
            Call::DeleteMessage { channel_id, message_id } => 204 Reply::NoContent),
        case!(POST "/channels/{channel_id}/messages/bulk-delete", "/channels/20/messages/bulk-delete",
            Some(json!({"messages": ["60", "61"]})) =>
            Call::BulkDeleteMessages { channel_id, message_ids: vec![MESSAGE, MessageId::new(61)] } => 204 Reply::NoContent),
        case!(POST "/channels/{channel_id}/messages/{message_id}/ack", "/channels/20/messages/60/ack", Some(manual) =>
            Call::AckMessage { channel_id, message_id, manual: true, mention_count: Some(3) } => 200 Reply::Acked),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn everything_a_message_may_have() {
    let body = json!({
        "content": "  hi <@7>\n", "tts": true, "nonce": "n1", "enforce_nonce": true, "flags": 4 | 64 | 4096,
        "allowed_mentions": {"parse": ["roles", "everyone"], "users": ["7"], "replied_user": true},
        "message_reference": {"message_id": "59", "channel_id": "20", "guild_id": "10", "fail_if_not_exists": false},
        "components": [], "sticker_ids": [], "attachments": [], "poll": null, "embeds": [],
    });
    let expected = CreateMessage {
        tts: true,
        nonce: Some(Nonce::Text("n1".into())),
        enforce_nonce: true,
        flags: MessageFlags::SUPPRESS_EMBEDS | MessageFlags::SUPPRESS_NOTIFICATIONS,
        allowed_mentions: Some(AllowedMentions {
            parse_roles: true,
            parse_everyone: true,
            users: vec![UserId::new(7)],
            replied_user: true,
            ..Default::default()
        }),
        message_reference: Some(MessageReference {
            kind: 0,
            message_id: Some(MessageId::new(59)),
            channel_id: Some(CHANNEL),
            guild_id: Some(rookery_model::GuildId::new(10)),
        }),
        fail_if_not_exists: false,
        ..new_message("hi <@7>")
    };
    assert_eq!(create(body), expected);
}

#[test]
fn a_message_must_say_something() {
    for body in [json!({}), json!({"content": ""}), json!({"content": " \n\t"}), json!({"content": null, "embeds": []})]
    {
        let (status, answer) = refused("POST", "/channels/20/messages", body);
        assert_eq!((status, answer), (400, json!({"message": "Cannot send an empty message", "code": 50006})));
    }
    // No body at all is an empty one.
    let host = Host::answering(&ok(samples::message()));
    assert_eq!(json_of(&host.send(request("POST", "/channels/20/messages", None)))["code"], 50006);
}

#[test]
fn content_is_counted_in_characters() {
    assert_eq!(create(json!({"content": "🦉".repeat(2_000)})).content.chars().count(), 2_000);
    assert_eq!(
        create_errors(json!({"content": "🦉".repeat(2_001)})),
        json!({"content": error("BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.")})
    );
    for (wrong, quoted) in [(json!(5), "5"), (json!(["a"]), "[…]"), (json!(true), "true")] {
        let message = format!("Could not interpret \"{quoted}\" as string.");
        assert_eq!(
            create_errors(json!({"content": wrong})),
            json!({"content": error("STRING_TYPE_CONVERT", &message)})
        );
    }
}

#[test]
fn limits_are_the_operators() {
    let mut host = Host::answering(&ok(samples::message()));
    host.config.limits.message_content_max_chars = 3;
    let response = host.send(request("POST", "/channels/20/messages", Some(&json!({"content": "four"}))));
    assert_eq!(json_of(&response)["errors"]["content"], error("BASE_TYPE_MAX_LENGTH", "Must be 3 or fewer in length."));
}

#[test]
fn nonces_keep_their_form() {
    let nonce = |nonce: Value| create(json!({"content": "x", "nonce": nonce})).nonce;
    assert_eq!(nonce(json!("1")), Some(Nonce::Text("1".into())));
    assert_eq!(nonce(json!(-1)), Some(Nonce::Integer(-1)));
    assert_eq!(nonce(json!(null)), None);
    let wrong = |nonce: Value| create_errors(json!({"content": "x", "nonce": nonce}));
    let too_long = error("NONCE_TYPE_TOO_LONG", "Must be 25 or fewer characters long.");
    assert_eq!(wrong(json!("x".repeat(26))), json!({"nonce": too_long}));
    let invalid = error("NONCE_TYPE_INVALID_TYPE", "This field must be a string or integer.");
    assert_eq!(wrong(json!(1.5)), json!({"nonce": invalid}));
    assert_eq!(wrong(json!({})), json!({"nonce": invalid}));
    let bounds = "Must be between -9223372036854775808 and 9223372036854775807.";
    assert_eq!(wrong(json!(u64::MAX)), json!({"nonce": error("NONCE_TYPE_OUT_OF_BOUNDS", bounds)}));
}

#[test]
fn mentions_are_parsed_or_listed() {
    let mentions = |mentions: Value| create(json!({"content": "x", "allowed_mentions": mentions})).allowed_mentions;
    assert_eq!(mentions(json!(null)), None);
    assert_eq!(mentions(json!({})), Some(AllowedMentions::default()));
    let roles = AllowedMentions { parse_users: true, roles: vec![RoleId::new(30)], ..Default::default() };
    assert_eq!(mentions(json!({"parse": ["users"], "users": [], "roles": ["30"]})), Some(roles));
    let both = json!({"parse": ["users", "roles"], "users": ["1"], "roles": ["2"]});
    let exclusive = |kind: &str| {
        let message = format!("parse:[\"{kind}\"] and {kind}: [ids...] are mutually exclusive.");
        json!({"code": "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", "message": message})
    };
    assert_eq!(
        create_errors(json!({"content": "x", "allowed_mentions": both})),
        json!({"allowed_mentions": {"_errors": [exclusive("users"), exclusive("roles")]}})
    );
    let many: Vec<u32> = (0..101).collect();
    assert_eq!(
        create_errors(json!({"content": "x", "allowed_mentions": {"parse": ["all"], "users": many, "roles": ["x"]}})),
        json!({"allowed_mentions": {
            "parse": {"0": error("BASE_TYPE_CHOICES", "Value must be one of {'users', 'roles', 'everyone'}.")},
            "users": error("BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length."),
            "roles": {"0": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake.")},
        }})
    );
}

#[test]
fn replies_name_a_message_and_forwards_are_refused() {
    assert!(create(json!({"content": "x", "message_reference": {"message_id": 59}})).fail_if_not_exists);
    assert_eq!(
        create_errors(json!({"content": "x", "message_reference": {}})),
        json!({"message_reference": {"message_id": required()}})
    );
    assert_eq!(
        create_errors(json!({"content": "x", "message_reference": {"type": 1, "message_id": "59"}})),
        json!({"message_reference": {"type": error("BASE_TYPE_CHOICES", "Value must be one of {0}.")}})
    );
}

#[test]
fn what_cannot_be_stored_is_never_dropped_in_silence() {
    let errors = create_errors(json!({
        "content": "x", "sticker_ids": ["1"], "components": [{"type": 1}], "attachments": [{"id": 0}],
        "poll": {"question": {"text": "?"}}, "flags": 1 << 15, "embed": {"title": "old"},
    }));
    assert_eq!(
        errors,
        json!({
            "sticker_ids": not_supported("stickers"),
            "components": not_supported("message components"),
            "attachments": not_supported("attachments"),
            "poll": not_supported("polls"),
            "flags": error("FIELD_NOT_SUPPORTED", "This deployment does not support these kinds of messages yet."),
            "embed": error("FIELD_NOT_SUPPORTED", "Use the list embeds instead."),
        })
    );
    let mut request = request("POST", "/channels/20/messages", None);
    request.headers[0].1 = b"Multipart/form-data; boundary=x".to_vec();
    request.body = b"--x--".to_vec();
    let host = Host::answering(&ok(samples::message()));
    let response = host.send(request);
    assert_eq!((response.status, &json_of(&response)["code"], host.call()), (415, &json!(50068), None));
}

#[test]
fn pages_of_messages() {
    let range = |query: &str| match call_of("GET", &format!("/channels/20/messages{query}"), json!({})) {
        Call::ListMessages { range, limit, .. } => (range, limit),
        other => panic!("{other:?}"),
    };
    assert_eq!(range(""), (MessageRange::Latest, 50));
    assert_eq!(range("?limit=1&after=0"), (MessageRange::After(MessageId::new(0)), 1));
    assert_eq!(range("?around=60"), (MessageRange::Around(MESSAGE), 50));
    assert_eq!(range("?x=1&&before=60&"), (MessageRange::Before(MESSAGE), 50));
    let wrong = |query: &str| errors_of("GET", &format!("/channels/20/messages{query}"), json!({}));
    assert_eq!(
        wrong("?limit=0"),
        json!({"limit": error("NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.")})
    );
    assert_eq!(
        wrong("?limit=101"),
        json!({"limit": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 100.")})
    );
    assert_eq!(wrong("?limit=ten"), json!({"limit": error("NUMBER_TYPE_COERCE", "Value \"ten\" is not int.")}));
    assert_eq!(wrong("?limit="), json!({"limit": error("NUMBER_TYPE_COERCE", "Value \"\" is not int.")}));
    assert_eq!(wrong("?before=x"), json!({"before": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake.")}));
    let exclusive = error("MUTUALLY_EXCLUSIVE", "Only one of around, before and after may be given.");
    assert_eq!(wrong("?before=1&after=2"), json!({"after": exclusive}));
    assert_eq!(wrong("?before=1&after=2&around=3"), json!({"before": exclusive, "after": exclusive}));
}

#[test]
fn edits_keep_clear_or_set() {
    let edited = |body| match call_of("PATCH", "/channels/20/messages/60", body) {
        Call::EditMessage(edit) => *edit,
        other => panic!("{other:?}"),
    };
    assert_eq!(edited(json!({})), edit());
    assert_eq!(edited(json!({"content": null})).content, Patch::Clear);
    assert_eq!(edited(json!({"content": "  "})).content, Patch::Clear);
    assert_eq!(edited(json!({"embeds": []})).embeds, Patch::Clear);
    assert_eq!(edited(json!({"flags": 4 | 1})).flags, Patch::Set(MessageFlags::SUPPRESS_EMBEDS));
    assert_eq!(edited(json!({"allowed_mentions": null})).allowed_mentions, Patch::Clear);
    let (status, answer) = refused("PATCH", "/channels/20/messages/60", json!({"content": "", "embeds": null}));
    assert_eq!((status, &answer["code"]), (400, &json!(50006)));
    assert_eq!(
        errors_of(
            "PATCH",
            "/channels/20/messages/60",
            json!({"content": "x".repeat(2_001), "attachments": [{"id": 1}]})
        ),
        json!({
            "content": error("BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length."),
            "attachments": not_supported("attachments"),
        })
    );
}

#[test]
fn bulk_deletion_wants_2_to_100_messages() {
    let count = |count: u32| json!({"messages": (0..count).collect::<Vec<_>>()});
    for wrong in [0, 1, 101] {
        let (status, answer) = refused("POST", "/channels/20/messages/bulk-delete", count(wrong));
        assert_eq!((status, &answer["code"]), (400, &json!(50016)), "{wrong}");
    }
    assert!(matches!(
        call_of("POST", "/channels/20/messages/bulk-delete", count(100)),
        Call::BulkDeleteMessages { .. }
    ));
    let wrong = |body| errors_of("POST", "/channels/20/messages/bulk-delete", body);
    assert_eq!(wrong(json!({})), json!({"messages": required()}));
    let twice = error("SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value");
    assert_eq!(wrong(json!({"messages": ["1", 1]})), json!({"messages": {"1": twice}}));
    let no_list = error("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
    assert_eq!(wrong(json!({"messages": "1"})), json!({"messages": no_list}));
}

#[test]
fn an_acknowledgement_is_answered_without_a_token() {
    let host = Host::answering(&ok(Reply::Acked));
    let response = host.send(request("POST", "/channels/20/messages/60/ack", Some(&json!({"token": null}))));
    assert_eq!(json_of(&response), json!({"token": null}));
}
