//! A room: members, and what is decided about each packet.
//!
//! Times are microseconds from any point, and never go back. Whoever drives a room calls
//! [`handle_timeout`](Room::handle_timeout) when [`poll_timeout`](Room::poll_timeout) says, and takes events with
//! [`poll_event`](Room::poll_event) after every call.

mod allocation;
mod audio;
mod cascade;
mod feedback;
mod flow;
mod members;
mod stats;
mod subscriptions;
mod timers;
mod video;

pub use members::Publication;
pub use stats::{MemberStats, RoomStats};
pub use video::PublishRefused;

use std::collections::{BTreeMap, VecDeque};

use rookery_model::UserId;

use crate::event::Event;
use crate::member::{Kind, Member};
use crate::overload::Overload;
use crate::packet::{DropReason, Forward, Inbound, Packet, Payload, Verdict};
use crate::slab::Slab;
use crate::speakers::Speakers;
use crate::ssrc::{SsrcBlock, Ssrcs, StreamKind};
use crate::stream_policy::{Policer, RoomKind};
use crate::{Layer, MemberKey, NodeId, Quality, RoomConfig};

/// Senders whose numbers are kept for those who stop to hear for a while.
const RECENT_MAX: usize = 64;

/// One who hears. Those who do not are not here, so that a packet costs nothing for them.
#[derive(Clone, Copy, Debug)]
struct Hearing {
    member: MemberKey,
    special: Special,
    packets: u64,
    octets: u64,
}

bitflags::bitflags! {
    /// What makes a receiver need a second look.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Special: u8 {
        const LINK = 1;
        /// Some numbers differ for it.
        const SHIFTED = 2;
        /// What it is sent is counted.
        const OUTLET = 4;
    }
}

/// A voice channel, a stage or a stream, as one node forwards it.
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    kind: RoomKind,
    node: NodeId,
    members: Slab<Member>,
    users: BTreeMap<UserId, MemberKey>,
    /// Those of other nodes among them.
    remotes: usize,
    ssrcs: Ssrcs,
    hearing: Vec<Hearing>,
    speakers: Speakers,
    /// Those who were heard last, the newest first.
    recent: VecDeque<MemberKey>,
    /// Those who show video.
    publishers: Vec<MemberKey>,
    links: Vec<MemberKey>,
    /// Those for whom something waits.
    pacing: Vec<MemberKey>,
    pacing_due_us: u64,
    tick_due_us: u64,
    policer: Option<Policer>,
    overload: Overload,
    events: VecDeque<Event>,
    stats: RoomStats,
}

impl Room {
    /// An empty room of this node. SSRCs are taken from the block, from a random `ssrc_start` on.
    pub fn new(config: RoomConfig, kind: RoomKind, node: NodeId, block: SsrcBlock, ssrc_start: u32) -> Self {
        let speakers = Speakers::new(&config.speakers);
        Self {
            ssrcs: Ssrcs::new(block, ssrc_start),
            speakers,
            config,
            kind,
            node,
            members: Slab::default(),
            users: BTreeMap::new(),
            remotes: 0,
            hearing: Vec::new(),
            recent: VecDeque::new(),
            publishers: Vec::new(),
            links: Vec::new(),
            pacing: Vec::new(),
            pacing_due_us: u64::MAX,
            tick_due_us: 0,
            policer: None,
            overload: Overload::default(),
            events: VecDeque::new(),
            stats: RoomStats::default(),
        }
    }

    /// Decides about a packet of a member, or of a link. `send` is called for each receiver that gets it now.
    ///
    /// Nothing is allocated but at the first packet of a stream, and nobody is looked at who does not hear.
    pub fn forward(&mut self, now_us: u64, from: MemberKey, packet: &Packet, send: impl FnMut(Forward)) -> Verdict {
        self.stats.packets_in += 1;
        let verdict = match self.origin(from, packet) {
            Ok((sender, inbound, hops)) => match (inbound, packet.payload) {
                (Inbound::Audio, Payload::Audio(audio)) => {
                    self.forward_audio(now_us, sender, packet, audio, hops, send)
                }
                (Inbound::Video(layer), Payload::Video(video)) => {
                    self.forward_video(now_us, sender, layer, packet, &video, hops, send)
                }
                _ => Verdict::Dropped(DropReason::ForeignSsrc),
            },
            Err(drop) => Verdict::Dropped(drop),
        };
        match verdict {
            Verdict::Forwarded { receivers, .. } => {
                self.stats.packets_out += u64::from(receivers);
                self.stats.octets_out += u64::from(receivers) * u64::from(packet.length_bytes);
            }
            Verdict::Dropped(drop) => self.stats.note_drop(drop),
        }
        verdict
    }

    /// Whose packet it is, what it has to carry, and how many links it has crossed.
    #[inline]
    fn origin(&self, from: MemberKey, packet: &Packet) -> Result<(MemberKey, Inbound, u8), DropReason> {
        let member = self.members.get(from).ok_or(DropReason::UnknownMember)?;
        match member.kind {
            Kind::Local(_) => {
                member.carries(packet.ssrc).map(|inbound| (from, inbound, 0)).ok_or(DropReason::ForeignSsrc)
            }
            Kind::Remote { .. } => Err(DropReason::ForeignSsrc),
            Kind::Link { .. } => {
                if packet.hops == 0 || packet.hops > self.config.hops_max {
                    return Err(DropReason::TooManyHops);
                }
                let (sender, kind) = self.ssrcs.owner(packet.ssrc).ok_or(DropReason::ForeignSsrc)?;
                let comes_this_way = self.members.get(sender).is_some_and(|sender| sender.via() == Some(from));
                match kind {
                    StreamKind::Audio if comes_this_way => Ok((sender, Inbound::Audio, packet.hops)),
                    StreamKind::Video if comes_this_way => Ok((sender, Inbound::Video(Layer(0)), packet.hops)),
                    _ => Err(DropReason::ForeignSsrc),
                }
            }
        }
    }

    /// Something to tell somebody, the oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn emit(&mut self, event: Event) {
        if self.events.len() >= self.config.events_max {
            self.events.pop_front();
            self.stats.events_lost += 1;
        }
        self.events.push_back(event);
    }

    /// Says how busy the node is, in thousandths of what it can do, so that the room gives up quality before it is too much.
    pub fn set_utilisation(&mut self, now_us: u64, utilisation_permille: u16) {
        let config = &self.config.overload;
        let Some(quality) = self.overload.note(now_us, utilisation_permille, config) else { return };
        let limit = quality.speakers(self.config.speakers.speakers_max);
        for member in self.speakers.set_limit(now_us, limit, &self.config.speakers) {
            self.emit(Event::Heard { member, heard: false });
        }
        self.reallocate_all(now_us);
        self.emit(Event::Quality(quality));
    }

    /// What the room gives up at the moment.
    pub fn quality(&self) -> Quality {
        self.overload.quality()
    }

    /// Those who are heard now.
    pub fn speakers(&self) -> impl Iterator<Item = MemberKey> {
        self.speakers.iter()
    }

    /// The node that runs it.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Members of this node and others, and links.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.len() == 0
    }

    /// Whether this user may be heard and seen here at all.
    fn may_publish(&self, user: UserId) -> bool {
        match self.kind {
            RoomKind::Voice => true,
            RoomKind::Stream { streamer, .. } => streamer == user,
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.kind, RoomKind::Stream { .. })
    }
}
