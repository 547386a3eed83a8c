//! Go Live: who may stream and watch, who is told, and what ends a stream.

use std::collections::BTreeMap;

use rookery_guild::{Effect, IdSource as _, Limits, Outcome, StreamQualityLimit, SubscriberId, VoiceSession};
use rookery_model::call::{Call, ModifyChannel, ModifyMember, ModifyVoiceState};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{Event, StreamAction, StreamKey};
use rookery_model::voice::{
    StreamQuality, StreamSettings, VoiceEntry, VoiceRegion, VoiceRights, VoiceRoomKind, VoiceToken,
};
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, Patch, Permissions, UserId, VoiceServerId};

use crate::voice::{Voice, heard, states};
use crate::world::*;

const NONE: Permissions = Permissions::empty();
const CREATE: StreamAction = StreamAction::Create { preferred_region: None };

impl Voice {
    fn key(&self, channel_id: ChannelId, user_id: UserId) -> StreamKey {
        StreamKey { guild_id: Some(self.world.guild_id()), channel_id, user_id }
    }

    /// ALICE's stream in the open channel.
    fn alices(&self) -> StreamKey {
        self.key(self.open, ALICE)
    }

    fn try_ask(&mut self, id: SubscriberId, key: StreamKey, action: &StreamAction) -> Result<Outcome, ApiError> {
        let server_id = Some(VoiceServerId(self.world.ids.next_id()));
        self.world.core.stream(as_session(id), key, action, server_id)
    }

    #[track_caller]
    fn ask(&mut self, id: SubscriberId, key: StreamKey, action: StreamAction) -> Outcome {
        self.try_ask(id, key, &action).expect("heard")
    }

    /// ALICE streams to BOB, with the owner in the same channel.
    fn live() -> Self {
        let mut v = Self::new();
        for id in [v.owner, v.alice, v.bob] {
            v.join(id, v.open);
        }
        let key = v.alices();
        v.ask(v.alice, key, CREATE);
        v.ask(v.bob, key, StreamAction::Watch);
        assert_eq!(v.world.core.streams(), [(key, vec![BOB])]);
        v
    }
}

/// A guild knows by its subscription whose session it is.
pub fn as_session(subscriber: SubscriberId) -> VoiceSession {
    VoiceSession { user_id: STRANGER, subscriber, name: 0 }
}

/// What a session hears of streams, in short.
fn told(outcome: &Outcome, id: SubscriberId) -> Vec<String> {
    let of = |event: &Event| match event {
        Event::StreamCreate(e) => Some(format!("create {:?}", raw(&e.viewer_ids))),
        Event::StreamUpdate(e) => Some(format!("update {:?} {}", raw(&e.viewer_ids), e.paused)),
        Event::StreamDelete(e) => {
            let reason = serde_json::to_value(e.reason).expect("plain data");
            Some(format!("delete {}", reason.as_str().expect("a name")))
        }
        Event::StreamServerUpdate(e) => Some(format!("server {:?}", e.endpoint)),
        _ => None,
    };
    events_for(outcome, id).iter().filter_map(|event| of(event)).collect()
}

fn raw(ids: &[UserId]) -> Vec<u64> {
    ids.iter().map(|id| id.get()).collect()
}

fn entries(outcome: &Outcome) -> Vec<VoiceEntry> {
    let of = |effect: &Effect| match effect {
        Effect::VoiceConnected(entry) if matches!(entry.kind, VoiceRoomKind::Stream(_)) => {
            Some(VoiceEntry::clone(entry))
        }
        _ => None,
    };
    outcome.effects.iter().filter_map(of).collect()
}

/// Who is put out of rooms that are not the guild's own.
fn put_out(guild_id: GuildId, outcome: &Outcome) -> Vec<UserId> {
    let own = VoiceServerId::from(guild_id);
    let of = |effect: &Effect| match effect {
        Effect::VoiceDisconnected { server_id, user_id } if *server_id != own => Some(*user_id),
        _ => None,
    };
    let mut out: Vec<UserId> = outcome.effects.iter().filter_map(of).collect();
    out.sort_unstable();
    out
}

#[test]
fn a_member_streams_and_another_watches() {
    let mut v = Voice::new();
    for id in [v.owner, v.alice, v.bob] {
        v.join(id, v.open);
    }
    let (elsewhere, _) = v.world.subscribe(BOB, None);
    let key = v.alices();
    let outcome = v.ask(v.alice, key, CREATE);
    assert_eq!(told(&outcome, v.alice), ["create []"]);
    assert!([v.owner, v.bob].iter().all(|id| told(&outcome, *id).is_empty()), "they may ask for it");
    for id in [v.owner, v.alice, v.bob, elsewhere] {
        assert!(states(&outcome, id)[0].self_stream, "everybody who sees the channel sees that there is one");
    }
    let entry = entries(&outcome).remove(0);
    assert_eq!((entry.user_id, entry.rights), (ALICE, VoiceRights::SHOW | VoiceRights::SPEAK));
    assert_eq!(*entry.session_id, format!("voice{}", v.alice.0), "that of her voice state");
    let settings = StreamSettings { streamer: ALICE, viewers_max: 50, quality: StreamQuality::Standard };
    assert_eq!((entry.kind, entry.channel_id), (VoiceRoomKind::Stream(settings), v.open));
    assert_ne!(entry.server_id, v.world.guild_id().into());
    let Event::StreamCreate(created) = &*events_for(&outcome, v.alice)[1] else { panic!("{outcome:?}") };
    assert_eq!((created.rtc_server_id, created.rtc_channel_id), (entry.server_id, v.open));
    assert_eq!((created.stream_key.as_str(), created.region.as_str()), (key.to_string().as_str(), "local"));

    let outcome = v.ask(v.bob, key, StreamAction::Watch);
    assert_eq!(told(&outcome, v.bob), [format!("create [{BOB}]")]);
    assert_eq!(told(&outcome, v.alice), [format!("update [{BOB}] false")]);
    assert!(told(&outcome, elsewhere).is_empty() && told(&outcome, v.owner).is_empty());
    let watching = entries(&outcome).remove(0);
    assert_eq!((watching.user_id, watching.rights, watching.server_id), (BOB, VoiceRights::HEAR, entry.server_id));

    // Where to go both are told when their room is ready, each by their own session.
    let token = VoiceToken::new("secret");
    let session = format!("voice{}", v.bob.0);
    let outcome = v.world.core.voice_server(entry.server_id, BOB, &session, &token, Some("sfu.example.org:443"));
    assert_eq!(told(&outcome, v.bob), [r#"server Some("sfu.example.org:443")"#]);
    assert!([v.alice, v.owner, elsewhere].iter().all(|id| events_for(&outcome, *id).is_empty()));
    assert!(v.world.core.voice_server(entry.server_id, OWNER, &session, &token, None).dispatches.is_empty());

    let outcome = v.ask(v.alice, key, StreamAction::SetPaused(true));
    assert_eq!(told(&outcome, v.bob), [format!("update [{BOB}] true")]);
    assert!(v.ask(v.alice, key, StreamAction::SetPaused(true)).dispatches.is_empty());
    assert!(v.ask(v.bob, key, StreamAction::SetPaused(false)).dispatches.is_empty(), "not his");

    let outcome = v.ask(v.bob, key, StreamAction::Delete);
    assert_eq!(told(&outcome, v.bob), ["delete user_requested"]);
    assert_eq!(told(&outcome, v.alice), ["update [] true"]);
    assert_eq!(put_out(v.world.guild_id(), &outcome), [BOB]);
    v.ask(v.bob, key, StreamAction::Watch);
    let outcome = v.ask(v.alice, key, StreamAction::Delete);
    assert_eq!(told(&outcome, v.bob), ["delete user_requested"]);
    assert_eq!(put_out(v.world.guild_id(), &outcome), [ALICE, BOB]);
    assert!(!states(&outcome, v.owner)[0].self_stream);
    assert_eq!(v.world.core.streams(), []);
}

#[test]
fn nobody_streams_or_watches_who_may_not() {
    let mut v = Voice::new();
    let key = v.alices();
    assert_eq!(told(&v.ask(v.alice, key, CREATE), v.alice), ["delete invalid_channel"], "not in voice");
    v.join(v.alice, v.open);
    let (second, _) = v.world.subscribe(ALICE, None);
    assert_eq!(told(&v.ask(second, key, CREATE), second), ["delete invalid_channel"], "by another session");
    let hidden = v.key(v.hidden, ALICE);
    assert_eq!(told(&v.ask(v.alice, hidden, CREATE), v.alice), ["delete invalid_channel"], "elsewhere");
    v.world.overwrite(v.open, for_member(ALICE, NONE, Permissions::STREAM));
    assert_eq!(told(&v.ask(v.alice, key, CREATE), v.alice), ["delete unauthorized"]);
    v.world.overwrite(v.open, for_member(ALICE, Permissions::STREAM, NONE));
    v.ask(v.alice, key, CREATE);

    assert_eq!(told(&v.ask(v.bob, key, StreamAction::Watch), v.bob), ["delete unauthorized"], "not in the channel");
    assert!(v.ask(v.alice, key, StreamAction::Watch).dispatches.is_empty(), "her own, which goes on");
    v.join(v.bob, v.open);
    let owners = v.key(v.open, OWNER);
    assert_eq!(told(&v.ask(v.bob, owners, StreamAction::Watch), v.bob), ["delete stream_ended"], "there is none");
    assert_eq!(told(&v.ask(v.bob, owners, StreamAction::Ping), v.bob), ["delete stream_ended"]);
    assert_eq!(told(&v.ask(v.bob, key, StreamAction::Delete), v.bob), ["delete user_requested"]);
    refused(v.try_ask(SubscriberId(999), key, &StreamAction::Watch), ErrorCode::UnknownGuild);
    let foreign = StreamKey { guild_id: None, ..key };
    refused(v.try_ask(v.bob, foreign, &StreamAction::Watch), ErrorCode::UnknownGuild);
    assert_eq!(v.world.core.streams(), [(key, vec![])]);
}

#[test]
fn so_many_watch_as_may() {
    for limit in [50, 2] {
        let limits = Limits { stream_viewers_max: limit, ..Limits::default() };
        let mut world = World::with_limits(limits);
        let people: Vec<UserId> = (0..=u64::from(limit)).map(|n| UserId::new(1_000 + n)).collect();
        for id in &people {
            world.rows.users.insert(*id, user(*id));
            world.rows.members.insert(*id, member_row(world.guild_id(), *id, world.now));
        }
        world.reload();
        let mut v = Voice::with(world);
        v.join(v.alice, v.open);
        let key = v.alices();
        v.ask(v.alice, key, CREATE);
        let sessions: BTreeMap<UserId, SubscriberId> =
            people.iter().map(|id| (*id, v.world.subscribe(*id, None).0)).collect();
        for (n, id) in sessions.values().enumerate() {
            v.join(*id, v.open);
            let outcome = v.ask(*id, key, StreamAction::Watch);
            if n < limit as usize {
                assert!(told(&outcome, *id)[0].starts_with("create"));
            } else {
                assert_eq!(told(&outcome, *id), ["delete stream_full"]);
                assert!(entries(&outcome).is_empty());
            }
        }
        // Whoever watches already has their place, and whoever leaves gives it to another.
        let (first, last) = (sessions[&people[0]], sessions[&people[limit as usize]]);
        assert!(told(&v.ask(first, key, StreamAction::Watch), first)[0].starts_with("create"));
        v.ask(first, key, StreamAction::Delete);
        assert!(told(&v.ask(last, key, StreamAction::Watch), last)[0].starts_with("create"));
        assert_eq!(v.world.core.streams()[0].1.len(), limit as usize);
    }
}

#[test]
fn whoever_comes_anew_is_told_anew_where_to_go() {
    let mut v = Voice::live();
    let key = v.alices();
    let first = entries(&v.ask(v.bob, key, StreamAction::Watch)).remove(0);
    let again = entries(&v.ask(v.bob, key, StreamAction::Watch)).remove(0);
    assert_ne!(first.visit, again.visit);
    assert_eq!(VoiceEntry { visit: first.visit, ..again }, first);
    // A streamer who asks once more begins anew.
    let outcome = v.ask(v.alice, key, CREATE);
    assert_eq!(told(&outcome, v.bob), ["delete stream_ended"]);
    assert_eq!(told(&outcome, v.alice), ["delete stream_ended", "create []"]);
    assert_ne!(entries(&outcome)[0].server_id, first.server_id);
    // And ends what there was if there is no id for another one.
    let outcome = v.world.core.stream(as_session(v.alice), key, &CREATE, None).expect("heard");
    assert_eq!(told(&outcome, v.alice), ["delete stream_ended", "delete stream_ended"]);
    let Some(Event::StreamDelete(last)) = events_for(&outcome, v.alice).pop().as_deref().cloned() else { panic!() };
    assert!(last.unavailable && v.world.core.streams().is_empty());
}

#[test]
fn a_stream_ends_with_the_streamers_connection() {
    let ends: [fn(&mut Voice) -> Outcome; 8] = [
        |v| v.to(v.alice, None).unwrap(),
        |v| {
            let hidden = v.hidden;
            v.join(v.alice, hidden)
        },
        |v| v.world.core.unsubscribe(v.alice),
        |v| {
            let (second, _) = v.world.subscribe(ALICE, None);
            let open = v.open;
            v.join(second, open)
        },
        |v| v.modify(OWNER, ALICE, ModifyMember { channel_id: Patch::Clear, ..ModifyMember::default() }).unwrap(),
        |v| v.world.overwrite(v.open, for_member(ALICE, NONE, Permissions::STREAM)),
        |v| {
            let guild_id = v.world.guild_id();
            v.world.ok(OWNER, Call::KickMember { guild_id, user_id: ALICE })
        },
        |v| {
            let session = format!("voice{}", v.alice.0);
            let server_id = entries(&v.world.core.repeat_voice(ALICE))[0].server_id;
            assert!(v.world.core.voice_gone(server_id, ALICE, "earlier").effects.is_empty());
            v.world.core.voice_gone(server_id, ALICE, &session)
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut v = Voice::live();
        let outcome = end(&mut v);
        assert!(told(&outcome, v.bob)[0].starts_with("delete "), "{n}: {outcome:?}");
        assert_eq!(put_out(v.world.guild_id(), &outcome), [ALICE, BOB], "{n}");
        assert_eq!(v.world.core.streams(), [], "{n}");
        let last = states(&outcome, v.owner).pop().expect("a voice state");
        assert!(last.user_id == ALICE && !last.self_stream, "{n}: {last:?}");
    }
}

#[test]
fn viewers_leave_with_their_channel() {
    let ends: [fn(&mut Voice) -> Outcome; 5] = [
        |v| v.to(v.bob, None).unwrap(),
        |v| v.world.core.unsubscribe(v.bob),
        |v| {
            let other = v.world.make_channel(channel("other", ChannelType::GuildVoice)).id;
            v.join(v.bob, other)
        },
        |v| v.modify(OWNER, BOB, ModifyMember { channel_id: Patch::Clear, ..ModifyMember::default() }).unwrap(),
        |v| {
            let session = format!("voice{}", v.bob.0);
            let server_id = entries(&v.world.core.repeat_voice(BOB))[0].server_id;
            v.world.core.voice_gone(server_id, BOB, &session)
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut v = Voice::live();
        let key = v.alices();
        let outcome = end(&mut v);
        assert_eq!(told(&outcome, v.alice), ["update [] false"], "{n}");
        assert_eq!(put_out(v.world.guild_id(), &outcome), [BOB], "{n}");
        assert_eq!(v.world.core.streams(), [(key, vec![])], "{n}");
    }
}

#[test]
fn of_a_channel_that_vanished_nothing_is_told() {
    let mut v = Voice::live();
    let deny = Permissions::VIEW_CHANNEL;
    let outcome = v.world.overwrite(v.open, for_member(BOB, NONE, deny));
    assert_eq!(told(&outcome, v.bob), ["delete unauthorized"]);
    let names = names_for(&outcome, v.bob);
    let gone = names.iter().position(|name| *name == "CHANNEL_DELETE").expect("it vanishes");
    assert!(names[gone..].iter().all(|name| !name.starts_with("STREAM")), "{names:?}");
    assert_eq!(told(&outcome, v.alice), ["update [] false"]);
    // All at once: the streamer and a viewer.
    let mut v = Voice::live();
    let open = v.open;
    v.world.overwrite(open, for_member(OWNER, Permissions::VIEW_CHANNEL, NONE));
    let everyone = for_role(v.world.guild_id().into(), NONE, deny);
    let outcome = v.world.overwrite(open, everyone);
    for id in [v.alice, v.bob] {
        assert_eq!(told(&outcome, id), ["delete unauthorized"]);
    }
    assert_eq!(put_out(v.world.guild_id(), &outcome), [ALICE, BOB]);
    // With the channel.
    let mut v = Voice::live();
    let outcome = v.world.ok(OWNER, Call::DeleteChannel { channel_id: v.open });
    assert_eq!(put_out(v.world.guild_id(), &outcome), [ALICE, BOB]);
    let names = names_for(&outcome, v.bob);
    let gone = names.iter().position(|name| *name == "CHANNEL_DELETE").expect("it goes");
    assert!(names[..gone].contains(&"STREAM_DELETE") && !names[gone..].contains(&"STREAM_DELETE"), "{names:?}");
    // And with the guild.
    let mut v = Voice::live();
    let guild_id = v.world.guild_id();
    let outcome = v.world.ok(OWNER, Call::DeleteGuild { guild_id });
    assert_eq!(put_out(guild_id, &outcome), [ALICE, BOB]);
}

#[test]
fn rooms_of_streams_learn_what_moderators_do() {
    let mut v = Voice::live();
    let mute = ModifyMember { mute: Patch::Set(true), ..ModifyMember::default() };
    let rights = |outcome: &Outcome| entries(outcome).iter().map(|e| (e.user_id, e.rights)).collect::<Vec<_>>();
    let outcome = v.modify(OWNER, ALICE, mute).unwrap();
    assert_eq!(rights(&outcome), [(ALICE, VoiceRights::SHOW)], "whoever is muted is not heard by a stream");
    let deaf = ModifyMember { deaf: Patch::Set(true), ..ModifyMember::default() };
    let outcome = v.modify(OWNER, BOB, deaf).unwrap();
    assert_eq!(rights(&outcome), [(BOB, VoiceRights::empty())]);
    assert!(told(&outcome, v.alice).is_empty());
}

#[test]
fn the_audience_of_a_stage_does_not_stream() {
    let mut v = Voice::new();
    let stage = v.world.make_channel(channel("stage", ChannelType::GuildStageVoice)).id;
    v.join(v.alice, stage);
    v.join(v.bob, stage);
    let key = v.key(stage, ALICE);
    assert_eq!(told(&v.ask(v.alice, key, CREATE), v.alice), ["delete unauthorized"]);
    let guild_id = v.world.guild_id();
    let suppress = |v: &mut Voice, suppress| {
        let changes = ModifyVoiceState { channel_id: None, suppress: Some(suppress) };
        v.world.ok(OWNER, Call::ModifyVoiceState { guild_id, user_id: ALICE, changes })
    };
    suppress(&mut v, false);
    assert_eq!(told(&v.ask(v.alice, key, CREATE), v.alice), ["create []"]);
    v.ask(v.bob, key, StreamAction::Watch);
    let outcome = suppress(&mut v, true);
    assert_eq!(told(&outcome, v.bob), ["delete unauthorized"]);
    assert!(!heard(&outcome, v.bob).is_empty() && !states(&outcome, v.bob)[0].self_stream);
}

#[test]
fn quality_goes_by_the_guilds_tier_or_the_operators_word() {
    let quality = |limit, tier| {
        let limits = Limits { stream_quality: limit, ..Limits::default() };
        let mut world = World::with_limits(limits);
        world.rows.properties.as_mut().expect("a guild").premium_tier = tier;
        world.reload();
        let mut v = Voice::with(world);
        v.join(v.alice, v.open);
        let key = v.alices();
        let entry = entries(&v.ask(v.alice, key, CREATE)).remove(0);
        let VoiceRoomKind::Stream(settings) = entry.kind else { panic!("{entry:?}") };
        settings.quality
    };
    use StreamQuality::{Boosted, Standard};
    use StreamQualityLimit as Limit;
    for (limit, tier, expected) in [
        (Limit::ByTier, 0, Standard),
        (Limit::ByTier, 1, Standard),
        (Limit::ByTier, 2, Boosted),
        (Limit::Standard, 3, Standard),
        (Limit::Boosted, 0, Boosted),
    ] {
        assert_eq!(quality(limit, tier), expected, "{limit:?} in tier {tier}");
    }
}

#[test]
fn a_stream_is_where_its_channel_is_or_else_where_the_streamer_wants_it() {
    let regions = ["eu", "us", "sa"].map(|id| VoiceRegion::new(id, id == "eu"));
    let mut v = Voice::with(World::with_limits(Limits { voice_regions: regions.to_vec(), ..Limits::default() }));
    v.join(v.alice, v.open);
    let key = v.alices();
    let create = |region: &str| StreamAction::Create { preferred_region: Some(region.into()) };
    let outcome = v.ask(v.alice, key, create("moon"));
    assert_eq!(entries(&outcome)[0].rtc_region, None);
    let outcome = v.ask(v.alice, key, create("us"));
    assert_eq!(entries(&outcome)[0].rtc_region.as_deref(), Some("us"));
    let changes = Box::new(ModifyChannel { rtc_region: Patch::Set("sa".into()), ..ModifyChannel::default() });
    let outcome = v.world.ok(OWNER, Call::ModifyChannel { channel_id: v.open, changes });
    assert_eq!(entries(&outcome)[0].rtc_region.as_deref(), Some("sa"), "and moves with it");
}

#[test]
fn streams_go_on_in_the_next_core() {
    let mut v = Voice::live();
    let key = v.alices();
    let transient = v.world.core.take_transient();
    v.world.reload();
    for (id, user_id) in [(v.owner, OWNER), (v.alice, ALICE), (v.bob, BOB)] {
        let subscriber = rookery_guild::Subscriber {
            id,
            user_id,
            intents: None,
            large_threshold: 50,
            capabilities: rookery_model::gateway::Capabilities::empty(),
        };
        v.world.core.subscribe(subscriber).expect("a member");
    }
    let outcome = v.world.core.keep_transient(v.world.now, transient);
    assert!(told(&outcome, v.bob).is_empty(), "{outcome:?}");
    assert_eq!(v.world.core.streams(), [(key, vec![BOB])]);
    // Of what was told last nobody knows who heard it.
    let outcome = v.world.core.forget_stream(v.bob, &key.to_string());
    assert_eq!(
        (told(&outcome, v.bob), put_out(v.world.guild_id(), &outcome)),
        (vec!["delete stream_ended".to_owned()], vec![BOB])
    );
    let outcome = v.world.core.forget_stream(v.bob, &key.to_string());
    assert_eq!(told(&outcome, v.bob), ["delete stream_ended"], "that of an end is told again");
    let outcome = v.world.core.forget_stream(v.alice, &key.to_string());
    assert_eq!(put_out(v.world.guild_id(), &outcome), [ALICE]);
    assert_eq!(v.world.core.streams(), []);
}
