//! What sessions of one user hear, and what is written of their reading.

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::event::TypingStart;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::store::Write;
use rookery_model::{ChannelId, DeviceId, GuildId, MessageId, UserId};
use rookery_user::{Limits, Outcome, SubscribeError, UserCore, UserSession, UserState};

const CHANNEL: ChannelId = ChannelId::new(70);

fn user(is_bot: bool) -> UserCore {
    let guild_ids = (0..8).map(|n| GuildId::new(n << 22 | 5)).collect();
    let state =
        UserState { user_id: UserId::new(1), is_bot, guild_ids, dm_ids: vec![CHANNEL], read_states: Vec::new() };
    UserCore::load(state, Limits { sessions_max: 3, guilds_max: 9 })
}

fn session(id: u64) -> UserSession {
    UserSession { id: SubscriberId(id), device: DeviceId::new(id * 10), epoch: 0, intents: None, shard: None }
}

fn written(outcome: &Outcome) -> Option<(Option<MessageId>, u32)> {
    match outcome.writes.as_slice() {
        [] => None,
        [Write::PutReadState(state)] => Some((state.last_message_id, state.mention_count)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_shard_gets_its_guilds_and_shard_0_the_dms() {
    let mut user = user(true);
    let even = user.subscribe(UserSession { shard: Some([0, 2]), ..session(1) }).unwrap();
    let odd = user.subscribe(UserSession { shard: Some([1, 2]), ..session(2) }).unwrap();
    assert_eq!((even.guild_ids.len(), odd.guild_ids.len()), (4, 4));
    assert!(even.guild_ids.iter().all(|id| (id.get() >> 22) % 2 == 0));
    assert_eq!((even.dm_ids.len(), odd.dm_ids.len()), (1, 0));
    assert_eq!(even.read_states, None);
    assert_eq!(user.guild_joined(GuildId::new(9 << 22)), [SubscriberId(2)]);
}

#[test]
fn sessions_are_bounded_and_a_resubscription_is_not_a_second_one() {
    let mut user = user(false);
    for id in [1, 2, 3, 3] {
        user.subscribe(session(id)).unwrap();
    }
    assert_eq!(user.subscribe(session(4)), Err(SubscribeError::TooMany));
    user.unsubscribe(SubscriberId(1));
    assert!(user.subscribe(session(4)).is_ok());
    assert_eq!(user.session_count(), 3);
}

#[test]
fn direct_events_go_by_intents_and_keep_the_list_of_dms() {
    let mut user = user(true);
    user.subscribe(UserSession { intents: Some(Intents::GUILDS), ..session(1) }).unwrap();
    user.subscribe(UserSession { intents: Some(Intents::DIRECT_MESSAGE_TYPING), ..session(2) }).unwrap();
    let typing = Event::TypingStart(TypingStart {
        channel_id: CHANNEL,
        guild_id: None,
        user_id: UserId::new(2),
        timestamp: 0,
        member: None,
    });
    assert_eq!(user.deliver(&typing), [SubscriberId(2)]);
    let opened = Event::ChannelCreate(Channel::new(ChannelId::new(71), ChannelType::Dm));
    assert_eq!(user.deliver(&opened).len(), 2);
    assert_eq!(user.subscribe(session(3)).unwrap().dm_ids, [CHANNEL, ChannelId::new(71)]);
}

#[test]
fn mentions_count_until_they_are_read_on_any_device() {
    let mut user = user(false);
    user.subscribe(session(1)).unwrap();
    user.subscribe(session(2)).unwrap();
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(100))), Some((None, 1)));
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(101))), Some((None, 2)));
    let read = user.acknowledge(CHANNEL, MessageId::new(101), false, None, Some(SubscriberId(1)));
    assert_eq!(written(&read), Some((Some(MessageId::new(101)), 0)));
    assert_eq!(read.dispatches.len(), 1);
    assert_eq!(read.dispatches[0].sessions, [SubscriberId(2)]);
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(101))), None, "read already");
    let again = user.acknowledge(CHANNEL, MessageId::new(100), false, None, None);
    assert_eq!((written(&again), again.dispatches.len()), (None, 0), "reading never goes back by itself");
    let unread = user.acknowledge(CHANNEL, MessageId::new(99), true, Some(2), None);
    assert_eq!(written(&unread), Some((Some(MessageId::new(99)), 2)));
}

#[test]
fn bots_have_no_read_states() {
    let mut user = user(true);
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(1))), None);
    assert_eq!(written(&user.acknowledge(CHANNEL, MessageId::new(1), false, None, None)), None);
}

#[test]
fn a_revocation_names_the_sessions_of_the_device_or_all() {
    let mut user = user(false);
    user.subscribe(session(1)).unwrap();
    user.subscribe(session(2)).unwrap();
    assert_eq!(user.revoke(Some(DeviceId::new(20))), [SubscriberId(2)]);
    assert_eq!(user.revoke(None).len(), 2);
}

#[test]
fn guilds_are_bounded_for_people_only() {
    let mut person = user(false);
    assert!(person.may_join_guild(GuildId::new(1)).is_ok());
    person.guild_joined(GuildId::new(1));
    assert_eq!(person.may_join_guild(GuildId::new(2)).unwrap_err().code, 30001);
    assert!(person.may_join_guild(GuildId::new(1)).is_ok(), "is in it already");
    person.guild_left(GuildId::new(5));
    assert!(person.may_join_guild(GuildId::new(2)).is_ok());
    let mut bot = user(true);
    (10..20).for_each(|id| drop(bot.guild_joined(GuildId::new(id))));
    assert!(bot.may_join_guild(GuildId::new(2)).is_ok());
}
