//! What sessions of one user hear, and what is written of their reading.

use std::sync::Arc;

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::event::TypingStart;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::store::Write;
use rookery_model::user::{Account, User};
use rookery_model::{ChannelId, DeviceId, GuildId, MessageId, Timestamp, UserId};
use rookery_user::{Limits, Outcome, Session, UserCore, UserState};

const CHANNEL: ChannelId = ChannelId::new(70);

fn account(bot: bool) -> Account {
    Account::new(User { bot, ..User::new(UserId::new(1), "alice") })
}

fn user(bot: bool) -> UserCore {
    let state = UserState {
        account: account(bot),
        guild_ids: vec![GuildId::new(9), GuildId::new(5)],
        dms: vec![Channel::new(CHANNEL, ChannelType::Dm)],
        read_states: Vec::new(),
    };
    UserCore::load(state, Limits { global_per_second: Some(2), guilds_max: 3, sessions_max: 3 })
}

fn session(id: u64) -> Session {
    Session {
        id: SubscriberId(id),
        intents: None,
        device_id: DeviceId::new(id * 10),
        token_epoch: 0,
        gets_direct: true,
    }
}

fn written(outcome: &Outcome) -> Option<(Option<MessageId>, u32)> {
    match outcome.writes.as_slice() {
        [] => None,
        [Write::PutReadState(state)] => Some((state.last_message_id, state.mention_count)),
        other => panic!("{other:?}"),
    }
}

fn typing() -> Arc<Event> {
    Arc::new(Event::TypingStart(TypingStart {
        channel_id: CHANNEL,
        guild_id: None,
        user_id: UserId::new(2),
        timestamp: 0,
        member: None,
    }))
}

#[test]
fn ready_tells_people_more_than_bots() {
    let ready = user(false).subscribe(session(1)).unwrap();
    assert_eq!(ready.guild_ids, [GuildId::new(5), GuildId::new(9)]);
    assert_eq!(ready.dms.len(), 1);
    let ready = user(true).subscribe(session(1)).unwrap();
    assert_eq!((ready.guild_ids.len(), ready.dms.len(), ready.read_states.len()), (2, 0, 0));
}

#[test]
fn sessions_are_bounded_and_a_resubscription_is_not_a_second_one() {
    let mut user = user(false);
    for id in [1, 2, 3, 3] {
        user.subscribe(session(id)).unwrap();
    }
    assert_eq!(user.subscribe(session(4)).unwrap_err().status, 429);
    user.unsubscribe(SubscriberId(1));
    assert!(user.subscribe(session(4)).is_ok());
    assert!(!user.is_idle());
}

#[test]
fn direct_events_go_by_intents_and_shard_and_keep_the_list_of_dms() {
    let mut user = user(true);
    user.subscribe(Session { intents: Some(Intents::GUILDS), ..session(1) }).unwrap();
    user.subscribe(Session { intents: Some(Intents::DIRECT_MESSAGE_TYPING), ..session(2) }).unwrap();
    user.subscribe(Session { gets_direct: false, ..session(3) }).unwrap();
    assert_eq!(user.deliver(&typing()), [SubscriberId(2)]);
    let opened = Event::ChannelCreate(Channel::new(ChannelId::new(71), ChannelType::Dm));
    assert_eq!(user.deliver(&Arc::new(opened)).len(), 2);
}

#[test]
fn a_closed_dm_leaves_the_list() {
    let mut user = user(false);
    let closed = Event::ChannelDelete(Channel::new(CHANNEL, ChannelType::Dm));
    user.deliver(&Arc::new(closed));
    assert_eq!(user.subscribe(session(1)).unwrap().dms, []);
}

#[test]
fn mentions_count_until_they_are_read_on_any_device() {
    let mut user = user(false);
    user.subscribe(session(1)).unwrap();
    user.subscribe(session(2)).unwrap();
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(100))), Some((None, 1)));
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(101))), Some((None, 2)));
    let read = user.acknowledge(CHANNEL, MessageId::new(101), false, None);
    assert_eq!(written(&read), Some((Some(MessageId::new(101)), 0)));
    assert_eq!(read.dispatches[0].sessions, [SubscriberId(1), SubscriberId(2)]);
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(101))), None, "read already");
    let again = user.acknowledge(CHANNEL, MessageId::new(100), false, None);
    assert_eq!((written(&again), again.dispatches.len()), (None, 0), "reading never goes back by itself");
    let unread = user.acknowledge(CHANNEL, MessageId::new(99), true, Some(2));
    assert_eq!(written(&unread), Some((Some(MessageId::new(99)), 2)));
}

#[test]
fn bots_have_no_read_states() {
    let mut user = user(true);
    assert_eq!(written(&user.mentioned(CHANNEL, MessageId::new(1))), None);
    assert_eq!(written(&user.acknowledge(CHANNEL, MessageId::new(1), false, None)), None);
}

#[test]
fn void_tokens_close_their_sessions_and_open_no_new_ones() {
    let mut user = user(false);
    user.subscribe(session(1)).unwrap();
    user.subscribe(session(2)).unwrap();
    let signed_out = Account { revoked_devices: vec![DeviceId::new(20)], ..account(false) };
    let outcome = user.account_changed(signed_out.clone());
    assert_eq!((outcome.closes, outcome.dispatches.len()), (vec![SubscriberId(2)], 0));
    assert_eq!(user.subscribe(session(2)).unwrap_err().status, 401);
    let outcome = user.account_changed(Account { token_epoch: 1, ..signed_out });
    assert_eq!(outcome.closes, [SubscriberId(1)]);
    assert!(user.is_idle());
}

#[test]
fn a_new_name_is_told_to_all_sessions() {
    let mut user = user(false);
    user.subscribe(session(1)).unwrap();
    let mut renamed = account(false);
    renamed.user.global_name = Some("Alice".into());
    let outcome = user.account_changed(renamed);
    assert_eq!(outcome.dispatches[0].event.name(), "USER_UPDATE");
    assert_eq!(outcome.dispatches[0].sessions, [SubscriberId(1)]);
}

#[test]
fn guilds_are_bounded_for_people() {
    let mut person = user(false);
    assert!(person.may_join_guild(GuildId::new(1)).is_ok());
    person.guild_joined(GuildId::new(1));
    assert_eq!(person.may_join_guild(GuildId::new(2)).unwrap_err().code, 30001);
    assert!(person.may_join_guild(GuildId::new(1)).is_ok(), "is in it already");
    person.guild_left(GuildId::new(9));
    assert!(person.may_join_guild(GuildId::new(2)).is_ok());
    let mut bot = user(true);
    (10..20).for_each(|id| drop(bot.guild_joined(GuildId::new(id))));
    assert!(bot.may_join_guild(GuildId::new(2)).is_ok());
}

#[test]
fn the_global_limit_is_a_window_of_a_second() {
    let mut user = user(false);
    let at = |ms: i64| Timestamp::from_unix_ms(1_000_000 + ms);
    assert!(user.take_request(at(0)).is_ok() && user.take_request(at(999)).is_ok());
    let error = user.take_request(at(750)).unwrap_err();
    assert_eq!(error.retry_after.map(|retry| (retry.seconds, retry.global)), Some((0.25, true)));
    assert!(user.take_request(at(1_000)).is_ok());
}
