//! The voice gateway's codes and payloads, versions 4 to 8.
//!
//! Sources: "Voice" and "Opcodes and Status Codes" of the API's documentation, for what that leaves out the
//! community's documentation of user clients, and what @discordjs/voice, discord.py and songbird send and expect.

mod clients;
mod close_code;
mod codec;
mod control;
mod dave;
mod encryption_mode;
mod identify;
mod media_sink_wants;
pub mod node;
mod opcode;
mod ready;
mod region;
mod resume;
mod select_protocol;
mod session_description;
mod speaking;
mod ssrc;
mod version;
mod video;

pub use clients::{ClientDisconnect, ClientFlags, ClientPlatform, ClientsConnect};
pub use close_code::VoiceCloseCode;
pub use codec::{Codec, CodecType, SessionUpdate, SessionUpdateEvent};
pub use control::{
    FromVoiceNode, LinkKey, RoomAdmission, RoomCommand, RoomEvent, RoomLink, RoomOwner, StreamQuality, StreamSettings,
    ToVoiceNode, VoiceBeacon, VoiceEntry, VoiceRights, VoiceRoomKind, VoiceToken,
};
pub use dave::{DaveExecuteTransition, DavePolicy, DavePrepareEpoch, DavePrepareTransition, DaveTransition};
pub use encryption_mode::EncryptionMode;
pub use identify::VoiceIdentify;
pub use media_sink_wants::{MediaSinkWants, Quality};
pub use opcode::{VoiceOpcode, WireForm};
pub use ready::{IceServer, VoiceReady};
pub use region::VoiceRegion;
pub use resume::VoiceResume;
pub use select_protocol::{ProtocolData, SelectProtocol};
pub use session_description::{SecretKey, SessionDescription};
pub use speaking::{Speaking, SpeakingEvent, SpeakingFlags};
pub use ssrc::Ssrc;
pub use version::VoiceVersion;
pub use video::{MediaType, ResolutionType, STREAMS_MAX, StreamResolution, Video, VideoEvent, VideoStream};
