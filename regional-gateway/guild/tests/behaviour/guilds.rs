//! Guilds made, changed and deleted.

use rookery_guild::{Caller, Effect, IdSource, Limits, create_guild};
use rookery_model::call::{Call, CreateChannel, CreateGuild, CreateRole, ModifyGuild, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{Presence, Status};
use rookery_model::store::Write;
use rookery_model::{ChannelId, ErrorCode, GuildId, Patch, Permissions, RoleId};

use crate::world::*;

#[test]
fn a_new_guild_has_places_to_write_and_talk() {
    let world = World::new();
    let names: Vec<_> = world
        .rows
        .channels
        .values()
        .map(|c| (c.kind, c.name.clone().unwrap_or_default(), c.parent_id.is_some()))
        .collect();
    assert_eq!(
        names,
        [
            (ChannelType::GuildCategory, "Text Channels".into(), false),
            (ChannelType::GuildText, "general".into(), true),
            (ChannelType::GuildCategory, "Voice Channels".into(), false),
            (ChannelType::GuildVoice, "General".into(), true),
        ]
    );
    let everyone = &world.rows.roles[&RoleId::from(world.guild_id())];
    assert_eq!((everyone.name.as_str(), everyone.permissions), ("@everyone", Permissions::DEFAULT_EVERYONE));
    let properties = world.rows.properties.as_ref().expect("the guild");
    assert_eq!(properties.system_channel_id, Some(world.general()), "newcomers are announced there");
}

#[test]
fn placeholders_become_ids() {
    let mut world = World::new();
    let view = Permissions::VIEW_CHANNEL;
    let wanted = CreateGuild {
        roles: vec![
            (0, CreateRole { permissions: Some(view), ..CreateRole::default() }),
            (7, CreateRole { name: Some("staff".into()), ..CreateRole::default() }),
        ],
        channels: vec![
            (Some(1), channel("Area", ChannelType::GuildCategory)),
            (
                Some(2),
                CreateChannel {
                    parent_id: Some(ChannelId::new(1)),
                    permission_overwrites: vec![
                        for_role(RoleId::new(0), Permissions::empty(), view),
                        for_role(RoleId::new(7), view, Permissions::empty()),
                        for_role(RoleId::new(9), view, Permissions::empty()),
                    ],
                    ..channel("Staff Room", ChannelType::GuildText)
                },
            ),
        ],
        system_channel_id: Some(2),
        ..new_guild("Made")
    };
    let id = GuildId(world.ids.next_id());
    let caller = Caller::new(user(OWNER));
    let (state, outcome) = create_guild(world.now, &caller, &wanted, id, &mut world.ids, &Limits::default()).unwrap();
    let (area, room) = (&state.channels[0], &state.channels[1]);
    assert_eq!((room.name.as_deref(), room.parent_id), (Some("staff-room"), Some(area.id)));
    let staff = state.roles.iter().find(|role| role.name == "staff").expect("the role");
    assert_eq!(
        room.permission_overwrites,
        [for_role(RoleId::from(id), Permissions::empty(), view), for_role(staff.id, view, Permissions::empty()),]
    );
    assert_eq!((state.properties.system_channel_id, staff.permissions), (Some(room.id), view));
    assert!(matches!(outcome.writes.last(), Some(Write::PutGuild(_))));
    assert_eq!(outcome.effects, [Effect::MemberJoined { guild_id: id, user_id: OWNER }]);

    let orphan = CreateChannel { parent_id: Some(ChannelId::new(5)), ..channel("x", ChannelType::GuildText) };
    let wanted = CreateGuild { channels: vec![(None, orphan)], ..new_guild("Bad") };
    let error = create_guild(world.now, &caller, &wanted, id, &mut world.ids, &Limits::default()).unwrap_err();
    let path: Vec<_> = error.errors[0].path.clone();
    assert_eq!(path, ["channels".into(), 0.into(), rookery_model::PathSegment::from("parent_id")]);
}

#[test]
fn guilds_are_changed_by_those_who_manage_them() {
    let mut world = World::new();
    let (guild_id, general) = (world.guild_id(), world.general());
    let (alice, _) = world.subscribe(ALICE, None);
    let call = |changes| Call::ModifyGuild { guild_id, changes: Box::new(changes) };
    let rename = ModifyGuild { name: Some("New".into()), ..ModifyGuild::default() };
    world.refused(ALICE, call(rename.clone()), ErrorCode::MissingPermissions);
    world.refused(STRANGER, call(rename.clone()), ErrorCode::MissingAccess);
    world.grant(BOB, Permissions::MANAGE_GUILD);
    let outcome = world.ok(BOB, call(rename.clone()));
    assert_eq!(names_for(&outcome, alice), ["GUILD_UPDATE"]);
    assert!(world.ok(BOB, call(rename)).writes.is_empty());
    let give_away = ModifyGuild { owner_id: Some(BOB), ..ModifyGuild::default() };
    world.refused(BOB, call(give_away), ErrorCode::MissingPermissions);
    let to_stranger = ModifyGuild { owner_id: Some(STRANGER), ..ModifyGuild::default() };
    world.refused(OWNER, call(to_stranger), ErrorCode::UnknownMember);
    let to_bot = ModifyGuild { owner_id: Some(BOT), ..ModifyGuild::default() };
    assert_eq!(world.call(OWNER, call(to_bot)).unwrap_err().errors[0].path, ["owner_id".into()]);
    let wrong = ModifyGuild { afk_channel_id: Patch::Set(general), ..ModifyGuild::default() };
    assert_eq!(world.call(OWNER, call(wrong)).unwrap_err().errors[0].code, "CHANNEL_INVALID_TYPE");
}

#[test]
fn a_deleted_guild_is_unknown_to_all() {
    let mut world = World::new();
    let (guild_id, general) = (world.guild_id(), world.general());
    let (alice, _) = world.subscribe(ALICE, None);
    world.refused(ALICE, Call::DeleteGuild { guild_id }, ErrorCode::MissingPermissions);
    let outcome = world.ok(OWNER, Call::DeleteGuild { guild_id });
    assert_eq!(names_for(&outcome, alice), ["GUILD_DELETE"]);
    let user_ids = vec![OWNER, ALICE, BOB, BOT];
    assert_eq!(outcome.effects, [Effect::GuildDeleted { guild_id, user_ids }]);
    world.refused(OWNER, Call::GetGuild { guild_id, with_counts: false }, ErrorCode::UnknownGuild);
    refused(world.try_say(OWNER, general, "x"), ErrorCode::UnknownChannel);
    assert!(world.core.guild_view().is_none() && !world.core.is_member(OWNER));
}

#[test]
fn counts_come_when_asked_for() {
    let mut world = World::new();
    let online = Presence { status: Status::Online, ..Presence::default() };
    world.core.presence_changed(0, ALICE, Some(online.into()));
    let call = Call::GetGuild { guild_id: world.guild_id(), with_counts: true };
    let Reply::Guild(guild) = world.ok(ALICE, call).reply else { panic!() };
    assert_eq!((guild.approximate_member_count, guild.approximate_presence_count), (Some(4), Some(1)));
    let partial = world.core.partial_guild(world.now, OWNER, false).expect("a member");
    assert_eq!((partial.owner, partial.approximate_member_count), (true, None));
    assert!(world.core.partial_guild(world.now, STRANGER, false).is_none());
}
