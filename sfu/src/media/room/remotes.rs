//! Members at other nodes: who is told of them here, and who here is told of there.

use rookery_forwarder::{JoinRefused, LayerSpec, MemberFlags, MemberKey, NodeId, RemoteJoin, Streams};
use rookery_model::UserId;
use rookery_model::voice::{ClientDisconnect, ClientsConnect, SpeakingFlags, Ssrc};
use rookery_node_link::{RemoteMember, RemoteShown};
use rookery_voice_session::{Payload, ServerEvent};
use rookery_webrtc::Codec;
use std::sync::Arc;

use super::{Member, RoomState};
use crate::mail::Notice;
use crate::media::cascade::{Cascade, Remote};

/// A picture comes over a link in one layer, the best that anybody behind it wants.
const LINK_LAYERS: [LayerSpec; 1] = [LayerSpec { quality: 100, expected_bps: 1_500_000 }];
/// What a member hears is its own node's business.
const OF_HEARING: MemberFlags = MemberFlags::SERVER_DEAFENED.union(MemberFlags::SELF_DEAFENED);

impl RoomState {
    /// Whether the room is at other nodes too.
    pub(in crate::media) const fn is_linked(&self) -> bool {
        self.cascade.is_some()
    }

    /// Notes that other nodes may have to be told something.
    pub(super) fn note_change(&mut self) {
        if let Some(cascade) = &mut self.cascade {
            cascade.is_stale = true;
        }
    }

    /// Notes that they are to be told at once: somebody is about to be heard or seen.
    pub(super) fn note_urgent_change(&mut self) {
        if let Some(cascade) = &mut self.cascade {
            (cascade.is_stale, cascade.is_urgent) = (true, true);
        }
    }

    /// Who is to be known behind a link, those who matter most first.
    pub(in crate::media) fn told_over(&self, link: u64) -> Vec<RemoteMember> {
        let rank = |key: MemberKey, told: &RemoteMember| {
            let is_heard = self.room.speakers().any(|speaker| speaker == key);
            (!is_heard, told.shown.is_none(), !told.is_announced)
        };
        let is_of_interest = |member: &&Member| {
            member.is_listening() && (member.is_told || member.announced_below > 0 || member.shown.is_some())
        };
        let own = self.members().filter(is_of_interest).map(|member| (member.key, self.as_remote(member)));
        let others = self.cascade.iter().flat_map(|cascade| cascade.remotes()).filter(|remote| remote.link != link);
        let others = others.map(|remote| {
            let is_announced = remote.told.is_announced || remote.announced_below > 0;
            (remote.key, RemoteMember { is_announced, ..remote.told })
        });
        let mut told: Vec<_> = own.chain(others).map(|(key, told)| (rank(key, &told), told)).collect();
        told.sort_by_key(|(rank, _)| *rank);
        told.into_iter().map(|(_, told)| told).collect()
    }

    fn as_remote(&self, member: &Member) -> RemoteMember {
        let streams = member.streams;
        let speaking = member.speaking.map(|mut speaking| {
            if !member.granted.priority {
                speaking.remove(SpeakingFlags::PRIORITY);
            }
            speaking
        });
        let shown = member.shown.as_ref().map(|shown| RemoteShown {
            kind: shown.stream.kind,
            frames_per_second: shown.stream.max_framerate.map(|rate| rate as u8),
            resolution: shown.stream.max_resolution,
        });
        RemoteMember {
            user: member.user,
            node: self.room.node().0,
            ssrcs: [streams.audio.0, streams.video.0, streams.rtx.0],
            flags: (member.flags() - OF_HEARING).bits(),
            speaking,
            is_announced: member.announced_below > 0,
            shown,
        }
    }

    /// A member behind a link came, or is otherwise than before.
    pub(in crate::media) fn remote_told(&mut self, now_us: u64, link: u64, told: RemoteMember) {
        let known = self.room.member_of(told.user);
        let Some(cascade) = &mut self.cascade else { return };
        let Some(end) = cascade.end(link) else { return };
        end.told.insert(told.user, told);
        let remote = known.and_then(|key| cascade.remote(key)).filter(|remote| remote.link == link);
        match remote.map(|remote| (remote.key, remote.told)) {
            Some((key, before)) if (before.ssrcs, before.node) == (told.ssrcs, told.node) => {
                self.change_remote(now_us, key, before, told);
            }
            Some((key, _)) => {
                self.remove_remote(now_us, key);
                self.join_remote(now_us, link, told);
            }
            None => self.join_remote(now_us, link, told),
        }
    }

    /// A member behind a link is gone.
    pub(in crate::media) fn remote_gone(&mut self, now_us: u64, link: u64, user: UserId) {
        let Some(cascade) = &mut self.cascade else { return };
        if let Some(end) = cascade.end(link) {
            end.told.remove(&user);
        }
        let key = self.room.member_of(user);
        let remote = key.and_then(|key| cascade.remote(key)).filter(|remote| remote.link == link);
        if let Some(key) = remote.map(|remote| remote.key) {
            self.remove_remote(now_us, key);
        }
    }

    /// Lets go all who came over a link, and the link itself.
    pub(in crate::media) fn link_down(&mut self, now_us: u64, link: u64) {
        let Some(cascade) = &mut self.cascade else { return };
        let gone: Vec<MemberKey> =
            cascade.remotes().filter(|remote| remote.link == link).map(|remote| remote.key).collect();
        let key = cascade.end(link).and_then(|end| {
            end.told.clear();
            end.has_absent = false;
            end.key.take()
        });
        for key in gone {
            self.remove_remote(now_us, key);
        }
        if let Some(key) = key {
            self.room.leave(now_us, key);
        }
    }

    /// A user who was at another node is at this one: what is told of them there is over.
    pub(in crate::media) fn yield_remote(&mut self, now_us: u64, user: UserId) {
        let Some(key) = self.room.member_of(user) else { return };
        let link = self.cascade.as_ref().and_then(|cascade| cascade.remote(key)).map(|remote| remote.link);
        if let Some(link) = link {
            self.remove_remote(now_us, key);
            if let Some(end) = self.cascade.as_mut().and_then(|cascade| cascade.end(link)) {
                end.has_absent = true;
            }
        }
    }

    /// Lets those in who could not come: another one of that user was here, or the room was full.
    pub(in crate::media) fn join_absent(&mut self, now_us: u64) {
        let Some(cascade) = &mut self.cascade else { return };
        let mut absent = Vec::new();
        for end in cascade.ends.iter_mut().filter(|end| end.has_absent) {
            end.has_absent = false;
            let is_absent = |user: &UserId| self.room.member_of(*user).is_none();
            absent.extend(end.told.iter().filter(|(user, _)| is_absent(user)).map(|(_, told)| (end.id, *told)));
            // Whoever is here by another way still may go.
            end.has_absent = end.told.keys().any(|user| !is_absent(user));
        }
        for (link, told) in absent {
            self.join_remote(now_us, link, told);
        }
    }

    fn join_remote(&mut self, now_us: u64, link: u64, told: RemoteMember) {
        let (next_order, is_told) = (self.next_order, self.told < self.presence.members_max);
        let Some(cascade) = &mut self.cascade else { return };
        let Some(end) = cascade.end(link) else { return };
        let Some(link_key) = end.key else { return };
        // Nobody would be told of them: they come in when they are heard or seen.
        if !is_told && !told.is_announced && told.shown.is_none() {
            return;
        }
        let ssrc = rookery_forwarder::Ssrc;
        let [audio, video, rtx] = told.ssrcs.map(ssrc);
        let streams = Streams { audio, video, rtx };
        let flags = MemberFlags::from_bits_truncate(told.flags);
        let join = RemoteJoin { user: told.user, link: link_key, origin: NodeId(told.node), streams, flags };
        let key = match self.room.join_remote(join) {
            Ok(key) => key,
            // It is behind this node itself, and never comes that way.
            Err(JoinRefused::Loop) => return,
            Err(_) => {
                end.has_absent = true;
                return;
            }
        };
        let announced_below = if told.is_announced { next_order } else { 0 };
        cascade.insert(Remote {
            key,
            user: told.user,
            link,
            streams,
            told,
            codec: Codec::Vp8,
            demand: 0,
            is_shown: false,
            announced_below,
            is_told,
        });
        if is_told {
            self.told += 1;
            cascade.newcomers.push(told.user);
            self.schedule(now_us);
        }
        if told.is_announced {
            self.tell_speaking(now_us, key);
        }
        self.show_remote(now_us, key);
        self.note_urgent_change();
    }

    fn change_remote(&mut self, now_us: u64, key: MemberKey, before: RemoteMember, told: RemoteMember) {
        let next_order = self.next_order;
        let is_large = self.listeners.len() > self.presence.members_max;
        let is_heard = self.room.speakers().any(|speaker| speaker == key);
        let Some(remote) = self.cascade.as_mut().and_then(|cascade| cascade.remote_mut(key)) else { return };
        remote.told = told;
        let speaks = told.is_announced && (told.speaking, true) != (before.speaking, before.is_announced);
        if speaks && (!is_large || is_heard) {
            remote.announced_below = next_order;
            self.tell_speaking(now_us, key);
        }
        if before.flags != told.flags {
            self.room.set_flags(now_us, key, MemberFlags::from_bits_truncate(told.flags));
        }
        if before.shown != told.shown {
            self.show_remote(now_us, key);
        }
        self.note_urgent_change();
    }

    fn tell_speaking(&mut self, now_us: u64, key: MemberKey) {
        let remote = self.cascade.as_ref().and_then(|cascade| cascade.remote(key));
        if let Some(payload) = remote.map(Remote::speaking_payload) {
            self.tell_later(now_us, payload, None);
            self.due_us = Some(now_us);
        }
    }

    /// Shows what a member at another node shows, or no longer.
    fn show_remote(&mut self, now_us: u64, key: MemberKey) {
        let remote = self.cascade.as_ref().and_then(|cascade| cascade.remote(key));
        let Some((was_shown, shown)) = remote.map(|remote| (remote.is_shown, remote.told.shown.is_some())) else {
            return;
        };
        if !was_shown && !shown {
            return;
        }
        let is_shown = shown && (was_shown || self.room.publish_video(now_us, key, &LINK_LAYERS).is_ok());
        if is_shown && !was_shown {
            self.store.open(key, LINK_LAYERS.len());
        }
        if was_shown && !is_shown {
            self.room.unpublish_video(now_us, key);
            self.store.close(key);
        }
        self.shows = self.shows + usize::from(is_shown) - usize::from(was_shown);
        let Some(remote) = self.cascade.as_mut().and_then(|cascade| cascade.remote_mut(key)) else { return };
        remote.is_shown = is_shown;
        let (payload, streams) = (remote.video_payload(), remote.streams);
        if !is_shown {
            self.release(Ssrc(streams.video.0));
        }
        self.tell_later(now_us, payload, None);
        self.due_us = Some(now_us);
    }

    fn remove_remote(&mut self, now_us: u64, key: MemberKey) {
        let Some(cascade) = &mut self.cascade else { return };
        let was_new = cascade.remote(key).is_some_and(|remote| cascade.newcomers.contains(&remote.user));
        let Some(remote) = cascade.take(key) else { return };
        cascade.set_wants(remote.link);
        self.room.leave(now_us, key);
        self.told -= usize::from(remote.is_told);
        self.shows -= usize::from(remote.is_shown);
        self.store.close(key);
        for stream in [remote.streams.audio, remote.streams.video] {
            self.release(Ssrc(stream.0));
        }
        if (remote.is_told && !was_new) || remote.announced_below > 0 {
            let event = ServerEvent::ClientDisconnect(ClientDisconnect { user_id: remote.user });
            self.tell_later(now_us, Payload::new(&event), None);
        }
        self.note_change();
    }

    /// Has those told of who came to other nodes, before anything else that is pending.
    pub(super) fn tell_newcomers(&mut self) {
        let newcomers = self.cascade.as_mut().map(|cascade| std::mem::take(&mut cascade.newcomers));
        let Some(user_ids) = newcomers.filter(|users| !users.is_empty()) else { return };
        let payload = Payload::new(&ServerEvent::ClientsConnect(ClientsConnect { user_ids }));
        self.pending.push(Notice { payload, except: None });
    }

    /// What a newcomer is told of those at other nodes: who is there, who speaks, who shows something.
    pub(super) fn remote_snapshot(&self, is_large: bool) -> (Vec<UserId>, Vec<Arc<Payload>>, Vec<Arc<Payload>>) {
        let Some(cascade) = &self.cascade else { return Default::default() };
        let users = cascade.remotes().filter(|remote| remote.is_told).map(|remote| remote.user).collect();
        let speaks = |remote: &&Remote| {
            if is_large {
                self.room.speakers().any(|speaker| speaker == remote.key)
            } else {
                remote.announced_below > 0
            }
        };
        let speaking = cascade.remotes().filter(speaks).map(Remote::speaking_payload).collect();
        let showing = cascade.remotes().filter(|remote| remote.is_shown).map(Remote::video_payload).collect();
        (users, speaking, showing)
    }

    /// The links of the room, for whoever makes them.
    pub(in crate::media) fn cascade_mut(&mut self) -> &mut Cascade {
        self.cascade.get_or_insert_default()
    }
}
