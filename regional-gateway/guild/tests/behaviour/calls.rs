//! Calls in DMs: who begins, joins, rings and ends them, and what their message says.

use rookery_guild::{Audience, Effect, GuildCore, Limits, Outcome, RING_TIMEOUT_MS, SubscriberId, VoiceSession};
use rookery_model::call::{Call, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::event::EventData;
use rookery_model::gateway::{CallCreate, CallUpdate, Event, VoiceStateUpdate};
use rookery_model::message::{MessageCall, MessageType};
use rookery_model::voice::{RoomOwner, VoiceRegion, VoiceRights, VoiceToken};
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, UserId};

use crate::world::*;

/// A DM whose users have a session each, by their id.
pub struct Dm {
    pub world: World,
    pub id: ChannelId,
}

pub fn session(user_id: UserId) -> SubscriberId {
    SubscriberId(user_id.get())
}

impl Dm {
    pub fn new(kind: ChannelType, users: &[UserId]) -> Self {
        let world = World::dm(kind, users);
        let id = world.rows.dm.as_ref().expect("a DM").channel.id;
        Self { world, id }
    }

    pub fn pair() -> Self {
        Self::new(ChannelType::Dm, &[ALICE, BOB])
    }

    pub fn group() -> Self {
        Self::new(ChannelType::GroupDm, &[OWNER, ALICE, BOB])
    }

    pub fn update(&mut self, user_id: UserId, channel_id: Option<ChannelId>) -> Result<Outcome, ApiError> {
        let update = VoiceStateUpdate { channel_id, ..quiet() };
        self.update_with(user_id, session(user_id), update)
    }

    fn update_with(
        &mut self,
        user_id: UserId,
        session: SubscriberId,
        update: VoiceStateUpdate,
    ) -> Result<Outcome, ApiError> {
        let (world, name) = (&mut self.world, format!("voice{}", session.0));
        let outcome =
            world.core.update_call(world.now, as_session(user_id, session), &name, &update, &mut world.ids)?;
        self.applied(Ok(outcome))
    }

    fn applied(&mut self, outcome: Result<Outcome, ApiError>) -> Result<Outcome, ApiError> {
        let outcome = outcome?;
        outcome.writes.iter().cloned().for_each(|write| self.world.rows.apply(write));
        Ok(outcome)
    }

    #[track_caller]
    pub fn join(&mut self, user_id: UserId) -> Outcome {
        let id = self.id;
        self.update(user_id, Some(id)).expect("let in")
    }

    #[track_caller]
    pub fn leave(&mut self, user_id: UserId) -> Outcome {
        self.update(user_id, None).expect("may always")
    }

    #[track_caller]
    pub fn ring(&mut self, by: UserId, recipients: Option<&[UserId]>) -> Outcome {
        self.world.ok(by, Call::RingCall { channel_id: self.id, recipients: recipients.map(<[_]>::to_vec) })
    }

    #[track_caller]
    pub fn stop_ringing(&mut self, by: UserId, recipients: Option<&[UserId]>) -> Outcome {
        self.world.ok(by, Call::StopRingingCall { channel_id: self.id, recipients: recipients.map(<[_]>::to_vec) })
    }

    /// What the shell does when the core's timer is due.
    pub fn timeout(&mut self) -> Outcome {
        let now = self.world.now;
        let mut outcome = self.world.core.handle_call_timeout(now);
        if self.world.core.has_unsaved_call(now) {
            let saved = self.world.core.save_call(now);
            outcome.writes.extend(saved.writes);
            outcome.dispatches.extend(saved.dispatches);
        }
        self.applied(Ok(outcome)).expect("an outcome")
    }

    /// Loads the core out of the rows, as after a crash.
    pub fn crash(&mut self) {
        self.world.core = GuildCore::load_dm(self.world.rows.dm_state(), self.world.limits.clone());
    }

    /// Loads it out of the rows, with what the core before knew.
    pub fn recover(&mut self) -> Outcome {
        let transient = self.world.core.take_transient();
        self.crash();
        self.world.core.keep_transient(self.world.now, transient)
    }

    /// The calls that the channel's messages tell of, oldest first.
    pub fn told(&self) -> Vec<MessageCall> {
        let calls = self.world.rows.messages.values().filter(|row| row.kind == MessageType::Call);
        calls.map(|row| row.call.clone().expect("a call")).collect()
    }

    /// The call as a user sees it who asks.
    pub fn seen(&self, user_id: UserId) -> Option<CallCreate> {
        let outcome = self.world.core.connect_call(user_id);
        let mut events = events_for_user(&outcome, user_id).into_iter();
        match (events.next(), events.next()) {
            (None, None) => None,
            (Some(Event::CallCreate(call)), None) => Some(*call),
            other => panic!("{other:?}"),
        }
    }

    fn ringing(&self) -> Vec<UserId> {
        self.seen(ALICE).map(|seen| seen.call.ringing).unwrap_or_default()
    }

    fn in_call(&self) -> Vec<UserId> {
        self.seen(ALICE).map(|seen| seen.voice_states.iter().map(|s| s.user_id).collect()).unwrap_or_default()
    }
}

pub fn as_session(user_id: UserId, subscriber: SubscriberId) -> VoiceSession {
    VoiceSession { user_id, subscriber, name: 1 << 100 | u128::from(subscriber.0) }
}

fn quiet() -> VoiceStateUpdate {
    VoiceStateUpdate { guild_id: None, channel_id: None, self_mute: false, self_deaf: false, self_video: false }
}

fn events_for_user(outcome: &Outcome, id: UserId) -> Vec<Event> {
    let gets = |audience: &Audience| matches!(audience, Audience::Users(ids) if ids.contains(&id));
    outcome.dispatches.iter().filter(|d| gets(&d.audience)).map(|d| Event::clone(&d.event)).collect()
}

fn updates(outcome: &Outcome) -> Vec<Vec<UserId>> {
    let ringing = |event: &Event| match event {
        Event::CallUpdate(CallUpdate { ringing, .. }) => Some(ringing.clone()),
        _ => None,
    };
    outcome.dispatches.iter().filter_map(|d| ringing(&d.event)).collect()
}

fn participants(of: &[UserId], has_ended: bool, dm: &Dm) -> MessageCall {
    MessageCall { participants: of.to_vec(), ended_timestamp: has_ended.then_some(dm.world.now) }
}

#[test]
fn the_first_begins_a_call_and_the_last_ends_it() {
    let mut dm = Dm::pair();
    let outcome = dm.join(ALICE);
    let heard = ["CHANNEL_CREATE", "MESSAGE_CREATE", "CALL_CREATE", "VOICE_STATE_UPDATE"];
    assert_eq!((names_for_user(&outcome, BOB), names_for_user(&outcome, ALICE)), (heard.to_vec(), heard.to_vec()));
    assert!(
        matches!(&outcome.effects[..], [Effect::Mentioned { user_ids, .. }, Effect::VoiceConnected(_)] if user_ids == &[BOB])
    );
    let events = events_for_user(&outcome, BOB);
    let (Event::MessageCreate(message), Event::CallCreate(call)) = (&events[1], &events[2]) else { panic!() };
    assert_eq!((message.message.kind, message.message.author.id), (MessageType::Call, ALICE));
    assert_eq!(message.message.mentions.iter().map(|user| user.id).collect::<Vec<_>>(), [BOB]);
    assert_eq!(message.message.call, Some(participants(&[ALICE], false, &dm)));
    assert_eq!((call.call.message_id, call.call.channel_id), (message.message.id, dm.id));
    assert!(call.call.ringing.is_empty() && call.voice_states.is_empty());
    assert_eq!(dm.told(), [participants(&[ALICE], false, &dm)]);

    dm.world.pass_ms(1_000);
    let outcome = dm.join(BOB);
    assert_eq!(names_for_user(&outcome, ALICE), ["VOICE_STATE_UPDATE"]);
    assert_eq!(names_for_user(&dm.timeout(), ALICE), ["MESSAGE_UPDATE"]);
    assert_eq!(dm.told(), [participants(&[ALICE, BOB], false, &dm)]);
    assert_eq!(dm.in_call(), [ALICE, BOB]);

    dm.world.pass_ms(1_000);
    assert_eq!(names_for_user(&dm.leave(ALICE), BOB), ["VOICE_STATE_UPDATE"]);
    assert!(dm.timeout().dispatches.is_empty(), "BOB is still there");
    let outcome = dm.leave(BOB);
    assert_eq!(names_for_user(&outcome, ALICE), ["VOICE_STATE_UPDATE", "CALL_DELETE"]);
    assert!(dm.world.core.has_call(), "its end is to be written");
    assert_eq!(names_for_user(&dm.timeout(), ALICE), ["MESSAGE_UPDATE"]);
    assert_eq!(dm.told(), [participants(&[ALICE, BOB], true, &dm)]);
    assert!(!dm.world.core.has_call() && dm.world.core.poll_call_timeout().is_none());
    assert_eq!(dm.world.rows.dm.as_ref().and_then(|row| row.call_message_id), None);
    assert!(dm.leave(BOB).dispatches.is_empty());
}

#[test]
fn rooms_and_states_of_a_call_are_of_no_guild() {
    let mut dm = Dm::pair();
    let outcome = dm.join(ALICE);
    let [_, Effect::VoiceConnected(entry)] = &outcome.effects[..] else { panic!("{:?}", outcome.effects) };
    assert_eq!((entry.owner, entry.server_id, entry.channel_id), (RoomOwner::Dm(dm.id), dm.id.into(), dm.id));
    assert_eq!(
        (entry.rights, entry.subscriber),
        (VoiceRights::SPEAK | VoiceRights::HEAR | VoiceRights::SHOW, session(ALICE))
    );
    let state = dm.seen(BOB).expect("a call").voice_states.remove(0);
    assert_eq!((state.guild_id, state.channel_id, state.member.is_none()), (None, Some(dm.id), true));

    let token = VoiceToken::new("secret");
    let session_id = format!("voice{}", session(ALICE).0);
    let server = |dm: &Dm, name: &str| dm.world.core.voice_server(dm.id.into(), ALICE, name, &token, Some("host:1"));
    let outcome = server(&dm, &session_id);
    let events = events_for_user(&outcome, ALICE);
    let Event::CallSession(to) = &events[0] else { panic!() };
    assert_eq!(to.session_name, as_session(ALICE, session(ALICE)).name);
    let Event::VoiceServerUpdate(update) = &to.event else { panic!() };
    assert_eq!((update.guild_id, update.channel_id, update.endpoint.as_deref()), (None, Some(dm.id), Some("host:1")));
    assert_eq!(events_for_user(&outcome, BOB), []);
    let data = serde_json::to_value(EventData(&events[0])).unwrap();
    assert!(data["guild_id"].is_null() && data["token"] == "secret" && data.get("session_name").is_none(), "{data}");
    assert!(server(&dm, "another").dispatches.is_empty());

    let outcome = dm.world.core.voice_gone(dm.id.into(), ALICE, &session_id);
    assert_eq!(names_for_user(&outcome, BOB), ["VOICE_STATE_UPDATE", "CALL_DELETE"]);
    let left = Effect::VoiceDisconnected { server_id: dm.id.into(), user_id: ALICE };
    assert_eq!(outcome.effects, [left]);
}

#[test]
fn only_people_of_the_dm_are_in_its_calls() {
    let mut dm = Dm::pair();
    refused(dm.update(STRANGER, Some(dm.id)), ErrorCode::MissingAccess);
    refused(dm.update(ALICE, Some(ChannelId::new(1))), ErrorCode::UnknownChannel);
    dm.join(ALICE);
    assert_eq!(dm.seen(STRANGER), None);
    let outcome = dm.join(BOB);
    let all = outcome.dispatches.iter().chain(&dm.timeout().dispatches).map(|d| d.audience.clone()).collect::<Vec<_>>();
    assert!(all.iter().all(|audience| matches!(audience, Audience::Users(ids) if !ids.contains(&STRANGER))));

    let mut dm = Dm::new(ChannelType::Dm, &[ALICE, BOT]);
    refused(dm.update(ALICE, Some(dm.id)), ErrorCode::InvalidRecipient);
    refused(dm.update(BOT, Some(dm.id)), ErrorCode::BotsCannotUse);
    assert!(dm.told().is_empty() && !dm.world.core.has_call());

    let mut world = World::new();
    let update = VoiceStateUpdate { channel_id: Some(world.general()), ..quiet() };
    let by = as_session(ALICE, session(ALICE));
    refused(world.core.update_call(world.now, by, "v", &update, &mut world.ids), ErrorCode::WrongChannelType);
    let channel_id = world.general();
    world.refused(ALICE, Call::GetCall { channel_id }, ErrorCode::WrongChannelType);
}

#[test]
fn a_session_that_another_took_over_from_ends_nothing() {
    let mut dm = Dm::pair();
    dm.join(ALICE);
    let phone = SubscriberId(9_000);
    let update = VoiceStateUpdate { channel_id: Some(dm.id), self_mute: true, ..quiet() };
    dm.update_with(ALICE, phone, update).unwrap();
    assert!(dm.leave(ALICE).dispatches.is_empty());
    let state = dm.seen(BOB).expect("a call").voice_states.remove(0);
    assert_eq!((state.session_id, state.self_mute), (format!("voice{}", phone.0), true));
    let unmuted = dm.update_with(ALICE, phone, VoiceStateUpdate { self_mute: false, ..update }).unwrap();
    assert_eq!(names_for_user(&unmuted, BOB), ["VOICE_STATE_UPDATE"]);
    assert!(
        dm.update_with(ALICE, phone, VoiceStateUpdate { self_mute: false, ..update }).unwrap().dispatches.is_empty()
    );
    dm.update_with(ALICE, phone, quiet()).unwrap();
    assert_eq!(dm.seen(BOB), None);
}

#[test]
fn who_is_rung_answers_declines_or_does_not_come() {
    let mut dm = Dm::group();
    dm.join(ALICE);
    let outcome = dm.ring(ALICE, None);
    assert_eq!(updates(&outcome), [vec![OWNER, BOB]]);
    assert_eq!(names_for_user(&outcome, OWNER), ["CALL_UPDATE"]);
    // One comes.
    let outcome = dm.join(BOB);
    assert_eq!(updates(&outcome), [vec![OWNER]]);
    assert_eq!(names_for_user(&outcome, OWNER), ["CALL_UPDATE", "VOICE_STATE_UPDATE"]);
    // One declines.
    assert_eq!(updates(&dm.stop_ringing(OWNER, None)), [vec![]]);
    assert!(dm.stop_ringing(OWNER, None).dispatches.is_empty());
    // Nobody rings who is there.
    assert!(dm.ring(BOB, Some(&[ALICE])).dispatches.is_empty());
    // The other does not come, and is rung anew while they are rung.
    dm.ring(BOB, Some(&[OWNER]));
    dm.world.pass_ms(RING_TIMEOUT_MS - 1);
    assert!(dm.ring(BOB, Some(&[OWNER])).dispatches.is_empty());
    dm.world.pass_ms(RING_TIMEOUT_MS - 1);
    assert!(updates(&dm.timeout()).is_empty());
    assert_eq!(dm.ringing(), [OWNER]);
    dm.world.pass_ms(1);
    assert_eq!(dm.world.core.poll_call_timeout(), Some(dm.world.now));
    assert_eq!(updates(&dm.timeout()), [vec![]]);
    assert_eq!(dm.world.core.poll_call_timeout(), None);
    dm.leave(ALICE);
    dm.leave(BOB);
    dm.timeout();
    assert_eq!(dm.told(), [participants(&[ALICE, BOB], true, &dm)], "who did not come is not among them");
}

#[test]
fn nobody_rings_whom_they_blocked_or_who_blocked_them() {
    let mut dm = Dm::group();
    let channel_id = dm.id;
    let ringable = |dm: &mut Dm| match dm.world.ok(ALICE, Call::GetCall { channel_id }).reply {
        Reply::Ringable(is_ringable) => is_ringable,
        other => panic!("{other:?}"),
    };
    assert!(ringable(&mut dm));
    dm.join(ALICE);
    dm.world.rows.blocked.insert(BOB, vec![ALICE]);
    assert_eq!(updates(&dm.ring(ALICE, None)), [vec![OWNER]]);
    dm.stop_ringing(ALICE, Some(&[OWNER]));
    dm.world.rows.blocked.insert(ALICE, vec![OWNER]);
    assert!(dm.ring(ALICE, Some(&[OWNER, BOB])).dispatches.is_empty());
    assert!(!ringable(&mut dm));
}

#[test]
fn what_is_refused_has_its_code() {
    let mut dm = Dm::pair();
    let channel_id = dm.id;
    let ring = |recipients| Call::RingCall { channel_id, recipients };
    let stop = |recipients| Call::StopRingingCall { channel_id, recipients };
    let region = |region: &str| Call::ModifyCall { channel_id, region: Patch::Set(region.into()) };
    for call in [ring(None), stop(None), region("local")] {
        dm.world.refused(ALICE, call, ErrorCode::UnknownVoiceState);
    }
    dm.join(ALICE);
    for call in [Call::GetCall { channel_id }, ring(None), stop(None), region("local")] {
        dm.world.refused(STRANGER, call, ErrorCode::MissingAccess);
    }
    dm.world.refused(ALICE, ring(Some(vec![BOB, STRANGER])), ErrorCode::InvalidRecipient);
    dm.world.refused(ALICE, stop(Some(vec![STRANGER])), ErrorCode::InvalidRecipient);
    dm.world.refused(ALICE, region("nowhere"), ErrorCode::InvalidFormBody);
    dm.world.refused(BOT, ring(None), ErrorCode::BotsCannotUse);
}

#[test]
fn a_call_moves_to_another_region_with_all_who_are_in_it() {
    let mut dm = Dm::pair();
    let voice_regions = vec![VoiceRegion::new("here", true), VoiceRegion::new("there", false)];
    dm.world.limits = Limits { voice_regions, ..Limits::default() };
    dm.crash();
    dm.join(ALICE);
    dm.join(BOB);
    assert_eq!(dm.seen(BOB).expect("a call").call.region, "here");
    let channel_id = dm.id;
    let to = |region: Patch<String>| Call::ModifyCall { channel_id, region };
    let outcome = dm.world.ok(BOB, to(Patch::Set("there".into())));
    let region = |effect: &Effect| match effect {
        Effect::VoiceConnected(entry) => (entry.user_id, entry.rtc_region.clone()),
        other => panic!("{other:?}"),
    };
    let regions: Vec<_> = outcome.effects.iter().map(region).collect();
    assert_eq!(regions, [(ALICE, Some("there".into())), (BOB, Some("there".into()))]);
    assert_eq!(names_for_user(&outcome, ALICE), ["CALL_UPDATE"]);
    assert_eq!(dm.seen(BOB).expect("a call").call.region, "there");
    assert!(dm.world.ok(BOB, to(Patch::Keep)).effects.is_empty());
    assert!(dm.world.ok(BOB, to(Patch::Set("there".into()))).effects.is_empty());
    dm.world.ok(BOB, to(Patch::Clear));
    assert_eq!(dm.seen(BOB).expect("a call").call.region, "here");
}

#[test]
fn who_leaves_a_group_is_out_of_its_call_and_rung_no_longer() {
    let mut dm = Dm::group();
    let channel_id = dm.id;
    dm.join(ALICE);
    dm.ring(ALICE, None);
    let outcome = dm.world.ok(BOB, Call::DeleteChannel { channel_id });
    assert_eq!(updates(&outcome), [vec![OWNER]]);
    let outcome = dm.world.ok(ALICE, Call::DeleteChannel { channel_id });
    assert!(names_for_user(&outcome, ALICE).contains(&"VOICE_STATE_UPDATE"));
    assert!(names_for_user(&outcome, OWNER).contains(&"CALL_DELETE"));
    assert!(outcome.effects.contains(&Effect::VoiceDisconnected { server_id: channel_id.into(), user_id: ALICE }));
    dm.timeout();
    assert_eq!(dm.told(), [participants(&[ALICE], true, &dm)]);
    // With the last the group goes, and nothing brings a row of it back.
    dm.join(OWNER);
    dm.world.ok(OWNER, Call::DeleteChannel { channel_id });
    assert!(!dm.world.core.has_call());
    dm.timeout();
    assert!(dm.world.rows.dm.is_none());
}

#[test]
fn a_call_that_was_lost_with_its_owner_is_over() {
    let mut dm = Dm::pair();
    dm.join(ALICE);
    dm.crash();
    assert!(dm.world.core.has_call() && dm.seen(BOB).is_none());
    assert!(dm.world.core.poll_call_timeout().is_some_and(|due| due <= dm.world.now));
    let outcome = dm.timeout();
    assert_eq!(names_for_user(&outcome, BOB), ["MESSAGE_UPDATE", "CALL_DELETE"]);
    assert_eq!(dm.told(), [participants(&[ALICE], true, &dm)]);
    assert!(!dm.world.core.has_call());
    // Also one whose message is gone, as the account is that wrote it.
    dm.join(ALICE);
    dm.world.rows.messages.clear();
    dm.crash();
    assert_eq!(names_for_user(&dm.timeout(), BOB), ["CALL_DELETE"]);
    assert_eq!(dm.world.rows.dm.as_ref().and_then(|row| row.call_message_id), None);
    // And where the next begins before that was written.
    dm.join(ALICE);
    dm.crash();
    dm.world.pass_ms(1_000);
    let outcome = dm.join(BOB);
    let heard = ["MESSAGE_UPDATE", "CALL_DELETE", "MESSAGE_CREATE", "CALL_CREATE", "VOICE_STATE_UPDATE"];
    let names = names_for_user(&outcome, ALICE);
    assert_eq!(names.into_iter().filter(|name| *name != "CHANNEL_CREATE").collect::<Vec<_>>(), heard);
    assert_eq!(dm.told(), [participants(&[ALICE], true, &dm), participants(&[BOB], false, &dm)]);
}

#[test]
fn a_call_goes_on_over_a_write_that_failed_if_it_is_stored() {
    let mut dm = Dm::pair();
    dm.join(ALICE);
    dm.join(BOB);
    dm.ring(ALICE, None);
    let before = dm.seen(BOB);
    let outcome = dm.recover();
    assert!(outcome.dispatches.is_empty() && dm.seen(BOB) == before);
    dm.timeout();
    assert_eq!(dm.told(), [participants(&[ALICE, BOB], false, &dm)]);
    dm.leave(ALICE);
    dm.leave(BOB);
    dm.timeout();

    // One of which nothing is stored was told to nobody.
    let rows = dm.world.rows.clone();
    dm.join(ALICE);
    dm.world.rows = rows;
    let outcome = dm.recover();
    assert_eq!(names_for_user(&outcome, BOB), ["VOICE_STATE_UPDATE", "CALL_DELETE"]);
    assert!(outcome.effects.contains(&Effect::VoiceDisconnected { server_id: dm.id.into(), user_id: ALICE }));
    dm.timeout();
    assert!(!dm.world.core.has_call() && dm.seen(BOB).is_none());

    // One whose end was not stored ends.
    dm.join(ALICE);
    dm.leave(ALICE);
    dm.recover();
    dm.timeout();
    assert!(dm.told().iter().all(|call| call.ended_timestamp.is_some()) && dm.told().len() == 2);
}

#[test]
fn what_cannot_be_written_is_due_again() {
    let mut dm = Dm::pair();
    dm.join(ALICE);
    dm.leave(ALICE);
    let now = dm.world.now;
    dm.world.core.postpone_saving_call(now);
    assert!(!dm.world.core.has_unsaved_call(now) && dm.world.core.has_call());
    let due = dm.world.core.poll_call_timeout().expect("due later");
    assert!(due > now && dm.world.core.has_unsaved_call(due));
    dm.world.now = due;
    dm.timeout();
    assert_eq!(dm.told(), [participants(&[ALICE], true, &dm)]);
}

#[test]
fn everybody_is_out_when_the_owner_ends() {
    let mut dm = Dm::pair();
    dm.join(ALICE);
    dm.join(BOB);
    let outcome = dm.world.core.end_voice();
    assert_eq!(names_for_user(&outcome, BOB), ["VOICE_STATE_UPDATE", "VOICE_STATE_UPDATE", "CALL_DELETE"]);
    assert_eq!(outcome.effects.len(), 2);
    dm.timeout();
    assert_eq!(dm.told(), [participants(&[ALICE, BOB], true, &dm)]);
}
