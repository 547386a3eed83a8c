//! What one section of an offer says.

use super::SdpError;
use super::codec::{NegotiatedCodec, OfferedCodecs};
use super::text::{Line, attribute, is_token, payload_type};

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Audio,
    Video,
    /// Data channels and the like, which are refused.
    Other,
}

/// Who sends in a section, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive].into_iter().find(|one| one.name() == name)
    }
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
    /// As the other side sees it.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }
    pub(super) const fn client_sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }
}

/// The ids that a client gave to header extensions; one id means the same in all of its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExtensionIds {
    /// How loud a packet is (RFC 6464).
    pub audio_level: Option<u8>,
    pub absolute_send_time: Option<u8>,
    /// Of transport-wide congestion control.
    pub transport_sequence_number: Option<u8>,
    /// Names the section of a stream.
    pub mid: Option<u8>,
    /// Names a simulcast layer.
    pub rid: Option<u8>,
    /// Names the simulcast layer of a packet that is sent again.
    pub repaired_rid: Option<u8>,
}

const EXTENSIONS: [(&str, Field); 6] = [
    ("urn:ietf:params:rtp-hdrext:ssrc-audio-level", |ids| &mut ids.audio_level),
    ("http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", |ids| &mut ids.absolute_send_time),
    ("http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01", |ids| {
        &mut ids.transport_sequence_number
    }),
    ("urn:ietf:params:rtp-hdrext:sdes:mid", |ids| &mut ids.mid),
    ("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", |ids| &mut ids.rid),
    ("urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", |ids| &mut ids.repaired_rid),
];

type Field = fn(&mut ExtensionIds) -> &mut Option<u8>;

impl ExtensionIds {
    /// Takes `<id>[/direction] <uri> [...]`. None if it cannot be read.
    fn extmap(&mut self, value: &str) -> Option<()> {
        let mut words = value.split_whitespace();
        let id = words.next()?.split('/').next()?.parse::<u16>().ok()?;
        let uri = words.next()?;
        if id == 0 {
            return None;
        }
        // Others would need the two-byte form.
        if let (Some((_, field)), 1..=14) = (EXTENSIONS.iter().find(|known| known.0 == uri), id) {
            field(self).get_or_insert(id as u8);
        }
        Some(())
    }
    /// Each with its URI.
    pub(super) fn iter(mut self) -> impl Iterator<Item = (u8, &'static str)> {
        EXTENSIONS.into_iter().filter_map(move |(uri, field)| field(&mut self).map(|id| (id, uri)))
    }
    /// Takes what another section says too.
    pub(super) fn merge(&mut self, mut other: Self) {
        for (_, field) in EXTENSIONS {
            let own = field(self);
            *own = own.or(*field(&mut other));
        }
    }
}

/// One section, or what stands before the first.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) kind: MediaKind,
    /// The first line up to the payload types, without the port.
    pub(super) protocol: String,
    pub(super) formats: String,
    pub(super) mid: Option<String>,
    pub(super) direction: Direction,
    pub(super) rtcp_mux: bool,
    pub(super) rtcp_rsize: bool,
    pub(super) is_refused: bool,
    pub(super) extensions: ExtensionIds,
    /// Names of the simulcast layers that the client sends.
    pub(super) rids: Vec<String>,
    pub(super) simulcast: bool,
    offered: OfferedCodecs,
}

/// Layers of one section.
const RIDS_MAX: usize = 8;

impl Section {
    pub(super) fn session() -> Self {
        Self {
            kind: MediaKind::Other,
            protocol: String::new(),
            formats: String::new(),
            mid: None,
            direction: Direction::default(),
            rtcp_mux: false,
            rtcp_rsize: false,
            is_refused: false,
            extensions: ExtensionIds::default(),
            rids: Vec::new(),
            simulcast: false,
            offered: OfferedCodecs::default(),
        }
    }

    /// Of `<kind> <port> <protocol> <formats>`.
    pub(super) fn new(line: Line<'_>) -> Result<Self, SdpError> {
        let error = SdpError::Line(line.number);
        let mut words = line.value.splitn(4, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(error);
        let (kind, port, protocol, formats) = (word()?, word()?, word()?, word()?);
        let kind = match kind {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            kind if is_token(kind) => MediaKind::Other,
            _ => return Err(error),
        };
        let port: u16 = port.split('/').next().and_then(|port| port.parse().ok()).ok_or(error)?;
        let is_good = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !is_good(protocol) || !is_good(formats) {
            return Err(error);
        }
        let (protocol, formats) = (protocol.to_owned(), formats.to_owned());
        Ok(Self { kind, protocol, formats, is_refused: port == 0, ..Self::session() })
    }

    /// Takes an attribute.
    pub(super) fn attribute(&mut self, line: Line<'_>) -> Result<(), SdpError> {
        let (name, value) = attribute(line.value);
        self.read(name, value).ok_or(SdpError::Line(line.number))?.then_some(()).ok_or(SdpError::TooMany("codecs"))
    }

    /// None if it cannot be read, false if there are too many.
    fn read(&mut self, name: &str, value: &str) -> Option<bool> {
        match name {
            "mid" => self.mid = Some(is_token(value).then(|| value.to_owned())?),
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "rtpmap" => {
                let (number, encoding) = value.split_once(' ')?;
                return payload_type(number)
                    .map_or(Some(true), |number| Some(self.offered.rtpmap(number, encoding.trim())));
            }
            "fmtp" => {
                let (number, parameters) = value.split_once(' ')?;
                return payload_type(number)
                    .map_or(Some(true), |number| Some(self.offered.fmtp(number, parameters.trim())));
            }
            "rtcp-fb" => {
                let (number, what) = value.split_once(' ')?;
                let number = if number == "*" { None } else { Some(payload_type(number)?) };
                return Some(self.offered.rtcp_fb(number, what.trim()));
            }
            "extmap" => self.extensions.extmap(value)?,
            "rid" => {
                let mut words = value.split(' ');
                let (name, direction) = (words.next()?, words.next()?);
                let is_good =
                    is_token(name) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                if !is_good || self.rids.len() >= RIDS_MAX {
                    return None;
                }
                if direction == "send" && !self.rids.iter().any(|known| known == name) {
                    self.rids.push(name.to_owned());
                }
            }
            "simulcast" => self.simulcast = value.split_whitespace().any(|word| word == "send"),
            name => self.direction = Direction::from_name(name).unwrap_or(self.direction),
        }
        Some(true)
    }

    /// What both sides have of it; nothing if it is to be refused.
    pub(super) fn codecs(&self) -> Vec<NegotiatedCodec> {
        let is_whole = self.mid.is_some() && self.rtcp_mux && self.protocol == "UDP/TLS/RTP/SAVPF";
        if self.is_refused || !is_whole {
            return Vec::new();
        }
        let mut codecs = self.offered.negotiate();
        codecs.retain(|codec| match self.kind {
            MediaKind::Audio => codec.codec.is_audio(),
            MediaKind::Video => !codec.codec.is_audio(),
            MediaKind::Other => false,
        });
        codecs
    }
    /// What both sides have of a trimmed offer.
    pub(super) fn trimmed_codecs(&self) -> Vec<NegotiatedCodec> {
        self.offered.negotiate()
    }
}
