//! What the core wants done outside of it.

use rookery_model::gateway::{
    CallConnect, CloseCode, GuildSubscriptions, GuildSubscriptionsBulk, Identify, PresenceUpdate, RequestChannelInfo,
    RequestGuildMembers, RequestSoundboardSounds, Resume, StreamRequest, VoiceStateUpdate,
};

/// Something for the shell to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Authenticate, then make a [`Session`](crate::Session) or [`close`](crate::Connection::close) the connection.
    Identify(Box<Identify>),
    /// Authenticate, find the session and hand it this connection with its socket, or answer
    /// [`invalid_session`](crate::Connection::invalid_session).
    Resume(Resume),
    PresenceUpdate(PresenceUpdate),
    VoiceStateUpdate(VoiceStateUpdate),
    CallConnect(CallConnect),
    RequestGuildMembers(RequestGuildMembers),
    GuildSubscriptions(GuildSubscriptions),
    GuildSubscriptionsBulk(GuildSubscriptionsBulk),
    RequestSoundboardSounds(RequestSoundboardSounds),
    RequestChannelInfo(RequestChannelInfo),
    Stream(StreamRequest),
    /// Send a close frame with this code and drop the socket, then call
    /// [`handle_detached`](crate::Session::handle_detached).
    Close(CloseCode),
    /// The session is over and can be dropped; nothing more will come of it.
    Ended(EndReason),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Nobody resumed it in time.
    ResumeWindowPassed,
    /// The client closed with 1000 or 1001, which gives the session up.
    ClosedByClient,
    /// It waits for RESUME, but what was not sent yet no longer fits the replay buffer: RESUME cannot succeed.
    ReplayOverflow,
    /// The shell ended it.
    Revoked,
}
