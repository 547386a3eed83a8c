//! GUILD_SUBSCRIPTIONS: who gets which member list, and until when.

use std::collections::BTreeMap;

use rookery_guild::{Outcome, SubscriberId};
use rookery_model::call::{Call, CreateRole, ModifyMember, Reply};
use rookery_model::gateway::guild_subscriptions::Range;
use rookery_model::gateway::{
    Event, GuildMemberListUpdate, Intents, MemberGroupId, MemberListItem, MemberListOp, Status, Subscription,
};
use rookery_model::{ChannelId, Patch, Permissions, UserId};

use crate::world::*;

fn looks_at(channel_id: ChannelId, ranges: &[Range]) -> Subscription {
    let channels = Some(BTreeMap::from([(channel_id, ranges.to_vec())]));
    Subscription { typing: Some(true), channels, ..Subscription::default() }
}

fn lists(outcome: &Outcome, id: SubscriberId) -> Vec<GuildMemberListUpdate> {
    let list = |event: &Event| match event {
        Event::GuildMemberListUpdate(update) => Some(GuildMemberListUpdate::clone(update)),
        _ => None,
    };
    events_for(outcome, id).iter().filter_map(|event| list(event)).collect()
}

fn ids(items: &[MemberListItem]) -> Vec<u64> {
    let id = |item: &MemberListItem| match item {
        MemberListItem::Group(_) => 0,
        MemberListItem::Member(entry) => entry.member.user.as_ref().expect("a user").id.get(),
    };
    items.iter().map(id).collect()
}

/// The one SYNC of an outcome.
#[track_caller]
fn synced(outcome: &Outcome, id: SubscriberId) -> (String, Vec<u64>) {
    let lists = lists(outcome, id);
    let [GuildMemberListUpdate { id, ops, .. }] = lists.as_slice() else { panic!("{lists:?}") };
    let [MemberListOp::Sync { items, .. }] = ops.as_slice() else { panic!("{ops:?}") };
    (id.clone(), ids(items))
}

#[test]
fn who_looks_gets_the_range_and_then_what_changes_in_it() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let (bob, _) = world.subscribe(BOB, None);
    world.status(ALICE, Status::Online);
    world.status(BOB, Status::Online);
    let general = world.general();
    let outcome = world.core.set_subscriptions(alice, &looks_at(general, &[[0, 99]]));
    // Online: ALICE and BOB; offline: OWNER and BOT.
    assert_eq!(synced(&outcome, alice), ("everyone".into(), vec![0, 101, 102, 0, 100, 103]));
    let [list] = lists(&outcome, alice).try_into().expect("one");
    assert_eq!((list.online_count, list.member_count, list.groups.len()), (2, 4, 2));
    assert!(events_for(&outcome, bob).is_empty());

    let outcome = world.status(BOB, Status::Idle);
    let [list] = lists(&outcome, alice).try_into().expect("one");
    let [MemberListOp::Update { index: 2, item: MemberListItem::Member(member) }] = list.ops.as_slice() else {
        panic!("{list:?}")
    };
    assert_eq!(member.presence.status, Status::Idle);
    assert!(world.status(BOB, Status::Idle).dispatches.is_empty(), "nothing changed");
    assert!(lists(&outcome, bob).is_empty(), "who does not look gets nothing");

    // Somebody goes, a nick, a role of its own group.
    assert_eq!(lists(&world.status(BOB, Status::Offline), alice).len(), 1);
    let changes = ModifyMember { nick: Patch::Set("Zed".into()), ..ModifyMember::default() };
    let call = Call::ModifyMember { guild_id: world.guild_id(), user_id: ALICE, changes };
    assert_eq!(lists(&world.ok(OWNER, call), alice).len(), 1);
    let guild_id = world.guild_id();
    let role = CreateRole { hoist: true, ..CreateRole::default() };
    let Reply::Role(role) = world.ok(OWNER, Call::CreateRole { guild_id, role }).reply else { panic!() };
    let outcome = world.ok(OWNER, Call::AddMemberRole { guild_id, user_id: ALICE, role_id: role.id });
    let [list] = lists(&outcome, alice).try_into().expect("one");
    assert_eq!(
        list.groups.iter().map(|g| g.id).collect::<Vec<_>>(),
        [MemberGroupId::Role(role.id), MemberGroupId::Offline]
    );
}

#[test]
fn a_channels_list_has_those_who_view_it_and_ends_with_sight() {
    let mut world = World::new();
    let hidden = world.hidden_channel();
    let (alice, _) = world.subscribe(ALICE, None);
    let (owner, _) = world.subscribe(OWNER, None);
    world.status(ALICE, Status::Online);
    world.status(OWNER, Status::Online);
    let (view, none) = (Permissions::VIEW_CHANNEL, Permissions::empty());
    assert!(world.core.set_subscriptions(alice, &looks_at(hidden, &[[0, 99]])).dispatches.is_empty());
    let outcome = world.core.set_subscriptions(owner, &looks_at(hidden, &[[0, 99]]));
    let (of_owner, seen) = synced(&outcome, owner);
    assert_eq!(seen, [0, 100]);

    // Sight comes: the list that was asked for comes with it, and is another one.
    let outcome = world.overwrite(hidden, for_member(ALICE, view, none));
    let (with_alice, seen) = synced(&outcome, alice);
    assert_eq!((seen, with_alice != of_owner), (vec![0, 100, 101], true));
    assert_eq!(synced(&outcome, owner).0, with_alice);
    assert_eq!(lists(&world.status(ALICE, Status::Dnd), alice).len(), 1);

    // Sight goes: nothing of the list comes after the channel is gone, while the others go on.
    let outcome = world.overwrite(hidden, for_member(ALICE, none, view));
    assert_eq!(names_for(&outcome, alice), ["CHANNEL_DELETE"]);
    assert_eq!(synced(&outcome, owner).1, [0, 100]);
    let outcome = world.status(OWNER, Status::Idle);
    assert!(lists(&outcome, alice).is_empty() && lists(&outcome, owner).len() == 1);
    let outcome = world.ok(OWNER, Call::DeleteChannel { channel_id: hidden });
    assert!(lists(&outcome, owner).is_empty());
}

#[test]
fn lists_are_shared_and_forgotten() {
    let mut world = World::new();
    let (general, hidden) = (world.general(), world.hidden_channel());
    let (owner, _) = world.subscribe(OWNER, None);
    let (alice, _) = world.subscribe(ALICE, None);
    let both = Subscription {
        channels: Some(BTreeMap::from([(general, vec![[0, 99]]), (hidden, vec![[0, 99]])])),
        ..Subscription::default()
    };
    assert_eq!(lists(&world.core.set_subscriptions(owner, &both), owner).len(), 2);
    world.core.set_subscriptions(alice, &looks_at(general, &[[0, 99], [100, 199]]));
    assert_eq!(world.core.member_lists(), 2);
    let nothing = Subscription { typing: Some(false), channels: Some(BTreeMap::new()), ..Subscription::default() };
    world.core.set_subscriptions(owner, &nothing);
    assert!(lists(&world.status(BOB, Status::Online), owner).is_empty());
    world.core.unsubscribe(alice);
    assert_eq!(world.core.member_lists(), 0);
}

#[test]
fn another_range_of_the_same_list_invalidates_the_one_before() {
    let mut world = World::new();
    let (alice, _) = world.subscribe(ALICE, None);
    let general = world.general();
    world.core.set_subscriptions(alice, &looks_at(general, &[[0, 99], [100, 199]]));
    let outcome = world.core.set_subscriptions(alice, &looks_at(general, &[[0, 99], [200, 299]]));
    let [list] = lists(&outcome, alice).try_into().expect("one");
    assert_eq!(list.ops.first(), Some(&MemberListOp::Invalidate { range: [100, 199] }));
    let ranges = list.ops.iter().filter_map(|op| match op {
        MemberListOp::Sync { range, .. } => Some(*range),
        _ => None,
    });
    assert_eq!(ranges.collect::<Vec<_>>(), [[0, 99], [200, 299]]);
}

#[test]
fn bots_and_strangers_look_at_nothing() {
    let mut world = World::new();
    let (bot, _) = world.subscribe(BOT, Some(Intents::all()));
    let general = world.general();
    assert!(world.core.set_subscriptions(bot, &looks_at(general, &[[0, 99]])).dispatches.is_empty());
    assert!(world.core.set_subscriptions(SubscriberId(99), &looks_at(general, &[[0, 99]])).dispatches.is_empty());
    assert_eq!((world.core.member_lists(), world.core.subscriptions().len()), (0, 0));
}

#[test]
fn a_large_guild_lists_those_who_are_there() {
    let mut world = World::new();
    for id in (0..996).map(|n| UserId::new(1_000 + n)) {
        world.rows.users.insert(id, user(id));
        world.rows.members.insert(id, member_row(world.guild_id(), id, world.now));
    }
    world.reload();
    let (alice, _) = world.subscribe(ALICE, None);
    world.status(ALICE, Status::Online);
    let general = world.general();
    let groups = |outcome: &Outcome| lists(outcome, alice).first().expect("a list").groups.len();
    assert_eq!(groups(&world.core.set_subscriptions(alice, &looks_at(general, &[[0, 99]]))), 2);
    // The 1,001st member.
    let Reply::Invite(invite) = world
        .ok(
            OWNER,
            Call::CreateInvite {
                channel_id: general,
                invite: rookery_model::call::CreateInvite { max_age: 0, max_uses: 0, temporary: false, unique: true },
            },
        )
        .reply
    else {
        panic!()
    };
    let outcome = world.ok(STRANGER, Call::AcceptInvite { code: invite.code });
    assert_eq!(groups(&outcome), 1);
    let outcome = world.status(BOB, Status::Online);
    let [list] = lists(&outcome, alice).try_into().expect("one");
    assert_eq!((list.online_count, list.member_count), (2, 1_001));
}
