//! What sessions get: GUILD_CREATE, events by intents, member chunks.

use rookery_guild::{MembersCursor, Outcome, Subscriber, SubscriberId};
use rookery_model::call::Call;
use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Capabilities, Event, GuildMembersChunk, Intents, RequestGuildMembers};
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
    let stranger = Subscriber {
        id: SubscriberId(99),
        user_id: STRANGER,
        intents: None,
        large_threshold: 50,
        capabilities: Capabilities::empty(),
    };
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

/// A world with so many more members.
fn crowd(count: u64) -> World {
    let mut world = World::new();
    for n in 0..count {
        let id = UserId::new(1_000 + n);
        world.rows.users.insert(id, user(id));
        world.rows.members.insert(id, member_row(world.guild_id(), id, world.now));
    }
    world.reload();
    world
}

fn members_request(query: Option<&str>, limit: u32, user_ids: &[UserId]) -> RequestGuildMembers {
    RequestGuildMembers {
        guild_ids: vec![],
        query: query.map(Into::into),
        limit,
        presences: false,
        user_ids: user_ids.to_vec(),
        nonce: Some("n".into()),
    }
}

/// The chunk at a cursor, the only event of its outcome.
fn chunk_at(world: &World, id: SubscriberId, request: &RequestGuildMembers, at: MembersCursor) -> GuildMembersChunk {
    let outcome = world.core.request_members(id, request, at).expect("a chunk");
    let events = events_for(&outcome, id);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let Event::GuildMembersChunk(chunk) = &**event else { panic!("{event:?}") };
    assert_eq!(chunk.nonce.as_deref(), Some("n"));
    chunk.clone()
}

fn first_chunk(world: &World, id: SubscriberId, query: Option<&str>, limit: u32, user_ids: &[UserId]) -> [usize; 4] {
    let chunk = chunk_at(world, id, &members_request(query, limit, user_ids), MembersCursor::default());
    [chunk.members.len(), chunk.chunk_index as usize, chunk.chunk_count as usize, chunk.not_found.len()]
}

/// All chunks of the whole list, with something that happens between them.
fn all_chunks(
    world: &mut World,
    id: SubscriberId,
    mut meanwhile: impl FnMut(&mut World, u32),
) -> Vec<GuildMembersChunk> {
    let request = members_request(Some(""), 0, &[]);
    let mut chunks = vec![chunk_at(world, id, &request, MembersCursor::default())];
    while let Some(next) = chunks.last().and_then(MembersCursor::after) {
        meanwhile(world, chunks.len() as u32);
        chunks.push(chunk_at(world, id, &request, next));
    }
    chunks
}

fn ids_of(chunks: &[GuildMembersChunk]) -> Vec<UserId> {
    chunks.iter().flat_map(|chunk| &chunk.members).filter_map(|member| Some(member.user.as_ref()?.id)).collect()
}

#[test]
fn all_members_come_in_chunks_one_at_a_time() {
    let mut world = crowd(20_000 - 4);
    let (alice, _) = world.subscribe(ALICE, None);
    let chunks = all_chunks(&mut world, alice, |_, _| {});
    let figures: Vec<_> = chunks.iter().map(|c| (c.members.len(), c.chunk_index, c.chunk_count)).collect();
    assert_eq!(figures, (0..20).map(|index| (1_000, index, 20)).collect::<Vec<_>>());
    assert_eq!(ids_of(&chunks), world.rows.members.keys().copied().collect::<Vec<_>>());
}

#[test]
fn members_who_come_and_go_between_chunks_leave_no_gap() {
    for (comes, count) in [(true, 3_500 - 4), (true, 3_000 - 4), (false, 3_100 - 4), (false, 3_000 - 4)] {
        let mut world = crowd(count);
        let (alice, _) = world.subscribe(ALICE, None);
        let stayed: Vec<UserId> = world.rows.members.keys().copied().filter(|id| id.get() < 2_100).collect();
        let chunks = all_chunks(&mut world, alice, |world, index| {
            let guild_id = world.guild_id();
            for n in 0..300 {
                if comes {
                    let id = UserId::new(100_000 + u64::from(index) * 1_000 + n);
                    world.rows.users.insert(id, user(id));
                    world.rows.members.insert(id, member_row(guild_id, id, world.now));
                } else {
                    world.rows.members.remove(&UserId::new(2_100 + u64::from(index) * 300 + n));
                }
            }
            let sessions = world.core.has_subscribers();
            world.reload();
            assert!(sessions);
            world
                .core
                .subscribe(Subscriber {
                    id: alice,
                    user_id: ALICE,
                    intents: None,
                    large_threshold: 50,
                    capabilities: Capabilities::empty(),
                })
                .unwrap();
        });
        let (last, before) = chunks.split_last().unwrap();
        assert!(before.iter().all(|c| c.members.len() == 1_000 && c.chunk_index + 1 < c.chunk_count));
        assert_eq!(last.chunk_index + 1, last.chunk_count);
        let ids = ids_of(&chunks);
        assert!(ids.is_sorted_by(|a, b| a < b) && stayed.iter().all(|id| ids.contains(id)));
        assert_eq!(ids.last(), world.rows.members.keys().last());
    }
}

#[test]
fn members_are_named_or_searched_a_hundred_at_most() {
    let mut world = crowd(1_200);
    let (alice, _) = world.subscribe(ALICE, None);
    assert_eq!(first_chunk(&world, alice, None, 0, &[BOB, STRANGER, BOB]), [1, 0, 1, 1]);
    let many: Vec<UserId> = (0..500).map(|n| UserId::new(1_000 + n / 2)).collect();
    assert_eq!(first_chunk(&world, alice, None, 0, &many), [100, 0, 1, 0]);
    assert_eq!(first_chunk(&world, alice, Some("USER10"), 3, &[]), [3, 0, 1, 0]);
    assert_eq!(first_chunk(&world, alice, Some("user"), 0, &[]), [100, 0, 1, 0]);
    assert_eq!(first_chunk(&world, alice, Some("user"), 1_000, &[]), [100, 0, 1, 0]);
    assert_eq!(first_chunk(&world, alice, Some(""), 1_000, &[]), [100, 0, 1, 0]);
    assert_eq!(first_chunk(&world, alice, None, 0, &[]), [0, 0, 1, 0]);
    // Without the members intent nobody gets the whole list, and strangers get nothing.
    let (bot, _) = world.subscribe(BOT, Some(Intents::GUILDS));
    assert_eq!(first_chunk(&world, bot, Some(""), 0, &[]), [0, 0, 1, 0]);
    assert_eq!(first_chunk(&world, bot, Some(""), 5, &[]), [5, 0, 1, 0]);
    let request = members_request(Some(""), 0, &[]);
    refused(world.core.request_members(SubscriberId(99), &request, MembersCursor::default()), ErrorCode::UnknownGuild);
}

#[test]
fn a_new_name_reaches_those_who_follow_members() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let renamed = User { global_name: Some("Bobby".into()), ..user(BOB) };
    assert_eq!(names_for(&world.core.user_updated(&renamed), alice), ["GUILD_MEMBER_UPDATE"]);
    // A core that was loaded since has the name already; its sessions were not told.
    world.rows.users.insert(BOB, renamed.clone());
    world.reload();
    let (alice, _) = world.subscribe(ALICE, None);
    assert_eq!(names_for(&world.core.user_updated(&renamed), alice), ["GUILD_MEMBER_UPDATE"]);
    assert!(world.core.user_updated(&user(STRANGER)).dispatches.is_empty());
    let call = Call::SearchMembers { guild_id: world.guild_id(), query: "bobb".into(), limit: 5 };
    let rookery_model::call::Reply::Members(found) = world.ok(ALICE, call).reply else { panic!() };
    assert_eq!(found.len(), 1);
}
