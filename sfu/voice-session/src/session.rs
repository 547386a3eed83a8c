//! A session: what outlives the connections of one client between IDENTIFY and the end of its resume window.

use rookery_model::voice::{
    DavePolicy, EncryptionMode, SessionDescription, Speaking, Ssrc, Video, VoiceCloseCode, VoiceIdentify, VoiceReady,
    VoiceVersion,
};
use rookery_model::{ChannelId, UserId, VoiceServerId};
use std::fmt;
use std::sync::Arc;

use crate::config::VoiceConfig;
use crate::connection::Connection;
use crate::event::{EndReason, Event, Selected, Selection};
use crate::inbound::{ClientPayload, Frame};
use crate::outbox::Outbox;
use crate::payload::Payload;
use crate::transmit::Transmit;

/// Who a session belongs to and what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInit {
    pub server_id: VoiceServerId,
    /// As the client told it, which few do.
    pub channel_id: Option<ChannelId>,
    pub user_id: UserId,
    /// As the main gateway told it.
    pub session_id: Box<str>,
    /// 0: no end-to-end encryption.
    pub dave_protocol_version: u16,
}

impl SessionInit {
    /// Of what a client asked for whose token was found good; `dave_max` is the highest version of end-to-end encryption
    /// that the server speaks.
    ///
    /// Fails with 4017 if the channel requires it and there is no common version.
    pub fn from_identify(identify: &VoiceIdentify, dave: DavePolicy, dave_max: u16) -> Result<Self, VoiceCloseCode> {
        Ok(Self {
            server_id: identify.server_id,
            channel_id: identify.channel_id,
            user_id: identify.user_id,
            session_id: identify.session_id.as_str().into(),
            dave_protocol_version: dave.negotiate(identify.max_dave_protocol_version, dave_max)?,
        })
    }
}

/// How a session was taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The client gets what it missed.
    Replayed,
    /// It does not: its version numbers nothing. Tell it anew who is there and who speaks.
    StateLost,
}

/// The state of a session.
pub struct Session {
    init: SessionInit,
    config: Arc<VoiceConfig>,
    version: VoiceVersion,
    ssrcs: Ssrcs,
    modes: Vec<EncryptionMode>,
    way: Way,
    outbox: Outbox,
    link: Link,
}

/// The SSRCs that READY gave the client.
struct Ssrcs {
    audio: Ssrc,
    video: Vec<Ssrc>,
}

/// How far the client's media is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Unselected,
    Udp,
    WebRtc,
}

enum Link {
    Attached(Box<Connection>),
    /// Waits for RESUME.
    Detached {
        until_ms: u64,
    },
    Ended {
        /// Whose answers and close code still wait.
        closing: Option<Box<Connection>>,
        /// Not yet told to the shell.
        untold: Option<EndReason>,
    },
}

impl Session {
    /// Starts a session on the connection that identified, with READY.
    pub fn new(init: SessionInit, ready: VoiceReady, mut connection: Connection) -> Self {
        connection.attach();
        let config = Arc::clone(connection.config());
        let version = connection.version();
        let mut outbox = Outbox::new(version);
        outbox.push(Payload::ready(&ready), &config, true);
        let video = ready.streams.iter().flat_map(|stream| [stream.ssrc, stream.rtx_ssrc]).flatten().collect();
        Self {
            init,
            config,
            version,
            ssrcs: Ssrcs { audio: ready.ssrc, video },
            modes: ready.modes,
            way: Way::Unselected,
            outbox,
            link: Link::Attached(Box::new(connection)),
        }
    }

    /// Who it belongs to and what was agreed on.
    pub const fn init(&self) -> &SessionInit {
        &self.init
    }
    /// The SSRC of its audio.
    pub const fn ssrc(&self) -> Ssrc {
        self.ssrcs.audio
    }
    /// The version that its client speaks.
    pub const fn version(&self) -> VoiceVersion {
        self.version
    }
    /// Whether an open connection is attached.
    pub fn is_attached(&self) -> bool {
        matches!(&self.link, Link::Attached(connection) if !connection.is_closed())
    }
    /// Whether it is over.
    pub const fn is_ended(&self) -> bool {
        matches!(self.link, Link::Ended { .. })
    }

    /// Takes a message of the client.
    pub fn handle_frame(&mut self, now_ms: u64, frame: Frame<'_>) {
        let Link::Attached(connection) = &mut self.link else { return };
        let received = connection.receive(now_ms, frame);
        if let Some(seq) = connection.take_acknowledged() {
            self.outbox.acknowledge(seq);
        }
        let event = received.and_then(|payload| payload.map_or(Ok(None), |payload| self.event(payload)));
        match event {
            Ok(None) => {}
            Ok(Some(event)) => {
                if let Link::Attached(connection) = &mut self.link {
                    connection.act(event);
                }
            }
            Err(code) => self.close(code),
        }
        self.settle();
    }

    /// What a message means to the shell; none for what is passed over.
    fn event(&mut self, payload: ClientPayload) -> Result<Option<Event>, VoiceCloseCode> {
        Ok(Some(match payload {
            ClientPayload::SelectProtocol(selection) => self.select(selection)?,
            ClientPayload::Speaking(speaking) => self.speaking(speaking)?,
            ClientPayload::Video(video) => self.video(video)?,
            ClientPayload::SessionUpdate(update) => Event::SessionUpdate(update),
            ClientPayload::MediaSinkWants(wants) => Event::MediaSinkWants(wants),
            ClientPayload::NoRoute => Event::NoRoute,
            // Nothing was agreed on, so nothing follows from it.
            ClientPayload::Dave(_) if self.init.dave_protocol_version == 0 => return Ok(None),
            ClientPayload::Dave(message) => Event::Dave(message),
            ClientPayload::Heartbeat { .. }
            | ClientPayload::Identify(_)
            | ClientPayload::Resume(_)
            | ClientPayload::VoiceBackendVersion => return Ok(None),
        }))
    }

    fn select(&mut self, selection: Box<Selection>) -> Result<Event, VoiceCloseCode> {
        self.way = match &selection.selected {
            Selected::Udp { mode, .. } if !self.modes.contains(mode) => {
                return Err(VoiceCloseCode::UnknownEncryptionMode);
            }
            Selected::Udp { .. } => Way::Udp,
            Selected::WebRtc { .. } => Way::WebRtc,
        };
        Ok(Event::SelectProtocol(selection))
    }

    fn speaking(&self, speaking: Speaking) -> Result<Event, VoiceCloseCode> {
        let ssrc = speaking.ssrc.and_then(Ssrc::non_zero).unwrap_or(self.ssrcs.audio);
        self.check_own(ssrc)?;
        Ok(Event::Speaking { ssrc, flags: speaking.speaking })
    }

    fn video(&self, video: Box<Video>) -> Result<Event, VoiceCloseCode> {
        let streams = video.streams.iter().flat_map(|stream| [stream.ssrc, stream.rtx_ssrc]).flatten();
        for ssrc in [video.audio_ssrc, video.video_ssrc, video.rtx_ssrc].into_iter().chain(streams) {
            if let Some(ssrc) = ssrc.non_zero() {
                self.check_own(ssrc)?;
            }
        }
        Ok(Event::Video(video))
    }

    /// Over UDP a client sends with the SSRCs that READY gave it; a browser chooses its own, and says so in its SDP.
    fn check_own(&self, ssrc: Ssrc) -> Result<(), VoiceCloseCode> {
        let is_own = ssrc == self.ssrcs.audio || self.ssrcs.video.contains(&ssrc) || self.way == Way::WebRtc;
        if is_own { Ok(()) } else { Err(VoiceCloseCode::BadRequest) }
    }

    /// Answers SELECT_PROTOCOL.
    ///
    /// What was agreed on about end-to-end encryption is told as it is, whatever the description says.
    pub fn describe(&mut self, mut description: SessionDescription) {
        description.dave_protocol_version = self.init.dave_protocol_version;
        self.send(&Payload::session_description(&description));
    }

    /// Takes an event of the room; false if the session is over, or the client's version does not have it.
    pub fn send(&mut self, payload: &Arc<Payload>) -> bool {
        if self.is_ended() || !payload.opcode().exists_in(self.version) {
            return false;
        }
        self.outbox.push(Arc::clone(payload), &self.config, self.is_attached());
        if self.is_attached() && self.outbox.is_overfull(&self.config) {
            self.close(VoiceCloseCode::VoiceServerCrashed);
        }
        true
    }

    /// Looks at the clock; to be called when [`poll_timeout`](Self::poll_timeout) has passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        match &mut self.link {
            Link::Attached(connection) => connection.handle_timeout(now_ms),
            Link::Detached { until_ms } if now_ms >= *until_ms => self.end(EndReason::ResumeWindowPassed, None),
            Link::Detached { .. } | Link::Ended { .. } => {}
        }
        self.settle();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        match &self.link {
            Link::Attached(connection) => connection.poll_timeout(),
            Link::Detached { until_ms } => Some(*until_ms),
            Link::Ended { .. } => None,
        }
    }

    /// The socket is gone: broken, closed by the client with a code other than 1000 and 1001, or closed as
    /// [`Event::Close`] said.
    pub fn handle_detached(&mut self, now_ms: u64) {
        match &mut self.link {
            Link::Attached(_) => {
                self.outbox.detach();
                self.link = Link::Detached { until_ms: now_ms.saturating_add(self.config.resume_window_ms) };
            }
            Link::Detached { .. } => {}
            Link::Ended { closing, .. } => *closing = None,
        }
    }

    /// The client closed with this code: with 1000 and 1001 it leaves, with others and without it may come back.
    pub fn handle_client_close(&mut self, now_ms: u64, code: Option<u16>) {
        match code {
            Some(1000 | 1001) if matches!(self.link, Link::Attached(_)) => self.end(EndReason::ClosedByClient, None),
            _ => self.handle_detached(now_ms),
        }
    }

    /// Continues on a new connection whose client, authenticated as this session's, received everything up to `seq_ack`:
    /// RESUMED, then what it missed in order.
    ///
    /// RESUMED comes first because @discordjs/voice does not take binary messages before it. An older connection that is
    /// still there is dropped; the shell closes its socket. If the session cannot be resumed the connection comes back,
    /// closed with 4006.
    pub fn resume(&mut self, mut connection: Connection, seq_ack: Option<u16>) -> Result<Resumption, Box<Connection>> {
        let resumed = !self.is_ended() && connection.version() == self.version && self.outbox.resume(seq_ack).is_ok();
        if !resumed {
            connection.close(VoiceCloseCode::SessionInvalid);
            return Err(Box::new(connection));
        }
        connection.attach();
        connection.resumed();
        self.link = Link::Attached(Box::new(connection));
        Ok(if self.version.is_numbered() { Resumption::Replayed } else { Resumption::StateLost })
    }

    /// Closes the connection. The session stays for RESUME if the code [allows it](VoiceCloseCode::can_resume), and is
    /// over otherwise, with [`Event::Ended`] behind [`Event::Close`].
    pub fn close(&mut self, code: VoiceCloseCode) {
        match &mut self.link {
            Link::Attached(connection) => connection.close(code),
            Link::Detached { .. } if !code.can_resume() => self.end(EndReason::Closed(code), None),
            Link::Detached { .. } | Link::Ended { .. } => {}
        }
        self.settle();
    }

    /// The next message to send; call until none, then flush the socket once.
    ///
    /// Call it only while the socket takes more: what is not fetched counts as the client's backlog. Of a connection that
    /// is to be closed it gives the answers that still wait, and no events: those are for RESUME.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let connection = match &mut self.link {
            Link::Attached(connection) | Link::Ended { closing: Some(connection), .. } => connection,
            Link::Detached { .. } | Link::Ended { .. } => return None,
        };
        if let Some(transmit) = connection.poll_transmit() {
            return Some(transmit);
        }
        if connection.is_closed() {
            return None;
        }
        let (payload, seq) = self.outbox.take()?;
        Some(payload.write(self.version, seq))
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        match &mut self.link {
            Link::Attached(connection) => connection.poll_event(),
            Link::Detached { .. } => None,
            Link::Ended { closing, untold } => closing
                .as_mut()
                .and_then(|connection| connection.poll_event())
                .or_else(|| untold.take().map(Event::Ended)),
        }
    }

    /// Ends the session if its connection was closed with a code after which nobody resumes.
    fn settle(&mut self) {
        let Link::Attached(connection) = &mut self.link else { return };
        if let Some(code) = connection.closed_with().filter(|code| !code.can_resume()) {
            let until_told = Link::Detached { until_ms: 0 };
            if let Link::Attached(connection) = std::mem::replace(&mut self.link, until_told) {
                self.end(EndReason::Closed(code), Some(connection));
            }
        }
    }
    fn end(&mut self, reason: EndReason, closing: Option<Box<Connection>>) {
        self.outbox.clear();
        self.link = Link::Ended { closing, untold: Some(reason) };
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match &self.link {
            Link::Attached(_) => "attached",
            Link::Detached { .. } => "detached",
            Link::Ended { .. } => "ended",
        };
        f.debug_struct("Session").field("init", &self.init).field("link", &link).finish_non_exhaustive()
    }
}
