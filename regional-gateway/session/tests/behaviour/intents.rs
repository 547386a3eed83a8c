//! Which events a session gets, and how much of a message.

use crate::common::*;
use rookery_model::gateway::event::MemberEvent;
use rookery_model::gateway::{Event, Intents};
use rookery_model::message::{Attachment, Message};
use rookery_model::user::User;
use rookery_model::{AttachmentId, GuildId, Timestamp, UserId};
use rookery_session::{Encoding, Payload};
use serde_json::Value;

#[test]
fn only_wanted_events_take_a_number() {
    let (mut session, mut reader) = session("v=10", (Intents::GUILDS | Intents::DIRECT_MESSAGES).bits());
    assert!(!session.handle_dispatch(Payload::new(message_create(message(1, 2, "a"), Some(1)))));
    assert!(session.handle_dispatch(Payload::new(message_create(message(2, 2, "b"), None))));
    assert!(!session.handle_dispatch(Payload::new(numbered(3))));
    assert!(session.handle_own_dispatch(&ready("s1")));
    let sent = drain(&mut session, &mut reader);
    assert_eq!(
        sent.iter().map(|p| (p["s"].as_u64(), p["t"].as_str())).collect::<Vec<_>>(),
        [(Some(1), Some("MESSAGE_CREATE")), (Some(2), Some("READY"))]
    );
}

fn member_update(user_id: u64) -> Event {
    let member = rookery_model::member::MemberRow {
        guild_id: GuildId::new(1),
        user_id: UserId::new(user_id),
        nick: Some("nick".into()),
        avatar: None,
        roles: vec![],
        joined_at: Timestamp(0),
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    };
    let member = member.view(Some(user(user_id)));
    Event::GuildMemberUpdate(MemberEvent { guild_id: GuildId::new(1), member })
}

#[test]
fn ones_own_membership_changes_are_told_whatever_the_intents() {
    let (mut session, mut reader) = session("v=10", Intents::GUILDS.bits());
    let own = session.user_id().get();
    assert!(session.handle_dispatch(Payload::new(member_update(own))));
    assert!(!session.handle_dispatch(Payload::new(member_update(own + 1))));
    let sent = drain(&mut session, &mut reader);
    assert_eq!((sent.len(), sent[0]["t"].as_str()), (1, Some("GUILD_MEMBER_UPDATE")));
}

fn content(id: u64, author: u64, mentions: &[u64]) -> Message {
    let mut message = message(id, author, "secret");
    message.mentions = mentions.iter().map(|id| user(*id)).collect::<Vec<User>>();
    message.attachments = vec![Attachment {
        id: AttachmentId::new(1),
        filename: "secret.png".into(),
        description: None,
        content_type: None,
        size: 1,
        url: "http://127.0.0.1/secret".into(),
        proxy_url: "http://127.0.0.1/secret".into(),
        width: None,
        height: None,
    }];
    message
}

/// Whether the outer and the referenced message's content can be seen.
fn seen(event: Event, viewer: u64, intents: Option<Intents>, encoding: Encoding) -> (bool, Option<bool>) {
    let data = Payload::new(event).data_for(encoding, UserId::new(viewer), intents);
    let data: Value = match encoding {
        Encoding::Json => serde_json::from_slice(&data).expect("JSON"),
        Encoding::Etf => rookery_session::etf::from_term(&data).expect("ETF"),
        Encoding::Cbor => rookery_session::cbor::from_slice(&data).expect("CBOR"),
    };
    let visible = |m: &Value| {
        let shown = m["content"] == "secret";
        let rest = ["attachments", "embeds", "components"].map(|f| m[f].as_array().expect("a list").len());
        assert_eq!(shown, rest[0] == 1, "content and attachments go together");
        shown
    };
    (visible(&data), data.get("referenced_message").filter(|m| m.is_object()).map(visible))
}

#[test]
fn content_without_the_intent_is_only_ones_own_or_meant_for_one() {
    let some = Some(Intents::GUILD_MESSAGES);
    let with = Some(Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT);
    for encoding in [Encoding::Json, Encoding::Etf, Encoding::Cbor] {
        let plain = |author, mentions: &[u64], guild, viewer, intents| {
            seen(message_create(content(1, author, mentions), guild), viewer, intents, encoding).0
        };
        assert!(!plain(2, &[], Some(1), 7, some));
        assert!(plain(2, &[], Some(1), 7, with));
        assert!(plain(2, &[], Some(1), 7, None), "people see everything");
        assert!(plain(2, &[], None, 7, some), "DM");
        assert!(plain(7, &[], Some(1), 7, some), "own");
        assert!(plain(2, &[7], Some(1), 7, some), "mention");
        assert!(!plain(2, &[8], Some(1), 7, some), "mention of another");
    }
}

#[test]
fn the_message_replied_to_is_judged_by_itself() {
    let some = Some(Intents::GUILD_MESSAGES);
    let reply = |outer: Message, inner: Message| {
        let mut outer = outer;
        outer.referenced_message = Some(Some(Box::new(inner)));
        message_create(outer, Some(1))
    };
    for encoding in [Encoding::Json, Encoding::Etf, Encoding::Cbor] {
        let of = |event| seen(event, 7, some, encoding);
        assert_eq!(of(reply(content(2, 3, &[]), content(1, 2, &[]))), (false, Some(false)));
        assert_eq!(of(reply(content(2, 3, &[7]), content(1, 2, &[]))), (true, Some(false)));
        assert_eq!(of(reply(content(2, 3, &[]), content(1, 7, &[]))), (false, Some(true)));
        assert_eq!(of(reply(content(2, 3, &[7]), content(1, 7, &[]))), (true, Some(true)));
    }
    let mut gone = content(2, 3, &[]);
    gone.referenced_message = Some(None);
    assert_eq!(seen(message_create(gone, Some(1)), 7, some, Encoding::Json), (false, None));
}

#[test]
fn sessions_share_the_same_bytes() {
    let payload = Payload::new(message_create(content(1, 2, &[]), Some(1)));
    let of = |viewer, intents| payload.data_for(Encoding::Json, UserId::new(viewer), Some(intents)).as_ptr();
    let (some, with) = (Intents::GUILD_MESSAGES, Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT);
    assert_eq!(of(7, some), of(8, some));
    assert_eq!(of(7, with), of(8, with));
    assert_ne!(of(7, some), of(7, with));
}
