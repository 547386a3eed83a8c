//! Members: shown, changed, gone.

use rookery_guild::Effect;
use rookery_model::call::{Call, ModifyMember, Reply};
use rookery_model::gateway::{Event, Intents};
use rookery_model::{ErrorCode, Patch, Permissions, RoleId, Timestamp, UserId};

use crate::world::*;

fn modify(world: &World, user_id: UserId, changes: ModifyMember) -> Call {
    Call::ModifyMember { guild_id: world.guild_id(), user_id, changes }
}

fn nick(nick: &str) -> ModifyMember {
    ModifyMember { nick: Patch::Set(nick.into()), ..ModifyMember::default() }
}

fn time_out(until: Patch<Timestamp>) -> ModifyMember {
    ModifyMember { communication_disabled_until: until, ..ModifyMember::default() }
}

fn ids(reply: Reply) -> Vec<UserId> {
    let Reply::Members(members) = reply else { panic!("{reply:?}") };
    members.into_iter().filter_map(|member| member.user).map(|user| user.id).collect()
}

#[test]
fn members_are_listed_by_id_and_found_by_name() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let list = |limit, after| Call::ListMembers { guild_id, limit, after };
    assert_eq!(ids(world.ok(ALICE, list(2, UserId::new(0))).reply), [OWNER, ALICE]);
    assert_eq!(ids(world.ok(ALICE, list(10, ALICE)).reply), [BOB, BOT]);
    world.ok(OWNER, modify(&world, BOB, nick("Zed")));
    let search = |query: &str| Call::SearchMembers { guild_id, query: query.into(), limit: 10 };
    assert_eq!(ids(world.ok(ALICE, search("zE")).reply), [BOB]);
    assert_eq!(ids(world.ok(ALICE, search("USER10")).reply), [OWNER, ALICE, BOB, BOT]);
    assert!(ids(world.ok(ALICE, search("ser")).reply).is_empty());
    world.refused(STRANGER, list(1, UserId::new(0)), ErrorCode::MissingAccess);
    world.refused(ALICE, Call::GetMember { guild_id, user_id: STRANGER }, ErrorCode::UnknownMember);
}

#[test]
fn nicks_are_ones_own_or_set_from_above() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let own = |nick: &str| Call::ModifyCurrentMember { guild_id, nick: Patch::Set(nick.into()) };
    let Reply::Member(member) = world.ok(ALICE, own("Al")).reply else { panic!() };
    assert_eq!(member.nick.as_deref(), Some("Al"));
    world.ok(ALICE, own(""));
    assert_eq!(world.rows.members[&ALICE].nick, None);
    world.refused(ALICE, modify(&world, BOB, nick("x")), ErrorCode::MissingPermissions);
    world.grant(ALICE, Permissions::MANAGE_NICKNAMES);
    world.ok(ALICE, modify(&world, BOB, nick("x")));
    world.refused(ALICE, modify(&world, OWNER, nick("x")), ErrorCode::MissingPermissions);
    world.grant(BOT, Permissions::empty());
    world.ok(ALICE, modify(&world, BOT, nick("lower")));
}

#[test]
fn a_session_hears_of_its_own_member_whatever_its_intents() {
    let mut world = World::new();
    let ((alice, _), (bot, _)) = (world.subscribe(ALICE, None), world.subscribe(BOT, Some(Intents::GUILDS)));
    let outcome = world.ok(OWNER, modify(&world, BOB, nick("x")));
    assert_eq!((names_for(&outcome, alice), names_for(&outcome, bot)), (vec!["GUILD_MEMBER_UPDATE"], vec![]));
    let outcome = world.ok(OWNER, modify(&world, BOT, nick("x")));
    assert_eq!(names_for(&outcome, bot), ["GUILD_MEMBER_UPDATE"]);
}

#[test]
fn role_lists_change_only_what_may_be_changed() {
    let mut world = World::new();
    let above = world.grant(BOB, Permissions::empty());
    world.grant(ALICE, Permissions::MANAGE_ROLES);
    let below = world.make_role(Permissions::empty()).id;
    let roles = |roles: Vec<RoleId>| ModifyMember { roles: Patch::Set(roles), ..ModifyMember::default() };
    world.ok(ALICE, modify(&world, BOB, roles(vec![below, above, below])));
    assert_eq!(world.rows.members[&BOB].roles, [above, below]);
    world.refused(ALICE, modify(&world, BOB, roles(vec![below])), ErrorCode::MissingPermissions);
    world.refused(BOB, modify(&world, BOB, roles(vec![])), ErrorCode::MissingPermissions);
}

#[test]
fn time_outs_silence_until_they_end() {
    let mut world = World::new();
    let general = world.general();
    let in_ms = |world: &World, ms: i64| Patch::Set(Timestamp(world.now.0 + ms * 1_000));
    let minute = time_out(in_ms(&world, 60_000));
    world.refused(ALICE, modify(&world, BOB, minute.clone()), ErrorCode::MissingPermissions);
    world.grant(ALICE, Permissions::MODERATE_MEMBERS);
    world.ok(ALICE, modify(&world, BOB, minute.clone()));
    refused(world.try_say(BOB, general, "x"), ErrorCode::MissingPermissions);
    assert_eq!(world.core.permissions_in(world.now, BOB, general), Permissions::TIMED_OUT);
    world.pass_ms(60_000);
    world.say(BOB, general, "back");
    let month = time_out(in_ms(&world, 29 * 24 * 3_600_000));
    let error = world.call(ALICE, modify(&world, BOB, month)).unwrap_err();
    assert_eq!(error.errors[0].path, [rookery_model::PathSegment::from("communication_disabled_until")]);
    world.refused(ALICE, modify(&world, OWNER, minute.clone()), ErrorCode::MissingPermissions);
    world.grant(BOT, Permissions::ADMINISTRATOR);
    world.refused(OWNER, modify(&world, BOT, minute), ErrorCode::MissingPermissions);
    world.ok(ALICE, modify(&world, BOB, time_out(Patch::Clear)));
}

#[test]
fn whoever_is_in_no_voice_channel_cannot_be_muted() {
    let mut world = World::new();
    let mute = ModifyMember { mute: Patch::Set(true), ..ModifyMember::default() };
    world.refused(ALICE, modify(&world, BOB, mute.clone()), ErrorCode::MissingPermissions);
    world.refused(OWNER, modify(&world, BOB, mute), ErrorCode::TargetNotInVoice);
}

#[test]
fn leaving_ends_the_members_sight_of_the_guild() {
    let mut world = World::new();
    let (guild_id, general) = (world.guild_id(), world.general());
    let ((alice, _), (bob, _)) = (world.subscribe(ALICE, None), world.subscribe(BOB, None));
    world.refused(OWNER, Call::LeaveGuild { guild_id }, ErrorCode::InvalidGuild);
    let outcome = world.ok(BOB, Call::LeaveGuild { guild_id });
    let events = events_for(&outcome, bob);
    assert!(matches!(&*events[0], Event::GuildDelete(guild) if guild.unavailable.is_none()), "{events:?}");
    assert_eq!((events.len(), names_for(&outcome, alice)), (1, vec!["GUILD_MEMBER_REMOVE"]));
    assert_eq!(outcome.effects, [Effect::MemberLeft { guild_id, user_id: BOB }]);
    let outcome = world.try_say(ALICE, general, "alone").unwrap();
    assert!(names_for(&outcome, bob).is_empty());
    refused(world.try_say(BOB, general, "x"), ErrorCode::MissingAccess);
    world.refused(BOB, Call::LeaveGuild { guild_id }, ErrorCode::MissingAccess);
}

#[test]
fn kicking_is_from_above() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let kick = |user_id| Call::KickMember { guild_id, user_id };
    world.refused(ALICE, kick(BOB), ErrorCode::MissingPermissions);
    world.grant(ALICE, Permissions::KICK_MEMBERS);
    world.refused(ALICE, kick(OWNER), ErrorCode::MissingPermissions);
    world.refused(ALICE, kick(STRANGER), ErrorCode::UnknownMember);
    world.refused(ALICE, kick(ALICE), ErrorCode::MissingPermissions);
    world.ok(ALICE, kick(BOB));
    assert!(!world.core.is_member(BOB));
}
