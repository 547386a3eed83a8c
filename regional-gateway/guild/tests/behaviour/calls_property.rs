//! Random calls by random people in a group DM: whoever listened knows what is, and the store what was.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::{Audience, IdSource as _, Outcome, RING_TIMEOUT_MS};
use rookery_model::call::Call;
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{CallUpdate, Event, StreamAction, StreamKey};
use rookery_model::message::MessageType;
use rookery_model::{MessageId, UserId, VoiceServerId};

use crate::calls::{Dm, as_session, session};
use crate::rng::Rng;
use crate::world::*;

const PEOPLE: [UserId; 4] = [OWNER, ALICE, BOB, STRANGER];
const STEPS: usize = 400;

/// A call as somebody knows it from what they were told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    message_id: MessageId,
    ringing: Vec<UserId>,
    present: BTreeSet<UserId>,
}

/// What everybody was told.
#[derive(Default)]
struct Listeners {
    known: BTreeMap<UserId, Known>,
    /// The streams that the sessions of each have to do with, and who watches them.
    streams: BTreeMap<UserId, BTreeMap<StreamKey, Vec<UserId>>>,
}

impl Listeners {
    fn hear(&mut self, outcome: &Outcome, are_there: &[UserId]) {
        for dispatch in &outcome.dispatches {
            let Audience::Users(user_ids) = &dispatch.audience else { panic!("{dispatch:?}") };
            for user_id in user_ids.iter() {
                // Whoever just left hears that they did.
                let is_last_word = match &*dispatch.event {
                    Event::ChannelDelete(_) | Event::VoiceStateUpdate(_) => true,
                    Event::CallSession(to) => matches!(to.event, Event::StreamDelete(_)),
                    _ => false,
                };
                assert!(are_there.contains(user_id) || is_last_word, "{user_id} hears {:?}", dispatch.event);
                self.take(*user_id, &dispatch.event);
            }
        }
    }

    fn take(&mut self, user_id: UserId, event: &Event) {
        match event {
            Event::CallCreate(create) => {
                let CallUpdate { message_id, ringing, .. } = create.call.clone();
                let present = create.voice_states.iter().map(|state| state.user_id).collect();
                self.known.insert(user_id, Known { message_id, ringing, present });
            }
            Event::CallUpdate(update) => {
                let known = self.known.get_mut(&user_id).expect("an update of a call that it knows");
                assert_eq!(known.message_id, update.message_id);
                known.ringing.clone_from(&update.ringing);
            }
            Event::CallDelete(_) => {
                self.known.remove(&user_id);
                self.streams.remove(&user_id);
            }
            Event::CallSession(to) => {
                assert_eq!(to.session_name, as_session(user_id, session(user_id)).name);
                self.take_stream(user_id, &to.event);
            }
            Event::VoiceStateUpdate(state) => match (self.known.get_mut(&user_id), state.channel_id) {
                (Some(known), Some(_)) => drop(known.present.insert(state.user_id)),
                (Some(known), None) => drop(known.present.remove(&state.user_id)),
                (None, channel_id) => assert_eq!(channel_id, None, "in a call that nobody told of"),
            },
            _ => {}
        }
    }

    fn take_stream(&mut self, user_id: UserId, event: &Event) {
        let Some(key) = event.stream_key().map(|key| key.parse::<StreamKey>().expect("a key")) else { return };
        let own = self.streams.entry(user_id).or_default();
        match event {
            Event::StreamCreate(created) => drop(own.insert(key, created.viewer_ids.clone())),
            Event::StreamUpdate(update) => {
                own.get_mut(&key).expect("a stream that it knows").clone_from(&update.viewer_ids);
            }
            Event::StreamDelete(_) => drop(own.remove(&key)),
            _ => {}
        }
    }
}

struct Run {
    rng: Rng,
    dm: Dm,
    there: Vec<UserId>,
    present: BTreeSet<UserId>,
    rung: BTreeSet<UserId>,
    heard: Listeners,
    /// Streams after all steps that somebody watched.
    watched: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let (dm, there) = (Dm::new(ChannelType::GroupDm, &PEOPLE), PEOPLE.to_vec());
        let (present, rung) = (BTreeSet::new(), BTreeSet::new());
        Self { rng: Rng(seed), dm, there, present, rung, heard: Listeners::default(), watched: 0 }
    }

    fn step(&mut self) {
        let by = self.rng.pick(&PEOPLE);
        let channel_id = self.dm.id;
        let is_there = self.there.contains(&by);
        let outcome = match self.rng.below(150) {
            0..30 => match self.dm.update(by, Some(channel_id)) {
                Ok(outcome) => {
                    assert!(is_there);
                    self.present.insert(by);
                    self.rung.remove(&by);
                    outcome
                }
                Err(_) => return assert!(!is_there),
            },
            30..55 => {
                self.out(by);
                self.dm.update(by, None).expect("may always")
            }
            55..70 => {
                let one = self.rng.pick(&PEOPLE);
                let recipients = self.rng.chance(50).then(|| vec![one]);
                let named = recipients.clone();
                let Ok(outcome) = self.dm.world.call(by, Call::RingCall { channel_id, recipients }) else { return };
                let meant = self.there.iter().filter(|id| named.as_ref().is_none_or(|named| named.contains(id)));
                self.rung.extend(meant.filter(|id| **id != by && !self.present.contains(id)));
                outcome
            }
            70..78 => {
                let call = Call::StopRingingCall { channel_id, recipients: None };
                let Ok(outcome) = self.dm.world.call(by, call) else { return };
                self.rung.remove(&by);
                outcome
            }
            78..88 => {
                let ms = self.rng.below(2 * RING_TIMEOUT_MS as usize) as u64;
                self.dm.world.pass_ms(ms);
                let outcome = self.dm.timeout();
                // All rung before were rung at the latest then.
                if ms >= RING_TIMEOUT_MS {
                    self.rung.clear();
                } else if let Some(seen) = self.seen() {
                    self.rung = seen.ringing.iter().copied().filter(|id| self.rung.contains(id)).collect();
                }
                outcome
            }
            88..93 => self.dm.recover(),
            93..96 => {
                self.dm.crash();
                self.present.clear();
                self.rung.clear();
                self.dm.timeout()
            }
            96..98 => {
                self.present.clear();
                self.rung.clear();
                self.dm.world.core.end_voice()
            }
            100..150 => {
                // Mostly of streams that there are.
                let near: Vec<UserId> = self.dm.world.core.streams().iter().map(|(key, _)| key.user_id).collect();
                let user_id = match near.is_empty() || self.rng.chance(30) {
                    true if self.rng.chance(80) => by,
                    true => self.rng.pick(&PEOPLE),
                    false => self.rng.pick(&near),
                };
                let key = StreamKey { guild_id: None, channel_id, user_id };
                let action = match self.rng.below(10) {
                    0..4 if user_id == by => StreamAction::Create { preferred_region: None },
                    0..7 => StreamAction::Watch,
                    7..9 => StreamAction::Delete,
                    _ => StreamAction::SetPaused(self.rng.chance(50)),
                };
                let (session, server_id) = (as_session(by, session(by)), VoiceServerId(self.dm.world.ids.next_id()));
                match self.dm.world.core.stream(session, key, &action, Some(server_id)) {
                    Ok(outcome) => outcome,
                    Err(_) => return assert!(!is_there),
                }
            }
            _ if self.there.len() > 2 && is_there => {
                self.there.retain(|id| *id != by);
                self.out(by);
                self.rung.remove(&by);
                let outcome = self.dm.world.ok(by, Call::DeleteChannel { channel_id });
                self.heard.hear(&outcome, &PEOPLE);
                return drop(self.heard.known.remove(&by));
            }
            _ => return,
        };
        self.heard.hear(&outcome, &self.there);
    }

    fn out(&mut self, user_id: UserId) {
        self.present.remove(&user_id);
        if self.present.is_empty() {
            self.rung.clear();
        }
    }

    fn seen(&self) -> Option<Known> {
        let seen = self.dm.seen(self.there[0])?;
        let present = seen.voice_states.iter().map(|state| state.user_id).collect();
        Some(Known { message_id: seen.call.message_id, ringing: seen.call.ringing, present })
    }

    fn check(&mut self) {
        let seen = self.seen();
        for user_id in &self.there {
            assert_eq!(self.heard.known.get(user_id), seen.as_ref(), "as {user_id} knows it");
        }
        let streams = self.dm.world.core.streams();
        self.watched += streams.iter().filter(|(_, viewers)| !viewers.is_empty()).count();
        for user_id in &self.there {
            let concerns =
                |(key, viewers): &&(StreamKey, Vec<UserId>)| key.user_id == *user_id || viewers.contains(user_id);
            let own: BTreeMap<StreamKey, Vec<UserId>> = streams.iter().filter(concerns).cloned().collect();
            assert_eq!(self.heard.streams.get(user_id).cloned().unwrap_or_default(), own, "as {user_id} knows them");
        }
        let (present, ringing) = seen.clone().map(|seen| (seen.present, seen.ringing)).unwrap_or_default();
        assert_eq!(present, self.present);
        assert_eq!(ringing.iter().copied().collect::<BTreeSet<_>>(), self.rung);
        assert!(seen.is_none_or(|seen| !seen.present.is_empty() && seen.present.is_disjoint(&self.rung)));
        // What the store knows once everything is written.
        if !self.rng.chance(30) {
            return;
        }
        let outcome = self.dm.timeout();
        self.heard.hear(&outcome, &self.there);
        let calls = self.dm.world.rows.messages.values().filter(|row| row.kind == MessageType::Call);
        let (over, ongoing): (Vec<_>, Vec<_>) =
            calls.partition(|row| row.call.as_ref().is_some_and(|call| call.ended_timestamp.is_some()));
        assert!(over.iter().all(|row| row.call.as_ref().is_some_and(|call| !call.participants.is_empty())));
        let named = self.dm.world.rows.dm.as_ref().and_then(|row| row.call_message_id);
        assert_eq!(ongoing.iter().map(|row| row.id).collect::<Vec<_>>(), named.into_iter().collect::<Vec<_>>());
        assert_eq!(named, self.seen().map(|seen| seen.message_id));
        let was_in: BTreeSet<UserId> =
            ongoing.iter().filter_map(|row| row.call.as_ref()).flat_map(|call| call.participants.clone()).collect();
        assert!(was_in.is_superset(&self.present), "{was_in:?} {:?}", self.present);
        self.rung = self.seen().map(|seen| seen.ringing.into_iter().collect()).unwrap_or_default();
    }
}

#[test]
fn whoever_listened_knows_what_is_and_the_store_what_was() {
    let mut watched = 0;
    for seed in 0..60 {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
            run.check();
        }
        assert!(run.dm.told().len() > 3, "seed {seed} hardly calls");
        watched += run.watched;
    }
    assert!(watched > 300, "{watched}: hardly anybody watches");
}
