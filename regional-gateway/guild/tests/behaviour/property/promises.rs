//! What holds after every call.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::{Audience, Effect, Outcome};
use rookery_model::call::Call;
use rookery_model::gateway::{ChannelInfoChannel, Event, StreamKey};
use rookery_model::{ChannelId, UserId};

use super::lists::{id_of, short, truth};
use super::sight::{is_lively, is_text, plain_permissions, reads, sees};
use super::{PEOPLE, Run};
use crate::mirror::{Mirror, channel_of, plain};
use crate::store::Rows;
use crate::world::events_for;

impl Run {
    /// Those who have to do with streams are in their channels, and know who watches; others know who streams.
    pub(super) fn check_streams(&self, call: &Call) {
        let streams = self.world.core.streams();
        for (key, viewers) in &streams {
            for user in viewers.iter().chain([&key.user_id]) {
                assert_eq!(
                    self.world.core.voice_channel(*user),
                    Some(key.channel_id),
                    "{user} of {key} after {call:?}"
                );
                let own = self.mirrors.iter().filter(|mirror| mirror.user_id == *user);
                let told: Vec<_> = own.filter_map(|mirror| mirror.streams.get(key)).collect();
                assert_eq!(told, [viewers], "{user} of {key} after {call:?}");
            }
        }
        for mirror in &self.mirrors {
            for key in mirror.streams.keys() {
                let is_in = |(known, viewers): &(StreamKey, Vec<UserId>)| {
                    known == key && (key.user_id == mirror.user_id || viewers.contains(&mirror.user_id))
                };
                assert!(streams.iter().any(is_in), "{key} is over for {} after {call:?}", mirror.user_id);
            }
            let streaming: BTreeSet<UserId> =
                streams.iter().map(|(key, _)| key.user_id).filter(|user| mirror.voice.contains_key(user)).collect();
            assert_eq!(mirror.streaming, streaming, "whom {} sees stream after {call:?}", mirror.user_id);
        }
    }

    pub(super) fn check_ids(&mut self, outcome: &Outcome) {
        for dispatch in &outcome.dispatches {
            let Event::MessageCreate(event) = &*dispatch.event else { continue };
            let newest = self.newest.entry(event.message.channel_id).or_default();
            assert!(event.message.id >= *newest, "ids of a channel grow");
            *newest = event.message.id;
        }
    }

    /// No event goes to somebody who does not see its channel; none of them is left out.
    pub(super) fn check_audiences(&mut self, outcome: &Outcome, before: &Rows) {
        let (rows, now) = (&self.world.rows, self.world.now);
        for dispatch in &outcome.dispatches {
            let Audience::Subscribers(ids) = &dispatch.audience else { panic!("guilds know their sessions") };
            assert!(!ids.is_empty() && ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
            for id in ids.iter().filter(|id| self.passive.contains_key(*id)) {
                let user = self.mirrors.iter().find(|m| m.id == *id).expect("a session").user_id;
                let is_own = matches!(&*dispatch.event, Event::GuildMemberUpdate(e) if e.member.user.as_ref().is_some_and(|u| u.id == user));
                let is_quiet = !is_lively(&dispatch.event) || is_own || self.is_mentioned(&dispatch.event, user);
                assert!(is_quiet, "{} for a passive session", dispatch.event.name());
            }
            let users = ids.iter().map(|id| self.mirrors.iter().find(|m| m.id == *id).expect("a session").user_id);
            let (channel, at) = match &*dispatch.event {
                Event::ChannelCreate(c) | Event::ChannelUpdate(c) => (c.id, rows),
                Event::ChannelDelete(c) => (c.id, before),
                // An invite and a live stage end with their channel, while that is still seen.
                Event::InviteDelete(e) => (e.channel_id, before),
                Event::StageInstanceDelete(e) => (e.channel_id, before),
                other => match channel_of(other) {
                    // So do a stream, its viewers and a status.
                    Some(channel) if !rows.channels.contains_key(&channel) => (channel, before),
                    Some(channel) => (channel, rows),
                    None => continue,
                },
            };
            let may = if is_text(&dispatch.event) { reads } else { sees };
            // Whoever is about to leave the guild, the last one in a channel, hears that its status ends.
            let is_end = matches!(&*dispatch.event, Event::VoiceChannelStatusUpdate(e) if e.status.is_none());
            for user in users.clone() {
                let at = if is_end && !rows.members.contains_key(&user) { before } else { at };
                assert!(may(at, now, user, channel), "{user} gets {} of {channel}", dispatch.event.name());
            }
            if matches!(&*dispatch.event, Event::MessageCreate(_) | Event::MessageUpdate(_) | Event::MessageDelete(_)) {
                let missing = self.mirrors.iter().filter(|m| {
                    let wants = !self.passive.contains_key(&m.id) || self.is_mentioned(&dispatch.event, m.user_id);
                    wants && reads(rows, now, m.user_id, channel) && !ids.contains(&m.id)
                });
                assert_eq!(missing.count(), 0, "everybody who reads it gets it");
                let blind = |user| sees(rows, now, user, channel) && !reads(rows, now, user, channel);
                self.withheld += self.mirrors.iter().filter(|m| blind(m.user_id)).count();
            }
        }
        for effect in &outcome.effects {
            let Effect::Mentioned { channel_id, user_ids, .. } = effect else { continue };
            assert!(user_ids.iter().all(|user| reads(rows, now, *user, *channel_id)), "{user_ids:?} in {channel_id}");
        }
    }

    /// Whether a new message mentions a user by name, by role or with everybody.
    pub(super) fn is_mentioned(&self, event: &Event, user: UserId) -> bool {
        let Event::MessageCreate(event) = event else { return false };
        let has_role = |role| self.world.rows.members.get(&user).is_some_and(|member| member.roles.contains(role));
        let message = &event.message;
        message.mention_everyone
            || message.mentions.iter().any(|mentioned| mentioned.id == user)
            || message.mention_roles.iter().any(has_role)
    }

    /// Sessions hold the true slice of each list that they look at.
    pub(super) fn check_lists(&self) {
        let (rows, now) = (&self.world.rows, self.world.now);
        for (id, looker) in &self.looks {
            let viewer = self.mirrors.iter().find(|mirror| mirror.id == *id).expect("a session").user_id;
            let mut positions: BTreeMap<String, (ChannelId, BTreeSet<u32>)> = BTreeMap::new();
            for (channel_id, ranges) in &looker.channels {
                if sees(rows, now, viewer, *channel_id) {
                    let entry = positions.entry(id_of(rows, *channel_id)).or_insert((*channel_id, BTreeSet::new()));
                    entry.1.extend(ranges.iter().flat_map(|[first, last]| *first..=*last));
                }
            }
            for (list, (channel_id, positions)) in positions {
                let truth = truth(rows, now, &self.statuses, channel_id);
                let held = looker.lists.get(&list).unwrap_or_else(|| panic!("{viewer} never got {list}"));
                for position in positions.into_iter().filter(|position| (*position as usize) < truth.len()) {
                    let item = held.get(position).expect("an item");
                    assert_eq!(short(rows, item), truth[position as usize], "at {position} of {list} for {viewer}");
                }
            }
        }
    }

    pub(super) fn check_state(&self, call: &Call) {
        let (rows, now) = (&self.world.rows, self.world.now);
        for user in PEOPLE {
            for channel in rows.channels.keys() {
                let cached = self.world.core.permissions_in(now, user, *channel);
                assert_eq!(cached, plain_permissions(rows, now, user, *channel), "{user} in {channel} after {call:?}");
            }
        }
        for mirror in &self.mirrors {
            let seen: BTreeMap<_, _> = rows
                .channels
                .values()
                .filter(|channel| sees(rows, now, mirror.user_id, channel.id))
                .map(|channel| (channel.id, plain(channel)))
                .collect();
            assert_eq!(mirror.channels, seen, "what {} knows after {call:?}", mirror.user_id);
            let in_voice: BTreeMap<_, _> = PEOPLE
                .into_iter()
                .filter_map(|user| Some((user, self.world.core.voice_channel(user)?)))
                .filter(|(user, channel)| *user == mirror.user_id || seen.contains_key(channel))
                .collect();
            assert_eq!(mirror.voice, in_voice, "whom {} knows in voice after {call:?}", mirror.user_id);
            let mut live = rows.stage_instances.clone();
            live.retain(|channel, _| seen.contains_key(channel));
            let info = self.world.core.request_channel_info(mirror.id, &[ChannelInfoChannel::STATUS.to_owned()]);
            let mut fresh = Mirror { channels: seen, ..Mirror::new(mirror.id, mirror.user_id) };
            events_for(&info, mirror.id).iter().for_each(|event| fresh.take(event));
            assert_eq!(mirror.statuses, fresh.statuses, "what {} knows to go on after {call:?}", mirror.user_id);
            assert_eq!(mirror.stages, live, "which stages {} knows after {call:?}", mirror.user_id);
        }
    }
}
