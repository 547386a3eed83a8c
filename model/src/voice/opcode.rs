//! Opcodes of the voice gateway.

use super::VoiceVersion;

/// What a payload of the voice gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VoiceOpcode {
    Identify = 0,
    SelectProtocol = 1,
    Ready = 2,
    Heartbeat = 3,
    SessionDescription = 4,
    Speaking = 5,
    HeartbeatAck = 6,
    Resume = 7,
    Hello = 8,
    Resumed = 9,
    ClientsConnect = 11,
    Video = 12,
    ClientDisconnect = 13,
    /// Codecs: those that a client knows, those that it is to send.
    SessionUpdate = 14,
    MediaSinkWants = 15,
    VoiceBackendVersion = 16,
    ClientFlags = 18,
    ClientPlatform = 20,
    DavePrepareTransition = 21,
    DaveExecuteTransition = 22,
    DaveTransitionReady = 23,
    DavePrepareEpoch = 24,
    DaveMlsExternalSender = 25,
    DaveMlsKeyPackage = 26,
    DaveMlsProposals = 27,
    DaveMlsCommitWelcome = 28,
    DaveMlsAnnounceCommitTransition = 29,
    DaveMlsWelcome = 30,
    DaveMlsInvalidCommitWelcome = 31,
    /// A client found no way for its media.
    NoRoute = 32,
}

/// How the payload of an opcode is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireForm {
    /// `{"op": …, "d": …}` in a text message.
    Json,
    /// Opcode and bytes in a binary message.
    Binary,
}

impl VoiceOpcode {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Identify,
        Self::SelectProtocol,
        Self::Ready,
        Self::Heartbeat,
        Self::SessionDescription,
        Self::Speaking,
        Self::HeartbeatAck,
        Self::Resume,
        Self::Hello,
        Self::Resumed,
        Self::ClientsConnect,
        Self::Video,
        Self::ClientDisconnect,
        Self::SessionUpdate,
        Self::MediaSinkWants,
        Self::VoiceBackendVersion,
        Self::ClientFlags,
        Self::ClientPlatform,
        Self::DavePrepareTransition,
        Self::DaveExecuteTransition,
        Self::DaveTransitionReady,
        Self::DavePrepareEpoch,
        Self::DaveMlsExternalSender,
        Self::DaveMlsKeyPackage,
        Self::DaveMlsProposals,
        Self::DaveMlsCommitWelcome,
        Self::DaveMlsAnnounceCommitTransition,
        Self::DaveMlsWelcome,
        Self::DaveMlsInvalidCommitWelcome,
        Self::NoRoute,
    ];

    /// The opcode of a number, if there is one.
    pub fn from_u64(n: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|op| u64::from(op.number()) == n)
    }
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }
    /// Whether a client may send it.
    pub const fn is_from_client(self) -> bool {
        matches!(
            self,
            Self::Identify
                | Self::SelectProtocol
                | Self::Heartbeat
                | Self::Speaking
                | Self::Resume
                | Self::Video
                | Self::SessionUpdate
                | Self::MediaSinkWants
                | Self::VoiceBackendVersion
                | Self::DaveTransitionReady
                | Self::DaveMlsKeyPackage
                | Self::DaveMlsCommitWelcome
                | Self::DaveMlsInvalidCommitWelcome
                | Self::NoRoute
        )
    }
    /// Whether a version has it.
    pub fn exists_in(self, version: VoiceVersion) -> bool {
        match self {
            Self::MediaSinkWants => version >= VoiceVersion::V5,
            Self::VoiceBackendVersion => version >= VoiceVersion::V6,
            _ => true,
        }
    }
    /// How its payload is written.
    ///
    /// Source: the column "Binary" of the documentation's table of voice opcodes.
    pub const fn wire_form(self) -> WireForm {
        match self {
            Self::DaveMlsExternalSender
            | Self::DaveMlsKeyPackage
            | Self::DaveMlsProposals
            | Self::DaveMlsCommitWelcome
            | Self::DaveMlsAnnounceCommitTransition
            | Self::DaveMlsWelcome => WireForm::Binary,
            _ => WireForm::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_opcode_and_no_other_to_any() {
        for op in VoiceOpcode::ALL {
            assert_eq!(VoiceOpcode::from_u64(op.number().into()), Some(op));
        }
        for unknown in [10, 17, 19, 33, 255, u64::MAX] {
            assert_eq!(VoiceOpcode::from_u64(unknown), None, "{unknown}");
        }
    }
}
