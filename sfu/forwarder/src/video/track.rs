//! What a publisher sends, layer by layer.

use crate::bandwidth::RateMeter;
use crate::config::VideoConfig;
use crate::ids::LAYERS_MAX;
use crate::packet::{Packet, Video};
use crate::reception::{Arrival, Reception, ReceptionStats};
use crate::video::VIDEO_CLOCK_HZ;
use crate::video::allocate::Offered;
use crate::video::cache::PacketCache;
use crate::video::down_track::{DownTrack, StreamClock};
use crate::video::key_frames::KeyFrameRequests;
use crate::{Layer, MemberKey, Ssrc};

/// A layer of which nothing has come for so long, while others came, is not sent any more.
const SILENT_AFTER_US: u64 = 1_500_000;

/// One encoding that a publisher announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// 1 to 100, as in clients' wishes; layers are announced from the smallest to the largest.
    pub quality: u8,
    /// What it is expected to take until it has been measured.
    pub expected_bps: u64,
}

#[derive(Debug)]
pub(crate) struct LayerState {
    pub spec: LayerSpec,
    pub inbound: Option<Ssrc>,
    pub reception: Reception,
    pub cache: Option<PacketCache>,
    pub rate: RateMeter,
    pub requests: KeyFrameRequests,
    heard_us: Option<u64>,
}

impl LayerState {
    fn new(spec: LayerSpec) -> Self {
        Self {
            spec,
            inbound: None,
            reception: Reception::default(),
            cache: None,
            rate: RateMeter::default(),
            requests: KeyFrameRequests::default(),
            heard_us: None,
        }
    }

    /// Whether it is being sent, the newest packet of any layer being of this moment. A picture that does not change may
    /// come seldom.
    fn is_live(&self, newest_us: u64) -> bool {
        self.heard_us.is_some_and(|at_us| newest_us.saturating_sub(at_us) < SILENT_AFTER_US)
    }
}

/// A publisher's video.
#[derive(Debug)]
pub(crate) struct VideoTrack {
    pub layers: Vec<LayerState>,
    pub clocks: [StreamClock; LAYERS_MAX],
    pub down: Vec<DownTrack>,
    /// Whether frames of higher temporal layers have been seen.
    pub temporal: bool,
    /// The highest quality that anybody wants, as the publisher was told.
    pub demand: Option<u8>,
    newest_us: u64,
}

/// What became of a packet on arrival.
pub(crate) enum Taken {
    /// With the place where it is to be kept.
    Kept(Option<u16>),
    OutOfRange,
}

impl VideoTrack {
    /// `down` are those of before, if the member has shown video already: their numbers go on.
    pub(crate) fn new(specs: &[LayerSpec], mut down: Vec<DownTrack>) -> Self {
        down.iter_mut().for_each(DownTrack::park);
        Self {
            layers: specs.iter().take(LAYERS_MAX).map(|spec| LayerState::new(*spec)).collect(),
            clocks: Default::default(),
            down,
            temporal: false,
            demand: None,
            newest_us: 0,
        }
    }

    pub(crate) fn layer_mut(&mut self, layer: Layer) -> Option<&mut LayerState> {
        self.layers.get_mut(layer.index())
    }

    /// Notes a packet that arrived.
    pub(crate) fn take(
        &mut self,
        now_us: u64,
        layer: Layer,
        packet: &Packet,
        video: &Video,
        config: &VideoConfig,
    ) -> Option<Taken> {
        let state = self.layers.get_mut(layer.index())?;
        match state.reception.note(now_us, packet.sequence, packet.timestamp, packet.length_bytes, VIDEO_CLOCK_HZ) {
            Arrival::OutOfRange => return Some(Taken::OutOfRange),
            Arrival::Restarted => {
                self.clocks[layer.index()] = StreamClock { epoch: self.clocks[layer.index()].epoch + 1, report: None };
                if let Some(cache) = &mut state.cache {
                    cache.clear();
                }
                // What goes on must begin with a key frame, on a timeline of its own.
                interrupt(&mut self.down, layer);
            }
            Arrival::First | Arrival::Ahead | Arrival::Late => {}
        }
        state.heard_us = Some(now_us);
        self.newest_us = now_us;
        state.rate.add(now_us, u32::from(packet.length_bytes));
        if video.key_frame && video.frame_start {
            state.requests.arrived();
        }
        self.temporal |= video.temporal > 0;
        let cache = state.cache.get_or_insert_with(|| PacketCache::new(config.cache_packets));
        Some(Taken::Kept(cache.insert(packet, video.vp8)))
    }

    /// Stops whoever gets this layer until its next key frame.
    pub(crate) fn interrupt(&mut self, layer: Layer) {
        interrupt(&mut self.down, layer);
    }

    pub(crate) fn down_mut(&mut self, receiver: MemberKey) -> Option<&mut DownTrack> {
        self.down.iter_mut().find(|down| down.receiver == receiver)
    }

    /// Whether a packet of this layer would be the first, or the first after a silence. Then it is to be
    /// [expected](Self::expect), and receivers choose anew.
    pub(crate) fn is_new(&self, layer: Layer, now_us: u64) -> bool {
        self.layers.get(layer.index()).is_some_and(|state| !state.is_live(now_us.min(self.newest_us)))
    }

    pub(crate) fn expect(&mut self, layer: Layer, now_us: u64) {
        self.newest_us = now_us;
        if let Some(state) = self.layers.get_mut(layer.index()) {
            state.heard_us = Some(now_us);
        }
    }

    /// What can be had now, for [`allocate`](crate::video::allocate::allocate).
    pub(crate) fn offered(&mut self, now_us: u64) -> [Option<Offered>; LAYERS_MAX] {
        let mut offered = [None; LAYERS_MAX];
        // Before anything has come, all that was announced is believed to.
        let starting = self.newest_us == 0;
        let newest_us = self.newest_us;
        for (at, layer) in self.layers.iter_mut().enumerate() {
            if starting || layer.is_live(newest_us) {
                let bps = layer.rate.bps_at(now_us).filter(|bps| *bps > 0).unwrap_or(layer.spec.expected_bps);
                offered[at] = Some(Offered { bps, quality: layer.spec.quality });
            }
        }
        offered
    }

    pub(crate) fn stats(&self) -> impl Iterator<Item = ReceptionStats> {
        self.layers.iter().map(|layer| layer.reception.stats(VIDEO_CLOCK_HZ))
    }
}

fn interrupt(down: &mut [DownTrack], layer: Layer) {
    down.iter_mut().filter(|down| down.layer() == Some(layer)).for_each(DownTrack::interrupt);
}
