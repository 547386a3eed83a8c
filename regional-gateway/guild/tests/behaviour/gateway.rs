//! What sessions get: GUILD_CREATE, events by intents, member chunks.

use rookery_guild::{Limits, Outcome, Subscriber, SubscriberId};
use rookery_model::call::Call;
use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Event, Intents, RequestGuildMembers};
use rookery_model::user::User;
use rookery_model::{ErrorCode, UserId};

use crate::world::*;

fn guild_create(outcome: &Outcome, id: SubscriberId) -> GuildCreate {
    let events = events_for(outcome, id);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let Event::GuildCreate(guild) = &**event else { panic!("{event:?}") };
    GuildCreate::clone(guild)
}

fn contents(outcome: &Outcome, id: SubscriberId) -> Vec<String> {
    let content = |event: &Event| match event {
        Event::MessageCreate(event) | Event::MessageUpdate(event) => event.message.content.clone(),
        other => panic!("{other:?}"),
    };
    events_for(outcome, id).iter().map(|event| content(event)).collect()
}

#[test]
fn a_session_starts_with_what_it_may_see() {
    let mut world = World::new();
    let hidden = world.hidden_channel();
    let (alice, outcome) = world.subscribe(ALICE, None);
    let guild = guild_create(&outcome, alice);
    assert!(guild.channels.iter().all(|channel| channel.id != hidden));
    assert_eq!((guild.channels.len(), guild.members.len(), guild.member_count, guild.large), (4, 4, 4, false));
    let (owner, outcome) = world.subscribe(OWNER, None);
    assert_eq!(guild_create(&outcome, owner).channels.len(), 5);
    let stranger = Subscriber { id: SubscriberId(99), user_id: STRANGER, intents: None, large_threshold: 50 };
    refused(world.core.subscribe(stranger), ErrorCode::MissingAccess);
}

#[test]
fn bots_get_members_by_intent_and_nothing_without_guilds() {
    let mut world = World::new();
    let (bot, outcome) = world.subscribe(BOT, Some(Intents::GUILDS));
    assert_eq!(guild_create(&outcome, bot).members.len(), 1);
    let (bot, outcome) = world.subscribe(BOT, Some(Intents::GUILDS | Intents::GUILD_PRESENCES));
    assert_eq!(guild_create(&outcome, bot).members.len(), 4);
    let (bot, outcome) = world.subscribe(BOT, Some(Intents::GUILD_MESSAGES));
    assert!(events_for(&outcome, bot).is_empty());
}

#[test]
fn large_guilds_come_with_oneself_and_connected_bots() {
    let mut world = World::new();
    for n in 0..60 {
        let id = UserId::new(1_000 + n);
        world.rows.users.insert(id, user(id));
        world.rows.members.insert(id, member_row(world.guild_id(), id, world.now));
    }
    world.reload();
    world.subscribe(BOT, Some(Intents::GUILDS));
    world.subscribe(BOB, None);
    let (alice, outcome) = world.subscribe(ALICE, None);
    let guild = guild_create(&outcome, alice);
    assert_eq!((guild.large, guild.member_count), (true, 64));
    let ids: Vec<_> = guild.members.iter().filter_map(|m| m.user.as_ref()).map(|u| u.id).collect();
    assert_eq!(ids, [ALICE, BOT]);
}

#[test]
fn events_come_by_intent() {
    let mut world = World::new();
    let general = world.general();
    let (deaf, _) = world.subscribe(BOT, Some(Intents::GUILDS));
    let (bot, _) = world.subscribe(BOT, Some(Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT));
    let outcome = world.try_say(ALICE, general, "hello").unwrap();
    assert!(events_for(&outcome, deaf).is_empty());
    assert_eq!(contents(&outcome, bot), ["hello"]);
    let typing = world.ok(ALICE, Call::TriggerTyping { channel_id: general });
    assert!(events_for(&typing, bot).is_empty());
    world.core.unsubscribe(bot);
    let outcome = world.try_say(ALICE, general, "hello").unwrap();
    assert!(events_for(&outcome, bot).is_empty());
}

#[test]
fn content_is_for_bots_that_may_have_it_or_are_meant() {
    let mut world = World::new();
    let general = world.general();
    let (bare, _) = world.subscribe(BOT, Some(Intents::GUILD_MESSAGES));
    let (full, _) = world.subscribe(BOT, Some(Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT));
    let (alice, _) = world.subscribe(ALICE, None);
    let outcome = world.try_say(ALICE, general, "secret").unwrap();
    assert_eq!(contents(&outcome, bare), [""]);
    assert_eq!(contents(&outcome, full), ["secret"]);
    assert_eq!(contents(&outcome, alice), ["secret"]);
    let text = format!("<@{BOT}> you");
    let outcome = world.try_say(ALICE, general, &text).unwrap();
    assert_eq!(contents(&outcome, bare), [text.as_str()]);
    let outcome = world.try_say(BOT, general, "mine").unwrap();
    assert_eq!(contents(&outcome, bare), ["mine"]);
}

#[test]
fn a_session_that_comes_later_gets_what_follows() {
    let mut world = World::new();
    let general = world.general();
    let (first, _) = world.subscribe(ALICE, None);
    world.say(BOB, general, "one");
    let (second, _) = world.subscribe(ALICE, None);
    let outcome = world.try_say(BOB, general, "two").unwrap();
    assert_eq!((contents(&outcome, first).len(), contents(&outcome, second).len()), (1, 1));
}

#[test]
fn remembered_audiences_follow_the_roles_of_members() {
    let mut world = World::new();
    let (guild_id, hidden) = (world.guild_id(), world.hidden_channel());
    let role_id = world.make_role(rookery_model::Permissions::empty()).id;
    let view = rookery_model::Permissions::VIEW_CHANNEL;
    world.overwrite(hidden, for_role(role_id, view, rookery_model::Permissions::empty()));
    let (alice, _) = world.subscribe(ALICE, None);
    let (owner, _) = world.subscribe(OWNER, None);
    let hears = |world: &mut World| {
        let outcome = world.try_say(OWNER, hidden, "secret").unwrap();
        assert_eq!(contents(&outcome, owner), ["secret"]);
        !events_for(&outcome, alice).is_empty()
    };
    // Each message leaves its audience behind, and only the member's roles change before the next.
    assert!(!hears(&mut world));
    world.ok(OWNER, Call::AddMemberRole { guild_id, user_id: ALICE, role_id });
    assert!(hears(&mut world));
    world.ok(OWNER, Call::RemoveMemberRole { guild_id, user_id: ALICE, role_id });
    assert!(!hears(&mut world));
}

#[test]
fn members_are_sent_in_chunks() {
    let mut world = World::with_limits(Limits::default());
    for n in 0..1_200 {
        let id = UserId::new(1_000 + n);
        world.rows.users.insert(id, user(id));
        world.rows.members.insert(id, member_row(world.guild_id(), id, world.now));
    }
    world.reload();
    let (alice, _) = world.subscribe(ALICE, None);
    let request = |query: Option<&str>, limit, user_ids: &[UserId]| RequestGuildMembers {
        guild_ids: vec![],
        query: query.map(Into::into),
        limit,
        presences: false,
        user_ids: user_ids.to_vec(),
        nonce: Some("n".into()),
    };
    let chunks = |outcome: &Outcome, id| {
        let chunk = |event: &Event| match event {
            Event::GuildMembersChunk(c) => (c.members.len(), c.chunk_index, c.chunk_count, c.not_found.len()),
            other => panic!("{other:?}"),
        };
        events_for(outcome, id).iter().map(|event| chunk(event)).collect::<Vec<_>>()
    };
    let all = world.core.request_members(alice, &request(Some(""), 0, &[]));
    assert_eq!(chunks(&all, alice), [(1_000, 0, 2, 0), (204, 1, 2, 0)]);
    let named = world.core.request_members(alice, &request(None, 0, &[BOB, STRANGER]));
    assert_eq!(chunks(&named, alice), [(1, 0, 1, 1)]);
    let found = world.core.request_members(alice, &request(Some("USER10"), 3, &[]));
    assert_eq!(chunks(&found, alice), [(3, 0, 1, 0)]);
    // Without the members intent nobody gets the whole list.
    let (bot, _) = world.subscribe(BOT, Some(Intents::GUILDS));
    let none = world.core.request_members(bot, &request(Some(""), 0, &[]));
    assert_eq!(chunks(&none, bot), [(0, 0, 1, 0)]);
}

#[test]
fn a_new_name_reaches_those_who_follow_members() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let renamed = User { global_name: Some("Bobby".into()), ..user(BOB) };
    assert_eq!(names_for(&world.core.user_updated(&renamed), alice), ["GUILD_MEMBER_UPDATE"]);
    assert!(world.core.user_updated(&renamed).dispatches.is_empty());
    assert!(world.core.user_updated(&user(STRANGER)).dispatches.is_empty());
    let call = Call::SearchMembers { guild_id: world.guild_id(), query: "bobb".into(), limit: 5 };
    let rookery_model::call::Reply::Members(found) = world.ok(ALICE, call).reply else { panic!() };
    assert_eq!(found.len(), 1);
}
