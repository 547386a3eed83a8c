//! What a connection or session tells its shell.

use rookery_model::voice::{
    Codec, EncryptionMode, MediaSinkWants, SessionUpdate, SpeakingFlags, Ssrc, Video, VoiceCloseCode, VoiceIdentify,
    VoiceResume,
};
use std::net::SocketAddr;

/// Something that the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Look the token up, then make a [`Session`](crate::Session) of the connection or close it.
    Identify(Box<VoiceIdentify>),
    /// Look the token and the session up, then hand the connection to the session or close it.
    Resume(Box<VoiceResume>),
    /// Set the media up, then [`describe`](crate::Session::describe) it. May come again: a client whose way of media broke
    /// asks anew, and what was before is over.
    SelectProtocol(Box<Selection>),
    /// What the client sends from now on.
    Speaking { ssrc: Ssrc, flags: SpeakingFlags },
    /// Which video the client sends from now on.
    Video(Box<Video>),
    /// Codecs that the client knows from now on.
    SessionUpdate(SessionUpdate),
    /// What the client wants to see, whole: it replaces what was said before.
    MediaSinkWants(Box<MediaSinkWants>),
    /// A message about end-to-end encryption; only where that was agreed on.
    Dave(DaveMessage),
    /// The client found no way for its media.
    NoRoute,
    /// Send what [`poll_transmit`](crate::Session::poll_transmit) still gives, then close the socket with this code.
    Close(VoiceCloseCode),
    /// The session is over: take the member out of the room.
    Ended(EndReason),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client left, with 1000 or 1001.
    ClosedByClient,
    /// It was closed with a code after which nobody resumes.
    Closed(VoiceCloseCode),
    /// It did not come back.
    ResumeWindowPassed,
}

/// What a client chose in SELECT_PROTOCOL.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    pub selected: Selected,
    /// None named: Opus with payload type 120 and no video.
    pub codecs: Vec<Codec>,
    /// The client's name for it, for logs.
    pub rtc_connection_id: Option<String>,
    pub experiments: Vec<String>,
}

/// The way of a client's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    Udp {
        /// Where it says that it receives. None if that is no address: clients that only send may put anything.
        ///
        /// It is the client's word alone: nothing may be sent there before something came from there, or the server could be
        /// made to flood somebody else.
        address: Option<SocketAddr>,
        mode: EncryptionMode,
    },
    /// With the lines of the client's offer.
    WebRtc { sdp: String },
}

/// A message about end-to-end encryption from a client; the bytes are MLS messages, not looked at here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaveMessage {
    TransitionReady { transition_id: u16 },
    KeyPackage(Vec<u8>),
    CommitWelcome(Vec<u8>),
    InvalidCommitWelcome { transition_id: u16 },
}
