//! One client connection: HELLO, heartbeats, limits, decoding, encoding. It knows no session.

use rookery_model::gateway::{CloseCode, Opcode};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::action::Action;
use crate::compression::CompressionFailed;
use crate::config::SessionConfig;
use crate::envelope::Control;
use crate::inbound::{ClientPayload, Envelope, Frame};
use crate::outbound::Outbound;
use crate::params::GatewayParams;
use crate::payload::Body;
use crate::rate_limit::RateWindow;
use crate::transmit::Transmit;

/// Control payloads and actions that may wait; a shell that drives the core as it should never leaves as many.
const WAITING_MAX: usize = 256;

/// The state of a connection, from HELLO until it is closed.
///
/// It starts alone, and is handed to a [`Session`](crate::Session) when the client identified or resumed.
pub struct Connection {
    config: Arc<SessionConfig>,
    params: GatewayParams,
    phase: Phase,
    heartbeat_due_ms: u64,
    rate: RateWindow,
    outbound: Outbound,
    control: VecDeque<Control>,
    actions: VecDeque<Action>,
    /// The number in the newest heartbeat that the session has not looked at.
    acknowledged: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for IDENTIFY or RESUME.
    Greeted {
        due_ms: u64,
    },
    /// The shell authenticates.
    Authenticating,
    /// Belongs to a session.
    Attached,
    Closed,
}

impl Connection {
    /// A connection that was just opened with these parameters; HELLO is its first frame.
    pub fn new(now_ms: u64, config: Arc<SessionConfig>, params: GatewayParams) -> Self {
        let hello = Control::Hello { heartbeat_interval_ms: config.heartbeat_interval_ms };
        Self {
            phase: Phase::Greeted { due_ms: now_ms.saturating_add(config.identify_timeout_ms) },
            heartbeat_due_ms: now_ms.saturating_add(config.heartbeat_timeout_ms),
            rate: RateWindow::default(),
            outbound: Outbound::new(params, &config),
            control: VecDeque::from([hello]),
            actions: VecDeque::new(),
            acknowledged: None,
            config,
            params,
        }
    }

    /// What the client's address asked for.
    pub const fn params(&self) -> GatewayParams {
        self.params
    }
    /// The limits that hold for it.
    pub const fn config(&self) -> &Arc<SessionConfig> {
        &self.config
    }
    /// Whether it is closed: nothing is read any more, and only answers that already waited are written.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Takes a message of the client.
    pub fn handle_frame(&mut self, now_ms: u64, frame: Frame<'_>) {
        if self.is_closed() {
            return;
        }
        if let Err(code) = self.receive(now_ms, frame) {
            self.close(code);
        }
    }

    fn receive(&mut self, now_ms: u64, frame: Frame<'_>) -> Result<(), CloseCode> {
        if let Some(max_events) = self.config.rate_events
            && !self.rate.admit(now_ms, max_events, self.config.rate_window_ms)
        {
            return Err(CloseCode::RateLimited);
        }
        if frame.len() > self.config.payload_max_bytes {
            return Err(CloseCode::DecodeError);
        }
        let envelope = Envelope::decode(self.params.encoding, frame)?;
        // Who may not send it at all need not send it well.
        match (envelope.opcode, self.phase) {
            (Opcode::Heartbeat, _) => {}
            (Opcode::Identify | Opcode::Resume, Phase::Greeted { .. }) => {}
            (Opcode::Identify | Opcode::Resume, _) => return Err(CloseCode::AlreadyAuthenticated),
            (_, Phase::Attached) => {}
            _ => return Err(CloseCode::NotAuthenticated),
        }
        match envelope.payload()? {
            ClientPayload::Heartbeat(seq) => {
                self.heartbeat_due_ms = now_ms.saturating_add(self.config.heartbeat_timeout_ms);
                self.acknowledged = seq.or(self.acknowledged);
                self.send(Control::HeartbeatAck);
            }
            ClientPayload::Identify(identify) => {
                identify.shard()?;
                identify.intents()?;
                if identify.compress {
                    self.outbound.compress_payloads(self.params, &self.config);
                }
                self.phase = Phase::Authenticating;
                self.act(Action::Identify(identify));
            }
            ClientPayload::Resume(resume) => {
                self.phase = Phase::Authenticating;
                self.act(Action::Resume(resume));
            }
            ClientPayload::PresenceUpdate(d) => self.act(Action::PresenceUpdate(d)),
            ClientPayload::VoiceStateUpdate(d) => self.act(Action::VoiceStateUpdate(d)),
            ClientPayload::CallConnect(d) => self.act(Action::CallConnect(d)),
            ClientPayload::RequestGuildMembers(d) => self.act(Action::RequestGuildMembers(d)),
            ClientPayload::GuildSubscriptions(d) => self.act(Action::GuildSubscriptions(d)),
            ClientPayload::GuildSubscriptionsBulk(d) => self.act(Action::GuildSubscriptionsBulk(d)),
            ClientPayload::Stream(d) => self.act(Action::Stream(d)),
            ClientPayload::RequestSoundboardSounds(d) => self.act(Action::RequestSoundboardSounds(d)),
            ClientPayload::RequestChannelInfo(d) => self.act(Action::RequestChannelInfo(d)),
        }
        Ok(())
    }

    /// Looks at the clock; to be called when [`poll_timeout`](Self::poll_timeout) has passed, after the frames that
    /// already arrived were handled.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.poll_timeout().is_some_and(|due_ms| now_ms >= due_ms) {
            self.close(CloseCode::SessionTimedOut);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.phase {
            Phase::Closed => None,
            Phase::Greeted { due_ms } => Some(due_ms.min(self.heartbeat_due_ms)),
            Phase::Authenticating | Phase::Attached => Some(self.heartbeat_due_ms),
        }
    }

    /// See [`Session::touch`](crate::Session::touch).
    pub(crate) fn touch(&self) -> u64 {
        let queued = self.control.len() ^ self.actions.len();
        queued as u64 ^ self.heartbeat_due_ms ^ self.acknowledged.unwrap_or(0)
    }

    /// The next frame to send; of a closed connection what waited when it was closed, to go out before the close frame.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let control = self.control.pop_front()?;
        if self.control.is_empty() {
            self.control = VecDeque::new();
        }
        let written = self.outbound.control(control);
        self.written(written)
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if self.actions.is_empty() {
            self.actions = VecDeque::new();
        }
        action
    }

    /// Ends the connection: the shell is told to close, after the answers that wait, of which a client may have asked for
    /// as many as the rate limit lets it.
    pub fn close(&mut self, code: CloseCode) {
        if !self.is_closed() {
            self.phase = Phase::Closed;
            self.actions.push_back(Action::Close(code));
        }
    }

    /// As [`Self::close`], without anything before the close frame: nobody reads it, or it cannot be written.
    fn close_at_once(&mut self, code: CloseCode) {
        self.close(code);
        self.control = VecDeque::new();
    }

    /// Answers IDENTIFY or RESUME with INVALID SESSION; the client may try again on the same connection.
    pub fn invalid_session(&mut self, now_ms: u64, resumable: bool) {
        if !self.is_closed() {
            self.phase = Phase::Greeted { due_ms: now_ms.saturating_add(self.config.identify_timeout_ms) };
            self.send(Control::InvalidSession { resumable });
        }
    }

    /// Asks the client to connect anew and resume, with RECONNECT.
    pub fn request_reconnect(&mut self) {
        self.send(Control::Reconnect);
    }

    /// Becomes a session's connection.
    pub(crate) fn attach(&mut self) {
        // A heartbeat before RESUME tells nothing: RESUME itself says what the client has.
        self.acknowledged = None;
        if !self.is_closed() {
            self.phase = Phase::Attached;
        }
    }
    pub(crate) const fn take_acknowledged(&mut self) -> Option<u64> {
        self.acknowledged.take()
    }
    pub(crate) fn dispatch(&mut self, name: &str, seq: u64, body: Body<'_>) -> Option<Transmit> {
        let written = self.outbound.dispatch(name, seq, body);
        self.written(written)
    }
    pub(crate) const fn encoding(&self) -> crate::params::Encoding {
        self.outbound.encoding()
    }

    fn written(&mut self, written: Result<Transmit, CompressionFailed>) -> Option<Transmit> {
        written.map_err(|CompressionFailed| self.close_at_once(CloseCode::UnknownError)).ok()
    }
    fn send(&mut self, control: Control) {
        if self.is_closed() {
            return;
        }
        if self.control.len() >= WAITING_MAX {
            // It asks for answers and does not read them.
            self.close_at_once(CloseCode::UnknownError);
        } else {
            self.control.push_back(control);
        }
    }
    fn act(&mut self, action: Action) {
        if self.actions.len() >= WAITING_MAX {
            self.close(CloseCode::RateLimited);
        } else {
            self.actions.push_back(action);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("params", &self.params).field("phase", &self.phase).finish_non_exhaustive()
    }
}
