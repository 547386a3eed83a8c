//! Voice states: who may connect, who is told, and what ends a connection.

use rookery_guild::{Effect, Limits, Outcome, Subscriber, SubscriberId};
use rookery_model::call::{Call, CreateChannel, ModifyChannel, ModifyGuild, ModifyMember, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Capabilities, Event, Intents, VoiceState, VoiceStateUpdate};
use rookery_model::voice::{RoomOwner, VoiceRegion, VoiceRights, VoiceToken};
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions, Timestamp, UserId, VoiceServerId};

use crate::world::*;

const VIEW: Permissions = Permissions::VIEW_CHANNEL;
const NONE: Permissions = Permissions::empty();

/// A world whose people are all connected.
struct Voice {
    world: World,
    owner: SubscriberId,
    alice: SubscriberId,
    bob: SubscriberId,
    open: ChannelId,
    /// Only ALICE and the owner see it.
    hidden: ChannelId,
}

impl Voice {
    fn new() -> Self {
        Self::with(World::new())
    }

    fn with(mut world: World) -> Self {
        let open = world.channel(ChannelType::GuildVoice);
        let hidden = world.make_channel(channel("hidden", ChannelType::GuildVoice)).id;
        world.deny_everyone(hidden, VIEW);
        world.overwrite(hidden, for_member(ALICE, VIEW, NONE));
        let (owner, _) = world.subscribe(OWNER, None);
        let (alice, _) = world.subscribe(ALICE, None);
        let (bob, _) = world.subscribe(BOB, None);
        Self { world, owner, alice, bob, open, hidden }
    }

    fn update(&mut self, id: SubscriberId, update: VoiceStateUpdate) -> Result<Outcome, ApiError> {
        self.world.core.update_voice_state(self.world.now, id, &format!("voice{}", id.0), &update)
    }

    fn to(&mut self, id: SubscriberId, channel_id: impl Into<Option<ChannelId>>) -> Result<Outcome, ApiError> {
        let update = VoiceStateUpdate {
            guild_id: Some(self.world.guild_id()),
            channel_id: channel_id.into(),
            self_mute: false,
            self_deaf: false,
            self_video: false,
        };
        self.update(id, update)
    }

    #[track_caller]
    fn join(&mut self, id: SubscriberId, channel_id: ChannelId) -> Outcome {
        self.to(id, channel_id).expect("let in")
    }

    fn modify(&mut self, by: UserId, user_id: UserId, changes: ModifyMember) -> Result<Outcome, ApiError> {
        let guild_id = self.world.guild_id();
        self.world.call(by, Call::ModifyMember { guild_id, user_id, changes })
    }

    /// Who is where, as a session that starts now sees it.
    fn seen_by(&mut self, user_id: UserId) -> Vec<(UserId, ChannelId)> {
        let (id, outcome) = self.world.subscribe(user_id, None);
        let Event::GuildCreate(guild) = &*events_for(&outcome, id)[0] else { panic!() };
        let guild = GuildCreate::clone(guild);
        self.world.core.unsubscribe(id);
        guild.voice_states.iter().map(|state| (state.user_id, state.channel_id.expect("a channel"))).collect()
    }
}

/// What a session hears of voice: whose, and where.
fn heard(outcome: &Outcome, id: SubscriberId) -> Vec<(UserId, Option<ChannelId>)> {
    states(outcome, id).iter().map(|state| (state.user_id, state.channel_id)).collect()
}

fn states(outcome: &Outcome, id: SubscriberId) -> Vec<VoiceState> {
    let of = |event: &Event| match event {
        Event::VoiceStateUpdate(state) => Some(VoiceState::clone(state)),
        _ => None,
    };
    events_for(outcome, id).iter().filter_map(|event| of(event)).collect()
}

#[test]
fn those_who_see_the_channel_see_who_joins_moves_and_leaves() {
    let mut v = Voice::new();
    let (alice, bob, open, hidden) = (v.alice, v.bob, v.open, v.hidden);
    let outcome = v.join(alice, open);
    let state = states(&outcome, bob).remove(0);
    assert_eq!((state.user_id, state.channel_id, state.guild_id), (ALICE, Some(open), Some(v.world.guild_id())));
    assert_eq!(state.session_id, format!("voice{}", alice.0));
    assert_eq!(state.member.and_then(|m| m.user).map(|u| u.id), Some(ALICE));
    // Into a channel that BOB does not see: for him she left.
    let outcome = v.join(alice, hidden);
    assert_eq!(heard(&outcome, bob), [(ALICE, None)]);
    assert_eq!(heard(&outcome, v.owner), [(ALICE, Some(hidden))]);
    assert_eq!(heard(&outcome, alice), [(ALICE, Some(hidden))]);
    assert_eq!((v.seen_by(BOB), v.seen_by(OWNER)), (vec![], vec![(ALICE, hidden)]));
    let outcome = v.to(alice, None).unwrap();
    assert!(heard(&outcome, bob).is_empty(), "he did not see her");
    assert_eq!(heard(&outcome, v.owner), [(ALICE, None)]);
    assert!(v.to(alice, None).unwrap().dispatches.is_empty());
    assert_eq!(v.seen_by(OWNER), []);
}

#[test]
fn bots_hear_of_voice_by_intent() {
    let mut v = Voice::new();
    let (with, _) = v.world.subscribe(BOT, Some(Intents::GUILDS | Intents::GUILD_VOICE_STATES));
    let (without, _) = v.world.subscribe(BOT, Some(Intents::GUILDS | Intents::GUILD_MESSAGES));
    let outcome = v.join(v.alice, v.open);
    assert_eq!((heard(&outcome, with).len(), heard(&outcome, without).len()), (1, 0));
}

#[test]
fn nobody_enters_where_they_may_not() {
    let mut v = Voice::new();
    let (alice, bob) = (v.alice, v.bob);
    refused(v.to(bob, v.hidden), ErrorCode::MissingAccess);
    let general = v.world.general();
    refused(v.to(bob, general), ErrorCode::WrongChannelType);
    refused(v.to(bob, ChannelId::new(5)), ErrorCode::UnknownChannel);
    refused(v.to(SubscriberId(999), v.open), ErrorCode::UnknownGuild);
    let elsewhere = VoiceStateUpdate {
        guild_id: None,
        channel_id: Some(v.open),
        self_mute: false,
        self_deaf: false,
        self_video: false,
    };
    refused(v.update(bob, elsewhere), ErrorCode::UnknownGuild);
    v.world.deny_everyone(v.open, Permissions::CONNECT);
    refused(v.to(bob, v.open), ErrorCode::MissingPermissions);
    let small = CreateChannel { user_limit: Some(1), ..channel("small", ChannelType::GuildVoice) };
    let small = v.world.make_channel(small).id;
    v.join(alice, small);
    refused(v.to(bob, small), ErrorCode::MissingPermissions);
    // Who is in a full channel may mute themselves all the same, and a mover comes in.
    v.join(alice, small);
    v.world.grant(BOB, Permissions::MOVE_MEMBERS);
    v.join(bob, small);
    assert_eq!(v.seen_by(OWNER).len(), 2);
}

#[test]
fn a_user_has_one_connection_and_the_newest_session_takes_it() {
    let mut v = Voice::new();
    let (alice, open) = (v.alice, v.open);
    v.join(alice, open);
    let (second, _) = v.world.subscribe(ALICE, None);
    let outcome = v.join(second, open);
    let state = states(&outcome, alice).remove(0);
    assert_eq!(state.session_id, format!("voice{}", second.0));
    // The first has nothing to leave any more, neither by asking nor by ending.
    assert!(v.to(alice, None).unwrap().dispatches.is_empty());
    assert!(v.world.core.unsubscribe(alice).dispatches.is_empty());
    assert_eq!(v.seen_by(OWNER), [(ALICE, open)]);
    let outcome = v.world.core.unsubscribe(second);
    assert_eq!(heard(&outcome, v.owner), [(ALICE, None)]);
    assert_eq!(v.seen_by(OWNER), []);
}

#[test]
fn losing_what_lets_one_in_ends_the_connection() {
    let everyone_loses = |permission: Permissions| {
        let mut v = Voice::new();
        v.join(v.alice, v.open);
        let outcome = v.world.overwrite(v.open, for_member(ALICE, NONE, permission));
        (heard(&outcome, v.bob), heard(&outcome, v.alice))
    };
    assert_eq!(everyone_loses(Permissions::CONNECT), (vec![(ALICE, None)], vec![(ALICE, None)]));
    assert_eq!(everyone_loses(VIEW), (vec![(ALICE, None)], vec![(ALICE, None)]));
    assert_eq!(everyone_loses(Permissions::SEND_MESSAGES), (vec![], vec![]));

    let mut v = Voice::new();
    let role = v.world.grant(ALICE, VIEW);
    v.world.overwrite(v.open, for_role(role, NONE, NONE));
    v.world.deny_everyone(v.open, Permissions::CONNECT);
    v.world.overwrite(v.open, for_role(role, Permissions::CONNECT, NONE));
    v.join(v.alice, v.open);
    let guild_id = v.world.guild_id();
    let outcome = v.world.ok(OWNER, Call::RemoveMemberRole { guild_id, user_id: ALICE, role_id: role });
    assert_eq!(heard(&outcome, v.bob), [(ALICE, None)]);

    // A time-out takes the right to connect away without a change of roles.
    let mut v = Voice::new();
    v.join(v.alice, v.open);
    let until = Timestamp(v.world.now.0 + 60_000_000);
    let changes = ModifyMember { communication_disabled_until: Patch::Set(until), ..ModifyMember::default() };
    let outcome = v.modify(OWNER, ALICE, changes).unwrap();
    assert_eq!(heard(&outcome, v.bob), [(ALICE, None)]);
}

#[test]
fn a_channel_or_member_that_goes_takes_the_connection_along() {
    let mut v = Voice::new();
    v.join(v.alice, v.open);
    let outcome = v.world.ok(OWNER, Call::DeleteChannel { channel_id: v.open });
    assert_eq!(names_for(&outcome, v.bob), ["VOICE_STATE_UPDATE", "CHANNEL_DELETE"]);
    assert_eq!(v.seen_by(OWNER), []);

    let mut v = Voice::new();
    v.join(v.alice, v.open);
    let guild_id = v.world.guild_id();
    let outcome = v.world.ok(ALICE, Call::LeaveGuild { guild_id });
    assert_eq!(names_for(&outcome, v.bob), ["VOICE_STATE_UPDATE", "GUILD_MEMBER_REMOVE"]);
    assert_eq!(names_for(&outcome, v.alice), ["VOICE_STATE_UPDATE", "GUILD_DELETE"]);
    assert_eq!(v.seen_by(OWNER), []);
}

#[test]
fn who_begins_or_ceases_to_see_a_channel_sees_those_in_it_come_and_go() {
    let mut v = Voice::new();
    let (hidden, bob) = (v.hidden, v.bob);
    v.join(v.alice, hidden);
    let outcome = v.world.overwrite(hidden, for_member(BOB, VIEW, NONE));
    assert_eq!(names_for(&outcome, bob), ["CHANNEL_CREATE", "VOICE_STATE_UPDATE"]);
    assert_eq!(heard(&outcome, bob), [(ALICE, Some(hidden))]);
    assert!(heard(&outcome, v.owner).is_empty());
    let outcome = v.world.overwrite(hidden, for_member(BOB, NONE, VIEW));
    assert_eq!(names_for(&outcome, bob), ["VOICE_STATE_UPDATE", "CHANNEL_DELETE"]);
    assert_eq!(heard(&outcome, bob), [(ALICE, None)]);
}

#[test]
fn moderators_mute_deafen_move_and_put_out() {
    let mut v = Voice::new();
    let (open, hidden, alice, bob) = (v.open, v.hidden, v.alice, v.bob);
    let mute = || ModifyMember { mute: Patch::Set(true), ..ModifyMember::default() };
    let to = |channel_id| ModifyMember { channel_id, ..ModifyMember::default() };
    refused(v.modify(OWNER, ALICE, mute()), ErrorCode::TargetNotInVoice);
    refused(v.modify(OWNER, ALICE, to(Patch::Set(open))), ErrorCode::TargetNotInVoice);
    assert!(v.modify(OWNER, ALICE, to(Patch::Clear)).unwrap().dispatches.is_empty(), "she is out already");
    v.join(alice, open);
    refused(v.modify(BOB, ALICE, mute()), ErrorCode::MissingPermissions);
    refused(v.modify(BOB, ALICE, to(Patch::Clear)), ErrorCode::MissingPermissions);
    let outcome = v.modify(OWNER, ALICE, mute()).unwrap();
    assert!(states(&outcome, bob)[0].mute && !states(&outcome, bob)[0].deaf);
    assert!(v.world.rows.members[&ALICE].mute, "it holds for the next connection too");
    v.world.grant(BOB, Permissions::MOVE_MEMBERS);
    refused(v.modify(BOB, ALICE, to(Patch::Set(hidden))), ErrorCode::MissingAccess);
    let outcome = v.modify(OWNER, ALICE, to(Patch::Set(hidden))).unwrap();
    assert_eq!((heard(&outcome, bob), heard(&outcome, alice)), (vec![(ALICE, None)], vec![(ALICE, Some(hidden))]));
    // Nobody is moved to where they see nothing.
    v.join(bob, open);
    refused(v.modify(OWNER, BOB, to(Patch::Set(hidden))), ErrorCode::MissingPermissions);
    let outcome = v.modify(OWNER, ALICE, to(Patch::Clear)).unwrap();
    assert_eq!(heard(&outcome, alice), [(ALICE, None)]);
}

#[test]
fn one_who_was_moved_in_stays_without_the_right_to_enter() {
    let mut v = Voice::new();
    let locked = v.world.make_channel(channel("locked", ChannelType::GuildVoice)).id;
    v.world.deny_everyone(locked, Permissions::CONNECT);
    v.join(v.alice, v.open);
    let changes = ModifyMember { channel_id: Patch::Set(locked), ..ModifyMember::default() };
    v.modify(OWNER, ALICE, changes).unwrap();
    let outcome = v.world.overwrite(locked, for_member(BOB, Permissions::CONNECT, NONE));
    assert!(heard(&outcome, v.owner).is_empty());
    assert_eq!(v.seen_by(OWNER), [(ALICE, locked)]);
    let outcome = v.world.overwrite(locked, for_member(ALICE, NONE, VIEW));
    assert_eq!(heard(&outcome, v.owner), [(ALICE, None)]);
}

#[test]
fn who_may_not_speak_is_suppressed() {
    let mut v = Voice::new();
    v.world.deny_everyone(v.open, Permissions::SPEAK);
    let outcome = v.join(v.alice, v.open);
    assert!(states(&outcome, v.bob)[0].suppress);
    let outcome = v.world.overwrite(v.open, for_member(ALICE, Permissions::SPEAK, NONE));
    assert!(!states(&outcome, v.bob)[0].suppress);
}

#[test]
fn connections_outlive_a_core_as_far_as_they_can() {
    let mut v = Voice::new();
    let gone = v.world.make_channel(channel("gone", ChannelType::GuildVoice)).id;
    v.join(v.alice, v.open);
    v.join(v.bob, v.open);
    v.join(v.owner, gone);
    let kept = v.world.core.take_transient();
    // What came last was not stored, and BOB's session is gone.
    v.world.rows.channels.remove(&gone);
    v.world.reload();
    for (id, user_id) in [(v.owner, OWNER), (v.alice, ALICE)] {
        v.world
            .core
            .subscribe(Subscriber {
                id,
                user_id,
                intents: None,
                large_threshold: 50,
                capabilities: Capabilities::empty(),
            })
            .unwrap();
    }
    let outcome = v.world.core.keep_transient(v.world.now, kept);
    assert_eq!(heard(&outcome, v.alice), [(OWNER, None), (BOB, None)]);
    assert_eq!(v.seen_by(OWNER), [(ALICE, v.open)]);
    assert_eq!(heard(&v.world.core.repeat_voice(ALICE), v.owner), [(ALICE, Some(v.open))]);
}

#[test]
fn who_lost_sight_of_their_channel_between_two_cores_hears_it_once() {
    let mut v = Voice::new();
    v.join(v.alice, v.open);
    v.join(v.owner, v.open);
    let kept = v.world.core.take_transient();
    let row = v.world.rows.channels.get_mut(&v.open).unwrap();
    row.permission_overwrites.push(rookery_model::channel::Overwrite {
        id: ALICE.0,
        kind: rookery_model::channel::OverwriteType::Member,
        allow: Permissions::empty(),
        deny: Permissions::VIEW_CHANNEL,
    });
    v.world.reload();
    for (id, user_id) in [(v.owner, OWNER), (v.alice, ALICE)] {
        v.world
            .core
            .subscribe(Subscriber {
                id,
                user_id,
                intents: None,
                large_threshold: 50,
                capabilities: Capabilities::empty(),
            })
            .unwrap();
    }
    let outcome = v.world.core.keep_transient(v.world.now, kept);
    assert_eq!(heard(&outcome, v.alice), [(ALICE, None)]);
    assert_eq!(heard(&outcome, v.owner), [(ALICE, None)]);
    assert_eq!(v.seen_by(ALICE), []);
}

#[test]
fn when_the_process_ends_nobody_is_in_voice_any_more() {
    let mut v = Voice::new();
    let (alice, bob, owner, open, hidden) = (v.alice, v.bob, v.owner, v.open, v.hidden);
    v.join(alice, hidden);
    v.join(bob, open);
    let outcome = v.world.core.end_voice();
    assert_eq!(heard(&outcome, owner), [(ALICE, None), (BOB, None)]);
    assert_eq!(heard(&outcome, bob), [(BOB, None)], "he did not see her");
    assert_eq!(v.seen_by(OWNER), []);
    assert!(v.world.core.end_voice().dispatches.is_empty());
}

/// What rooms are to do, in order: whom to let in where with which rights, whom to put out.
fn rooms(outcome: &Outcome) -> Vec<(UserId, Option<(ChannelId, VoiceRights)>)> {
    let of = |effect: &Effect| match effect {
        Effect::VoiceConnected(entry) => Some((entry.user_id, Some((entry.channel_id, entry.rights)))),
        Effect::VoiceDisconnected { user_id, .. } => Some((*user_id, None)),
        _ => None,
    };
    outcome.effects.iter().filter_map(of).collect()
}

#[test]
fn rooms_learn_who_is_in_them_and_what_they_may() {
    let mut v = Voice::new();
    let (alice, open, hidden) = (v.alice, v.open, v.hidden);
    let ordinary = VoiceRights::SPEAK | VoiceRights::HEAR | VoiceRights::SHOW;
    let outcome = v.join(alice, open);
    assert_eq!(rooms(&outcome), [(ALICE, Some((open, ordinary)))]);
    let Some(Effect::VoiceConnected(entry)) = outcome.effects.first() else { panic!("{outcome:?}") };
    assert_eq!((entry.subscriber, entry.is_stage), (alice, false));
    assert_eq!((entry.owner, entry.server_id), (RoomOwner::Guild(v.world.guild_id()), v.world.guild_id().into()));
    assert_eq!(*entry.session_id, format!("voice{}", alice.0), "the one that the client shows");
    assert!(rooms(&v.join(alice, open)).is_empty(), "nothing changed");
    assert_eq!(rooms(&v.join(alice, hidden)), [(ALICE, Some((hidden, ordinary)))], "one place at a time");

    let mute = ModifyMember { mute: Patch::Set(true), deaf: Patch::Set(true), ..ModifyMember::default() };
    let outcome = v.modify(OWNER, ALICE, mute).unwrap();
    assert_eq!(rooms(&outcome), [(ALICE, Some((hidden, VoiceRights::SHOW)))]);
    let free = ModifyMember { mute: Patch::Set(false), deaf: Patch::Set(false), ..ModifyMember::default() };
    v.modify(OWNER, ALICE, free).unwrap();

    // What permissions grant changes while somebody is there; others see a difference only where there is one to see.
    let outcome = v.world.overwrite(hidden, for_member(ALICE, VIEW | Permissions::PRIORITY_SPEAKER, NONE));
    assert_eq!(rooms(&outcome), [(ALICE, Some((hidden, ordinary | VoiceRights::PRIORITY)))]);
    assert!(heard(&outcome, v.owner).is_empty());
    let outcome = v.world.overwrite(hidden, for_member(ALICE, VIEW, Permissions::SPEAK | Permissions::STREAM));
    assert_eq!(rooms(&outcome), [(ALICE, Some((hidden, VoiceRights::HEAR)))]);
    assert_eq!(heard(&outcome, v.owner), [(ALICE, Some(hidden))]);
    let outcome = v.world.overwrite(hidden, for_member(ALICE, NONE, VIEW));
    assert_eq!(rooms(&outcome), [(ALICE, None)]);
}

#[test]
fn rooms_learn_of_every_end() {
    let mut v = Voice::new();
    let (alice, bob, open) = (v.alice, v.bob, v.open);
    v.join(alice, open);
    assert_eq!(rooms(&v.to(alice, None).unwrap()), [(ALICE, None)]);
    v.join(alice, open);
    assert_eq!(rooms(&v.world.core.unsubscribe(alice)), [(ALICE, None)]);
    v.join(bob, open);
    let out = ModifyMember { channel_id: Patch::Clear, ..ModifyMember::default() };
    assert_eq!(rooms(&v.modify(OWNER, BOB, out).unwrap()), [(BOB, None)]);
    v.join(bob, open);
    assert_eq!(rooms(&v.world.call(OWNER, Call::DeleteChannel { channel_id: open }).unwrap()), [(BOB, None)]);
    let other = v.world.make_channel(channel("other", ChannelType::GuildVoice)).id;
    v.join(bob, other);
    assert_eq!(rooms(&v.world.core.end_voice()), [(BOB, None)]);
    // What was told may have been lost.
    assert_eq!(rooms(&v.world.core.repeat_voice(BOB)), [(BOB, None)]);
    v.join(bob, other);
    assert!(rooms(&v.world.core.repeat_voice(BOB))[0].1.is_some());
    let guild_id = v.world.guild_id();
    assert_eq!(rooms(&v.world.ok(OWNER, Call::DeleteGuild { guild_id })), [(BOB, None)]);
}

#[test]
fn only_the_session_that_is_in_voice_is_told_where_to_go() {
    let mut v = Voice::new();
    let (second, _) = v.world.subscribe(ALICE, None);
    v.join(v.alice, v.open);
    let (session, token) = (format!("voice{}", v.alice.0), VoiceToken::new("secret"));
    let server_id = v.world.guild_id().into();
    let outcome = v.world.core.voice_server(server_id, ALICE, &session, &token, Some("sfu.example.org:443"));
    let events = events_for(&outcome, v.alice);
    let [Event::VoiceServerUpdate(server)] = &events.iter().map(|event| &**event).collect::<Vec<_>>()[..] else {
        panic!("{events:?}")
    };
    assert_eq!((server.guild_id, server.endpoint.as_deref()), (Some(v.world.guild_id()), Some("sfu.example.org:443")));
    assert_eq!(server.token, token);
    assert!([v.bob, v.owner, second].iter().all(|id| events_for(&outcome, *id).is_empty()));
    // What is said of an earlier connection does not concern the one of now.
    assert!(v.world.core.voice_server(server_id, ALICE, "earlier", &token, None).dispatches.is_empty());
    assert!(rooms(&v.world.core.voice_gone(server_id, ALICE, "earlier")).is_empty());
    // Nor what is said of a connection that is for something else.
    assert!(v.world.core.voice_server(VoiceServerId::new(1), ALICE, &session, &token, None).dispatches.is_empty());
    assert!(rooms(&v.world.core.voice_gone(VoiceServerId::new(1), ALICE, &session)).is_empty());
    let outcome = v.world.core.voice_gone(server_id, ALICE, &session);
    assert_eq!((rooms(&outcome), heard(&outcome, v.bob)), (vec![(ALICE, None)], vec![(ALICE, None)]));
    assert!(v.world.core.voice_server(server_id, ALICE, &session, &token, None).dispatches.is_empty());
}

#[test]
fn nobody_speaks_in_the_afk_channel() {
    let mut v = Voice::new();
    let guild_id = v.world.guild_id();
    let afk = |v: &mut Voice, afk_channel_id| {
        let changes = Box::new(ModifyGuild { afk_channel_id, ..ModifyGuild::default() });
        v.world.ok(OWNER, Call::ModifyGuild { guild_id, changes })
    };
    v.join(v.alice, v.open);
    let open = v.open;
    let outcome = afk(&mut v, Patch::Set(open));
    assert!(states(&outcome, v.bob)[0].suppress, "who is there at that moment too");
    let quiet = VoiceRights::HEAR | VoiceRights::SHOW;
    assert_eq!(rooms(&outcome), [(ALICE, Some((v.open, quiet)))]);
    let outcome = v.join(v.owner, v.open);
    assert!(states(&outcome, v.bob)[0].suppress, "the owner too");
    let outcome = afk(&mut v, Patch::Clear);
    assert_eq!(heard(&outcome, v.bob), [(OWNER, Some(v.open)), (ALICE, Some(v.open))]);
    assert!(states(&outcome, v.bob).iter().all(|state| !state.suppress));
}

#[test]
fn a_channel_has_its_room_in_the_region_that_it_names() {
    let limits = Limits {
        voice_regions: vec![VoiceRegion::new("eu", true), VoiceRegion::new("us", false)],
        ..Limits::default()
    };
    let mut v = Voice::with(World::with_limits(limits));
    let guild_id = v.world.guild_id();
    let made = |rtc_region: &str| {
        let channel = CreateChannel { rtc_region: Some(rtc_region.into()), ..channel("far", ChannelType::GuildVoice) };
        Call::CreateGuildChannel { guild_id, channel: Box::new(channel) }
    };
    v.world.refused(OWNER, made("moon"), ErrorCode::InvalidFormBody);
    v.world.ok(OWNER, made("us"));
    let wants = |v: &mut Voice, rtc_region| {
        let changes = Box::new(ModifyChannel { rtc_region, ..ModifyChannel::default() });
        v.world.call(OWNER, Call::ModifyChannel { channel_id: v.open, changes })
    };
    let regions = |outcome: &Outcome| -> Vec<Option<String>> {
        let of = |effect: &Effect| match effect {
            Effect::VoiceConnected(entry) => Some(entry.rtc_region.as_deref().map(str::to_owned)),
            _ => None,
        };
        outcome.effects.iter().filter_map(of).collect()
    };
    assert_eq!(regions(&v.join(v.alice, v.open)), [None]);
    let outcome = wants(&mut v, Patch::Set("us".into())).unwrap();
    assert_eq!(regions(&outcome), [Some("us".into())], "whoever is in it is sent there");
    assert!(heard(&outcome, v.bob).is_empty(), "and others see no difference");
    assert_eq!(names_for(&outcome, v.bob), ["CHANNEL_UPDATE"]);
    assert!(regions(&wants(&mut v, Patch::Set("us".into())).unwrap()).is_empty(), "it is there already");
    let error = wants(&mut v, Patch::Set("moon".into())).unwrap_err();
    assert_eq!(&*error.errors[0].message, "Value must be one of {eu, us}.");
    assert_eq!(regions(&wants(&mut v, Patch::Clear).unwrap()), [None]);

    let listed = v.world.ok(ALICE, Call::ListGuildVoiceRegions { guild_id }).reply;
    let Reply::VoiceRegions(listed) = listed else { panic!("{listed:?}") };
    let listed: Vec<_> = listed.iter().map(|region| (region.id.as_str(), region.optimal)).collect();
    assert_eq!(listed, [("eu", true), ("us", false)]);
    v.world.refused(STRANGER, Call::ListGuildVoiceRegions { guild_id }, ErrorCode::MissingAccess);
}
