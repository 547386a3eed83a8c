//! Roles and their order.

use rookery_guild::Limits;
use rookery_model::call::{Call, CreateRole, ModifyRole, Reply, RolePosition};
use rookery_model::{ErrorCode, Patch, Permissions, RoleId};

use crate::world::*;

fn modify(world: &World, role_id: RoleId, changes: ModifyRole) -> Call {
    Call::ModifyRole { guild_id: world.guild_id(), role_id, changes }
}

fn positions(world: &World, wanted: &[(RoleId, u32)]) -> Call {
    let positions = wanted.iter().map(|(id, position)| RolePosition { id: *id, position: Some(*position) }).collect();
    Call::ModifyRolePositions { guild_id: world.guild_id(), positions }
}

/// All but `@everyone`, lowest first.
fn order(world: &World) -> Vec<RoleId> {
    let everyone = RoleId::from(world.guild_id());
    let mut roles: Vec<_> = world.rows.roles.values().filter(|role| role.id != everyone).collect();
    roles.sort_by_key(|role| (role.position, std::cmp::Reverse(role.id)));
    roles.into_iter().map(|role| role.id).collect()
}

#[test]
fn roles_are_made_with_no_more_than_their_maker_has() {
    let mut world = World::with_limits(Limits { roles_max: 4, ..Limits::default() });
    let (alice, _) = world.subscribe(ALICE, None);
    let guild_id = world.guild_id();
    let create = |permissions| Call::CreateRole { guild_id, role: CreateRole { permissions, ..CreateRole::default() } };
    world.refused(ALICE, create(None), ErrorCode::MissingPermissions);
    world.grant(ALICE, Permissions::MANAGE_ROLES);
    world.refused(ALICE, create(Some(Permissions::BAN_MEMBERS)), ErrorCode::MissingPermissions);
    let outcome = world.ok(ALICE, create(None));
    assert_eq!(names_for(&outcome, alice), ["GUILD_ROLE_CREATE"]);
    let Reply::Role(role) = outcome.reply else { panic!() };
    assert_eq!((role.name.as_str(), role.permissions), ("new role", Permissions::DEFAULT_EVERYONE));
    world.ok(OWNER, create(Some(Permissions::all())));
    world.refused(OWNER, create(None), ErrorCode::MaxRoles);
}

#[test]
fn roles_are_changed_from_above() {
    let mut world = World::new();
    let high = world.grant(ALICE, Permissions::MANAGE_ROLES);
    let low = world.make_role(Permissions::BAN_MEMBERS).id;
    let name = |name: &str| ModifyRole { name: Patch::Set(name.into()), ..ModifyRole::default() };
    world.ok(ALICE, modify(&world, low, name("low")));
    world.refused(ALICE, modify(&world, high, name("high")), ErrorCode::MissingPermissions);
    let give = |permissions| ModifyRole { permissions: Patch::Set(permissions), ..ModifyRole::default() };
    world.refused(ALICE, modify(&world, low, give(Permissions::empty())), ErrorCode::MissingPermissions);
    let kept = Permissions::BAN_MEMBERS | Permissions::SEND_MESSAGES;
    world.ok(ALICE, modify(&world, low, give(kept)));
    assert_eq!(world.rows.roles[&low].permissions, kept);
    world.refused(ALICE, modify(&world, RoleId::new(5), name("x")), ErrorCode::UnknownRole);
    let everyone = RoleId::from(world.guild_id());
    let changes = ModifyRole { hoist: Patch::Set(true), color: Patch::Set(5), ..name("all") };
    world.ok(OWNER, modify(&world, everyone, changes));
    let role = &world.rows.roles[&everyone];
    assert_eq!((role.name.as_str(), role.hoist, role.color), ("@everyone", false, 5));
}

#[test]
fn what_a_role_gives_shows_and_hides_channels() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let everyone = RoleId::from(world.guild_id());
    let changes = ModifyRole {
        permissions: Patch::Set(Permissions::DEFAULT_EVERYONE - Permissions::VIEW_CHANNEL),
        ..ModifyRole::default()
    };
    let outcome = world.ok(OWNER, modify(&world, everyone, changes));
    let mut names = vec!["GUILD_ROLE_UPDATE"];
    names.extend(["CHANNEL_DELETE"; 4]);
    assert_eq!(names_for(&outcome, alice), names);
}

#[test]
fn moving_roles_keeps_the_others_in_order() {
    let mut world = World::new();
    let ids: Vec<RoleId> = (0..4).map(|_| world.make_role(Permissions::empty()).id).collect();
    // New roles all start at 1; of those the older stand higher.
    assert_eq!(order(&world), [ids[3], ids[2], ids[1], ids[0]]);
    world.ok(OWNER, positions(&world, &[(ids[3], 4)]));
    assert_eq!(order(&world), [ids[2], ids[1], ids[0], ids[3]]);
    world.ok(OWNER, positions(&world, &[(ids[0], 1), (ids[2], 2)]));
    assert_eq!(order(&world), [ids[0], ids[2], ids[1], ids[3]]);
    assert_eq!(order(&world).iter().map(|id| world.rows.roles[id].position).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let everyone = RoleId::from(world.guild_id());
    world.refused(OWNER, positions(&world, &[(everyone, 2)]), ErrorCode::InvalidRole);
    world.refused(OWNER, positions(&world, &[(RoleId::new(3), 2)]), ErrorCode::UnknownRole);
}

#[test]
fn nobody_moves_roles_past_their_own() {
    let mut world = World::new();
    let top = world.make_role(Permissions::empty()).id;
    let own = world.grant(ALICE, Permissions::MANAGE_ROLES);
    let (a, b) = (world.make_role(Permissions::empty()).id, world.make_role(Permissions::empty()).id);
    assert_eq!(order(&world), [b, a, own, top]);
    world.ok(ALICE, positions(&world, &[(b, 2)]));
    assert_eq!(order(&world), [a, b, own, top]);
    for wrong in [(a, 3), (a, 4), (own, 1), (top, 1)] {
        world.refused(ALICE, positions(&world, &[wrong]), ErrorCode::MissingPermissions);
    }
    world.ok(OWNER, positions(&world, &[(top, 1)]));
}

#[test]
fn roles_are_given_and_taken_from_above() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let own = world.grant(ALICE, Permissions::MANAGE_ROLES);
    let role_id = world.make_role(Permissions::empty()).id;
    let (alice, _) = world.subscribe(ALICE, None);
    let add = |user_id, role_id| Call::AddMemberRole { guild_id, user_id, role_id };
    let remove = |user_id, role_id| Call::RemoveMemberRole { guild_id, user_id, role_id };
    assert_eq!(names_for(&world.ok(ALICE, add(BOB, role_id)), alice), ["GUILD_MEMBER_UPDATE"]);
    assert!(world.ok(ALICE, add(BOB, role_id)).dispatches.is_empty());
    assert_eq!(world.rows.members[&BOB].roles, [role_id]);
    world.refused(ALICE, add(BOB, own), ErrorCode::MissingPermissions);
    world.refused(BOB, add(BOB, role_id), ErrorCode::MissingPermissions);
    world.refused(ALICE, add(STRANGER, role_id), ErrorCode::UnknownMember);
    world.refused(ALICE, add(BOB, RoleId::new(8)), ErrorCode::UnknownRole);
    world.refused(ALICE, add(BOB, RoleId::from(guild_id)), ErrorCode::InvalidRole);
    world.ok(ALICE, remove(BOB, role_id));
    assert!(world.rows.members[&BOB].roles.is_empty());
}

#[test]
fn a_deleted_role_leaves_no_trace_after_loading_anew() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let role_id = world.grant(ALICE, Permissions::ADMINISTRATOR);
    assert!(world.core.guild_permissions(world.now, ALICE).contains(Permissions::BAN_MEMBERS));
    world.ok(OWNER, Call::DeleteRole { guild_id, role_id });
    for _ in 0..2 {
        assert_eq!(world.core.guild_permissions(world.now, ALICE), Permissions::DEFAULT_EVERYONE);
        match world.ok(ALICE, Call::GetMember { guild_id, user_id: ALICE }).reply {
            Reply::Member(member) => assert!(member.roles.is_empty()),
            other => panic!("{other:?}"),
        }
        world.reload();
    }
    world.refused(OWNER, Call::DeleteRole { guild_id, role_id: RoleId::from(guild_id) }, ErrorCode::InvalidRole);
    world.refused(OWNER, Call::DeleteRole { guild_id, role_id }, ErrorCode::UnknownRole);
}
