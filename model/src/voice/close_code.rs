//! Close codes of the voice gateway.

/// Why the server closes a connection of the voice gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum VoiceCloseCode {
    UnknownOpcode = 4001,
    FailedToDecode = 4002,
    NotAuthenticated = 4003,
    AuthenticationFailed = 4004,
    AlreadyAuthenticated = 4005,
    SessionInvalid = 4006,
    SessionTimeout = 4009,
    ServerNotFound = 4011,
    UnknownProtocol = 4012,
    /// This client alone: put out, or moved. It does not come back by itself.
    Disconnected = 4014,
    /// The node goes, or cannot go on with this connection; clients RESUME.
    VoiceServerCrashed = 4015,
    UnknownEncryptionMode = 4016,
    /// The channel is end-to-end encrypted and the client cannot do that.
    DaveRequired = 4017,
    BadRequest = 4020,
    RateLimited = 4021,
    /// Everybody: the channel or the call is gone, or moved to another server.
    CallTerminated = 4022,
}

impl VoiceCloseCode {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::UnknownOpcode,
        Self::FailedToDecode,
        Self::NotAuthenticated,
        Self::AuthenticationFailed,
        Self::AlreadyAuthenticated,
        Self::SessionInvalid,
        Self::SessionTimeout,
        Self::ServerNotFound,
        Self::UnknownProtocol,
        Self::Disconnected,
        Self::VoiceServerCrashed,
        Self::UnknownEncryptionMode,
        Self::DaveRequired,
        Self::BadRequest,
        Self::RateLimited,
        Self::CallTerminated,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }
    /// Whether the session waits for RESUME afterwards.
    ///
    /// Clients differ in which codes they resume after: all of them after 4015, songbird after 4009 too.
    pub const fn can_resume(self) -> bool {
        matches!(self, Self::SessionTimeout | Self::VoiceServerCrashed)
    }
    /// The text that goes with it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownOpcode => "Unknown opcode.",
            Self::FailedToDecode => "Failed to decode payload.",
            Self::NotAuthenticated => "Not authenticated.",
            Self::AuthenticationFailed => "Authentication failed.",
            Self::AlreadyAuthenticated => "Already authenticated.",
            Self::SessionInvalid => "Session is no longer valid.",
            Self::SessionTimeout => "Session has timed out.",
            Self::ServerNotFound => "Server not found.",
            Self::UnknownProtocol => "Unknown protocol.",
            Self::Disconnected => "Disconnected.",
            Self::VoiceServerCrashed => "Voice server crashed.",
            Self::UnknownEncryptionMode => "Unknown encryption mode.",
            Self::DaveRequired => "E2EE/DAVE protocol required.",
            Self::BadRequest => "Bad request.",
            Self::RateLimited => "Rate limited.",
            Self::CallTerminated => "Call terminated.",
        }
    }
}
