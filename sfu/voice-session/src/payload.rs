//! What the server tells clients, written once however many get it.

use rookery_model::voice::{
    ClientDisconnect, ClientFlags, ClientPlatform, ClientsConnect, DaveExecuteTransition, DavePrepareEpoch,
    DavePrepareTransition, MediaSinkWants, SessionDescription, SessionUpdateEvent, SpeakingEvent, VideoEvent,
    VoiceOpcode, VoiceReady, VoiceVersion, WireForm,
};
use serde::Serialize;
use std::fmt::{self, Write};
use std::sync::Arc;

use crate::transmit::Transmit;

/// What a room tells those who are in it.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent {
    Speaking(SpeakingEvent),
    Video(VideoEvent),
    ClientsConnect(ClientsConnect),
    ClientDisconnect(ClientDisconnect),
    ClientFlags(ClientFlags),
    ClientPlatform(ClientPlatform),
    SessionUpdate(SessionUpdateEvent),
    MediaSinkWants(MediaSinkWants),
    DavePrepareTransition(DavePrepareTransition),
    DaveExecuteTransition(DaveExecuteTransition),
    DavePrepareEpoch(DavePrepareEpoch),
    DaveMlsExternalSender(Vec<u8>),
    DaveMlsProposals(Vec<u8>),
    DaveMlsAnnounceCommitTransition(Vec<u8>),
    DaveMlsWelcome(Vec<u8>),
}

/// A message to clients without its number.
pub struct Payload {
    opcode: VoiceOpcode,
    body: Box<[u8]>,
}

impl Payload {
    /// Writes an event; share it among all who get it.
    pub fn new(event: &ServerEvent) -> Arc<Self> {
        match event {
            ServerEvent::Speaking(d) => Self::json(VoiceOpcode::Speaking, d),
            ServerEvent::Video(d) => Self::json(VoiceOpcode::Video, d),
            ServerEvent::ClientsConnect(d) => Self::json(VoiceOpcode::ClientsConnect, d),
            ServerEvent::ClientDisconnect(d) => Self::json(VoiceOpcode::ClientDisconnect, d),
            ServerEvent::ClientFlags(d) => Self::json(VoiceOpcode::ClientFlags, d),
            ServerEvent::ClientPlatform(d) => Self::json(VoiceOpcode::ClientPlatform, d),
            ServerEvent::SessionUpdate(d) => Self::json(VoiceOpcode::SessionUpdate, d),
            ServerEvent::MediaSinkWants(d) => Self::json(VoiceOpcode::MediaSinkWants, d),
            ServerEvent::DavePrepareTransition(d) => Self::json(VoiceOpcode::DavePrepareTransition, d),
            ServerEvent::DaveExecuteTransition(d) => Self::json(VoiceOpcode::DaveExecuteTransition, d),
            ServerEvent::DavePrepareEpoch(d) => Self::json(VoiceOpcode::DavePrepareEpoch, d),
            ServerEvent::DaveMlsExternalSender(d) => Self::binary(VoiceOpcode::DaveMlsExternalSender, d),
            ServerEvent::DaveMlsProposals(d) => Self::binary(VoiceOpcode::DaveMlsProposals, d),
            ServerEvent::DaveMlsAnnounceCommitTransition(d) => {
                Self::binary(VoiceOpcode::DaveMlsAnnounceCommitTransition, d)
            }
            ServerEvent::DaveMlsWelcome(d) => Self::binary(VoiceOpcode::DaveMlsWelcome, d),
        }
    }

    pub(crate) fn ready(ready: &VoiceReady) -> Arc<Self> {
        Self::json(VoiceOpcode::Ready, ready)
    }
    pub(crate) fn session_description(description: &SessionDescription) -> Arc<Self> {
        Self::json(VoiceOpcode::SessionDescription, description)
    }

    fn json(opcode: VoiceOpcode, data: &impl Serialize) -> Arc<Self> {
        let body = serde_json::to_vec(data).expect("payloads are structures with keys that are strings");
        Arc::new(Self { opcode, body: body.into() })
    }
    fn binary(opcode: VoiceOpcode, data: &[u8]) -> Arc<Self> {
        Arc::new(Self { opcode, body: data.into() })
    }

    /// What it is.
    pub const fn opcode(&self) -> VoiceOpcode {
        self.opcode
    }
    /// Bytes that it counts against bounds.
    pub(crate) const fn len(&self) -> usize {
        self.body.len()
    }

    /// Writes the message with its number, which versions that have none leave out.
    pub(crate) fn write(&self, version: VoiceVersion, seq: u16) -> Transmit {
        let seq = version.is_numbered().then_some(seq);
        match self.opcode.wire_form() {
            WireForm::Json => {
                let data = std::str::from_utf8(&self.body).expect("JSON is text");
                Transmit::Text(envelope(self.opcode, data, seq))
            }
            WireForm::Binary => {
                let mut bytes = Vec::with_capacity(3 + self.body.len());
                bytes.extend(seq.into_iter().flat_map(u16::to_be_bytes));
                bytes.push(self.opcode.number());
                bytes.extend_from_slice(&self.body);
                Transmit::Binary(bytes)
            }
        }
    }
}

impl fmt::Debug for Payload {
    /// Without the data: a key may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("opcode", &self.opcode).field("bytes", &self.body.len()).finish()
    }
}

/// `{"op":…,"d":…}`, in this order and with nothing behind `d` unless there is a number: songbird stops reading there.
pub(crate) fn envelope(opcode: VoiceOpcode, data: &str, seq: Option<u16>) -> String {
    let mut text = String::with_capacity(data.len() + 32);
    // Writing into a string cannot fail.
    let _ = write!(text, r#"{{"op":{},"d":{data}"#, opcode.number());
    if let Some(seq) = seq {
        let _ = write!(text, r#","seq":{seq}"#);
    }
    text.push('}');
    text
}
