//! The user's core from outside: what sessions start with, what they hear of, what is written.

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::event::TypingStart;
use rookery_model::gateway::{Event, Intents, Status, SubscriberId};
use rookery_model::store::{ReadState, Write};
use rookery_model::user::User;
use rookery_model::{ChannelId, DeviceId, ErrorCode, GuildId, MessageId, UserId};
use rookery_user::{Limits, Moment, Outcome, SessionClient, SubscribeError, UserCore, UserSession, UserState};

const USER: UserId = UserId::new(1);
const DM: ChannelId = ChannelId::new(50);
const CHANNEL: ChannelId = ChannelId::new(60);

fn user(is_bot: bool) -> UserCore {
    let state = UserState {
        user_id: USER,
        is_bot,
        guild_ids: (0..4).map(guild).collect(),
        dm_ids: vec![DM],
        read_states: vec![],
        relationships: vec![],
        status: Status::Online,
    };
    UserCore::load(state, Limits { sessions_max: 3, guilds_max: 5, ..Limits::default() })
}

/// The guild with this number: of two shards it belongs to the one with the number's parity.
fn guild(n: u64) -> GuildId {
    GuildId::new(n << 22)
}

fn session(id: u64) -> UserSession {
    UserSession {
        id: SubscriberId(id),
        device: DeviceId::new(id),
        epoch: 0,
        intents: None,
        shard: None,
        client: SessionClient::default(),
    }
}

fn dm(id: ChannelId) -> Channel {
    Channel::new(id, ChannelType::Dm)
}

fn written(outcome: Outcome) -> Option<ReadState> {
    match outcome.writes.into_iter().next()? {
        Write::PutReadState(state) => Some(state),
        other => panic!("{other:?}"),
    }
}

#[test]
fn shards_share_the_guilds_and_the_first_has_the_dms() {
    let mut core = user(true);
    let shard = |id, shard| UserSession { shard: Some([shard, 2]), ..session(id) };
    let first = core.subscribe(Moment::default(), shard(1, 0)).unwrap();
    assert_eq!((first.guild_ids, first.dm_ids), (vec![guild(0), guild(2)], vec![DM]));
    let second = core.subscribe(Moment::default(), shard(2, 1)).unwrap();
    assert_eq!((second.guild_ids, second.dm_ids), (vec![guild(1), guild(3)], vec![]));
    assert_eq!(core.guild_joined(guild(5)), [SubscriberId(2)]);
    assert_eq!(core.guild_left(guild(2)), [SubscriberId(1)]);
    assert_eq!(core.guild_ids().collect::<Vec<_>>(), [guild(0), guild(1), guild(3), guild(5)]);
}

#[test]
fn sessions_have_a_limit_and_an_end() {
    let mut core = user(false);
    for id in 1..=3 {
        core.subscribe(Moment::default(), session(id)).unwrap();
    }
    assert_eq!(core.subscribe(Moment::default(), session(4)).unwrap_err(), SubscribeError::TooMany);
    // One that comes again takes its own place.
    core.subscribe(Moment::default(), session(3)).unwrap();
    assert_eq!(core.session_count(), 3);
    assert_eq!(core.revoke(Some(DeviceId::new(2))), [SubscriberId(2)]);
    assert_eq!(core.revoke(None).len(), 3);
    core.unsubscribe(SubscriberId(1));
    assert_eq!(core.session_count(), 2);
}

#[test]
fn guilds_have_a_limit_for_people() {
    let mut core = user(false);
    assert!(core.may_join_guild(guild(9)).is_ok());
    core.guild_joined(guild(9));
    assert!(core.may_join_guild(guild(10)).is_err_and(|error| error.is(ErrorCode::MaxGuilds)));
    assert!(core.may_join_guild(guild(9)).is_ok());
    let mut bot = user(true);
    bot.guild_joined(guild(9));
    assert!(bot.may_join_guild(guild(10)).is_ok());
}

#[test]
fn a_dm_is_announced_to_those_who_had_it_closed() {
    let mut core = user(false);
    core.subscribe(Moment::default(), session(1)).unwrap();
    assert!(core.deliver(&Event::ChannelCreate(dm(DM))).is_empty());
    assert_eq!(core.deliver(&Event::ChannelDelete(dm(DM))), [SubscriberId(1)]);
    assert_eq!(core.deliver(&Event::ChannelCreate(dm(DM))), [SubscriberId(1)]);
    assert_eq!(core.subscribe(Moment::default(), session(2)).unwrap().dm_ids, [DM]);

    let mut bot = user(true);
    bot.subscribe(Moment::default(), session(1)).unwrap();
    assert!(bot.deliver(&Event::ChannelCreate(dm(ChannelId::new(51)))).is_empty());
}

#[test]
fn events_of_dms_come_by_intent() {
    let mut core = user(true);
    core.subscribe(Moment::default(), UserSession { intents: Some(Intents::DIRECT_MESSAGE_TYPING), ..session(1) })
        .unwrap();
    core.subscribe(Moment::default(), UserSession { intents: Some(Intents::GUILDS), ..session(2) }).unwrap();
    let typing = TypingStart { channel_id: DM, guild_id: None, user_id: USER, timestamp: 0, member: None };
    assert_eq!(core.deliver(&Event::TypingStart(typing)), [SubscriberId(1)]);
}

#[test]
fn mentions_count_until_they_are_read() {
    let mut core = user(false);
    core.subscribe(Moment::default(), session(1)).unwrap();
    core.subscribe(Moment::default(), session(2)).unwrap();
    assert_eq!(written(core.mentioned(CHANNEL, MessageId::new(5))).map(|s| s.mention_count), Some(1));
    assert_eq!(written(core.mentioned(CHANNEL, MessageId::new(6))).map(|s| s.mention_count), Some(2));
    let outcome = core.acknowledge(CHANNEL, MessageId::new(6), false, None, Some(SubscriberId(1)));
    assert_eq!(outcome.dispatches.iter().map(|d| d.sessions.clone()).collect::<Vec<_>>(), [[SubscriberId(2)]]);
    let state = written(outcome).expect("a row");
    assert_eq!((state.last_message_id, state.mention_count), (Some(MessageId::new(6)), 0));
    // What was read before does not count, nor does reading it again change anything.
    assert!(written(core.mentioned(CHANNEL, MessageId::new(4))).is_none());
    assert!(written(core.acknowledge(CHANNEL, MessageId::new(3), false, None, None)).is_none());
    // Only by hand it goes back.
    let back = written(core.acknowledge(CHANNEL, MessageId::new(3), true, Some(2), None)).expect("a row");
    assert_eq!((back.last_message_id, back.mention_count), (Some(MessageId::new(3)), 2));
    assert_eq!(core.subscribe(Moment::default(), session(3)).unwrap().read_states, Some(vec![back]));
}

#[test]
fn bots_have_no_read_states() {
    let mut core = user(true);
    assert_eq!(core.subscribe(Moment::default(), session(1)).unwrap().read_states, None);
    assert!(written(core.mentioned(CHANNEL, MessageId::new(5))).is_none());
    assert!(written(core.acknowledge(CHANNEL, MessageId::new(5), false, None, None)).is_none());
}

#[test]
fn the_newest_messages_of_listed_dms_are_known_to_sessions_that_start() {
    let mut core = user(false);
    let create = |channel_id, id| {
        let message = serde_json::json!({
            "id": id, "channel_id": channel_id, "author": User::new(UserId::new(2), "bob"), "content": "", "type": 0,
            "timestamp": "2020-01-01T00:00:00.000000+00:00", "edited_timestamp": null, "tts": false,
            "mention_everyone": false, "mentions": [], "mention_roles": [], "attachments": [], "embeds": [],
            "pinned": false, "flags": 0, "components": [], "channel_type": 1,
        });
        Event::MessageCreate(Box::new(serde_json::from_value(message).unwrap()))
    };
    assert!(core.subscribe(Moment::default(), session(1)).unwrap().newest_messages.is_empty());
    for id in [7, 9, 8] {
        core.deliver(&create(DM, MessageId::new(id)));
    }
    // One that is not in the list is not in READY either.
    core.deliver(&create(CHANNEL, MessageId::new(10)));
    let newest = core.subscribe(Moment::default(), session(2)).unwrap().newest_messages;
    assert_eq!(newest.into_iter().collect::<Vec<_>>(), [(DM, MessageId::new(9))]);
    core.deliver(&Event::ChannelDelete(dm(DM)));
    assert!(core.subscribe(Moment::default(), session(3)).unwrap().newest_messages.is_empty());
}

#[test]
fn a_core_that_takes_anothers_place_tells_what_is_still_on_its_way() {
    let new = dm(ChannelId::new(51));
    let told = user(false);
    let state = UserState {
        user_id: USER,
        is_bot: false,
        guild_ids: vec![],
        // The row is there already; the news of it waits in the owner's mailbox.
        dm_ids: vec![DM, new.id],
        read_states: vec![],
        relationships: vec![],
        status: Status::Online,
    };
    let mut core = UserCore::load(state, Limits::default());
    core.keep_lists_of(&told);
    assert_eq!(core.guild_ids().count(), 4);
    core.subscribe(Moment::default(), session(1)).unwrap();
    assert_eq!(core.deliver(&Event::ChannelCreate(new)), [SubscriberId(1)]);
    assert!(core.deliver(&Event::ChannelCreate(dm(DM))).is_empty());
}
