//! The headers in front of a call and of its reply.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The version of the calls that this build speaks.
///
/// It counts what the payload means, not how frames are cut; the framing has its own version in the ALPN name.
pub const CALL_VERSION: u16 = 1;

/// What stands in front of a call's payload.
///
/// Fields that a peer does not know are ignored, so later versions may add some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHeader {
    /// The version of the call in the payload; the region refuses versions outside its range.
    pub version: u16,
    /// What the stream carries after this header.
    #[serde(default)]
    pub kind: Kind,
    /// How much time is left for the call when it is sent, in milliseconds. A duration needs no common clock.
    pub deadline_ms: u32,
    /// W3C trace context (`traceparent`), at most 64 characters by that specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The operation id minted by the point of presence; the same on every attempt of one call.
    #[serde(with = "octets16")]
    pub operation_id: [u8; 16],
    /// The address of the client on whose behalf the call is made, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<IpAddr>,
    /// Another region sends it on: whoever gets it carries it out, or says that it cannot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_forwarded: bool,
}

impl CallHeader {
    /// A call of this build's version without trace context or client address.
    pub fn new(operation_id: [u8; 16], deadline_ms: u32) -> Self {
        Self {
            version: CALL_VERSION,
            kind: Kind::Call,
            deadline_ms,
            traceparent: None,
            operation_id,
            client_ip: None,
            is_forwarded: false,
        }
    }
}

/// What a stream carries.
///
/// `Stream` is the seam for bulk bytes that bypass the component: the frame's payload will be the descriptor and the
/// bytes follow on the same QUIC stream. No server of this version accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Kind {
    /// One call, one reply.
    #[default]
    Call,
    /// A descriptor and then bulk bytes.
    Stream,
    /// A question whether the peer takes calls; sent once on every new connection.
    ///
    /// In TLS 1.3 a client learns only after its handshake that the server refused its certificate; the answer to this
    /// is the proof that it did not.
    Ping,
    /// A kind of a later version.
    Unknown(u8),
}

impl From<u8> for Kind {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Call,
            1 => Self::Stream,
            2 => Self::Ping,
            other => Self::Unknown(other),
        }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Call => 0,
            Kind::Stream => 1,
            Kind::Ping => 2,
            Kind::Unknown(code) => code,
        }
    }
}

/// What stands in front of a reply's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyHeader {
    /// The call's version, or with [`Status::VersionUnsupported`] the highest that the region speaks.
    pub version: u16,
    /// How the call ended.
    pub status: Status,
}

/// How a call ended, as the region says. Only `Ok` has a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Status {
    /// The payload is the handler's answer.
    Ok,
    /// Too much in flight; not executed.
    Busy,
    /// The time was up; it may still be executed to its end.
    DeadlineExceeded,
    /// The region does not speak the call's version; not executed.
    VersionUnsupported,
    /// The handler failed; it may have been executed in part.
    Internal,
    /// The region is going away and takes no new calls; not executed, send it elsewhere or again.
    Draining,
    /// The region does not know the stream's [`Kind`]; not executed.
    KindUnsupported,
    /// A status of a later version.
    Unknown(u8),
}

impl From<u8> for Status {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Busy,
            2 => Self::DeadlineExceeded,
            3 => Self::VersionUnsupported,
            4 => Self::Internal,
            5 => Self::Draining,
            6 => Self::KindUnsupported,
            other => Self::Unknown(other),
        }
    }
}

impl From<Status> for u8 {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => 0,
            Status::Busy => 1,
            Status::DeadlineExceeded => 2,
            Status::VersionUnsupported => 3,
            Status::Internal => 4,
            Status::Draining => 5,
            Status::KindUnsupported => 6,
            Status::Unknown(code) => code,
        }
    }
}

impl Status {
    /// The name used in logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::VersionUnsupported => "version_unsupported",
            Self::Internal => "internal",
            Self::Draining => "draining",
            Self::KindUnsupported => "kind_unsupported",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Sixteen octets as one CBOR byte string instead of an array of numbers.
mod octets16 {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(octets: &[u8; 16], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(octets)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 16], D::Error> {
        deserializer.deserialize_bytes(Octets)
    }

    struct Octets;

    impl<'de> Visitor<'de> for Octets {
        type Value = [u8; 16];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a byte string of 16 octets")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut octets = [0; 16];
            for (at, octet) in octets.iter_mut().enumerate() {
                *octet = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self))?;
            }
            match seq.next_element::<u8>()? {
                None => Ok(octets),
                Some(_) => Err(A::Error::invalid_length(17, &self)),
            }
        }
    }
}
