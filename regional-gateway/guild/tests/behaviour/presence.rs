//! Presences: who gets them, when, and what a new session is told.

use std::sync::Arc;

use rookery_guild::{Limits, MembersCursor, Outcome, SubscriberId};
use rookery_model::call::Call;
use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Event, Intents, Presence, PresenceEvent, PresenceUser, RequestGuildMembers, Status};
use rookery_model::user::User;
use rookery_model::{ErrorCode, UserId};

use crate::world::*;

const PRESENCES: Intents = Intents::GUILDS.union(Intents::GUILD_PRESENCES);

fn is(status: Status) -> Option<Arc<Presence>> {
    Some(Arc::new(Presence { status, ..Presence::default() }))
}

/// What a session hears of presences.
fn presences(outcome: &Outcome, id: SubscriberId) -> Vec<(UserId, Status)> {
    let of = |event: &Event| match event {
        Event::PresenceUpdate(PresenceEvent { user, status, .. }) => (user.id(), *status),
        other => panic!("{}", other.name()),
    };
    events_for(outcome, id).iter().map(|event| of(event)).collect()
}

fn created(outcome: &Outcome, id: SubscriberId) -> GuildCreate {
    match &*events_for(outcome, id)[0] {
        Event::GuildCreate(guild) => GuildCreate::clone(guild),
        other => panic!("{other:?}"),
    }
}

fn listed(guild: &GuildCreate) -> Vec<UserId> {
    guild.presences.iter().map(|presence| presence.user.id()).collect()
}

/// A world with so many members beside the first four, of ids from 1,000 on.
fn crowd(count: u64, limits: Limits) -> World {
    let mut world = World::with_limits(limits);
    for n in 0..count {
        let id = UserId::new(1_000 + n);
        world.rows.users.insert(id, user(id));
        world.rows.members.insert(id, member_row(world.guild_id(), id, world.now));
    }
    world.reload();
    world
}

#[test]
fn a_change_goes_to_those_who_asked_and_not_to_the_one_who_changed() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let (bob, _) = world.subscribe(BOB, None);
    let (bot, _) = world.subscribe(BOT, Some(PRESENCES));
    let (deaf, _) = world.subscribe(BOT, Some(Intents::GUILDS | Intents::GUILD_MEMBERS));
    let outcome = world.core.presence_changed(0, ALICE, is(Status::Idle));
    assert_eq!(presences(&outcome, bob), [(ALICE, Status::Idle)]);
    assert_eq!(presences(&outcome, bot), [(ALICE, Status::Idle)]);
    assert!(events_for(&outcome, alice).is_empty() && events_for(&outcome, deaf).is_empty());
    assert!(world.core.presence_changed(0, ALICE, is(Status::Idle)).dispatches.is_empty(), "as it was");
    let outcome = world.core.presence_changed(0, ALICE, None);
    assert_eq!(presences(&outcome, bot), [(ALICE, Status::Offline)]);
    assert!(world.core.presence_changed(0, ALICE, is(Status::Offline)).dispatches.is_empty());
    assert!(world.core.presence_changed(0, STRANGER, is(Status::Online)).dispatches.is_empty());
    assert_eq!(world.core.presence(STRANGER), None);
}

#[test]
fn a_new_session_learns_who_is_there() {
    let mut world = World::new();
    world.core.presence_changed(0, BOB, is(Status::Dnd));
    world.core.presence_changed(0, OWNER, is(Status::Online));
    let (alice, outcome) = world.subscribe(ALICE, None);
    let guild = created(&outcome, alice);
    assert_eq!(listed(&guild), [OWNER, BOB]);
    assert_eq!((guild.presences[1].status, guild.presences[1].guild_id), (Status::Dnd, None));
    let (bot, outcome) = world.subscribe(BOT, Some(PRESENCES));
    assert_eq!(listed(&created(&outcome, bot)), [OWNER, BOB]);
    let (bare, outcome) = world.subscribe(BOT, Some(Intents::GUILDS));
    assert!(created(&outcome, bare).presences.is_empty());
}

#[test]
fn a_large_guild_comes_with_those_who_are_there() {
    let mut world = crowd(60, Limits::default());
    for n in [1_010, 1_020] {
        world.core.presence_changed(0, UserId::new(n), is(Status::Online));
    }
    let (bot, outcome) = world.subscribe(BOT, Some(PRESENCES));
    let guild = created(&outcome, bot);
    let ids: Vec<UserId> = guild.members.iter().filter_map(|m| Some(m.user.as_ref()?.id)).collect();
    assert_eq!((guild.large, ids), (true, vec![BOT, UserId::new(1_010), UserId::new(1_020)]));
    assert_eq!(listed(&guild), [UserId::new(1_010), UserId::new(1_020)]);
    // People hear of everybody in a guild of this size, so they begin with everybody.
    let (alice, outcome) = world.subscribe(ALICE, None);
    let guild = created(&outcome, alice);
    assert_eq!((guild.members.len(), listed(&guild).len()), (2, 2));
    let mut world = crowd(60, Limits { snapshot_presences_max: 10, ..Limits::default() });
    world.core.presence_changed(0, UserId::new(1_010), is(Status::Online));
    let (bot, outcome) = world.subscribe(BOT, Some(PRESENCES));
    let guild = created(&outcome, bot);
    assert_eq!((guild.members.len(), guild.presences.len()), (1, 0));
}

#[test]
fn in_guilds_beyond_some_size_people_are_not_told_of_everybody() {
    let mut world = crowd(250, Limits::default());
    let (alice, _) = world.subscribe(ALICE, None);
    let (bot, _) = world.subscribe(BOT, Some(PRESENCES));
    let outcome = world.core.presence_changed(0, BOB, is(Status::Online));
    assert!(events_for(&outcome, alice).is_empty());
    assert_eq!(presences(&outcome, bot), [(BOB, Status::Online)]);
    // One session fewer, and who watches is found anew.
    world.core.unsubscribe(bot);
    assert!(world.core.presence_changed(0, BOB, is(Status::Idle)).dispatches.is_empty());
}

#[test]
fn in_very_large_guilds_the_newest_of_each_goes_out_in_batches() {
    let mut world = crowd(20, Limits { presence_batch_above: 10, ..Limits::default() });
    let (bot, _) = world.subscribe(BOT, Some(PRESENCES));
    assert_eq!(world.core.poll_timeout(), None);
    for (at, user_id, status) in [
        (100, BOB, Status::Online),
        (200, ALICE, Status::Online),
        (300, BOB, Status::Idle),
        (400, OWNER, Status::Online),
        (500, OWNER, Status::Offline),
    ] {
        assert!(world.core.presence_changed(at, user_id, is(status)).dispatches.is_empty());
    }
    assert_eq!(world.core.poll_timeout(), Some(5_100));
    assert!(world.core.handle_timeout(5_099).dispatches.is_empty());
    // Whoever came and went meanwhile is as before.
    let outcome = world.core.handle_timeout(5_100);
    assert_eq!(presences(&outcome, bot), [(ALICE, Status::Online), (BOB, Status::Idle)]);
    assert_eq!(world.core.poll_timeout(), None);
    // A session that starts between change and batch knows the change already.
    world.core.presence_changed(6_000, BOB, is(Status::Dnd));
    let (late, outcome) = world.subscribe(BOT, Some(PRESENCES));
    assert_eq!(
        created(&outcome, late).presences.iter().map(|p| p.status).collect::<Vec<_>>(),
        [Status::Online, Status::Dnd]
    );
    assert_eq!(presences(&world.core.handle_timeout(11_000), late), [(BOB, Status::Dnd)]);
}

#[test]
fn a_member_who_left_is_told_of_no_more() {
    let mut world = crowd(20, Limits { presence_batch_above: 10, ..Limits::default() });
    let guild_id = world.guild_id();
    let (bot, _) = world.subscribe(BOT, Some(PRESENCES));
    world.core.presence_changed(0, BOB, is(Status::Online));
    world.ok(BOB, Call::LeaveGuild { guild_id });
    assert!(world.core.handle_timeout(10_000).dispatches.is_empty());
    assert!(world.core.presence_changed(20_000, BOB, is(Status::Idle)).dispatches.is_empty());
    assert_eq!(world.core.presence(BOB), None);
    world.core.presence_changed(20_000, ALICE, is(Status::Idle));
    world.ok(OWNER, Call::DeleteGuild { guild_id });
    assert!(world.core.handle_timeout(90_000).dispatches.is_empty());
    assert!(world.core.presence_changed(90_000, ALICE, is(Status::Dnd)).dispatches.is_empty());
    let _ = bot;
}

#[test]
fn a_new_name_comes_with_the_presence_of_those_who_are_there() {
    let mut world = World::new();
    let (bot, _) = world.subscribe(BOT, Some(PRESENCES));
    let renamed = |name: &str| User { global_name: Some(name.into()), ..user(BOB) };
    assert!(events_for(&world.core.user_updated(&renamed("Bobby")), bot).is_empty());
    world.core.presence_changed(0, BOB, is(Status::Online));
    let outcome = world.core.user_updated(&renamed("Robert"));
    let events = events_for(&outcome, bot);
    let Event::PresenceUpdate(presence) = &*events[0] else { panic!("{events:?}") };
    assert_eq!(presence.user, PresenceUser::Whole(Box::new(renamed("Robert"))));
}

#[test]
fn chunks_of_members_come_with_presences_if_asked_for() {
    let mut world = World::new();
    world.core.presence_changed(0, BOB, is(Status::Idle));
    let (alice, _) = world.subscribe(ALICE, None);
    let (bare, _) = world.subscribe(BOT, Some(Intents::GUILDS | Intents::GUILD_MEMBERS));
    let ask = |world: &World, id, presences| {
        let request = RequestGuildMembers {
            guild_ids: vec![world.guild_id()],
            query: Some(String::new()),
            limit: 0,
            presences,
            user_ids: vec![],
            nonce: None,
        };
        let outcome = world.core.request_members(id, &request, MembersCursor::default()).unwrap();
        match &*events_for(&outcome, id)[0] {
            Event::GuildMembersChunk(chunk) => {
                chunk.presences.clone().map(|all| all.iter().map(|p| p.user.id()).collect())
            }
            other => panic!("{other:?}"),
        }
    };
    let ids: Option<Vec<UserId>> = ask(&world, alice, true);
    assert_eq!(ids, Some(vec![BOB]));
    assert_eq!(ask(&world, alice, false), None);
    assert_eq!(ask(&world, bare, true), None, "not without the intent");
}

#[test]
fn what_got_lost_is_told_again() {
    let mut world = World::new();
    let (bot, _) = world.subscribe(BOT, Some(PRESENCES));
    world.core.presence_changed(0, BOB, is(Status::Idle));
    assert_eq!(presences(&world.core.repeat_presence(BOB), bot), [(BOB, Status::Idle)]);
    assert_eq!(presences(&world.core.repeat_presence(ALICE), bot), [(ALICE, Status::Offline)]);
    assert!(world.core.repeat_presence(STRANGER).dispatches.is_empty());
    world.refused(STRANGER, Call::LeaveGuild { guild_id: world.guild_id() }, ErrorCode::MissingAccess);
}
