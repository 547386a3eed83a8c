//! Frames from the client: envelope, opcode and data.

use rookery_model::gateway::{
    CallConnect, CloseCode, GuildSubscriptions, GuildSubscriptionsBulk, Identify, Opcode, PresenceUpdate,
    RequestChannelInfo, RequestGuildMembers, RequestSoundboardSounds, Resume, StreamRequest, VoiceStateUpdate,
};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

use crate::params::Encoding;
use crate::{cbor, etf};

/// A WebSocket message from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Frame<'a> {
    const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
    /// The message as text, if it is any: a JSON parser looks only at the strings that it is asked for.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }
    /// Bytes of the message.
    pub const fn len(self) -> usize {
        self.bytes().len()
    }
    /// Whether the message has no bytes.
    pub const fn is_empty(self) -> bool {
        self.bytes().is_empty()
    }
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientPayload {
    /// With the last sequence number that the client received.
    Heartbeat(Option<u64>),
    Identify(Box<Identify>),
    PresenceUpdate(PresenceUpdate),
    VoiceStateUpdate(VoiceStateUpdate),
    CallConnect(CallConnect),
    Resume(Resume),
    RequestGuildMembers(RequestGuildMembers),
    GuildSubscriptions(GuildSubscriptions),
    GuildSubscriptionsBulk(GuildSubscriptionsBulk),
    RequestSoundboardSounds(RequestSoundboardSounds),
    RequestChannelInfo(RequestChannelInfo),
    Stream(StreamRequest),
}

impl ClientPayload {
    /// Reads a frame whole; the code to close with if it cannot be read.
    pub fn decode(encoding: Encoding, frame: Frame<'_>) -> Result<Self, CloseCode> {
        Envelope::decode(encoding, frame)?.payload()
    }
}

/// A frame of which only the opcode was read.
pub(crate) struct Envelope<'a> {
    pub(crate) opcode: Opcode,
    data: Data<'a>,
}

enum Data<'a> {
    Absent,
    Json(&'a str),
    Etf(&'a [u8]),
    Cbor(Value),
}

impl<'a> Envelope<'a> {
    pub(crate) fn decode(encoding: Encoding, frame: Frame<'a>) -> Result<Self, CloseCode> {
        let (op, data) = match (encoding, frame) {
            (Encoding::Json, frame) => {
                let text = frame.text().ok_or(CloseCode::DecodeError)?;
                let wire: JsonEnvelope<'_> = serde_json::from_str(text).map_err(|_| CloseCode::DecodeError)?;
                (wire.op, wire.d.map_or(Data::Absent, |raw| Data::Json(raw.get())))
            }
            (Encoding::Etf, Frame::Binary(bytes)) => etf_envelope(bytes).ok_or(CloseCode::DecodeError)?,
            (Encoding::Cbor, Frame::Binary(bytes)) => cbor_envelope(bytes).ok_or(CloseCode::DecodeError)?,
            (Encoding::Etf | Encoding::Cbor, Frame::Text(_)) => return Err(CloseCode::DecodeError),
        };
        let opcode = op.known().filter(|op| op.is_from_client()).ok_or(CloseCode::UnknownOpcode)?;
        Ok(Self { opcode, data })
    }

    pub(crate) fn payload(&self) -> Result<ClientPayload, CloseCode> {
        Ok(match self.opcode {
            Opcode::Heartbeat => ClientPayload::Heartbeat(self.sequence()?),
            Opcode::Identify => ClientPayload::Identify(self.object()?),
            Opcode::PresenceUpdate => ClientPayload::PresenceUpdate(self.object()?),
            Opcode::VoiceStateUpdate => ClientPayload::VoiceStateUpdate(self.object()?),
            Opcode::CallConnect => ClientPayload::CallConnect(self.object()?),
            Opcode::Resume => ClientPayload::Resume(self.object()?),
            Opcode::RequestGuildMembers => ClientPayload::RequestGuildMembers(self.object()?),
            Opcode::GuildSubscriptions => ClientPayload::GuildSubscriptions(self.object()?),
            Opcode::GuildSubscriptionsBulk => ClientPayload::GuildSubscriptionsBulk(self.object()?),
            Opcode::RequestSoundboardSounds => ClientPayload::RequestSoundboardSounds(self.object()?),
            Opcode::RequestChannelInfo => ClientPayload::RequestChannelInfo(self.object()?),
            Opcode::StreamCreate => ClientPayload::Stream(StreamRequest::Create(self.object()?)),
            Opcode::StreamDelete => ClientPayload::Stream(StreamRequest::Delete(self.object()?)),
            Opcode::StreamWatch => ClientPayload::Stream(StreamRequest::Watch(self.object()?)),
            Opcode::StreamPing => ClientPayload::Stream(StreamRequest::Ping(self.object()?)),
            Opcode::StreamSetPaused => ClientPayload::Stream(StreamRequest::SetPaused(self.object()?)),
            Opcode::Dispatch | Opcode::Reconnect | Opcode::InvalidSession | Opcode::Hello | Opcode::HeartbeatAck => {
                return Err(CloseCode::UnknownOpcode);
            }
        })
    }

    /// Reads data that must be an object: derived implementations would take a list of the fields' values too.
    fn object<T: DeserializeOwned>(&self) -> Result<T, CloseCode> {
        let value = match &self.data {
            Data::Json(text) if text.starts_with('{') => serde_json::from_str(text).ok(),
            Data::Etf(bytes) if bytes.first() == Some(&etf::MAP) => etf::from_term(bytes).ok(),
            Data::Cbor(value) if value.is_object() => T::deserialize(value).ok(),
            _ => None,
        };
        value.ok_or(CloseCode::DecodeError)
    }

    fn sequence(&self) -> Result<Option<u64>, CloseCode> {
        let seq = match &self.data {
            Data::Absent => Ok(None),
            Data::Json(text) => serde_json::from_str::<Option<Integer>>(text).map_err(|_| CloseCode::DecodeError),
            Data::Etf(bytes) => etf::from_term::<Option<Integer>>(bytes).map_err(|_| CloseCode::DecodeError),
            Data::Cbor(value) => Option::<Integer>::deserialize(value).map_err(|_| CloseCode::DecodeError),
        }?;
        seq.map(|Integer(n)| u64::try_from(n).map_err(|_| CloseCode::DecodeError)).transpose()
    }
}

fn etf_envelope(bytes: &[u8]) -> Option<(Integer, Data<'_>)> {
    let (mut op, mut data) = (None, Data::Absent);
    etf::map_entries(bytes, |key, value| match key {
        "op" => op = Some(value),
        "d" => data = Data::Etf(value),
        _ => {}
    })
    .ok()?;
    Some((etf::from_term(op?).ok()?, data))
}

fn cbor_envelope(bytes: &[u8]) -> Option<(Integer, Data<'_>)> {
    let Ok(Value::Object(mut map)) = cbor::value(bytes) else { return None };
    let op = Integer::deserialize(map.get("op")?).ok()?;
    Some((op, map.remove("d").map_or(Data::Absent, Data::Cbor)))
}

/// A whole number, also one written as a float.
#[derive(Clone, Copy)]
struct Integer(i128);

impl Integer {
    fn known(self) -> Option<Opcode> {
        u64::try_from(self.0).ok().and_then(Opcode::from_u64)
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor;
        impl Visitor<'_> for IntegerVisitor {
            type Value = Integer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Integer, E> {
                Ok(Integer(v.into()))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Integer, E> {
                Ok(Integer(v.into()))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Integer, E> {
                // Beyond 2^53 a float does not say which number is meant.
                if v.fract() == 0.0 && v.abs() <= 9_007_199_254_740_992.0 {
                    Ok(Integer(v as i128))
                } else {
                    Err(E::custom("not a whole number"))
                }
            }
        }
        deserializer.deserialize_any(IntegerVisitor)
    }
}

/// `{"op": …, "d": …}`; other keys are passed over.
struct JsonEnvelope<'a> {
    op: Integer,
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
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(JsonEnvelope { op: op.ok_or_else(|| de::Error::missing_field("op"))?, d })
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}
