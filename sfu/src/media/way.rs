//! How a member's media travels, and what its client calls things.

use rookery_forwarder::{Feedback, LAYERS_MAX, Layer};
use rookery_model::voice::{self, Ssrc};
use rookery_rtp::extension::{AudioLevel, ElementWriter};
use rookery_rtp::{RtpHeader, RtpPacket};
use rookery_webrtc::{Codec, Direction, ExtensionIds, MediaKind, Offer, PeerId};
use smallvec::SmallVec;

use super::downlink::Downlink;
use super::uplink::Uplink;

/// The payload type of Opus for clients that name none.
const OPUS: u8 = 120;
/// A stream of sound that was silent for so long may be followed by another.
const SOUND_MOVES_US: u64 = 1_000_000;
/// Clocks of timestamps.
const SOUND_HZ: u32 = 48_000;
pub(super) const PICTURE_HZ: u32 = 90_000;
/// Room for the elements of a header.
pub(super) const ELEMENTS_BYTES: usize = 32;

/// How a member's media travels.
pub(super) enum Way {
    Udp,
    WebRtc(Box<WebRtcWay>),
}

impl Way {
    pub(super) fn web_rtc(&self) -> Option<&WebRtcWay> {
        match self {
            Self::Udp => None,
            Self::WebRtc(way) => Some(way),
        }
    }
    pub(super) fn web_rtc_mut(&mut self) -> Option<&mut WebRtcWay> {
        match self {
            Self::Udp => None,
            Self::WebRtc(way) => Some(way),
        }
    }
}

/// The numbers that a client gives to codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PayloadTypes {
    opus: u8,
    video: SmallVec<[VideoType; 3]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct VideoType {
    codec: Codec,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    Sound,
    Picture(Codec),
    /// Sent again (RFC 4588).
    Again(Codec),
}

impl PayloadTypes {
    /// Of SELECT_PROTOCOL's list; who names no sound gets it as 120.
    pub(crate) fn listed(codecs: &[voice::Codec]) -> Self {
        let mut codecs: SmallVec<[&voice::Codec; 8]> = codecs.iter().collect();
        codecs.sort_by_key(|codec| codec.priority);
        let known = codecs
            .into_iter()
            .filter_map(|codec| Some((Codec::from_name(&codec.name)?, codec.payload_type, codec.rtx_payload_type)));
        Self::of(known)
    }

    /// Of an offer, in which the first of several forms of a codec counts.
    pub(crate) fn offered(offer: &Offer) -> Self {
        Self::of(offer.codecs().map(|codec| (codec.codec, codec.payload_type, codec.rtx_payload_type)))
    }

    fn of(codecs: impl Iterator<Item = (Codec, u8, Option<u8>)>) -> Self {
        let mut opus = None;
        let mut video: SmallVec<[VideoType; 3]> = SmallVec::new();
        for (codec, payload_type, rtx_payload_type) in codecs {
            if codec.is_audio() {
                opus.get_or_insert(payload_type);
            } else if !video.iter().any(|known| known.codec == codec) {
                video.push(VideoType { codec, payload_type, rtx_payload_type });
            }
        }
        Self { opus: opus.unwrap_or(OPUS), video }
    }

    /// What the client is to send its picture in: what all browsers have, if it has that.
    pub(crate) fn preferred_video(&self) -> Codec {
        let has = |codec: &Codec| self.video.iter().any(|known| known.codec == *codec);
        [Codec::Vp8, Codec::H264, Codec::Av1].into_iter().find(has).unwrap_or(Codec::Vp8)
    }
    /// Whether lost video can be sent again in a stream of its own, whichever codec it is in.
    pub(super) fn has_rtx(&self) -> bool {
        !self.video.is_empty() && self.video.iter().all(|known| known.rtx_payload_type.is_some())
    }
    pub(super) const fn opus(&self) -> u8 {
        self.opus
    }
    /// The payload type of a codec, and that of what is sent again.
    pub(super) fn video(&self, codec: Codec) -> Option<(u8, Option<u8>)> {
        let known = self.video.iter().find(|known| known.codec == codec)?;
        Some((known.payload_type, known.rtx_payload_type))
    }
    pub(super) fn carries(&self, payload_type: u8) -> Option<Carries> {
        if payload_type == self.opus {
            return Some(Carries::Sound);
        }
        self.video.iter().find_map(|known| {
            if known.payload_type == payload_type {
                Some(Carries::Picture(known.codec))
            } else {
                (known.rtx_payload_type == Some(payload_type)).then_some(Carries::Again(known.codec))
            }
        })
    }
}

/// One encoding of a picture, as its client says that it sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LayerSource {
    /// Names it in packets until its SSRC is known; may be empty.
    pub(super) rid: SmallVec<[u8; 8]>,
    pub(super) ssrc: Option<Ssrc>,
    pub(super) rtx_ssrc: Option<Ssrc>,
    is_heard: bool,
}

impl LayerSource {
    pub(super) fn new(rid: &str, ssrc: Option<Ssrc>, rtx_ssrc: Option<Ssrc>) -> Self {
        Self { rid: SmallVec::from_slice(rid.as_bytes()), ssrc, rtx_ssrc, is_heard: false }
    }
}

/// What came from a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    Sound { level: Option<AudioLevel> },
    Picture { codec: Codec, layer: Layer, ssrc: Ssrc, sequence: u16, payload: &'a [u8] },
}

/// A browser's end.
pub(super) struct WebRtcWay {
    pub(super) peer: PeerId,
    pub(super) uplink: Uplink,
    pub(super) downlink: Downlink,
    /// Whether it is in the core's list of those that are to be told something.
    pub(super) is_listed: bool,
    extensions: ExtensionIds,
    sections: Option<Sections>,
    sound: Option<(Ssrc, u64)>,
    layers: SmallVec<[LayerSource; LAYERS_MAX]>,
}

impl WebRtcWay {
    pub(super) fn new(peer: PeerId, offer: &Offer) -> Self {
        let extensions = offer.extensions();
        Self {
            peer,
            uplink: Uplink::default(),
            downlink: Downlink::default(),
            is_listed: false,
            extensions,
            sections: Sections::of(offer),
            sound: None,
            layers: SmallVec::new(),
        }
    }

    /// When it is to be told something of what it sends or gets.
    pub(super) fn due_us(&self) -> Option<u64> {
        self.uplink.due_us().into_iter().chain(self.downlink.due_us()).min()
    }

    /// Notes a packet that goes to it.
    pub(super) fn sent(&mut self, now_us: u64, kind: MediaKind, header: &RtpHeader, payload_bytes: usize) {
        let clock_hz = if kind == MediaKind::Audio { SOUND_HZ } else { PICTURE_HZ };
        self.downlink.sent(now_us, header.ssrc, header.timestamp, payload_bytes, clock_hz);
    }

    /// How it tells what arrives.
    pub(super) const fn feedback(&self) -> Feedback {
        match (self.extensions.transport_sequence_number, self.extensions.absolute_send_time) {
            (Some(_), _) => Feedback::TransportWide,
            (None, Some(_)) => Feedback::ReceiverEstimate,
            (None, None) => Feedback::None,
        }
    }

    /// From now on its picture comes in these layers.
    pub(super) fn set_layers(&mut self, layers: SmallVec<[LayerSource; LAYERS_MAX]>) {
        self.layers = layers;
    }

    /// Tells what a packet is, and notes it for what its sender is told. None if it is of no use.
    pub(super) fn source<'a>(
        &mut self,
        now_us: u64,
        types: &PayloadTypes,
        rtp: &'a RtpPacket<'_>,
    ) -> Option<Source<'a>> {
        let number = self.extensions.transport_sequence_number.and_then(|id| rtp.extensions().get(id));
        if let Some(bytes) = number.and_then(|value| value.first_chunk()) {
            self.uplink.arrived(now_us, u16::from_be_bytes(*bytes));
        }
        match types.carries(rtp.header.payload_type)? {
            Carries::Sound => self.sound(now_us, rtp),
            Carries::Picture(codec) => self.picture(now_us, codec, rtp),
            Carries::Again(codec) => self.again(codec, rtp),
        }
    }

    fn sound(&mut self, now_us: u64, rtp: &RtpPacket<'_>) -> Option<Source<'static>> {
        let ssrc = rtp.header.ssrc;
        match self.sound {
            Some((known, at_us)) if known != ssrc && now_us.saturating_sub(at_us) < SOUND_MOVES_US => return None,
            _ => self.sound = Some((ssrc, now_us)),
        }
        let header = rtp.header;
        self.uplink.received(now_us, ssrc, header.sequence_number, header.timestamp, SOUND_HZ, false);
        let level = self.extensions.audio_level.and_then(|id| AudioLevel::read(rtp.extensions().get(id)?));
        Some(Source::Sound { level })
    }

    fn picture<'a>(&mut self, now_us: u64, codec: Codec, rtp: &'a RtpPacket<'_>) -> Option<Source<'a>> {
        let ssrc = rtp.header.ssrc;
        let at = self.layer_of(ssrc, rtp)?;
        let layer = self.layers.get_mut(at)?;
        (layer.ssrc, layer.is_heard) = (Some(ssrc), true);
        let (sequence, timestamp) = (rtp.header.sequence_number, rtp.header.timestamp);
        self.uplink.received(now_us, ssrc, sequence, timestamp, PICTURE_HZ, true);
        Some(Source::Picture { codec, layer: Layer(at as u8), ssrc, sequence, payload: rtp.payload() })
    }

    fn layer_of(&self, ssrc: Ssrc, rtp: &RtpPacket<'_>) -> Option<usize> {
        if let Some(at) = self.layers.iter().position(|layer| layer.ssrc == Some(ssrc)) {
            return Some(at);
        }
        if let Some(rid) = self.extensions.rid.and_then(|id| rtp.extensions().get(id)) {
            return self.layers.iter().position(|layer| !layer.rid.is_empty() && layer.rid.as_slice() == rid);
        }
        // What a client says of the only one may be what READY told, which browsers do not send from.
        let only = self.layers.first().filter(|layer| self.layers.len() == 1 && !layer.is_heard);
        only.map(|_| 0)
    }

    /// What was sent again, as it would have come first. Nothing but padding is in some: browsers try their path with it.
    fn again<'a>(&mut self, codec: Codec, rtp: &'a RtpPacket<'_>) -> Option<Source<'a>> {
        let own = rtp.header.ssrc;
        let (number, payload) = rtp.payload().split_first_chunk()?;
        let sequence = u16::from_be_bytes(*number);
        let known = self.layers.iter().position(|layer| layer.rtx_ssrc == Some(own));
        let at = known.or_else(|| {
            let rid = self.extensions.repaired_rid.and_then(|id| rtp.extensions().get(id));
            match rid {
                Some(rid) => self.layers.iter().position(|layer| layer.rid.as_slice() == rid),
                None => (self.layers.len() == 1).then_some(0),
            }
        })?;
        let layer = self.layers.get_mut(at)?;
        layer.rtx_ssrc = Some(own);
        let ssrc = layer.ssrc.filter(|_| layer.is_heard)?;
        self.uplink.recovered(ssrc, sequence);
        Some(Source::Picture { codec, layer: Layer(at as u8), ssrc, sequence, payload })
    }

    /// Writes the elements of a header of a stream; none if the client has no section for it.
    pub(super) fn elements<'a>(
        &mut self,
        stream: Ssrc,
        kind: MediaKind,
        transport_sequence: Option<u16>,
        level: Option<AudioLevel>,
        buffer: &'a mut [u8; ELEMENTS_BYTES],
    ) -> Option<&'a [u8]> {
        let mut writer = ElementWriter::new(buffer);
        // Whatever does not fit is left out.
        if let (Some(id), Some(number)) = (self.extensions.transport_sequence_number, transport_sequence) {
            writer.push(id, &number.to_be_bytes());
        }
        if let (Some(id), Some(level)) = (self.extensions.audio_level, level) {
            writer.push(id, &[level.to_byte()]);
        }
        if let Some(sections) = &mut self.sections {
            let id = sections.id;
            writer.push(id, sections.mid(stream, kind)?);
        }
        Some(writer.finish())
    }

    /// A stream is no more; its section is free.
    pub(super) fn release(&mut self, stream: Ssrc) {
        if let Some(sections) = &mut self.sections {
            sections.taken.retain(|(taken, _)| *taken != stream);
        }
    }
}

type Mid = SmallVec<[u8; 16]>;

/// Where a browser that described all of itself takes streams: each picture in a section of its own, sound that is one too
/// many in the last one. Browsers that trim their offers make sections themselves, by SSRC.
struct Sections {
    id: u8,
    mids: Vec<(Mid, MediaKind)>,
    taken: SmallVec<[(Ssrc, usize); 4]>,
}

impl Sections {
    fn of(offer: &Offer) -> Option<Self> {
        let id = offer.extensions().mid.filter(|_| !offer.is_trimmed())?;
        let receives = |direction| matches!(direction, Direction::SendRecv | Direction::RecvOnly);
        let mids = offer.media().filter(|(mid, _, direction)| receives(*direction) && mid.len() <= 16);
        let mids = mids.map(|(mid, kind, _)| (SmallVec::from_slice(mid.as_bytes()), kind)).collect();
        Some(Self { id, mids, taken: SmallVec::new() })
    }

    fn mid(&mut self, stream: Ssrc, kind: MediaKind) -> Option<&[u8]> {
        let known = self.taken.iter().find(|(taken, _)| *taken == stream).map(|(_, at)| *at);
        let at = match known {
            Some(at) => at,
            None => {
                let is_free = |at: &usize| !self.taken.iter().any(|(_, taken)| taken == at);
                let of_kind = |at: &usize| self.mids[*at].1 == kind;
                match (0..self.mids.len()).filter(of_kind).find(is_free) {
                    Some(free) => {
                        self.taken.push((stream, free));
                        free
                    }
                    // Nothing is kept of those who share one: they may be many.
                    None => (0..self.mids.len()).rfind(of_kind).filter(|_| kind == MediaKind::Audio)?,
                }
            }
        };
        self.mids.get(at).map(|(mid, _)| mid.as_slice())
    }
}

#[cfg(test)]
mod tests;
