//! Audiences by permission class: who is in them at each point, and what they cost.

use std::collections::BTreeMap;

use rookery_guild::{Audience, SubscriberId};
use rookery_model::call::{Call, ModifyMember, ModifyRole};
use rookery_model::gateway::{Event, Intents};
use rookery_model::{ChannelId, Patch, Permissions, RoleId, Timestamp, UserId};

use crate::world::*;

const VIEW: Permissions = Permissions::VIEW_CHANNEL;
const NONE: Permissions = Permissions::empty();

/// A guild with so many more members, each connected by one session.
fn crowd(count: u64) -> (World, BTreeMap<SubscriberId, UserId>) {
    let mut world = World::new();
    for id in (0..count).map(|n| UserId::new(1_000 + n)) {
        world.rows.users.insert(id, user(id));
        world.rows.members.insert(id, member_row(world.guild_id(), id, world.now));
    }
    world.reload();
    let sessions = (0..count).map(|n| UserId::new(1_000 + n)).map(|id| (world.subscribe(id, None).0, id)).collect();
    (world, sessions)
}

/// Who gets a message of the owner in a channel.
fn hearers(world: &mut World, channel_id: ChannelId) -> Vec<SubscriberId> {
    let outcome = world.try_say(OWNER, channel_id, "hello").expect("a message");
    let of = |event: &Event| matches!(event, Event::MessageCreate(_));
    let audiences = outcome.dispatches.iter().filter(|d| of(&d.event)).map(|d| match &d.audience {
        Audience::Subscribers(ids) => ids.to_vec(),
        Audience::Users(_) => panic!("a guild knows its sessions"),
    });
    audiences.flatten().collect()
}

/// As anybody would find them: one look at each session.
fn brute_force(world: &World, sessions: &BTreeMap<SubscriberId, UserId>, channel_id: ChannelId) -> Vec<SubscriberId> {
    let sees = |user: &UserId| world.core.permissions_in(world.now, *user, channel_id).contains(VIEW);
    sessions.iter().filter(|(_, user)| sees(user)).map(|(id, _)| *id).collect()
}

#[test]
fn a_message_to_few_in_a_guild_of_a_hundred_thousand_touches_no_member() {
    let (mut world, sessions) = crowd(100_000);
    let hidden = world.hidden_channel();
    let role_id = world.make_role(NONE).id;
    world.overwrite(hidden, for_role(role_id, VIEW, NONE));
    let guild_id = world.guild_id();
    let few: Vec<UserId> = sessions.values().copied().take(3).collect();
    for user_id in few.clone() {
        world.ok(OWNER, Call::AddMemberRole { guild_id, user_id, role_id });
    }
    let of_few: Vec<SubscriberId> = sessions.iter().filter(|(_, user)| few.contains(user)).map(|(id, _)| *id).collect();
    // The first message makes the audience, of whole classes; it and the next ones ask for the author's permissions alone.
    for _ in 0..3 {
        let before = world.core.members_asked();
        assert_eq!(hearers(&mut world, hidden), of_few);
        let asked = world.core.members_asked() - before;
        assert!(asked <= 8, "{asked} members were asked for their permissions");
    }
    // Another who joins in costs by what is remembered, not by those who are there.
    let before = world.core.members_asked();
    let (late, _) = world.subscribe(few[0], None);
    world.core.unsubscribe(late);
    let asked = world.core.members_asked() - before;
    assert!(asked <= 64, "{asked} members were asked because one came and went");
    assert_eq!(hearers(&mut world, hidden), of_few);
}

#[test]
fn thousands_who_join_are_in_the_next_audience_and_in_no_earlier_one() {
    let (mut world, mut sessions) = crowd(50);
    let general = world.general();
    let before = hearers(&mut world, general);
    assert_eq!(before.len(), 50);
    for n in 0..5_000 {
        let user_id = UserId::new(1_000 + n % 50);
        sessions.insert(world.subscribe(user_id, None).0, user_id);
    }
    let after = hearers(&mut world, general);
    assert_eq!(after, sessions.keys().copied().collect::<Vec<_>>());
    assert_eq!(before.len(), 50);
    for id in after.iter().step_by(2) {
        world.core.unsubscribe(*id);
        sessions.remove(id);
    }
    assert_eq!(hearers(&mut world, general), sessions.keys().copied().collect::<Vec<_>>());
}

/// Changes of roles, overwrites, owner and time-outs between messages: each message goes to exactly those who see its
/// channel at that point.
#[test]
fn every_message_has_the_audience_of_its_moment() {
    let (mut world, mut sessions) = crowd(40);
    let guild_id = world.guild_id();
    let channels = [world.general(), world.hidden_channel(), world.hidden_channel()];
    let roles: Vec<RoleId> = (0..4).map(|_| world.make_role(NONE).id).chain([RoleId::from(guild_id)]).collect();
    let mut state = 11_u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut sizes = std::collections::BTreeSet::new();
    for _ in 0..3_000 {
        let (user_id, role_id) = (UserId::new(1_000 + below(40)), roles[below(5) as usize]);
        let channel_id = channels[below(3) as usize];
        let (allow, deny) = if below(2) == 0 { (VIEW, NONE) } else { (NONE, VIEW) };
        match below(8) {
            0 => drop(world.call(OWNER, Call::AddMemberRole { guild_id, user_id, role_id })),
            1 => drop(world.call(OWNER, Call::RemoveMemberRole { guild_id, user_id, role_id })),
            2 => drop(world.overwrite(channel_id, for_role(role_id, allow, deny))),
            3 => drop(world.overwrite(channel_id, for_member(user_id, allow, deny))),
            4 => {
                let permissions = Patch::Set(if below(3) == 0 { NONE } else { VIEW | Permissions::SEND_MESSAGES });
                let changes = ModifyRole { permissions, ..ModifyRole::default() };
                world.ok(OWNER, Call::ModifyRole { guild_id, role_id, changes });
            }
            5 => {
                let until = Patch::Set(Timestamp(world.now.0 + 5_000_000));
                let changes = ModifyMember { communication_disabled_until: until, ..ModifyMember::default() };
                let _ = world.call(OWNER, Call::ModifyMember { guild_id, user_id, changes });
                world.pass_ms(2_000);
            }
            6 => drop(sessions.insert(world.subscribe(user_id, None).0, user_id)),
            _ => {
                let id = *sessions.keys().nth(below(sessions.len() as u64) as usize).expect("a session");
                world.core.unsubscribe(id);
                sessions.remove(&id);
            }
        }
        let heard = hearers(&mut world, channel_id);
        assert_eq!(heard, brute_force(&world, &sessions, channel_id));
        sizes.insert(heard.len());
    }
    assert!(sizes.len() > 10, "audiences of {sizes:?} prove little");
}

#[test]
fn a_time_out_takes_voice_channels_texts_away_and_gives_them_back() {
    let mut world = World::new();
    let guild_id = world.guild_id();
    let voice = world.channel(rookery_model::channel::ChannelType::GuildVoice);
    let (alice, _) = world.subscribe(ALICE, None);
    let (bob, _) = world.subscribe(BOB, Some(Intents::all()));
    assert_eq!(hearers(&mut world, voice), [alice, bob]);
    let until = Patch::Set(Timestamp(world.now.0 + 5_000_000));
    let changes = ModifyMember { communication_disabled_until: until, ..ModifyMember::default() };
    world.ok(OWNER, Call::ModifyMember { guild_id, user_id: ALICE, changes });
    assert_eq!(hearers(&mut world, voice), [bob]);
    world.pass_ms(6_000);
    assert_eq!(hearers(&mut world, voice), [alice, bob]);
}
