//! End-to-end encryption (DAVE): what is agreed on, and the payloads in JSON of opcodes 21 to 24 and 31.

use serde::{Deserialize, Serialize};

use super::VoiceCloseCode;

/// Whether a channel is end-to-end encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DavePolicy {
    /// Never.
    #[default]
    Off,
    /// When all who are there can.
    Preferred,
    /// Always: whoever cannot is refused rather than the channel downgraded.
    Required,
}

impl DavePolicy {
    /// The protocol version for a client, 0 for none, given the highest that it and the server speak.
    ///
    /// Fails with 4017 where encryption is required and there is no common version.
    pub fn negotiate(self, client_max: u16, server_max: u16) -> Result<u16, VoiceCloseCode> {
        match (self, client_max.min(server_max)) {
            (Self::Off, _) => Ok(0),
            (Self::Required, 0) => Err(VoiceCloseCode::DaveRequired),
            (Self::Preferred | Self::Required, version) => Ok(version),
        }
    }
}

/// The data of opcode 21: another protocol version is coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DavePrepareTransition {
    pub protocol_version: u16,
    pub transition_id: u16,
}

/// The data of opcode 22: it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DaveExecuteTransition {
    pub transition_id: u16,
}

/// The data of opcode 24: a new group, or a new version of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DavePrepareEpoch {
    pub protocol_version: u16,
    pub epoch: u64,
}

/// The data of opcodes 23 and 31, by which a client says that it is ready, or could not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct DaveTransition {
    pub transition_id: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_never_downgrades() {
        assert_eq!(DavePolicy::Off.negotiate(1, 1), Ok(0));
        assert_eq!(DavePolicy::Preferred.negotiate(1, 0), Ok(0));
        assert_eq!(DavePolicy::Preferred.negotiate(2, 1), Ok(1));
        assert_eq!(DavePolicy::Required.negotiate(1, 2), Ok(1));
        assert_eq!(DavePolicy::Required.negotiate(0, 1), Err(VoiceCloseCode::DaveRequired));
        assert_eq!(DavePolicy::Required.negotiate(1, 0), Err(VoiceCloseCode::DaveRequired));
    }
}
