//! Members who come and go, and what they say of themselves.

use rookery_forwarder::{
    Feedback, Join, JoinRefused, LAYERS_MAX, LayerSpec, MemberKey, NodeId, Room, RoomConfig, RoomKind, SsrcBlock,
    StreamPolicy, Streams, Transport, VideoMode,
};
use rookery_model::UserId;
use rookery_model::voice::node::{VoiceMemberFlags, VoiceRoomKey, VoiceRoomSettings};
use rookery_model::voice::{
    EncryptionMode, SecretKey, Ssrc, StreamQuality, StreamResolution, StreamSettings, Video, VideoStream, VoiceRoomKind,
};
use rookery_rtp::{MemberId, UdpEndpoint};
use rookery_webrtc::Offer;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Core, Place};
use crate::directory::Grant;
use crate::mailbox::MailSender;
use crate::media::command::{Command, MemberRef, Refused};
use crate::media::room::{Member, RoomState, Shown};
use crate::media::way::{LayerSource, PayloadTypes, Way, WebRtcWay};
use crate::secret;

/// SSRCs that are tried for one member: those of rooms on one socket may meet, but a room begins at random.
const SSRC_TRIES: usize = 20_000;
/// What a layer is taken for until it has been measured, by its quality up to this, in bits a second.
const EXPECTED_BPS: [(u8, u64); 3] = [(30, 150_000), (60, 500_000), (100, 1_500_000)];

impl Core {
    /// Does what was asked; whether to go on.
    pub(in crate::media) fn command(&mut self, now_us: u64, command: Command) -> ControlFlow<()> {
        match command {
            Command::Join { grant, session, mail, reply } => {
                let joined = self.join(now_us, &grant, session, mail);
                let is_wanted = reply.send(joined).is_ok();
                if !is_wanted && joined.is_ok() {
                    self.leave(now_us, MemberRef { room: grant.room, user: grant.user, session });
                }
            }
            Command::Activate { member, mode, claimed, types, reply } => {
                let _ = reply.send(self.activate(now_us, member, mode, claimed, types));
            }
            Command::Offer { member, offer, types, reply } => {
                let _ = reply.send(self.offer(now_us, member, &offer, types));
            }
            Command::Video { member, video } => {
                if let Some((at, key)) = self.find(member) {
                    self.show(now_us, at, key, &video);
                }
            }
            Command::MediaSinkWants { member, wants } => {
                if let Some((at, key)) = self.find(member) {
                    self.rooms[at].set_wants(now_us, key, &wants);
                    self.follow_up(now_us, at);
                }
            }
            Command::Speaking { member, flags } => {
                if let Some((at, key)) = self.find(member) {
                    self.rooms[at].set_speaking(now_us, key, flags);
                    self.dirty.push(at);
                }
            }
            Command::Detached { member, is_detached } => {
                let found = self.find(member).and_then(|(at, key)| self.rooms[at].member(key));
                if let Some(udp) = found.map(|member| member.udp) {
                    self.endpoint.set_detached(udp, is_detached);
                }
            }
            Command::Resync { member } => {
                if let Some((at, key)) = self.find(member) {
                    self.rooms[at].resync(key);
                }
            }
            Command::SetFlags { room, user, flags } => self.set_flags(now_us, room, user, flags),
            Command::Leave { member } => self.leave(now_us, member),
            Command::Link { room, links } => self.link(now_us, room, &links),
            Command::Stats { reply } => {
                let _ = reply.send(self.stats());
            }
            Command::Rooms { reply } => {
                let _ = reply.send(self.rooms());
            }
            Command::Barrier { reply } => {
                let _ = reply.send(());
            }
            Command::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn find(&self, member: MemberRef) -> Option<(usize, MemberKey)> {
        let at = *self.by_key.get(&member.room)?;
        let found = self.rooms[at].member_of(member.user).filter(|found| found.session == member.session)?;
        Some((at, found.key))
    }

    pub(super) fn join(
        &mut self,
        now_us: u64,
        grant: &Arc<Grant>,
        session: u64,
        mail: MailSender,
    ) -> Result<Streams, Refused> {
        let at = self.room(grant.room, grant.settings).ok_or(Refused::Full)?;
        self.rooms[at].yield_remote(now_us, grant.user);
        if let Some(older) = self.rooms[at].member_of(grant.user).map(|member| (member.key, member.session)) {
            if older.1 > session {
                return Err(Refused::Outdated);
            }
            self.take_out(now_us, at, older.0);
        }
        let joined = self.admit(now_us, at, grant, session, mail);
        self.drop_if_empty(at);
        joined
    }

    /// A room; a new one if nobody is there.
    pub(super) fn room(&mut self, key: VoiceRoomKey, settings: VoiceRoomSettings) -> Option<usize> {
        if let Some(at) = self.by_key.get(&key) {
            return Some(*at);
        }
        let start = u32::from_be_bytes(secret::bytes().ok()?);
        let config = RoomConfig { members_max: settings.members_max as usize, ..RoomConfig::default() };
        let block = SsrcBlock::of_node(self.node);
        let room = Room::new(config, room_kind(settings.kind), NodeId(self.node), block, start);
        let at = self.rooms.insert(RoomState::new(key, room, self.presence));
        self.by_key.insert(key, at);
        Some(at)
    }

    /// Gives a member SSRCs that nobody on this socket has.
    fn admit(
        &mut self,
        now_us: u64,
        at: usize,
        grant: &Grant,
        session: u64,
        mail: MailSender,
    ) -> Result<Streams, Refused> {
        let state = &mut self.rooms[at];
        for _ in 0..SSRC_TRIES {
            let join = Join {
                user: grant.user,
                transport: Transport::Udp,
                flags: rookery_forwarder::MemberFlags::SERVER_DEAFENED,
                feedback: Feedback::None,
                rtx: false,
            };
            let key = state.room.join(now_us, join).map_err(|refused| match refused {
                JoinRefused::AlreadyIn => Refused::Outdated,
                _ => Refused::Full,
            })?;
            let streams = state.room.streams(key).ok_or(Refused::Full)?;
            let place = Place { room: at, member: key };
            let Some(udp) = own_all(&mut self.endpoint, now_us / 1_000, streams, place) else {
                state.room.leave(now_us, key);
                continue;
            };
            let mut member = Member::new(key, grant.user, udp, session, streams, mail, grant.flags());
            member.policy = stream_policy(grant.settings.kind);
            let flags = member.flags();
            state.insert(member);
            state.room.set_flags(now_us, key, flags);
            return Ok(streams);
        }
        Err(Refused::Full)
    }

    /// A client of the API's own UDP: a key for it.
    fn activate(
        &mut self,
        now_us: u64,
        member: MemberRef,
        mode: EncryptionMode,
        claimed: Option<SocketAddr>,
        types: PayloadTypes,
    ) -> Option<SecretKey> {
        let (at, key) = self.find(member)?;
        let secret = secret::key().ok()?;
        let udp = self.rooms[at].member(key)?.udp;
        if self.leave_web_rtc(now_us, at, key) {
            self.rooms[at].room.set_transport(now_us, key, Transport::Udp, Feedback::None, false);
        }
        self.endpoint.activate(now_us / 1_000, udp, mode, &secret, claimed);
        let state = &mut self.rooms[at];
        state.member_mut(key)?.types = types;
        state.set_connected(now_us, key, true);
        state.activate(now_us, key);
        self.dirty.push(at);
        self.follow_up(now_us, at);
        Some(secret)
    }

    /// A browser: where it finds the server. It hears once it has come.
    fn offer(&mut self, now_us: u64, member: MemberRef, offer: &Offer, types: PayloadTypes) -> Option<String> {
        let (at, key) = self.find(member)?;
        self.leave_web_rtc(now_us, at, key);
        let place = Place { room: at, member: key };
        let peer = self.webrtc.insert(now_us / 1_000, offer.transport.clone(), place).ok()?;
        let answer = offer.answer(&self.webrtc.local(peer)?);
        let way = WebRtcWay::new(peer, offer);
        self.set_shown(now_us, at, key, None);
        let state = &mut self.rooms[at];
        state.room.set_transport(now_us, key, Transport::WebRtc, way.feedback(), types.has_rtx());
        let found = state.member_mut(key)?;
        (found.types, found.way) = (types, Way::WebRtc(Box::new(way)));
        state.set_connected(now_us, key, false);
        state.activate(now_us, key);
        self.dirty.push(at);
        self.follow_up(now_us, at);
        Some(answer)
    }

    /// Ends a member's peer, if it has one.
    fn leave_web_rtc(&mut self, now_us: u64, at: usize, key: MemberKey) -> bool {
        let Some(member) = self.rooms.get_mut(at).and_then(|state| state.member_mut(key)) else { return false };
        let Way::WebRtc(way) = std::mem::replace(&mut member.way, Way::Udp) else { return false };
        self.webrtc.remove(now_us / 1_000, way.peer);
        self.set_shown(now_us, at, key, None);
        true
    }

    /// Takes what a member says that it shows.
    fn show(&mut self, now_us: u64, at: usize, key: MemberKey, video: &Video) {
        let state = &mut self.rooms[at];
        let Some(member) = state.member(key) else { return };
        let shown = shown(member, video).filter(|_| member.granted.may_stream && member.is_listening());
        self.set_shown(now_us, at, key, shown);
    }

    pub(super) fn set_shown(&mut self, now_us: u64, at: usize, key: MemberKey, shown: Option<Shown>) {
        let Some(state) = self.rooms.get_mut(at) else { return };
        let Some(before) = state.member(key).map(|member| member.shown.as_deref().cloned()) else { return };
        let parts = |shown: &Option<Shown>| shown.as_ref().map(|shown| (shown.specs.clone(), shown.sources.clone()));
        let mut shown = shown;
        if parts(&before) != parts(&shown) {
            shown = publish(state, now_us, key, shown);
        }
        state.set_shown(now_us, key, shown);
        self.dirty.push(at);
        self.follow_up(now_us, at);
    }

    fn set_flags(&mut self, now_us: u64, room: VoiceRoomKey, user: UserId, flags: VoiceMemberFlags) {
        let Some(at) = self.by_key.get(&room).copied() else { return };
        let state = &mut self.rooms[at];
        let Some(key) = state.member_of(user).map(|member| member.key) else { return };
        state.set_granted(now_us, key, flags);
        if !flags.may_stream {
            self.set_shown(now_us, at, key, None);
        }
        self.dirty.push(at);
        self.follow_up(now_us, at);
    }

    pub(super) fn leave(&mut self, now_us: u64, member: MemberRef) {
        if let Some((at, key)) = self.find(member) {
            self.take_out(now_us, at, key);
            self.drop_if_empty(at);
        }
    }

    fn take_out(&mut self, now_us: u64, at: usize, key: MemberKey) {
        let state = &mut self.rooms[at];
        self.past.lost += state.room.member_stats(key).map_or(0, |stats| stats.audio.lost);
        if let Some(member) = state.remove(now_us, key) {
            self.endpoint.remove(member.udp);
            if let Way::WebRtc(way) = member.way {
                self.webrtc.remove(now_us / 1_000, way.peer);
            }
            self.dirty.push(at);
            self.follow_up(now_us, at);
        }
    }

    pub(super) fn drop_if_empty(&mut self, at: usize) {
        if self.rooms.get(at).is_some_and(|state| state.members().next().is_none() && !state.is_linked()) {
            let state = self.rooms.remove(at);
            self.past.add_room(&state.room.stats());
            self.by_key.remove(&state.key);
        }
    }
}

/// What the forwarder takes a room for.
fn room_kind(kind: VoiceRoomKind) -> RoomKind {
    match (kind, stream_policy(kind)) {
        (VoiceRoomKind::Stream(StreamSettings { streamer, .. }), Some(policy)) => RoomKind::Stream { streamer, policy },
        _ => RoomKind::Voice,
    }
}

/// What is granted to those who show something in a room; none: what they like.
fn stream_policy(kind: VoiceRoomKind) -> Option<StreamPolicy> {
    let VoiceRoomKind::Stream(StreamSettings { viewers_max, quality, .. }) = kind else { return None };
    let policy = match quality {
        StreamQuality::Standard => StreamPolicy::STANDARD,
        StreamQuality::Boosted => StreamPolicy::BOOSTED,
    };
    Some(StreamPolicy { viewers_max: viewers_max as usize, ..policy })
}

/// Takes all SSRCs of a member on a socket, or none.
fn own_all(endpoint: &mut UdpEndpoint<Place>, now_ms: u64, streams: Streams, place: Place) -> Option<MemberId> {
    let udp = endpoint.insert(now_ms, Ssrc(streams.audio.0), place)?;
    let has_all = [streams.video, streams.rtx].into_iter().all(|ssrc| endpoint.own(udp, Ssrc(ssrc.0)));
    if !has_all {
        endpoint.remove(udp);
    }
    has_all.then_some(udp)
}

/// What a member shows, if it shows anything.
pub(super) fn shown(member: &Member, video: &Video) -> Option<Shown> {
    let mut active: SmallVec<[&VideoStream; 4]> = video.streams.iter().filter(|stream| stream.active).collect();
    let quality = |stream: &VideoStream| stream.quality.max(1);
    active.sort_by_key(|stream| quality(stream));
    active.dedup_by_key(|stream| quality(stream));
    let is_off = if video.streams.is_empty() { video.video_ssrc == Ssrc(0) } else { active.is_empty() };
    if is_off {
        return None;
    }
    // The best ones, if there are more than can be had.
    let active = &active[active.len().saturating_sub(LAYERS_MAX)..];
    let given = |ssrc: Ssrc| ssrc.non_zero();
    let mut sources: SmallVec<[LayerSource; LAYERS_MAX]> = SmallVec::new();
    let mut specs: SmallVec<[LayerSpec; LAYERS_MAX]> = SmallVec::new();
    for stream in active {
        let quality = quality(stream);
        let expected = EXPECTED_BPS.iter().find(|(most, _)| quality <= *most).map_or(1_500_000, |(_, bps)| *bps);
        // What is asked for beyond a policy does not come through.
        let bps_max = member.policy.map_or(u64::MAX, |policy| policy.bps_max);
        let expected_bps = stream.max_bitrate.map_or(expected, u64::from).min(bps_max);
        specs.push(LayerSpec { quality, expected_bps });
        let rid = if active.len() > 1 { stream.rid.as_str() } else { "" };
        sources.push(LayerSource::new(rid, stream.ssrc.and_then(given), stream.rtx_ssrc.and_then(given)));
    }
    if let [] | [_] = active {
        // The fields beside the list say the same of the only one.
        let (ssrc, rtx_ssrc) = (given(video.video_ssrc), given(video.rtx_ssrc));
        let known = sources.pop();
        let known = known.map(|source| (source.ssrc, source.rtx_ssrc)).unwrap_or_default();
        sources.push(LayerSource::new("", known.0.or(ssrc), known.1.or(rtx_ssrc)));
        if specs.is_empty() {
            specs.push(LayerSpec { quality: 100, expected_bps: 1_500_000 });
        }
    }
    let best = active.last();
    let stream = VideoStream {
        kind: best.map(|stream| stream.kind).unwrap_or_default(),
        rid: "100".into(),
        quality: 100,
        active: true,
        ssrc: Some(Ssrc(member.streams.video.0)),
        rtx_ssrc: Some(Ssrc(member.streams.rtx.0)),
        max_bitrate: None,
        max_framerate: best.and_then(|stream| stream.max_framerate),
        max_resolution: best.and_then(|stream| stream.max_resolution),
    };
    let stream = member.policy.map_or(stream.clone(), |policy| granted(stream, &policy));
    Some(Shown { specs, sources, stream })
}

/// As it is told to others where a policy says how well it may be shown.
fn granted(stream: VideoStream, policy: &StreamPolicy) -> VideoStream {
    let best_framerate = f64::from(policy.best.frames_per_second);
    let within = |resolution: StreamResolution| {
        // Beyond any picture a number is as good as the largest; what is no number is none.
        let side = |side: f64| side.clamp(0.0, f64::from(u16::MAX)) as u16;
        let asked = VideoMode { width: side(resolution.width), height: side(resolution.height), ..policy.best };
        let VideoMode { width, height, .. } = policy.grant(asked);
        StreamResolution { width: width.into(), height: height.into(), ..resolution }
    };
    VideoStream {
        max_framerate: Some(stream.max_framerate.map_or(best_framerate, |asked| asked.min(best_framerate))),
        max_resolution: stream.max_resolution.map(within),
        ..stream
    }
}

/// Has the room forward what a member shows from now on; what it does forward.
fn publish(state: &mut RoomState, now_us: u64, key: MemberKey, shown: Option<Shown>) -> Option<Shown> {
    // More publishers than the room takes are not seen, and not told of.
    let taken = shown.filter(|shown| state.room.publish_video(now_us, key, &shown.specs).is_ok());
    let Some(shown) = taken else {
        state.room.unpublish_video(now_us, key);
        state.store.close(key);
        return None;
    };
    state.store.open(key, shown.specs.len());
    let way = state.member_mut(key).and_then(|member| member.way.web_rtc_mut());
    if let Some(way) = way {
        way.set_layers(shown.sources.clone());
    }
    Some(shown)
}
