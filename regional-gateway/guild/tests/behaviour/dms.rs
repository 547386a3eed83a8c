//! DMs and group DMs.

use rookery_guild::{Audience, Effect, History};
use rookery_model::call::{Call, CreateInvite, ModifyChannel, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::Event;
use rookery_model::message::MessageType;
use rookery_model::{ChannelId, ErrorCode, Permissions};

use crate::world::*;

fn id(world: &World) -> ChannelId {
    world.rows.dm.as_ref().expect("a DM").channel.id
}

#[test]
fn a_dm_reaches_both_and_nobody_else() {
    let mut world = World::dm(ChannelType::Dm, &[ALICE, BOB]);
    let dm = id(&world);
    refused(world.try_say(STRANGER, dm, "x"), ErrorCode::MissingAccess);
    refused(world.try_say(ALICE, ChannelId::new(1), "x"), ErrorCode::UnknownChannel);
    let outcome = world.try_say(ALICE, dm, "hi").unwrap();
    // It comes back to lists that it was closed in, before the message.
    assert_eq!(names_for_user(&outcome, BOB), ["CHANNEL_CREATE", "MESSAGE_CREATE"]);
    assert!(outcome.dispatches.iter().all(|d| matches!(&d.audience, Audience::Users(ids) if !ids.contains(&STRANGER))));
    assert!(matches!(outcome.effects.as_slice(), [Effect::Mentioned { user_ids, .. }] if user_ids == &[BOB]));
    assert_eq!(world.rows.listings.iter().copied().collect::<Vec<_>>(), [ALICE, BOB]);
    let message = outcome.dispatches.last().expect("the message");
    let Event::MessageCreate(event) = &*message.event else { panic!() };
    assert_eq!((event.guild_id, event.channel_type, event.member.is_none()), (None, 1, true));
    let again = world.try_say(BOB, dm, "hi").unwrap();
    assert_eq!(names_for_user(&again, ALICE), ["MESSAGE_CREATE"]);
}

#[test]
fn each_sees_the_other() {
    let mut world = World::dm(ChannelType::Dm, &[ALICE, BOB]);
    let channel_id = id(&world);
    let Reply::Channel(channel) = world.ok(ALICE, Call::GetChannel { channel_id }).reply else { panic!() };
    assert_eq!(channel.recipients.iter().map(|user| user.id).collect::<Vec<_>>(), [BOB]);
    assert_eq!(world.core.authorize_read(world.now, BOB, channel_id), Ok(History::Readable));
    assert_eq!(world.core.permissions_in(world.now, BOB, channel_id), Permissions::DM);
    assert_eq!(world.core.permissions_in(world.now, STRANGER, channel_id), Permissions::empty());
}

#[test]
fn a_closed_dm_opens_with_the_next_message() {
    let mut world = World::dm(ChannelType::Dm, &[ALICE, BOB]);
    let channel_id = id(&world);
    world.say(ALICE, channel_id, "hi");
    let outcome = world.ok(BOB, Call::DeleteChannel { channel_id });
    assert_eq!(names_for_user(&outcome, BOB), ["CHANNEL_DELETE"]);
    assert!(names_for_user(&outcome, ALICE).is_empty());
    assert!(!world.rows.listings.contains(&BOB) && world.rows.dm.is_some());
    let outcome = world.try_say(ALICE, channel_id, "again").unwrap();
    assert_eq!(names_for_user(&outcome, BOB), ["CHANNEL_CREATE", "MESSAGE_CREATE"]);
    assert_eq!(names_for_user(&outcome, ALICE), ["MESSAGE_CREATE"]);
}

#[test]
fn nobody_moderates_a_dm() {
    let mut world = World::dm(ChannelType::Dm, &[ALICE, BOB]);
    let channel_id = id(&world);
    let message_id = world.say(ALICE, channel_id, "@everyone").id;
    assert!(!world.rows.messages[&(channel_id, message_id)].mention_everyone);
    world.refused(BOB, Call::DeleteMessage { channel_id, message_id }, ErrorCode::CannotExecuteOnDm);
    let bulk = Call::BulkDeleteMessages { channel_id, message_ids: vec![message_id; 2] };
    world.refused(ALICE, bulk, ErrorCode::CannotExecuteOnDm);
    let clear = Call::ClearReactions { channel_id, message_id, emoji: None };
    world.refused(ALICE, clear, ErrorCode::CannotExecuteOnDm);
    let invite = CreateInvite { max_age: 0, max_uses: 0, temporary: false, unique: false };
    world.refused(ALICE, Call::CreateInvite { channel_id, invite }, ErrorCode::CannotExecuteOnDm);
    // Both may pin.
    world.ok(BOB, message_call(channel_id, message_id).0);
    assert!(world.rows.dm.as_ref().is_some_and(|dm| dm.channel.last_pin_timestamp.is_some()));
    world.ok(ALICE, Call::DeleteMessage { channel_id, message_id });
}

#[test]
fn group_dms_are_renamed_and_left() {
    let mut world = World::dm(ChannelType::GroupDm, &[ALICE, BOB, STRANGER]);
    let channel_id = id(&world);
    let rename = |name: &str| {
        let changes = ModifyChannel { name: Some(name.into()), ..ModifyChannel::default() };
        Call::ModifyChannel { channel_id, changes: Box::new(changes) }
    };
    let outcome = world.ok(BOB, rename("Trip"));
    assert_eq!(names_for_user(&outcome, ALICE), ["CHANNEL_UPDATE", "CHANNEL_CREATE", "MESSAGE_CREATE"]);
    assert!(world.ok(BOB, rename("Trip")).dispatches.is_empty());

    let outcome = world.ok(ALICE, Call::DeleteChannel { channel_id });
    assert_eq!(names_for_user(&outcome, ALICE), ["CHANNEL_DELETE"]);
    assert_eq!(names_for_user(&outcome, BOB), ["CHANNEL_UPDATE", "MESSAGE_CREATE"]);
    let row = world.rows.dm.as_ref().expect("it goes on");
    assert_eq!((row.channel.owner_id, row.user_ids.as_slice()), (Some(BOB), &[BOB, STRANGER][..]));
    let note = world.rows.messages.values().next_back().expect("a note");
    assert_eq!((note.kind, note.author_id), (MessageType::RecipientRemove, ALICE));
    refused(world.try_say(ALICE, channel_id, "x"), ErrorCode::MissingAccess);
    world.ok(BOB, Call::DeleteChannel { channel_id });
    world.ok(STRANGER, Call::DeleteChannel { channel_id });
    assert!(world.rows.dm.is_none());

    let mut pair = World::dm(ChannelType::Dm, &[ALICE, BOB]);
    let channel_id = id(&pair);
    let changes = Box::new(ModifyChannel { name: Some("x".into()), ..ModifyChannel::default() });
    pair.refused(ALICE, Call::ModifyChannel { channel_id, changes }, ErrorCode::CannotExecuteOnDm);
}
