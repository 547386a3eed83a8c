//! Passive sessions: deltas instead of events, at most so often, and events again for who looks.

use rookery_guild::{PASSIVE_UPDATE_INTERVAL_MS, SubscriberId};
use rookery_model::Timestamp;
use rookery_model::call::Call;
use rookery_model::gateway::{Capabilities, Event, PassiveChannel, Subscription};

use crate::world::*;

const V1: Capabilities = Capabilities::PASSIVE_GUILD_UPDATE;
const V2: Capabilities = Capabilities::PASSIVE_GUILD_UPDATE_V2;

fn looks(typing: bool) -> Subscription {
    Subscription { typing: Some(typing), activities: Some(true), ..Subscription::default() }
}

fn delta(world: &mut World, id: SubscriberId) -> Vec<PassiveChannel> {
    let due = world.core.poll_passive_timeout().expect("something is due");
    assert!(world.core.handle_passive_timeout(Timestamp(due.0 - 1)).dispatches.is_empty(), "not yet");
    let outcome = world.core.handle_passive_timeout(due);
    let events = events_for(&outcome, id);
    match events.iter().map(|event| &**event).collect::<Vec<_>>().as_slice() {
        [Event::PassiveUpdateV1(update)] => update.channels.clone(),
        [Event::PassiveUpdateV2(update)] => update.updated_channels.clone(),
        [] => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_comes_as_one_delta() {
    let mut world = World::new();
    let (general, hidden) = (world.general(), world.hidden_channel());
    let (alice, _) = world.subscribe_with(ALICE, None, V2);
    let (owner, _) = world.subscribe_with(OWNER, None, V1);
    let (bob, _) = world.subscribe(BOB, None);
    assert_eq!(world.core.poll_passive_timeout(), None);
    world.say(BOB, general, "one");
    let due = Timestamp(world.now.0 + PASSIVE_UPDATE_INTERVAL_MS * 1_000);
    assert_eq!(world.core.poll_passive_timeout(), Some(due));
    let outcome = world.try_say(BOB, general, "two").unwrap();
    assert_eq!((names_for(&outcome, alice).len(), names_for(&outcome, bob).len()), (0, 1));
    let secret = world.say(OWNER, hidden, "three").id;
    let typing = world.ok(BOB, Call::TriggerTyping { channel_id: general });
    assert_eq!((names_for(&typing, alice).len(), names_for(&typing, bob).len()), (0, 1));
    let outcome = world.core.handle_passive_timeout(due);
    let channels = |id| match &*events_for(&outcome, id)[0] {
        Event::PassiveUpdateV1(update) => update.channels.clone(),
        Event::PassiveUpdateV2(update) => update.updated_channels.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names_for(&outcome, alice), ["PASSIVE_UPDATE_V2"]);
    assert_eq!(names_for(&outcome, owner), ["PASSIVE_UPDATE_V1"]);
    assert!(names_for(&outcome, bob).is_empty());
    assert_eq!(channels(alice).iter().map(|c| c.id).collect::<Vec<_>>(), [general]);
    assert_eq!(channels(owner).iter().map(|c| c.id).collect::<Vec<_>>(), [general, hidden]);
    assert_eq!(channels(owner)[1].last_message_id, Some(secret));
    assert_eq!(world.core.poll_passive_timeout(), None);
}

#[test]
fn mentions_come_and_so_does_what_the_guild_is_made_of() {
    let mut world = World::new();
    let general = world.general();
    let role_id = world.grant(ALICE, rookery_model::Permissions::empty());
    world.deny_everyone(general, rookery_model::Permissions::MENTION_EVERYONE);
    let (alice, _) = world.subscribe_with(ALICE, None, V2);
    let said =
        |world: &mut World, by, text: &str| !names_for(&world.try_say(by, general, text).unwrap(), alice).is_empty();
    assert!(!said(&mut world, BOB, "hello"));
    assert!(said(&mut world, BOB, &format!("<@{ALICE}>")));
    assert!(said(&mut world, OWNER, &format!("<@&{role_id}>")));
    assert!(said(&mut world, OWNER, "@everyone"));
    assert!(!said(&mut world, BOB, "@everyone"), "who may not mention everybody mentions nobody");
    let hidden = world.hidden_channel();
    let outcome = world.try_say(OWNER, hidden, &format!("<@{ALICE}> @everyone")).unwrap();
    assert!(names_for(&outcome, alice).is_empty(), "not in a channel that she does not see");
    let outcome = world.ok(OWNER, Call::CreateRole { guild_id: world.guild_id(), role: Default::default() });
    assert_eq!(names_for(&outcome, alice), ["GUILD_ROLE_CREATE"]);
}

#[test]
fn who_looks_gets_the_rest_of_the_delta_and_then_events() {
    let mut world = World::new();
    let general = world.general();
    let (alice, _) = world.subscribe_with(ALICE, None, V2);
    world.say(BOB, general, "missed");
    let outcome = world.core.set_subscriptions(alice, &looks(false));
    assert_eq!(names_for(&outcome, alice), ["PASSIVE_UPDATE_V2"]);
    let outcome = world.try_say(BOB, general, "seen").unwrap();
    assert_eq!(names_for(&outcome, alice), ["MESSAGE_CREATE"]);
    let typing = world.ok(BOB, Call::TriggerTyping { channel_id: general });
    assert!(names_for(&typing, alice).is_empty(), "typing was not asked for");
    world.core.set_subscriptions(alice, &looks(true));
    let typing = world.ok(BOB, Call::TriggerTyping { channel_id: general });
    assert_eq!(names_for(&typing, alice), ["TYPING_START"]);
    // It looks away again.
    let away = Subscription { typing: Some(false), activities: Some(false), ..Subscription::default() };
    world.core.set_subscriptions(alice, &away);
    let newest = world.say(BOB, general, "missed again").id;
    assert_eq!(delta(&mut world, alice).last().and_then(|c| c.last_message_id), Some(newest));
}

#[test]
fn a_guild_loaded_anew_counts_every_channel_as_changed() {
    let mut world = World::new();
    let (alice, _) = world.subscribe_with(ALICE, None, V2);
    let now = world.now;
    world.core.renew_passive(now);
    assert_eq!(delta(&mut world, alice).len(), world.core.channel_ids().len());
}
