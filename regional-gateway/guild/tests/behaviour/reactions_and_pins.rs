//! Reactions, pins and typing.

use rookery_guild::Limits;
use rookery_model::call::{Call, EmojiRef, ModifyMember};
use rookery_model::gateway::Event;
use rookery_model::message::MessageType;
use rookery_model::{ChannelId, EmojiId, ErrorCode, MessageId, Patch, Permissions, Timestamp, UserId};

use crate::world::*;

fn emoji(text: &str) -> EmojiRef {
    EmojiRef::Unicode(text.into())
}

fn add(channel_id: ChannelId, message_id: MessageId, text: &str) -> Call {
    Call::AddReaction { channel_id, message_id, emoji: emoji(text) }
}

fn remove(channel_id: ChannelId, message_id: MessageId, text: &str, user_id: Option<UserId>) -> Call {
    Call::RemoveReaction { channel_id, message_id, emoji: emoji(text), user_id }
}

#[test]
fn reactions_count_once_a_user_and_vanish_with_the_last() {
    let mut world = World::new();
    let general = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let id = world.say(ALICE, general, "hi").id;
    let outcome = world.ok(BOB, add(general, id, "👍"));
    let events = events_for(&outcome, alice);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let Event::MessageReactionAdd(event) = &**event else { panic!("{event:?}") };
    assert_eq!((event.user_id, event.message_author_id), (BOB, Some(ALICE)));
    assert!(event.member.as_ref().is_some_and(|member| member.user.is_some()));

    let again = world.ok(BOB, add(general, id, "👍"));
    assert!(again.writes.is_empty() && again.dispatches.is_empty());
    world.ok(ALICE, add(general, id, "👍"));
    assert_eq!(world.rows.counts[0].count, 2);

    world.refused(ALICE, remove(general, id, "👍", Some(BOB)), ErrorCode::MissingPermissions);
    world.refused(ALICE, remove(general, id, "🎉", None), ErrorCode::UnknownEmoji);
    assert_eq!(names_for(&world.ok(OWNER, remove(general, id, "👍", Some(BOB))), alice), ["MESSAGE_REACTION_REMOVE"]);
    assert!(world.ok(BOB, remove(general, id, "👍", None)).dispatches.is_empty());
    world.ok(ALICE, remove(general, id, "👍", None));
    assert!(world.rows.counts.is_empty() && world.rows.reactions.is_empty());
}

#[test]
fn a_new_emoji_needs_more_than_one_that_is_there() {
    let mut world = World::new();
    let general = world.general();
    let id = world.say(ALICE, general, "hi").id;
    world.ok(OWNER, add(general, id, "👍"));
    world.deny_everyone(general, Permissions::ADD_REACTIONS);
    world.ok(BOB, add(general, id, "👍"));
    world.refused(BOB, add(general, id, "🎉"), ErrorCode::MissingPermissions);
    world.deny_everyone(general, Permissions::READ_MESSAGE_HISTORY);
    world.refused(ALICE, add(general, id, "👍"), ErrorCode::MissingPermissions);
}

#[test]
fn a_member_in_time_out_reacts_to_nothing() {
    let mut world = World::new();
    let (guild_id, general) = (world.guild_id(), world.general());
    let id = world.say(ALICE, general, "hi").id;
    world.ok(ALICE, add(general, id, "👍"));
    let until = Timestamp(world.now.0 + 60_000_000);
    let changes = ModifyMember { communication_disabled_until: Patch::Set(until), ..ModifyMember::default() };
    world.ok(OWNER, Call::ModifyMember { guild_id, user_id: BOB, changes });
    world.refused(BOB, add(general, id, "👍"), ErrorCode::MissingPermissions);
    world.refused(BOB, add(general, id, "🎉"), ErrorCode::MissingPermissions);
    world.pass_ms(60_000);
    world.ok(BOB, add(general, id, "👍"));
}

#[test]
fn what_cannot_be_reacted_with_or_to() {
    let mut world = World::with_limits(Limits { message_reactions_max: 2, ..Limits::default() });
    let general = world.general();
    let id = world.say(ALICE, general, "hi").id;
    world.refused(BOB, add(general, MessageId::new(4), "👍"), ErrorCode::UnknownMessage);
    world.refused(BOB, add(general, id, "words"), ErrorCode::UnknownEmoji);
    let custom = EmojiRef::Custom { id: EmojiId::new(3), name: "x".into(), animated: false };
    let call = Call::AddReaction { channel_id: general, message_id: id, emoji: custom };
    world.refused(BOB, call, ErrorCode::UnknownEmoji);
    world.ok(BOB, add(general, id, "👍"));
    world.ok(BOB, add(general, id, "🎉"));
    world.refused(BOB, add(general, id, "😀"), ErrorCode::MaxReactions);
    world.ok(ALICE, add(general, id, "🎉"));
}

#[test]
fn moderators_clear_reactions() {
    let mut world = World::new();
    let channel_id = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let message_id = world.say(ALICE, channel_id, "hi").id;
    for text in ["👍", "🎉", "😀"] {
        world.ok(BOB, add(channel_id, message_id, text));
    }
    let clear = |emoji| Call::ClearReactions { channel_id, message_id, emoji };
    world.refused(ALICE, clear(None), ErrorCode::MissingPermissions);
    let one = world.ok(OWNER, clear(Some(emoji("👍"))));
    assert_eq!(names_for(&one, alice), ["MESSAGE_REACTION_REMOVE_EMOJI"]);
    assert_eq!(world.rows.counts.len(), 2);
    assert_eq!(names_for(&world.ok(OWNER, clear(None)), alice), ["MESSAGE_REACTION_REMOVE_ALL"]);
    assert!(world.rows.counts.is_empty());
}

#[test]
fn edited_messages_show_their_reactions_and_whose_they_are() {
    let mut world = World::new();
    let general = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let id = world.say(ALICE, general, "hi").id;
    world.ok(ALICE, add(general, id, "👍"));
    world.ok(BOB, add(general, id, "🎉"));
    let edit = rookery_model::call::EditMessage {
        channel_id: general,
        message_id: id,
        content: rookery_model::Patch::Set("edited".into()),
        embeds: rookery_model::Patch::Keep,
        flags: rookery_model::Patch::Keep,
        allowed_mentions: rookery_model::Patch::Keep,
    };
    let outcome = world.ok(ALICE, Call::EditMessage(Box::new(edit)));
    let events = events_for(&outcome, alice);
    let Event::MessageUpdate(event) = &*events[0] else { panic!("{events:?}") };
    let me = |reactions: &[rookery_model::message::Reaction]| reactions.iter().map(|r| r.me).collect::<Vec<_>>();
    assert_eq!(me(&event.message.reactions), [false, false]);
    assert_eq!(me(&shown(outcome).reactions), [true, false]);
}

#[test]
fn pinning_tells_marks_and_posts() {
    let mut world = World::new();
    let general = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let id = world.say(ALICE, general, "keep this").id;
    let (pin, unpin) = message_call(general, id);
    world.refused(ALICE, pin.clone(), ErrorCode::MissingPermissions);
    world.grant(BOB, Permissions::PIN_MESSAGES);
    let outcome = world.ok(BOB, pin.clone());
    assert_eq!(names_for(&outcome, alice), ["CHANNEL_PINS_UPDATE", "MESSAGE_UPDATE", "MESSAGE_CREATE"]);
    assert!(world.rows.messages[&(general, id)].pinned);
    assert_eq!(world.rows.channels[&general].last_pin_timestamp, Some(world.now));
    let note = world.rows.messages.values().next_back().expect("a note");
    assert_eq!((note.kind, note.author_id), (MessageType::ChannelPinnedMessage, BOB));
    assert_eq!(note.message_reference.as_ref().and_then(|r| r.message_id), Some(id));
    let note_id = note.id;

    assert!(world.ok(BOB, pin).dispatches.is_empty());
    world.refused(BOB, message_call(general, note_id).0, ErrorCode::CannotExecuteOnSystemMessage);
    assert_eq!(names_for(&world.ok(BOB, unpin.clone()), alice), ["CHANNEL_PINS_UPDATE", "MESSAGE_UPDATE"]);
    assert!(world.rows.pins.is_empty() && !world.rows.messages[&(general, id)].pinned);
    assert_eq!(world.rows.channels[&general].last_pin_timestamp, None);
    assert!(world.ok(BOB, unpin).dispatches.is_empty());
}

#[test]
fn pins_have_a_limit() {
    let mut world = World::with_limits(Limits { channel_pins_max: 2, ..Limits::default() });
    let general = world.general();
    for n in 0..2 {
        let id = world.say(ALICE, general, &n.to_string()).id;
        world.ok(OWNER, message_call(general, id).0);
    }
    let id = world.say(ALICE, general, "one too many").id;
    world.refused(OWNER, message_call(general, id).0, ErrorCode::MaxPins);
}

#[test]
fn typing_is_for_those_who_may_write() {
    let mut world = World::new();
    let channel_id = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let outcome = world.ok(BOB, Call::TriggerTyping { channel_id });
    assert_eq!(names_for(&outcome, alice), ["TYPING_START"]);
    assert!(outcome.writes.is_empty());
    world.deny_everyone(channel_id, Permissions::SEND_MESSAGES);
    world.refused(BOB, Call::TriggerTyping { channel_id }, ErrorCode::MissingPermissions);
}
