//! Invites, and bots that are authorised.

use rookery_guild::{Effect, GuildCore, Limits};
use rookery_model::call::{Authorize, Call, CreateInvite, ModifyGuild, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::invite::Invite;
use rookery_model::message::MessageType;
use rookery_model::{ApplicationId, ErrorCode, Patch, Permissions};

use crate::world::*;

const LASTING: CreateInvite = CreateInvite { max_age: 0, max_uses: 0, temporary: false, unique: false };

fn make(world: &mut World, invite: CreateInvite) -> Invite {
    let channel_id = world.general();
    match world.ok(ALICE, Call::CreateInvite { channel_id, invite }).reply {
        Reply::Invite(invite) => *invite,
        other => panic!("{other:?}"),
    }
}

fn accept(invite: &Invite) -> Call {
    Call::AcceptInvite { code: invite.code.clone() }
}

#[test]
fn the_same_invite_is_given_again_unless_a_new_one_is_wanted() {
    let mut world = World::new();
    let first = make(&mut world, LASTING);
    assert_eq!(first.metadata.as_ref().map(|m| (m.uses, m.max_age)), Some((0, 0)));
    assert_eq!(make(&mut world, LASTING).code, first.code);
    assert_eq!(world.rows.codes_given, 1);
    assert_ne!(make(&mut world, CreateInvite { unique: true, ..LASTING }).code, first.code);
    assert_ne!(make(&mut world, CreateInvite { max_uses: 3, ..LASTING }).code, first.code);
}

#[test]
fn who_may_invite_where_and_how_often() {
    let mut world = World::with_limits(Limits { invites_max: 2, ..Limits::default() });
    let (general, category) = (world.general(), world.channel(ChannelType::GuildCategory));
    let create = |channel_id, max_uses| Call::CreateInvite {
        channel_id,
        invite: CreateInvite { max_uses, max_age: 60, ..LASTING },
    };
    world.refused(ALICE, create(category, 0), ErrorCode::WrongChannelType);
    world.ok(ALICE, create(general, 1));
    world.ok(ALICE, create(general, 2));
    world.refused(ALICE, create(general, 3), ErrorCode::MaxInvites);
    world.pass_ms(60_000);
    world.ok(ALICE, create(general, 3));
    assert_eq!(world.rows.invites.len(), 1);
    world.deny_everyone(general, Permissions::CREATE_INSTANT_INVITE);
    world.refused(BOB, create(general, 0), ErrorCode::MissingPermissions);
    // A code is claimed in the store for ever, so only invites that are made get one.
    assert_eq!(world.rows.codes_given, 3);
}

#[test]
fn accepting_makes_a_member_once() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let (alice, _) = world.subscribe(ALICE, None);
    let invite = make(&mut world, CreateInvite { max_uses: 2, ..LASTING });
    let outcome = world.ok(STRANGER, accept(&invite));
    assert_eq!(names_for(&outcome, alice), ["GUILD_MEMBER_ADD", "MESSAGE_CREATE"]);
    assert_eq!(outcome.effects, [Effect::MemberJoined { guild_id, user_id: STRANGER }]);
    let Reply::Invite(shown) = outcome.reply else { panic!() };
    assert_eq!((shown.new_member, shown.metadata), (Some(true), None));
    let outcome = world.ok(STRANGER, accept(&invite));
    assert!(outcome.writes.is_empty() && outcome.dispatches.is_empty());
    assert_eq!(world.rows.invites[&invite.code].uses, 1);

    world.ok(STRANGER, Call::LeaveGuild { guild_id });
    world.ok(STRANGER, accept(&invite));
    assert!(world.rows.invites.is_empty());
    world.ok(STRANGER, Call::LeaveGuild { guild_id });
    world.refused(STRANGER, accept(&invite), ErrorCode::UnknownInvite);
}

#[test]
fn who_cannot_accept() {
    let mut world = World::with_limits(Limits { members_max: 4, ..Limits::default() });
    let invite = make(&mut world, CreateInvite { max_age: 60, ..LASTING });
    world.refused(BOT, accept(&invite), ErrorCode::BotsCannotUse);
    world.refused(STRANGER, accept(&invite), ErrorCode::MaxMembers);
    let mut state = world.rows.guild_state();
    state.banned.push(STRANGER);
    world.core = GuildCore::load(state, Limits::default());
    world.refused(STRANGER, accept(&invite), ErrorCode::UserBanned);
    world.reload();
    world.pass_ms(60_000);
    world.refused(STRANGER, accept(&invite), ErrorCode::UnknownInvite);
    assert!(world.core.invite_view(world.now, &invite.code, false).is_none());
}

#[test]
fn joining_is_announced_where_the_guild_wants_it() {
    let mut world = World::new();
    let (guild_id, general) = (world.guild_id(), world.general());
    let (alice, _) = world.subscribe(ALICE, None);
    let invite = make(&mut world, LASTING);
    let outcome = world.ok(STRANGER, accept(&invite));
    assert_eq!(names_for(&outcome, alice), ["GUILD_MEMBER_ADD", "MESSAGE_CREATE"]);
    let note = world.rows.messages.values().next_back().expect("a note");
    assert_eq!((note.kind, note.author_id, note.channel_id), (MessageType::UserJoin, STRANGER, general));

    let changes = Box::new(ModifyGuild { system_channel_id: Patch::Clear, ..ModifyGuild::default() });
    world.ok(OWNER, Call::ModifyGuild { guild_id, changes });
    world.ok(STRANGER, Call::LeaveGuild { guild_id });
    let outcome = world.ok(STRANGER, accept(&invite));
    assert_eq!(names_for(&outcome, alice), ["GUILD_MEMBER_ADD"]);
}

#[test]
fn moderators_list_and_delete() {
    let mut world = World::new();
    let (guild_id, channel_id) = (world.guild_id(), world.general());
    let (owner, _) = world.subscribe(OWNER, None);
    let (bob, _) = world.subscribe(BOB, None);
    let outcome = world.ok(ALICE, Call::CreateInvite { channel_id, invite: LASTING });
    // Only those who manage the channel hear of its invites.
    assert_eq!((names_for(&outcome, owner), names_for(&outcome, bob)), (vec!["INVITE_CREATE"], vec![]));
    let Reply::Invite(invite) = outcome.reply else { panic!() };
    world.refused(ALICE, Call::ListGuildInvites { guild_id }, ErrorCode::MissingPermissions);
    world.refused(ALICE, Call::ListChannelInvites { channel_id }, ErrorCode::MissingPermissions);
    for call in [Call::ListGuildInvites { guild_id }, Call::ListChannelInvites { channel_id }] {
        let Reply::Invites(invites) = world.ok(OWNER, call).reply else { panic!() };
        assert!(matches!(invites.as_slice(), [one] if one.metadata.is_some()));
    }
    world.grant(BOT, Permissions::VIEW_AUDIT_LOG);
    let Reply::Invites(invites) = world.ok(BOT, Call::ListGuildInvites { guild_id }).reply else { panic!() };
    assert!(matches!(invites.as_slice(), [one] if one.metadata.is_none()));
    let delete = Call::DeleteInvite { code: invite.code.clone() };
    world.refused(ALICE, delete.clone(), ErrorCode::MissingPermissions);
    world.grant(BOB, Permissions::MANAGE_GUILD);
    assert_eq!(names_for(&world.ok(BOB, delete.clone()), owner), ["INVITE_DELETE"]);
    world.refused(OWNER, delete, ErrorCode::UnknownInvite);
}

#[test]
fn an_inviter_who_left_is_still_named() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let invite = make(&mut world, LASTING);
    world.ok(ALICE, Call::LeaveGuild { guild_id });
    for _ in 0..2 {
        let shown = world.core.invite_view(world.now, &invite.code, true).expect("it lasts");
        assert_eq!(shown.inviter.map(|user| user.id), Some(ALICE));
        assert_eq!(shown.approximate_member_count, Some(3));
        world.reload();
    }
}

#[test]
fn bots_come_with_a_role_of_their_own_and_go_with_it() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let bot = STRANGER;
    world.rows.users.get_mut(&bot).expect("a user").bot = true;
    let (alice, _) = world.subscribe(ALICE, None);
    let authorize =
        |permissions| Call::Authorize(Authorize { client_id: ApplicationId::new(bot.get()), guild_id, permissions });
    let wanted = Permissions::SEND_MESSAGES | Permissions::BAN_MEMBERS;
    world.refused(ALICE, authorize(wanted), ErrorCode::MissingPermissions);
    world.grant(BOB, Permissions::MANAGE_GUILD);
    // Nobody hands on what they do not have.
    let outcome = world.ok(BOB, authorize(wanted));
    assert_eq!(names_for(&outcome, alice), ["GUILD_ROLE_CREATE", "GUILD_MEMBER_ADD", "MESSAGE_CREATE"]);
    let role = world.rows.roles.values().find(|role| role.managed).expect("a role").clone();
    assert_eq!(
        (role.permissions, world.rows.members[&bot].roles.as_slice()),
        (Permissions::SEND_MESSAGES, &[role.id][..])
    );

    world.ok(OWNER, authorize(wanted));
    assert_eq!(world.rows.roles[&role.id].permissions, wanted);
    // What a caller does not have they do not take away either.
    world.ok(BOB, authorize(Permissions::SEND_MESSAGES));
    assert_eq!(world.rows.roles[&role.id].permissions, wanted);
    world.refused(OWNER, Call::DeleteRole { guild_id, role_id: role.id }, ErrorCode::InvalidRole);
    let add = Call::AddMemberRole { guild_id, user_id: ALICE, role_id: role.id };
    world.refused(OWNER, add, ErrorCode::MissingPermissions);
    world.ok(OWNER, Call::KickMember { guild_id, user_id: bot });
    assert!(!world.rows.roles.contains_key(&role.id));
    let unknown = Authorize { client_id: ApplicationId::new(4), guild_id, permissions: wanted };
    world.refused(OWNER, Call::Authorize(unknown), ErrorCode::UnknownApplication);
}
