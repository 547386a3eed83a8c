//! Gateway opcodes.

/// What a gateway payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    Dispatch = 0,
    Heartbeat = 1,
    Identify = 2,
    PresenceUpdate = 3,
    VoiceStateUpdate = 4,
    Resume = 6,
    Reconnect = 7,
    RequestGuildMembers = 8,
    InvalidSession = 9,
    Hello = 10,
    HeartbeatAck = 11,
    /// A person's client asks for the call that goes on in a DM.
    CallConnect = 13,
    /// Lazy guilds, as user clients ask for them.
    GuildSubscriptions = 14,
    /// Go Live, as user clients speak of it.
    StreamCreate = 18,
    StreamDelete = 19,
    StreamWatch = 20,
    StreamPing = 21,
    StreamSetPaused = 22,
    RequestSoundboardSounds = 31,
    /// As [`Self::GuildSubscriptions`], for several guilds.
    GuildSubscriptionsBulk = 37,
    RequestChannelInfo = 43,
}

impl Opcode {
    /// The opcode of a number, if there is one.
    pub const fn from_u64(n: u64) -> Option<Self> {
        Some(match n {
            0 => Self::Dispatch,
            1 => Self::Heartbeat,
            2 => Self::Identify,
            3 => Self::PresenceUpdate,
            4 => Self::VoiceStateUpdate,
            6 => Self::Resume,
            7 => Self::Reconnect,
            8 => Self::RequestGuildMembers,
            9 => Self::InvalidSession,
            10 => Self::Hello,
            11 => Self::HeartbeatAck,
            13 => Self::CallConnect,
            14 => Self::GuildSubscriptions,
            18 => Self::StreamCreate,
            19 => Self::StreamDelete,
            20 => Self::StreamWatch,
            21 => Self::StreamPing,
            22 => Self::StreamSetPaused,
            31 => Self::RequestSoundboardSounds,
            37 => Self::GuildSubscriptionsBulk,
            43 => Self::RequestChannelInfo,
            _ => return None,
        })
    }
    /// Whether a client may send it.
    pub const fn is_from_client(self) -> bool {
        !matches!(self, Self::Dispatch | Self::Reconnect | Self::InvalidSession | Self::Hello | Self::HeartbeatAck)
    }
}
