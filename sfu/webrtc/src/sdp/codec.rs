//! Codecs, which are agreed on and never looked into.

use super::text::is_payload_type;

/// What the server forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Opus,
    Vp8,
    H264,
    Av1,
}

impl Codec {
    /// As SDP and the voice gateway write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Vp8 => "VP8",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
        }
    }
    /// By name, in whatever case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Opus, Self::Vp8, Self::H264, Self::Av1].into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
    /// Whether it is of sound.
    pub const fn is_audio(self) -> bool {
        matches!(self, Self::Opus)
    }
    /// Behind the payload type in `a=rtpmap:`.
    pub(super) const fn encoding(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::Vp8 => "VP8/90000",
            Self::H264 => "H264/90000",
            Self::Av1 => "AV1/90000",
        }
    }
}

/// A codec that both sides have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    pub codec: Codec,
    /// As this client numbers it.
    pub payload_type: u8,
    /// Of what is sent again (RFC 4588).
    pub rtx_payload_type: Option<u8>,
    /// Its parameters, as the client wrote them: for H.264 the profile.
    pub parameters: String,
    /// What a receiver may send back, as in `a=rtcp-fb:`.
    pub(super) feedback: Vec<&'static str>,
}

impl NegotiatedCodec {
    /// Of what the voice gateway's list of codecs says.
    pub(super) fn listed(codec: Codec, payload_type: u8, rtx_payload_type: Option<u8>) -> Option<Self> {
        let are_good = is_payload_type(payload_type) && rtx_payload_type.is_none_or(is_payload_type);
        are_good.then(|| Self {
            codec,
            payload_type,
            rtx_payload_type,
            parameters: String::new(),
            feedback: Vec::new(),
        })
    }
}

/// What a receiver may send back that the server understands.
const FEEDBACK: [&str; 5] = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"];
/// Of it, what is of use for sound.
const AUDIO_FEEDBACK: [&str; 2] = ["nack", "transport-cc"];

/// What a section of an offer says of codecs, as it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct OfferedCodecs {
    codecs: Vec<Offered>,
    /// For all payload types.
    feedback: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Offered {
    payload_type: u8,
    encoding: String,
    parameters: String,
    feedback: Vec<&'static str>,
}

impl OfferedCodecs {
    /// More than browsers have.
    const MAX: usize = 128;

    /// `<payload type> <encoding>`; false if there are too many.
    pub(super) fn rtpmap(&mut self, payload_type: u8, encoding: &str) -> bool {
        self.get(payload_type).map(|offered| offered.encoding = encoding.to_owned()).is_some()
    }
    /// `<payload type> <parameters>`; false if there are too many.
    pub(super) fn fmtp(&mut self, payload_type: u8, parameters: &str) -> bool {
        self.get(payload_type).map(|offered| offered.parameters = parameters.to_owned()).is_some()
    }
    /// `<payload type or *> <what>`; false if there are too many.
    pub(super) fn rtcp_fb(&mut self, payload_type: Option<u8>, what: &str) -> bool {
        let Some(known) = FEEDBACK.into_iter().find(|known| *known == what) else { return true };
        let list = match payload_type {
            None => Some(&mut self.feedback),
            Some(payload_type) => self.get(payload_type).map(|offered| &mut offered.feedback),
        };
        list.map(|list| {
            if !list.contains(&known) {
                list.push(known)
            }
        })
        .is_some()
    }

    fn get(&mut self, payload_type: u8) -> Option<&mut Offered> {
        let at = self.codecs.iter().position(|offered| offered.payload_type == payload_type);
        match at {
            Some(at) => self.codecs.get_mut(at),
            None if self.codecs.len() >= Self::MAX => None,
            None => {
                let (encoding, parameters, feedback) = Default::default();
                self.codecs.push(Offered { payload_type, encoding, parameters, feedback });
                self.codecs.last_mut()
            }
        }
    }

    /// Those that the server forwards, in the offer's order.
    pub(super) fn negotiate(&self) -> Vec<NegotiatedCodec> {
        let mut agreed: Vec<NegotiatedCodec> = Vec::new();
        for offered in &self.codecs {
            if let Some(codec) = offered.codec() {
                let feedback = offered.feedback.iter().chain(&self.feedback).copied();
                agreed.push(NegotiatedCodec {
                    codec,
                    payload_type: offered.payload_type,
                    rtx_payload_type: None,
                    parameters: offered.parameters.clone(),
                    feedback: feedback.filter(|what| !codec.is_audio() || AUDIO_FEEDBACK.contains(what)).collect(),
                });
            }
        }
        for (at, rtx) in self.codecs.iter().enumerate().filter(|(_, offered)| offered.is_rtx()) {
            // A trimmed offer does not say whose it is; it stands behind it.
            let of = rtx.parameter("apt").and_then(|text| text.parse().ok());
            let of = of.or_else(|| Some(self.codecs.get(at.checked_sub(1)?)?.payload_type));
            if let Some(codec) =
                agreed.iter_mut().find(|codec| Some(codec.payload_type) == of && !codec.codec.is_audio())
            {
                codec.rtx_payload_type = Some(rtx.payload_type);
            }
        }
        agreed
    }
}

impl Offered {
    fn codec(&self) -> Option<Codec> {
        let mut parts = self.encoding.split('/');
        let codec = Codec::from_name(parts.next()?)?;
        let mut expected = codec.encoding().split('/').skip(1);
        let is_same = parts.all(|part| expected.next() == Some(part)) && expected.next().is_none();
        // The other mode has no packets of fragments, and so no pictures of any size.
        let is_usable = codec != Codec::H264 || self.parameter("packetization-mode") == Some("1");
        (is_same && is_usable).then_some(codec)
    }
    fn is_rtx(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("rtx/90000")
    }
    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|pair| pair.0 == name).map(|pair| pair.1)
    }
}
