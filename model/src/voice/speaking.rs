//! SPEAKING (opcode 5): who sends audio, and of which kind.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Ssrc;
use crate::UserId;

bitflags::bitflags! {
    /// What kind of audio somebody sends; none: nothing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct SpeakingFlags: u8 {
        /// From the microphone.
        const VOICE = 1 << 0;
        /// Of an application that is shared; shows no speaker.
        const SOUNDSHARE = 1 << 1;
        /// Others are lowered while this one speaks.
        const PRIORITY = 1 << 2;
    }
}

impl<'de> Deserialize<'de> for SpeakingFlags {
    /// Bits that are not known are dropped; `true` and `false`, as in version 3, stand for voice and nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Flag(bool),
            Bits(u32),
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Flag(speaks) => {
                if speaks {
                    Self::VOICE
                } else {
                    Self::empty()
                }
            }
            Wire::Bits(bits) => Self::from_bits_truncate((bits & 0xff) as u8),
        })
    }
}
impl Serialize for SpeakingFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.bits())
    }
}

/// The data of SPEAKING as a client sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Speaking {
    pub speaking: SpeakingFlags,
    /// The client's own; absent or 0 means the one that READY told.
    #[serde(default)]
    pub ssrc: Option<Ssrc>,
}

/// The data of SPEAKING as others get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SpeakingEvent {
    pub user_id: UserId,
    pub ssrc: Ssrc,
    pub speaking: SpeakingFlags,
}
