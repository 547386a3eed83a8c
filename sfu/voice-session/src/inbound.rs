//! Messages from the client: envelope, opcode and data.

use rookery_model::voice::{
    DaveTransition, EncryptionMode, MediaSinkWants, ProtocolData, SelectProtocol, SessionUpdate, Speaking, Video,
    VoiceCloseCode, VoiceIdentify, VoiceOpcode, VoiceResume, VoiceVersion, WireForm,
};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, de};
use serde_json::Number;
use serde_json::value::RawValue;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::event::{DaveMessage, Selected, Selection};

/// A WebSocket message from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl Frame<'_> {
    /// Bytes of the message.
    pub const fn len(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
    /// Whether the message has no bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClientPayload {
    /// The nonce, and from version 8 on the last number received.
    Heartbeat {
        nonce: Number,
        seq_ack: Option<u16>,
    },
    Identify(Box<VoiceIdentify>),
    Resume(Box<VoiceResume>),
    SelectProtocol(Box<Selection>),
    Speaking(Speaking),
    Video(Box<Video>),
    SessionUpdate(SessionUpdate),
    MediaSinkWants(Box<MediaSinkWants>),
    VoiceBackendVersion,
    Dave(DaveMessage),
    NoRoute,
}

/// A message of which only the opcode was read.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) opcode: VoiceOpcode,
    data: Data<'a>,
}

#[derive(Debug)]
enum Data<'a> {
    /// None: absent.
    Json(Option<&'a RawValue>),
    Binary(&'a [u8]),
}

impl<'a> Envelope<'a> {
    pub(crate) fn decode(version: VoiceVersion, frame: Frame<'a>) -> Result<Self, VoiceCloseCode> {
        let (number, data, form) = match frame {
            Frame::Text(text) => {
                let wire: JsonEnvelope<'_> = serde_json::from_str(text).map_err(|_| VoiceCloseCode::FailedToDecode)?;
                (wire.op, Data::Json(wire.d), WireForm::Json)
            }
            // From the client without a sequence number, in every version.
            Frame::Binary(bytes) => {
                let (op, data) = bytes.split_first().ok_or(VoiceCloseCode::FailedToDecode)?;
                ((*op).into(), Data::Binary(data), WireForm::Binary)
            }
        };
        let opcode = VoiceOpcode::from_u64(number)
            .filter(|op| op.is_from_client() && op.exists_in(version))
            .ok_or(VoiceCloseCode::UnknownOpcode)?;
        if opcode.wire_form() != form {
            return Err(VoiceCloseCode::FailedToDecode);
        }
        Ok(Self { opcode, data })
    }

    pub(crate) fn payload(&self) -> Result<ClientPayload, VoiceCloseCode> {
        use VoiceOpcode as Op;
        Ok(match self.opcode {
            Op::Heartbeat => self.heartbeat()?,
            Op::Identify => ClientPayload::Identify(self.object()?),
            Op::Resume => ClientPayload::Resume(self.object()?),
            Op::SelectProtocol => ClientPayload::SelectProtocol(Box::new(select_protocol(self.object()?)?)),
            Op::Speaking => ClientPayload::Speaking(self.object()?),
            Op::Video => ClientPayload::Video(self.object()?),
            Op::SessionUpdate => ClientPayload::SessionUpdate(self.object()?),
            Op::MediaSinkWants => ClientPayload::MediaSinkWants(self.object()?),
            Op::VoiceBackendVersion => ClientPayload::VoiceBackendVersion,
            Op::NoRoute => ClientPayload::NoRoute,
            Op::DaveTransitionReady => {
                let DaveTransition { transition_id } = self.object()?;
                ClientPayload::Dave(DaveMessage::TransitionReady { transition_id })
            }
            Op::DaveMlsInvalidCommitWelcome => {
                let DaveTransition { transition_id } = self.object()?;
                ClientPayload::Dave(DaveMessage::InvalidCommitWelcome { transition_id })
            }
            Op::DaveMlsKeyPackage => ClientPayload::Dave(DaveMessage::KeyPackage(self.bytes()?)),
            Op::DaveMlsCommitWelcome => ClientPayload::Dave(DaveMessage::CommitWelcome(self.bytes()?)),
            _ => return Err(VoiceCloseCode::UnknownOpcode),
        })
    }

    /// Reads data that must be an object: derived implementations would take a list of the fields' values too.
    fn object<T: DeserializeOwned>(&self) -> Result<T, VoiceCloseCode> {
        match &self.data {
            Data::Json(Some(raw)) if raw.get().starts_with('{') => serde_json::from_str(raw.get()).ok(),
            _ => None,
        }
        .ok_or(VoiceCloseCode::FailedToDecode)
    }

    fn bytes(&self) -> Result<Vec<u8>, VoiceCloseCode> {
        match self.data {
            Data::Binary(bytes) if !bytes.is_empty() => Ok(bytes.to_vec()),
            _ => Err(VoiceCloseCode::FailedToDecode),
        }
    }

    /// `d` is the nonce below version 8 and `{t, seq_ack}` from there on; each is read in every version.
    fn heartbeat(&self) -> Result<ClientPayload, VoiceCloseCode> {
        #[derive(Deserialize)]
        struct Since8 {
            t: Number,
            #[serde(default)]
            seq_ack: Option<i64>,
        }
        let Data::Json(Some(raw)) = &self.data else { return Err(VoiceCloseCode::FailedToDecode) };
        let read = if raw.get().starts_with('{') {
            // -1 and what else is no number on the wire acknowledges nothing.
            serde_json::from_str(raw.get()).map(|Since8 { t, seq_ack }| (t, seq_ack.and_then(|n| n.try_into().ok())))
        } else {
            serde_json::from_str(raw.get()).map(|nonce| (nonce, None))
        };
        let (nonce, seq_ack) = read.map_err(|_| VoiceCloseCode::FailedToDecode)?;
        Ok(ClientPayload::Heartbeat { nonce, seq_ack })
    }
}

fn select_protocol(wire: SelectProtocol) -> Result<Selection, VoiceCloseCode> {
    let selected = match (wire.protocol.as_str(), wire.data, wire.sdp) {
        ("udp", Some(ProtocolData::Udp { address, port, mode }), _) => {
            let mode = EncryptionMode::from_name(&mode).ok_or(VoiceCloseCode::UnknownEncryptionMode)?;
            let ip = address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
            let address = ip.filter(|ip| !ip.is_unspecified() && port != 0).map(|ip| SocketAddr::new(ip, port));
            Selected::Udp { address, mode }
        }
        ("webrtc", Some(ProtocolData::Sdp(sdp)), _) | ("webrtc", None, Some(sdp)) if !sdp.trim().is_empty() => {
            Selected::WebRtc { sdp }
        }
        ("udp" | "webrtc", ..) => return Err(VoiceCloseCode::BadRequest),
        _ => return Err(VoiceCloseCode::UnknownProtocol),
    };
    Ok(Selection {
        selected,
        codecs: wire.codecs,
        rtc_connection_id: wire.rtc_connection_id,
        experiments: wire.experiments,
    })
}

/// `{"op": …, "d": …}`; other keys are passed over.
struct JsonEnvelope<'a> {
    op: u64,
    d: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for JsonEnvelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Key {
            Op,
            D,
            #[serde(other)]
            Other,
        }
        struct EnvelopeVisitor;
        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = JsonEnvelope<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a payload")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut op, mut d) = (None, None);
                while let Some(key) = map.next_key()? {
                    match key {
                        Key::Op => op = Some(map.next_value()?),
                        Key::D => d = Some(map.next_value()?),
                        Key::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(JsonEnvelope { op: op.ok_or_else(|| de::Error::missing_field("op"))?, d })
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}
