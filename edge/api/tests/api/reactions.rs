//! Reactions and pins.

use rookery_model::call::{Call, EmojiRef, Reply};
use rookery_model::{ChannelId, EmojiId, MessageId, Timestamp, UserId};
use serde_json::json;

use crate::harness::{Case, Host, call_of, case, check, error, errors_of, json_of, ok, refused, request};
use crate::samples;

fn thumb() -> EmojiRef {
    EmojiRef::Unicode("👍".into())
}

fn custom(animated: bool) -> EmojiRef {
    EmojiRef::Custom { id: EmojiId::new(99), name: "owl".into(), animated }
}

pub fn cases() -> Vec<Case> {
    let mut cases = reaction_cases();
    cases.extend(pin_cases());
    cases
}

fn reaction_cases() -> Vec<Case> {
    let (channel_id, message_id, emoji) = (ChannelId::new(20), MessageId::new(60), thumb());
    vec![
        case!(PUT "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
            "/channels/20/messages/60/reactions/%F0%9F%91%8D/@me", None =>
            Call::AddReaction { channel_id, message_id, emoji: thumb() } => 204 Reply::NoContent),
        case!(DELETE "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
            "/channels/20/messages/60/reactions/owl%3A99/@me", None =>
            Call::RemoveReaction { channel_id, message_id, emoji: custom(false), user_id: None } => 204 Reply::NoContent),
        case!(DELETE "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}",
            "/channels/20/messages/60/reactions/a:owl:99/7", None =>
            Call::RemoveReaction { channel_id, message_id, emoji: custom(true), user_id: Some(UserId::new(7)) }
            => 204 Reply::NoContent),
        case!(GET "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}",
            "/channels/20/messages/60/reactions/%F0%9F%91%8D?limit=100&after=7&type=0", None =>
            Call::ListReactions { channel_id, message_id, emoji, after: Some(UserId::new(7)), limit: 100 }
            => 200 Reply::Users(vec![samples::user()])),
        case!(DELETE "/channels/{channel_id}/messages/{message_id}/reactions", "/channels/20/messages/60/reactions", None =>
            Call::ClearReactions { channel_id, message_id, emoji: None } => 204 Reply::NoContent),
        case!(DELETE "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}",
            "/channels/20/messages/60/reactions/%F0%9F%91%8D", None =>
            Call::ClearReactions { channel_id, message_id, emoji: Some(thumb()) } => 204 Reply::NoContent),
    ]
}

fn pin_cases() -> Vec<Case> {
    let (channel_id, message_id) = (ChannelId::new(20), MessageId::new(60));
    let before = Timestamp::parse("2021-08-10T11:16:37.020Z");
    vec![
        case!(GET "/channels/{channel_id}/messages/pins",
            "/channels/20/messages/pins?limit=5&before=2021-08-10T11:16:37.020%2B00:00", None =>
            Call::ListPinsPage { channel_id, before, limit: 5 } => 200 Reply::Pins { items: Vec::new(), has_more: false }),
        case!(PUT "/channels/{channel_id}/messages/pins/{message_id}", "/channels/20/messages/pins/60", None =>
            Call::PinMessage { channel_id, message_id } => 204 Reply::NoContent),
        case!(DELETE "/channels/{channel_id}/messages/pins/{message_id}", "/channels/20/messages/pins/60", None =>
            Call::UnpinMessage { channel_id, message_id } => 204 Reply::NoContent),
        case!(GET "/channels/{channel_id}/pins", "/channels/20/pins", None =>
            Call::ListPins { channel_id } => 200 Reply::Messages(Vec::new())),
        case!(PUT "/channels/{channel_id}/pins/{message_id}", "/channels/20/pins/60", None =>
            Call::PinMessage { channel_id, message_id } => 204 Reply::NoContent),
        case!(DELETE "/channels/{channel_id}/pins/{message_id}", "/channels/20/pins/60", None =>
            Call::UnpinMessage { channel_id, message_id } => 204 Reply::NoContent),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn an_emoji_has_one_form() {
    for path in ["%E2%9D%A4", "%E2%9D%A4%EF%B8%8F", "❤"] {
        let call = call_of("PUT", &format!("/channels/20/messages/60/reactions/{path}/@me"), json!({}));
        let Call::AddReaction { emoji, .. } = call else { panic!("{call:?}") };
        assert_eq!(emoji, EmojiRef::Unicode("\u{2764}\u{FE0F}".into()), "{path}");
    }
}

#[test]
fn what_is_no_emoji_is_unknown() {
    for path in ["thumbsup", "a", "%F0%9F", "owl:", "owl:x", "%F0%9F%91%8D%F0%9F%91%8D"] {
        for (method, tail) in [("PUT", "/@me"), ("DELETE", "/7"), ("GET", ""), ("DELETE", "")] {
            let (status, answer) =
                refused(method, &format!("/channels/20/messages/60/reactions/{path}{tail}"), json!({}));
            assert_eq!((status, answer), (400, json!({"message": "Unknown Emoji", "code": 10014})), "{method} {path}");
        }
    }
}

#[test]
fn pages_have_limits() {
    let reactions = "/channels/20/messages/60/reactions/%F0%9F%91%8D";
    let Call::ListReactions { limit, after, .. } = call_of("GET", reactions, json!({})) else { panic!() };
    assert_eq!((limit, after), (25, None));
    assert_eq!(
        errors_of("GET", &format!("{reactions}?limit=101&type=1"), json!({})),
        json!({
            "limit": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 100."),
            "type": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 0."),
        })
    );
    let pins = "/channels/20/messages/pins";
    let Call::ListPinsPage { limit, before, .. } = call_of("GET", pins, json!({})) else { panic!() };
    assert_eq!((limit, before), (50, None));
    // A plus sign that was not encoded.
    let bare_plus = format!("{pins}?before=2021-08-10T11:16:37+00:00");
    assert!(matches!(call_of("GET", &bare_plus, json!({})), Call::ListPinsPage { before: Some(_), .. }));
    assert_eq!(
        errors_of("GET", &format!("{pins}?limit=51&before=then"), json!({})),
        json!({
            "limit": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 50."),
            "before": error("DATE_TIME_TYPE_PARSE", "Could not parse then. Should be ISO8601."),
        })
    );
}

#[test]
fn the_page_of_pins_has_its_envelope() {
    let pins = vec![rookery_model::message::Pin { pinned_at: Timestamp(0), message: samples::message_entity() }];
    let host = Host::answering(&ok(Reply::Pins { items: pins, has_more: true }));
    let answer = json_of(&host.send(request("GET", "/channels/20/messages/pins", None)));
    assert_eq!(answer["has_more"], true);
    assert_eq!(answer["items"][0]["pinned_at"], "1970-01-01T00:00:00.000000+00:00");
    assert_eq!(answer["items"][0]["message"]["id"], "175928847299117063");
}
