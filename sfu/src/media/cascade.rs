//! A room that is at other nodes too: the ends of its links, and those who come over them.

use rookery_forwarder::{MemberKey, NodeId, Ssrc, Streams};
use rookery_model::UserId;
use rookery_model::voice::{RoomLink, SpeakingEvent, SpeakingFlags, VideoEvent, VideoStream};
use rookery_node_link::{LinkConfig, MediaCodec, NodeLink, RemoteMember, RemoteShown, Wants};
use rookery_voice_session::{Payload, ServerEvent};
use rookery_webrtc::Codec;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::uplink::Uplink;

/// One end of a link.
pub(super) struct LinkEnd {
    pub(super) id: u64,
    pub(super) node: NodeId,
    /// Where the other end receives; none while that is not known.
    pub(super) address: Option<SocketAddr>,
    /// In the forwarder, while the other end is there.
    pub(super) key: Option<MemberKey>,
    pub(super) link: NodeLink,
    /// What is missing of pictures that come over it.
    pub(super) uplink: Uplink,
    /// As the other end tells them.
    pub(super) told: BTreeMap<UserId, RemoteMember>,
    /// Whether somebody told of is not in the room: another one of that user is.
    pub(super) has_absent: bool,
}

/// Somebody in the room at another node.
pub(super) struct Remote {
    pub(super) key: MemberKey,
    pub(super) user: UserId,
    /// Over which they come.
    pub(super) link: u64,
    pub(super) streams: Streams,
    pub(super) told: RemoteMember,
    /// In which their picture came last.
    pub(super) codec: Codec,
    /// How well anybody here wants to see them.
    pub(super) demand: u8,
    /// Whether their picture is shown to those here.
    pub(super) is_shown: bool,
    /// Listeners below this number know their SSRC; 0: nobody does.
    pub(super) announced_below: u64,
    /// Whether others were told that they are here.
    pub(super) is_told: bool,
}

/// See the head of the file.
#[derive(Default)]
pub(super) struct Cascade {
    pub(super) ends: Vec<LinkEnd>,
    /// By [`MemberKey::index`].
    pub(super) remotes: Vec<Option<Remote>>,
    by_ssrc: HashMap<Ssrc, MemberKey>,
    /// Those who came since others were told.
    pub(super) newcomers: Vec<UserId>,
    /// Whether the other ends are to be told something, with the next tick.
    pub(super) is_stale: bool,
    /// Or at once: somebody is heard or seen.
    pub(super) is_urgent: bool,
}

impl LinkEnd {
    pub(super) fn new(link: &RoomLink) -> Self {
        Self {
            id: link.id,
            node: NodeId(link.node),
            address: link.address,
            key: None,
            link: NodeLink::new(LinkConfig::default(), link.id, &link.seal, &link.open),
            uplink: Uplink::default(),
            told: BTreeMap::new(),
            has_absent: false,
        }
    }
}

impl Cascade {
    pub(super) fn end(&mut self, id: u64) -> Option<&mut LinkEnd> {
        self.ends.iter_mut().find(|end| end.id == id)
    }

    /// The end that the forwarder calls so.
    pub(super) fn end_of(&mut self, key: MemberKey) -> Option<&mut LinkEnd> {
        self.ends.iter_mut().find(|end| end.key == Some(key))
    }

    /// Links whose other end is there.
    pub(super) fn count_up(&self) -> usize {
        self.ends.iter().filter(|end| end.key.is_some()).count()
    }

    pub(super) fn remote(&self, key: MemberKey) -> Option<&Remote> {
        self.remotes.get(key.index())?.as_ref().filter(|remote| remote.key == key)
    }

    pub(super) fn remote_mut(&mut self, key: MemberKey) -> Option<&mut Remote> {
        self.remotes.get_mut(key.index())?.as_mut().filter(|remote| remote.key == key)
    }

    pub(super) fn remotes(&self) -> impl Iterator<Item = &Remote> {
        self.remotes.iter().flatten()
    }

    /// Who has an SSRC.
    pub(super) fn remote_of(&self, ssrc: Ssrc) -> Option<&Remote> {
        self.remote(self.sender(ssrc)?)
    }

    /// Whose packets have an SSRC.
    pub(super) fn sender(&self, ssrc: Ssrc) -> Option<MemberKey> {
        self.by_ssrc.get(&ssrc).copied()
    }

    pub(super) fn insert(&mut self, remote: Remote) {
        let at = remote.key.index();
        if self.remotes.len() <= at {
            self.remotes.resize_with(at + 1, || None);
        }
        for ssrc in [remote.streams.audio, remote.streams.video] {
            self.by_ssrc.insert(ssrc, remote.key);
        }
        self.remotes[at] = Some(remote);
    }

    pub(super) fn take(&mut self, key: MemberKey) -> Option<Remote> {
        let remote = self.remotes.get_mut(key.index())?.take_if(|remote| remote.key == key)?;
        for ssrc in [remote.streams.audio, remote.streams.video] {
            self.by_ssrc.remove(&ssrc);
        }
        self.newcomers.retain(|user| *user != remote.user);
        Some(remote)
    }

    /// Tells the other end of a link what is wanted of those behind it.
    pub(super) fn set_wants(&mut self, id: u64) {
        let wanted = self.remotes().filter(|remote| remote.link == id && remote.demand > 0);
        let by_ssrc = wanted.map(|remote| (remote.streams.video.0, remote.demand)).collect();
        if let Some(end) = self.end(id) {
            end.link.set_wants(Wants { any: 0, by_ssrc });
        }
    }
}

impl Remote {
    pub(super) fn speaking_payload(&self) -> Arc<Payload> {
        // Who sends and never said so speaks.
        let speaking = self.told.speaking.unwrap_or(SpeakingFlags::VOICE);
        let ssrc = rookery_model::voice::Ssrc(self.streams.audio.0);
        Payload::new(&ServerEvent::Speaking(SpeakingEvent { user_id: self.user, ssrc, speaking }))
    }

    pub(super) fn video_payload(&self) -> Arc<Payload> {
        let ssrc = |ssrc: Ssrc| rookery_model::voice::Ssrc(ssrc.0);
        let shown = self.told.shown.filter(|_| self.is_shown);
        let stream = |shown: RemoteShown| VideoStream {
            kind: shown.kind,
            rid: "100".into(),
            quality: 100,
            active: true,
            ssrc: Some(ssrc(self.streams.video)),
            rtx_ssrc: Some(ssrc(self.streams.rtx)),
            max_bitrate: None,
            max_framerate: shown.frames_per_second.map(f64::from),
            max_resolution: shown.resolution,
        };
        let video_ssrc = if shown.is_some() { ssrc(self.streams.video) } else { rookery_model::voice::Ssrc(0) };
        let (user_id, audio_ssrc) = (self.user, ssrc(self.streams.audio));
        let streams = shown.map(stream).into_iter().collect();
        Payload::new(&ServerEvent::Video(VideoEvent { user_id, audio_ssrc, video_ssrc, streams }))
    }
}

/// How a codec is called on a link.
pub(super) const fn to_link(codec: Codec) -> MediaCodec {
    match codec {
        Codec::Opus => MediaCodec::Opus,
        Codec::Vp8 => MediaCodec::Vp8,
        Codec::H264 => MediaCodec::H264,
        Codec::Av1 => MediaCodec::Av1,
    }
}

pub(super) const fn from_link(codec: MediaCodec) -> Codec {
    match codec {
        MediaCodec::Opus => Codec::Opus,
        MediaCodec::Vp8 => Codec::Vp8,
        MediaCodec::H264 => Codec::H264,
        MediaCodec::Av1 => Codec::Av1,
    }
}
