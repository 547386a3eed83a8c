//! Messages: written, edited, deleted; mentions, replies, slowmode, nonces.

use rookery_guild::{Effect, GuildCore, LockKey};
use rookery_model::call::{Call, CreateMessage, EditMessage, ModifyChannel};
use rookery_model::channel::ChannelType;
use rookery_model::embed::Embed;
use rookery_model::message::{AllowedMentions, Message, MessageFlags, MessageReference, MessageType, Nonce};
use rookery_model::store::Write;
use rookery_model::{ChannelId, ErrorCode, MessageId, Patch, Permissions, UserId};

use crate::world::*;

fn edit(channel_id: ChannelId, message_id: MessageId) -> EditMessage {
    EditMessage {
        channel_id,
        message_id,
        content: Patch::Keep,
        embeds: Patch::Keep,
        flags: Patch::Keep,
        allowed_mentions: Patch::Keep,
    }
}

fn with_content(channel_id: ChannelId, message_id: MessageId, content: &str) -> Call {
    Call::EditMessage(Box::new(EditMessage { content: Patch::Set(content.into()), ..edit(channel_id, message_id) }))
}

fn reply_to(channel_id: ChannelId, message_id: MessageId) -> CreateMessage {
    let reference = MessageReference { kind: 0, message_id: Some(message_id), channel_id: None, guild_id: None };
    CreateMessage { message_reference: Some(reference), ..message(channel_id, "a reply") }
}

fn send(world: &mut World, by: UserId, new: CreateMessage) -> Message {
    shown(world.ok(by, Call::CreateMessage(Box::new(new))))
}

#[test]
fn a_message_is_one_row_one_event_and_the_answer() {
    let mut world = World::new();
    let general = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let new = CreateMessage { nonce: Some(Nonce::Text("n".into())), ..message(general, "hello") };
    let outcome = world.ok(BOB, Call::CreateMessage(Box::new(new)));
    assert!(matches!(outcome.writes.as_slice(), [Write::PutMessage(_)]));
    assert_eq!(names_for(&outcome, alice), ["MESSAGE_CREATE"]);
    let message = shown(outcome);
    assert_eq!((message.author.id, message.content.as_str(), message.kind), (BOB, "hello", MessageType::Default));
    assert_eq!(message.nonce, Some(Nonce::Text("n".into())));
    assert_eq!(message.timestamp, message.id.timestamp());
}

#[test]
fn who_may_write_where() {
    let mut world = World::new();
    let (general, hidden) = (world.general(), world.hidden_channel());
    let category = world.channel(ChannelType::GuildCategory);
    let voice = world.channel(ChannelType::GuildVoice);
    refused(world.try_say(ALICE, ChannelId::new(9), "x"), ErrorCode::UnknownChannel);
    refused(world.try_say(ALICE, hidden, "x"), ErrorCode::MissingAccess);
    refused(world.try_say(STRANGER, general, "x"), ErrorCode::MissingAccess);
    refused(world.try_say(OWNER, category, "x"), ErrorCode::CannotMessageNonText);
    refused(world.try_say(ALICE, general, "  "), ErrorCode::EmptyMessage);
    world.say(ALICE, voice, "voice has text");
    world.deny_everyone(voice, Permissions::CONNECT);
    refused(world.try_say(ALICE, voice, "x"), ErrorCode::MissingPermissions);
    world.deny_everyone(general, Permissions::SEND_MESSAGES);
    refused(world.try_say(ALICE, general, "x"), ErrorCode::MissingPermissions);
    world.say(OWNER, general, "the owner may");
}

#[test]
fn embeds_and_tts_have_permissions_of_their_own() {
    let mut world = World::new();
    let general = world.general();
    let embed = CreateMessage { embeds: vec![Embed::default()], ..message(general, "") };
    send(&mut world, ALICE, embed.clone());
    world.deny_everyone(general, Permissions::EMBED_LINKS);
    world.refused(ALICE, Call::CreateMessage(Box::new(embed)), ErrorCode::MissingPermissions);
    let tts = CreateMessage { tts: true, ..message(general, "aloud") };
    world.refused(ALICE, Call::CreateMessage(Box::new(tts)), ErrorCode::MissingPermissions);
}

#[test]
fn slowmode_holds_members_and_frees_moderators_and_bots() {
    let mut world = World::new();
    let channel_id = world.general();
    let changes = ModifyChannel { rate_limit_per_user: Patch::Set(10), ..ModifyChannel::default() };
    world.ok(OWNER, Call::ModifyChannel { channel_id, changes: Box::new(changes) });
    world.say(ALICE, channel_id, "one");
    world.pass_ms(4_000);
    let error = world.try_say(ALICE, channel_id, "two").unwrap_err();
    assert!(error.is(ErrorCode::SlowmodeRateLimited));
    assert_eq!(error.retry_after.map(|r| (r.seconds, r.global)), Some((6.0, false)));
    for other in [BOB, BOT, BOT, OWNER, OWNER] {
        world.say(other, channel_id, "not held");
    }
    world.pass_ms(6_000);
    world.say(ALICE, channel_id, "two");
    world.grant(ALICE, Permissions::BYPASS_SLOWMODE);
    world.say(ALICE, channel_id, "three");
}

#[test]
fn an_enforced_nonce_answers_with_the_first_message() {
    let mut world = World::new();
    let general = world.general();
    let nonce = Some(Nonce::Integer(7));
    let new =
        |enforce_nonce, text: &str| CreateMessage { nonce: nonce.clone(), enforce_nonce, ..message(general, text) };
    let first = send(&mut world, ALICE, new(true, "first"));
    let again = world.ok(ALICE, Call::CreateMessage(Box::new(new(true, "again"))));
    assert!(again.writes.is_empty() && again.dispatches.is_empty());
    assert_eq!(shown(again), first);
    assert_ne!(send(&mut world, BOB, new(true, "another author")).id, first.id);
    assert_ne!(send(&mut world, ALICE, new(false, "not enforced")).id, first.id);
    world.pass_ms(6 * 60_000);
    assert_ne!(send(&mut world, ALICE, new(true, "minutes later")).id, first.id);
}

#[test]
fn mentions_follow_permission_and_wish() {
    let mut world = World::new();
    let general = world.general();
    let role = world.make_role(Permissions::empty()).id;
    let text = format!("<@{ALICE}> <@!{STRANGER}> <@999> <@&{role}> @everyone");
    let by_owner = world.say(OWNER, general, &text);
    let ids = |message: &Message| message.mentions.iter().map(|user| user.id).collect::<Vec<_>>();
    assert_eq!(ids(&by_owner), [ALICE, STRANGER]);
    assert_eq!((by_owner.mention_roles.as_slice(), by_owner.mention_everyone), (&[role][..], true));

    world.deny_everyone(general, Permissions::MENTION_EVERYONE);
    let by_bob = world.say(BOB, general, &text);
    assert!(by_bob.mention_roles.is_empty() && !by_bob.mention_everyone);
    assert_eq!(ids(&by_bob), [ALICE, STRANGER]);

    let none = CreateMessage { allowed_mentions: Some(AllowedMentions::default()), ..message(general, &text) };
    let quiet = send(&mut world, OWNER, none);
    assert!(quiet.mentions.is_empty() && quiet.mention_roles.is_empty() && !quiet.mention_everyone);
}

#[test]
fn mentions_count_for_those_who_see_the_message() {
    let mut world = World::new();
    let general = world.general();
    let notified = |world: &mut World, channel, text: &str| {
        let effects = world.try_say(OWNER, channel, text).unwrap().effects;
        effects
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Mentioned { user_ids, .. } => Some(user_ids),
                _ => None,
            })
            .unwrap_or_default()
    };
    assert_eq!(notified(&mut world, general, &format!("<@{ALICE}> <@{OWNER}> <@{BOT}> <@{STRANGER}>")), [ALICE]);
    assert_eq!(notified(&mut world, general, "@everyone"), [ALICE, BOB]);
    assert!(notified(&mut world, general, "@here").is_empty());
    world.subscribe(BOB, None);
    assert_eq!(notified(&mut world, general, "@here"), [BOB]);
    let hidden = world.hidden_channel();
    assert!(notified(&mut world, hidden, "@everyone").is_empty());
}

#[test]
fn replies_name_and_ping_what_they_answer() {
    let mut world = World::new();
    let general = world.general();
    let first = world.say(ALICE, general, "first");
    let reply = send(&mut world, BOB, reply_to(general, first.id));
    assert_eq!(reply.kind, MessageType::Reply);
    assert_eq!(reply.mentions.iter().map(|user| user.id).collect::<Vec<_>>(), [ALICE]);
    assert_eq!(reply.referenced_message.flatten().map(|m| m.content), Some("first".into()));
    assert_eq!(reply.message_reference.and_then(|r| r.channel_id), Some(general));

    let quiet = CreateMessage { allowed_mentions: Some(AllowedMentions::default()), ..reply_to(general, first.id) };
    assert!(send(&mut world, BOB, quiet).mentions.is_empty());
}

#[test]
fn replies_to_nothing_are_refused_unless_that_is_fine() {
    let mut world = World::new();
    let general = world.general();
    let missing = reply_to(general, MessageId::new(5));
    let error = world.call(BOB, Call::CreateMessage(Box::new(missing.clone()))).unwrap_err();
    assert!(error.is(ErrorCode::InvalidFormBody));
    assert_eq!(error.errors[0].code, "MESSAGE_REFERENCE_UNKNOWN_MESSAGE");
    let lenient = CreateMessage { fail_if_not_exists: false, ..missing };
    let sent = send(&mut world, BOB, lenient);
    assert_eq!((sent.kind, sent.message_reference), (MessageType::Default, None));

    let first = world.say(ALICE, general, "first");
    world.deny_everyone(general, Permissions::READ_MESSAGE_HISTORY);
    let reply = Call::CreateMessage(Box::new(reply_to(general, first.id)));
    world.refused(BOB, reply, ErrorCode::CannotReplyWithoutHistory);
}

#[test]
fn authors_edit_and_others_do_not() {
    let mut world = World::new();
    let general = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let id = world.say(ALICE, general, "first").id;
    world.pass_ms(10);
    let outcome = world.ok(ALICE, with_content(general, id, &format!("<@{BOB}> second")));
    assert_eq!(names_for(&outcome, alice), ["MESSAGE_UPDATE"]);
    assert!(outcome.effects.is_empty());
    let edited = shown(outcome);
    assert_eq!(edited.edited_timestamp, Some(world.now));
    assert_eq!(edited.mentions.iter().map(|user| user.id).collect::<Vec<_>>(), [BOB]);

    world.refused(OWNER, with_content(general, id, "mine now"), ErrorCode::CannotEditOthersMessage);
    world.refused(ALICE, with_content(general, MessageId::new(1), "x"), ErrorCode::UnknownMessage);
    world.refused(ALICE, with_content(general, id, ""), ErrorCode::EmptyMessage);
    let hidden = world.hidden_channel();
    world.refused(ALICE, with_content(hidden, id, "x"), ErrorCode::MissingAccess);
}

#[test]
fn moderators_may_suppress_embeds_only() {
    let mut world = World::new();
    let general = world.general();
    let id = world.say(ALICE, general, "link").id;
    let suppress = EditMessage { flags: Patch::Set(MessageFlags::all()), ..edit(general, id) };
    world.refused(BOB, Call::EditMessage(Box::new(suppress.clone())), ErrorCode::MissingPermissions);
    world.grant(BOB, Permissions::MANAGE_MESSAGES);
    let edited = shown(world.ok(BOB, Call::EditMessage(Box::new(suppress))));
    assert_eq!((edited.flags, edited.edited_timestamp), (MessageFlags::SUPPRESS_EMBEDS, None));
}

#[test]
fn authors_and_moderators_delete() {
    let mut world = World::new();
    let channel_id = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let delete = |message_id| Call::DeleteMessage { channel_id, message_id };
    let (a, b) = (world.say(ALICE, channel_id, "a").id, world.say(ALICE, channel_id, "b").id);
    world.refused(BOB, delete(a), ErrorCode::MissingPermissions);
    let outcome = world.ok(ALICE, delete(a));
    assert_eq!(names_for(&outcome, alice), ["MESSAGE_DELETE"]);
    world.refused(ALICE, delete(a), ErrorCode::UnknownMessage);
    world.grant(BOB, Permissions::MANAGE_MESSAGES);
    world.ok(BOB, delete(b));
    assert!(world.rows.messages.is_empty());
}

#[test]
fn bulk_delete_takes_what_is_there_and_not_too_old() {
    let mut world = World::new();
    let channel_id = world.general();
    let (alice, _) = world.subscribe(ALICE, None);
    let bulk = |message_ids: Vec<MessageId>| Call::BulkDeleteMessages { channel_id, message_ids };
    let ids: Vec<MessageId> = (0..3).map(|n| world.say(ALICE, channel_id, &n.to_string()).id).collect();
    world.refused(ALICE, bulk(ids.clone()), ErrorCode::MissingPermissions);
    world.refused(OWNER, bulk(vec![ids[0]]), ErrorCode::BulkDeleteCount);
    world.refused(OWNER, bulk(vec![ids[0]; 101]), ErrorCode::BulkDeleteCount);
    world.refused(OWNER, bulk(vec![ids[0], ids[0]]), ErrorCode::InvalidFormBody);
    let unknown = MessageId::new(ids[0].get() + 1_000_000);
    let outcome = world.ok(OWNER, bulk(vec![ids[0], ids[1], unknown]));
    assert_eq!(names_for(&outcome, alice), ["MESSAGE_DELETE_BULK"]);
    assert_eq!(world.rows.messages.len(), 1);
    world.pass_ms(15 * 24 * 3_600_000);
    let new = world.say(ALICE, channel_id, "new").id;
    world.refused(OWNER, bulk(vec![ids[2], new]), ErrorCode::BulkDeleteTooOld);
}

#[test]
fn locks_cover_the_rows_that_a_command_changes() {
    let (channel_id, message_id) = (ChannelId::new(1), MessageId::new(2));
    let lock = LockKey::Message(channel_id, message_id);
    assert_eq!(GuildCore::locks(&with_content(channel_id, message_id, "x")), [lock]);
    assert_eq!(GuildCore::locks(&Call::DeleteMessage { channel_id, message_id }), [lock]);
    assert_eq!(GuildCore::locks(&message_call(channel_id, message_id).0), [lock, LockKey::Pins(channel_id)]);
    let message_ids = vec![message_id, MessageId::new(1), message_id];
    let bulk = GuildCore::locks(&Call::BulkDeleteMessages { channel_id, message_ids });
    assert_eq!(bulk, [LockKey::Message(channel_id, MessageId::new(1)), lock]);
    assert!(GuildCore::locks(&Call::CreateMessage(Box::new(message(channel_id, "x")))).is_empty());
}
