//! Go Live in calls: the same streams as in guilds, told to sessions that are known by their names.

use rookery_guild::{Audience, Effect, IdSource as _, Limits, Outcome, StreamQualityLimit, VoiceSession};
use rookery_model::call::Call;
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{Event, StreamAction, StreamDeleteReason, StreamKey, VoiceStateUpdate};
use rookery_model::voice::{
    RoomOwner, StreamQuality, StreamSettings, VoiceEntry, VoiceRegion, VoiceRights, VoiceRoomKind, VoiceToken,
};
use rookery_model::{ApiError, ErrorCode, GuildId, Patch, UserId, VoiceServerId};

use crate::calls::{Dm, as_session, session};
use crate::world::*;

const CREATE: StreamAction = StreamAction::Create { preferred_region: None };

fn of(user_id: UserId) -> VoiceSession {
    as_session(user_id, session(user_id))
}

impl Dm {
    fn key(&self, user_id: UserId) -> StreamKey {
        StreamKey { guild_id: None, channel_id: self.id, user_id }
    }

    fn try_ask(&mut self, by: VoiceSession, key: StreamKey, action: &StreamAction) -> Result<Outcome, ApiError> {
        let server_id = Some(VoiceServerId(self.world.ids.next_id()));
        self.world.core.stream(by, key, action, server_id)
    }

    #[track_caller]
    fn ask(&mut self, user_id: UserId, key: StreamKey, action: StreamAction) -> Outcome {
        self.try_ask(of(user_id), key, &action).expect("heard")
    }

    /// ALICE streams to BOB and the owner in a group's call.
    fn live() -> Self {
        let mut dm = Self::group();
        [OWNER, ALICE, BOB].into_iter().for_each(|user_id| drop(dm.join(user_id)));
        let key = dm.key(ALICE);
        dm.ask(ALICE, key, CREATE);
        dm.ask(BOB, key, StreamAction::Watch);
        dm.ask(OWNER, key, StreamAction::Watch);
        assert_eq!(dm.world.core.streams(), [(key, sorted(&[OWNER, BOB]))]);
        dm
    }
}

fn sorted(ids: &[UserId]) -> Vec<UserId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// What a session is told of streams, in short.
fn told(outcome: &Outcome, session: VoiceSession) -> Vec<String> {
    let in_short = |event: &Event| match event {
        Event::StreamCreate(e) => format!("create {:?}", e.viewer_ids),
        Event::StreamUpdate(e) => format!("update {:?} {}", e.viewer_ids, e.paused),
        Event::StreamDelete(e) => format!("delete {:?}", e.reason),
        Event::StreamServerUpdate(e) => format!("server {:?}", e.endpoint),
        other => panic!("{other:?}"),
    };
    let mut told = Vec::new();
    for dispatch in &outcome.dispatches {
        assert!(dispatch.event.stream_key().is_none(), "a call's sessions are told by their names: {dispatch:?}");
        if let Event::CallSession(to) = &*dispatch.event
            && to.session_name == session.name
            && to.event.stream_key().is_some()
        {
            assert_eq!(dispatch.audience, Audience::Users([session.user_id].into()));
            told.push(in_short(&to.event));
        }
    }
    told
}

fn deleted(reason: StreamDeleteReason) -> Vec<String> {
    vec![format!("delete {reason:?}")]
}

/// Whether everybody in the DM is told that somebody streams, or no longer.
fn shown(outcome: &Outcome, user_id: UserId) -> Option<bool> {
    let state = |event: &Event| match event {
        Event::VoiceStateUpdate(state) if state.user_id == user_id => Some(state.self_stream),
        _ => None,
    };
    outcome.dispatches.iter().filter_map(|dispatch| state(&dispatch.event)).next_back()
}

fn entries(outcome: &Outcome) -> Vec<VoiceEntry> {
    let entry = |effect: &Effect| match effect {
        Effect::VoiceConnected(entry) if matches!(entry.kind, VoiceRoomKind::Stream(_)) => {
            Some(VoiceEntry::clone(entry))
        }
        _ => None,
    };
    outcome.effects.iter().filter_map(entry).collect()
}

/// Who is put out of a stream's room.
fn put_out(dm: &Dm, outcome: &Outcome) -> Vec<UserId> {
    let own = VoiceServerId::from(dm.id);
    let of = |effect: &Effect| match effect {
        Effect::VoiceDisconnected { server_id, user_id } if *server_id != own => Some(*user_id),
        _ => None,
    };
    sorted(&outcome.effects.iter().filter_map(of).collect::<Vec<_>>())
}

#[test]
fn somebody_streams_in_a_call_and_another_watches() {
    let mut dm = Dm::pair();
    dm.join(ALICE);
    dm.join(BOB);
    let key = dm.key(ALICE);
    let outcome = dm.ask(ALICE, key, CREATE);
    assert_eq!(told(&outcome, of(ALICE)), ["create []"]);
    assert_eq!((told(&outcome, of(BOB)), shown(&outcome, ALICE)), (vec![], Some(true)));
    let known = dm.seen(BOB).expect("a call").voice_states;
    assert_eq!(
        known.iter().map(|state| (state.user_id, state.self_stream)).collect::<Vec<_>>(),
        [(ALICE, true), (BOB, false)]
    );
    let entry = entries(&outcome).remove(0);
    let settings = StreamSettings { streamer: ALICE, viewers_max: 50, quality: StreamQuality::Standard };
    assert_eq!((entry.kind, entry.owner), (VoiceRoomKind::Stream(settings), RoomOwner::Dm(dm.id)));
    assert_eq!((entry.channel_id, entry.rights), (dm.id, VoiceRights::SHOW | VoiceRights::SPEAK));
    assert_ne!(entry.server_id, dm.id.into());

    let outcome = dm.ask(BOB, key, StreamAction::Watch);
    assert_eq!(told(&outcome, of(BOB)), [format!("create {:?}", [BOB])]);
    assert_eq!(told(&outcome, of(ALICE)), [format!("update {:?} false", [BOB])]);
    let watching = entries(&outcome).remove(0);
    assert_eq!((watching.user_id, watching.rights, watching.server_id), (BOB, VoiceRights::HEAR, entry.server_id));

    let token = VoiceToken::new("secret");
    let outcome = dm.world.core.voice_server(entry.server_id, BOB, &watching.session_id, &token, Some("sfu:443"));
    assert_eq!(
        (told(&outcome, of(BOB)), told(&outcome, of(ALICE))),
        (vec![r#"server Some("sfu:443")"#.into()], vec![])
    );
    assert!(dm.world.core.voice_server(entry.server_id, BOB, "earlier", &token, None).dispatches.is_empty());

    assert!(dm.ask(BOB, key, StreamAction::Ping).dispatches.is_empty(), "it goes on");
    assert_eq!(told(&dm.ask(ALICE, key, StreamAction::SetPaused(true)), of(BOB)), [format!("update {:?} true", [BOB])]);
    let outcome = dm.ask(BOB, key, StreamAction::Delete);
    assert_eq!(told(&outcome, of(BOB)), deleted(StreamDeleteReason::UserRequested));
    assert_eq!((told(&outcome, of(ALICE)), put_out(&dm, &outcome)), (vec!["update [] true".into()], vec![BOB]));
    dm.ask(BOB, key, StreamAction::Watch);
    let outcome = dm.ask(ALICE, key, StreamAction::Delete);
    for user_id in [ALICE, BOB] {
        assert_eq!(told(&outcome, of(user_id)), deleted(StreamDeleteReason::UserRequested));
    }
    assert_eq!((put_out(&dm, &outcome), shown(&outcome, ALICE)), (vec![ALICE, BOB], Some(false)));
    assert_eq!(told(&dm.ask(BOB, key, StreamAction::Ping), of(BOB)), deleted(StreamDeleteReason::StreamEnded));
}

#[test]
fn only_those_in_the_call_stream_and_watch() {
    let mut dm = Dm::pair();
    let key = dm.key(ALICE);
    assert_eq!(told(&dm.ask(ALICE, key, CREATE), of(ALICE)), deleted(StreamDeleteReason::InvalidChannel));
    dm.join(ALICE);
    let phone = as_session(ALICE, rookery_guild::SubscriberId(9_000));
    let by_phone = dm.try_ask(phone, key, &CREATE).expect("heard");
    assert_eq!(told(&by_phone, phone), deleted(StreamDeleteReason::InvalidChannel), "she is there by another session");
    assert!(told(&by_phone, of(ALICE)).is_empty());
    dm.ask(ALICE, key, CREATE);
    assert_eq!(told(&dm.ask(BOB, key, StreamAction::Watch), of(BOB)), deleted(StreamDeleteReason::Unauthorized));
    for (by, key) in [
        (of(STRANGER), key),
        (of(ALICE), StreamKey { channel_id: rookery_model::ChannelId::new(1), ..key }),
        (of(ALICE), StreamKey { guild_id: Some(GuildId::new(1)), ..key }),
    ] {
        refused(dm.try_ask(by, key, &StreamAction::Watch), ErrorCode::UnknownChannel);
    }
    assert_eq!(dm.world.core.streams(), [(key, vec![])]);
}

#[test]
fn so_many_watch_in_a_call_as_may() {
    let mut dm = Dm::group();
    dm.world.limits = Limits { stream_viewers_max: 1, ..Limits::default() };
    dm.crash();
    [OWNER, ALICE, BOB].into_iter().for_each(|user_id| drop(dm.join(user_id)));
    let key = dm.key(ALICE);
    dm.ask(ALICE, key, CREATE);
    dm.ask(BOB, key, StreamAction::Watch);
    let outcome = dm.ask(OWNER, key, StreamAction::Watch);
    assert_eq!(told(&outcome, of(OWNER)), deleted(StreamDeleteReason::StreamFull));
    assert!(entries(&outcome).is_empty());
    dm.ask(BOB, key, StreamAction::Delete);
    assert_eq!(told(&dm.ask(OWNER, key, StreamAction::Watch), of(OWNER)), [format!("create {:?}", [OWNER])]);
}

#[test]
fn a_stream_ends_with_the_streamers_place_in_the_call() {
    let ends: [fn(&mut Dm) -> Outcome; 5] = [
        |dm| dm.leave(ALICE),
        |dm| {
            let channel_id = dm.id;
            dm.world.ok(ALICE, Call::DeleteChannel { channel_id })
        },
        |dm| {
            let phone = as_session(ALICE, rookery_guild::SubscriberId(9_000));
            let update = VoiceStateUpdate {
                guild_id: None,
                channel_id: Some(dm.id),
                self_mute: false,
                self_deaf: false,
                self_video: false,
            };
            let world = &mut dm.world;
            world.core.update_call(world.now, phone, "phone", &update, &mut world.ids).expect("let in")
        },
        |dm| {
            let session_id = format!("voice{}", session(ALICE).0);
            let server_id = entries(&dm.world.core.repeat_voice(ALICE))[0].server_id;
            dm.world.core.voice_gone(server_id, ALICE, &session_id)
        },
        |dm| dm.world.core.end_voice(),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut dm = Dm::live();
        let outcome = end(&mut dm);
        for user_id in [ALICE, BOB, OWNER] {
            let told = told(&outcome, of(user_id));
            assert_eq!(told.last().map(String::as_str), Some("delete StreamEnded"), "{n}: {user_id}");
        }
        assert_eq!(put_out(&dm, &outcome), sorted(&[OWNER, ALICE, BOB]), "{n}");
        assert_eq!((dm.world.core.streams(), shown(&outcome, ALICE)), (vec![], Some(false)), "{n}");
    }
}

#[test]
fn a_viewer_who_leaves_the_call_watches_no_more() {
    let mut dm = Dm::live();
    let key = dm.key(ALICE);
    let outcome = dm.leave(BOB);
    assert_eq!(told(&outcome, of(BOB)), deleted(StreamDeleteReason::StreamEnded));
    assert_eq!(
        (told(&outcome, of(ALICE)), put_out(&dm, &outcome)),
        (vec![format!("update {:?} false", [OWNER])], vec![BOB])
    );
    assert_eq!(dm.world.core.streams(), [(key, vec![OWNER])]);
}

#[test]
fn a_stream_is_where_its_call_is_or_else_where_the_streamer_wants_it() {
    let mut dm = Dm::pair();
    let voice_regions = ["eu", "us", "sa"].map(|id| VoiceRegion::new(id, id == "eu")).to_vec();
    dm.world.limits = Limits { voice_regions, stream_quality: StreamQualityLimit::Boosted, ..Limits::default() };
    dm.crash();
    dm.join(ALICE);
    let (key, channel_id) = (dm.key(ALICE), dm.id);
    let action = StreamAction::Create { preferred_region: Some("us".into()) };
    let entry = entries(&dm.ask(ALICE, key, action)).remove(0);
    assert_eq!(entry.rtc_region.as_deref(), Some("us"));
    let VoiceRoomKind::Stream(settings) = entry.kind else { panic!("{entry:?}") };
    assert_eq!(settings.quality, StreamQuality::Boosted, "as the operator says");
    let outcome = dm.world.ok(ALICE, Call::ModifyCall { channel_id, region: Patch::Set("sa".into()) });
    assert_eq!(entries(&outcome)[0].rtc_region.as_deref(), Some("sa"), "it moves with the call");
}

#[test]
fn streams_go_on_in_the_next_core_if_their_call_does() {
    let mut dm = Dm::live();
    let key = dm.key(ALICE);
    let outcome = dm.recover();
    assert!(told(&outcome, of(BOB)).is_empty());
    assert_eq!(dm.world.core.streams(), [(key, sorted(&[OWNER, BOB]))]);
    // Of what was told last nobody knows who heard it.
    let text = key.to_string();
    let forget = |dm: &mut Dm, by: VoiceSession| dm.world.core.forget_call_stream(by.user_id, by.name, &text);
    let outcome = forget(&mut dm, of(BOB));
    assert_eq!(
        (told(&outcome, of(BOB)), put_out(&dm, &outcome)),
        (deleted(StreamDeleteReason::StreamEnded), vec![BOB])
    );
    let outcome = forget(&mut dm, of(BOB));
    assert_eq!(told(&outcome, of(BOB)), deleted(StreamDeleteReason::StreamEnded), "that of an end is told again");
    let phone = as_session(ALICE, rookery_guild::SubscriberId(9_000));
    let outcome = forget(&mut dm, phone);
    assert_eq!((told(&outcome, phone), put_out(&dm, &outcome)), (deleted(StreamDeleteReason::StreamEnded), vec![]));
    assert_eq!(dm.world.core.streams().len(), 1, "by that session she has nothing to do with it");
    let outcome = forget(&mut dm, of(ALICE));
    assert_eq!(put_out(&dm, &outcome), sorted(&[OWNER, ALICE]));
    assert_eq!(dm.world.core.streams(), []);

    // With a call of which nothing is stored its streams are over, and their sessions are told.
    let mut dm = Dm::new(ChannelType::Dm, &[ALICE, BOB]);
    let rows = dm.world.rows.clone();
    dm.join(ALICE);
    let key = dm.key(ALICE);
    dm.ask(ALICE, key, CREATE);
    dm.world.rows = rows;
    let outcome = dm.recover();
    assert_eq!(
        (told(&outcome, of(ALICE)), put_out(&dm, &outcome)),
        (deleted(StreamDeleteReason::StreamEnded), vec![ALICE])
    );
    assert_eq!(dm.world.core.streams(), []);
}
