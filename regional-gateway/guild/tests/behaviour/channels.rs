//! Channels, overwrites, and what appears and vanishes by them.

use rookery_guild::Limits;
use rookery_model::call::{Call, ChannelPosition, CreateChannel, CreateInvite, ModifyChannel, ModifyGuild, Reply};
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::Event;
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions, RoleId, Snowflake};

use crate::world::*;

fn create(world: &World, channel: CreateChannel) -> Call {
    Call::CreateGuildChannel { guild_id: world.guild_id(), channel: Box::new(channel) }
}

fn modify(channel_id: ChannelId, changes: ModifyChannel) -> Call {
    Call::ModifyChannel { channel_id, changes: Box::new(changes) }
}

fn field_code(error: &ApiError) -> &str {
    assert!(error.is(ErrorCode::InvalidFormBody), "{error}");
    &error.errors[0].code
}

fn replied(reply: Reply) -> Channel {
    let Reply::Channel(channel) = reply else { panic!("{reply:?}") };
    *channel
}

#[test]
fn channels_are_made_with_what_their_kind_has() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let call = create(&world, channel("My Channel", ChannelType::GuildText));
    world.refused(ALICE, call.clone(), ErrorCode::MissingPermissions);
    world.grant(BOB, Permissions::MANAGE_CHANNELS);
    let outcome = world.ok(BOB, call);
    assert_eq!(names_for(&outcome, alice), ["CHANNEL_CREATE"]);
    let text = replied(outcome.reply);
    assert_eq!((text.name.as_deref(), text.bitrate), (Some("my-channel"), None));
    let wanted = CreateChannel { bitrate: Some(96_000), ..channel("My Voice", ChannelType::GuildVoice) };
    let voice = world.make_channel(wanted);
    assert_eq!((voice.name.as_deref(), voice.bitrate, voice.user_limit), (Some("My Voice"), Some(96_000), Some(0)));
    let error = world.call(OWNER, create(&world, channel("x", ChannelType::GuildForum))).unwrap_err();
    assert_eq!(field_code(&error), "BASE_TYPE_CHOICES");
}

#[test]
fn parents_are_categories_with_room() {
    let limits = Limits { category_channels_max: 2, channels_max: 7, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let (category, general) = (world.channel(ChannelType::GuildCategory), world.general());
    let under = |parent_id| CreateChannel { parent_id: Some(parent_id), ..channel("x", ChannelType::GuildText) };
    let error = world.call(OWNER, create(&world, under(ChannelId::new(5)))).unwrap_err();
    assert_eq!(field_code(&error), "CHANNEL_PARENT_INVALID");
    let error = world.call(OWNER, create(&world, under(general))).unwrap_err();
    assert_eq!(field_code(&error), "CHANNEL_PARENT_INVALID_TYPE");
    let nested = CreateChannel { kind: ChannelType::GuildCategory, ..under(category) };
    assert_eq!(field_code(&world.call(OWNER, create(&world, nested)).unwrap_err()), "CHANNEL_PARENT_INVALID_TYPE");
    world.make_channel(under(category));
    let error = world.call(OWNER, create(&world, under(category))).unwrap_err();
    assert_eq!(field_code(&error), "CHANNEL_PARENT_MAX_CHANNELS");
    world.make_channel(channel("six", ChannelType::GuildText));
    world.make_channel(channel("seven", ChannelType::GuildText));
    world.refused(OWNER, create(&world, channel("eight", ChannelType::GuildText)), ErrorCode::MaxChannels);
}

#[test]
fn a_channel_starts_with_its_categorys_overwrites() {
    let mut world = World::new();
    let category = world.channel(ChannelType::GuildCategory);
    world.deny_everyone(category, Permissions::VIEW_CHANNEL);
    let (alice, _) = world.subscribe(ALICE, None);
    let wanted = CreateChannel { parent_id: Some(category), ..channel("secret", ChannelType::GuildText) };
    let outcome = world.ok(OWNER, create(&world, wanted));
    assert!(names_for(&outcome, alice).is_empty());
    let made = replied(outcome.reply);
    refused(world.try_say(ALICE, made.id, "x"), ErrorCode::MissingAccess);
}

#[test]
fn a_change_is_an_update_for_those_who_see_the_channel() {
    let mut world = World::new();
    let hidden = world.hidden_channel();
    let ((alice, _), (owner, _)) = (world.subscribe(ALICE, None), world.subscribe(OWNER, None));
    let changes = ModifyChannel {
        name: Some("New Name".into()),
        topic: Patch::Set("topic".into()),
        nsfw: Patch::Set(true),
        ..ModifyChannel::default()
    };
    world.refused(ALICE, modify(hidden, changes.clone()), ErrorCode::MissingAccess);
    let outcome = world.ok(OWNER, modify(hidden, changes.clone()));
    assert_eq!(names_for(&outcome, owner), ["CHANNEL_UPDATE"]);
    assert!(names_for(&outcome, alice).is_empty());
    let changed = replied(outcome.reply);
    assert_eq!(
        (changed.name.as_deref(), changed.topic.as_deref(), changed.nsfw),
        (Some("new-name"), Some("topic"), true)
    );
    assert!(world.ok(OWNER, modify(hidden, changes)).dispatches.is_empty());
    let general = world.general();
    world.refused(ALICE, modify(general, ModifyChannel::default()), ErrorCode::MissingPermissions);
    let to_voice = ModifyChannel { kind: Some(ChannelType::GuildVoice), ..ModifyChannel::default() };
    assert_eq!(field_code(&world.call(OWNER, modify(general, to_voice)).unwrap_err()), "BASE_TYPE_CHOICES");
}

#[test]
fn hiding_deletes_and_showing_creates() {
    let mut world = World::new();
    let general = world.general();
    let ((alice, _), (owner, _)) = (world.subscribe(ALICE, None), world.subscribe(OWNER, None));
    let everyone = RoleId::from(world.guild_id());
    let hide = for_role(everyone, Permissions::empty(), Permissions::VIEW_CHANNEL);
    // Hidden and renamed at once: those who lose sight learn nothing of the new name.
    let changes = ModifyChannel {
        name: Some("secret".into()),
        permission_overwrites: Patch::Set(vec![hide]),
        ..ModifyChannel::default()
    };
    let outcome = world.ok(OWNER, modify(general, changes));
    assert_eq!(names_for(&outcome, owner), ["CHANNEL_UPDATE"]);
    let events = events_for(&outcome, alice);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let Event::ChannelDelete(gone) = &**event else { panic!("{event:?}") };
    assert_eq!(gone.name.as_deref(), Some("general"));
    assert!(gone.permission_overwrites.is_empty());

    let role = world.make_role(Permissions::empty()).id;
    let outcome = world.overwrite(general, for_role(role, Permissions::VIEW_CHANNEL, Permissions::empty()));
    assert!(names_for(&outcome, alice).is_empty());
    let guild_id = world.guild_id();
    let outcome = world.ok(OWNER, Call::AddMemberRole { guild_id, user_id: ALICE, role_id: role });
    assert_eq!(names_for(&outcome, alice), ["GUILD_MEMBER_UPDATE", "CHANNEL_CREATE"]);
    assert_eq!(names_for(&outcome, owner), ["GUILD_MEMBER_UPDATE"]);
    let outcome = world.ok(OWNER, Call::DeleteRole { guild_id, role_id: role });
    assert_eq!(names_for(&outcome, alice), ["GUILD_ROLE_DELETE", "CHANNEL_DELETE"]);
    assert_eq!(names_for(&outcome, owner), ["GUILD_ROLE_DELETE", "CHANNEL_UPDATE"]);
    assert!(world.rows.channels[&general].permission_overwrites.iter().all(|o| o.id != role.0));
}

#[test]
fn a_new_owner_sees_all_and_the_old_one_no_longer() {
    let mut world = World::new();
    world.hidden_channel();
    let ((alice, _), (owner, _)) = (world.subscribe(ALICE, None), world.subscribe(OWNER, None));
    let changes = Box::new(ModifyGuild { owner_id: Some(ALICE), ..ModifyGuild::default() });
    let outcome = world.ok(OWNER, Call::ModifyGuild { guild_id: world.guild_id(), changes });
    assert_eq!(names_for(&outcome, alice), ["GUILD_UPDATE", "CHANNEL_CREATE"]);
    assert_eq!(names_for(&outcome, owner), ["GUILD_UPDATE", "CHANNEL_DELETE"]);
}

#[test]
fn overwrites_give_no_more_than_their_maker_has() {
    let mut world = World::new();
    let channel_id = world.general();
    let everyone = RoleId::from(world.guild_id());
    let put = |overwrite| Call::PutOverwrite { channel_id, overwrite };
    let none = Permissions::empty();
    world.refused(ALICE, put(for_member(BOB, none, none)), ErrorCode::MissingPermissions);
    world.grant(ALICE, Permissions::MANAGE_ROLES);
    world.ok(ALICE, put(for_member(BOB, none, Permissions::SEND_MESSAGES)));
    refused(world.try_say(BOB, channel_id, "x"), ErrorCode::MissingPermissions);
    world.refused(ALICE, put(for_member(BOB, Permissions::BAN_MEMBERS, none)), ErrorCode::MissingPermissions);
    // Managing permissions is handed on by administrators only.
    world.refused(ALICE, put(for_member(BOB, Permissions::MANAGE_ROLES, none)), ErrorCode::MissingPermissions);
    world.ok(OWNER, put(for_member(BOB, Permissions::MANAGE_ROLES, none)));
    // Whoever was handed it for the channel sets there what they like, but not that.
    world.ok(BOB, put(for_role(everyone, Permissions::MANAGE_MESSAGES, none)));
    world.refused(BOB, put(for_member(ALICE, Permissions::MANAGE_ROLES, none)), ErrorCode::MissingPermissions);
    world.refused(OWNER, put(for_member(STRANGER, none, none)), ErrorCode::UnknownOverwrite);
    let delete = |id| Call::DeleteOverwrite { channel_id, overwrite_id: id };
    world.refused(OWNER, delete(Snowflake(77)), ErrorCode::UnknownOverwrite);
    world.ok(OWNER, delete(BOB.0));
    assert_eq!(world.rows.channels[&channel_id].permission_overwrites.len(), 1);
}

#[test]
fn deleting_a_channel_takes_its_traces_along() {
    let mut world = World::new();
    let (category, general) = (world.channel(ChannelType::GuildCategory), world.general());
    let (alice, _) = world.subscribe(ALICE, None);
    let guild_id = world.guild_id();
    let changes = Box::new(ModifyGuild { system_channel_id: Patch::Set(general), ..ModifyGuild::default() });
    world.ok(OWNER, Call::ModifyGuild { guild_id, changes });
    let invite = CreateInvite { max_age: 0, max_uses: 0, temporary: false, unique: false };
    world.ok(OWNER, Call::CreateInvite { channel_id: general, invite });
    world.refused(ALICE, Call::DeleteChannel { channel_id: general }, ErrorCode::MissingPermissions);

    let outcome = world.ok(OWNER, Call::DeleteChannel { channel_id: category });
    assert_eq!(names_for(&outcome, alice), ["CHANNEL_UPDATE", "CHANNEL_DELETE"]);
    assert_eq!(world.rows.channels[&general].parent_id, None);
    let outcome = world.ok(OWNER, Call::DeleteChannel { channel_id: general });
    assert_eq!(names_for(&outcome, alice), ["CHANNEL_DELETE", "GUILD_UPDATE"]);
    assert!(world.rows.invites.is_empty());
    assert_eq!(world.rows.properties.as_ref().unwrap().system_channel_id, None);
    refused(world.try_say(OWNER, general, "x"), ErrorCode::UnknownChannel);
}

#[test]
fn channels_move_together() {
    let mut world = World::with_limits(Limits { category_channels_max: 2, ..Limits::default() });
    let (category, general) = (world.channel(ChannelType::GuildCategory), world.general());
    world.deny_everyone(category, Permissions::SEND_MESSAGES);
    let a = world.make_channel(channel("a", ChannelType::GuildText)).id;
    let b = world.make_channel(channel("b", ChannelType::GuildText)).id;
    let guild_id = world.guild_id();
    let to = |id, parent_id, position| ChannelPosition { id, position, lock_permissions: true, parent_id };
    let call = |positions| Call::ModifyChannelPositions { guild_id, positions };
    let both = vec![to(a, Patch::Set(category), None), to(b, Patch::Set(category), None)];
    world.refused(ALICE, call(both.clone()), ErrorCode::MissingPermissions);
    let error = world.call(OWNER, call(both)).unwrap_err();
    assert_eq!(field_code(&error), "CHANNEL_PARENT_MAX_CHANNELS");
    assert_eq!(world.rows.channels[&a].parent_id, None);
    world.ok(OWNER, call(vec![to(a, Patch::Set(category), Some(3)), to(general, Patch::Clear, None)]));
    let moved = &world.rows.channels[&a];
    assert_eq!((moved.parent_id, moved.position), (Some(category), 3));
    assert_eq!(moved.permission_overwrites, world.rows.channels[&category].permission_overwrites);
    assert_eq!(world.rows.channels[&general].parent_id, None);
    let unknown = vec![to(ChannelId::new(4), Patch::Keep, Some(0))];
    world.refused(OWNER, call(unknown), ErrorCode::UnknownChannel);
}

#[test]
fn lists_hold_only_what_is_seen() {
    let mut world = World::new();
    let hidden = world.hidden_channel();
    let guild_id = world.guild_id();
    let count = |world: &mut World, by| match world.ok(by, Call::ListGuildChannels { guild_id }).reply {
        Reply::Channels(channels) => channels.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((count(&mut world, OWNER), count(&mut world, ALICE)), (5, 4));
    world.refused(ALICE, Call::GetChannel { channel_id: hidden }, ErrorCode::MissingAccess);
    world.refused(STRANGER, Call::ListGuildChannels { guild_id }, ErrorCode::MissingAccess);
}
