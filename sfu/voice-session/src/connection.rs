//! One client connection: HELLO, heartbeats, limits, decoding. It knows no session.

use rookery_model::voice::{VoiceCloseCode, VoiceOpcode, VoiceVersion};
use serde_json::{Number, json};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::config::VoiceConfig;
use crate::event::Event;
use crate::inbound::{ClientPayload, Envelope, Frame};
use crate::payload::envelope;
use crate::rate_limit::RateWindow;
use crate::transmit::Transmit;

/// Answers and events that may wait; a shell that drives the core as it should never leaves as many.
const WAITING_MAX: usize = 64;

/// The state of a connection, from HELLO until it is closed.
///
/// It starts alone, and is handed to a [`Session`](crate::Session) when the client identified or resumed.
pub struct Connection {
    config: Arc<VoiceConfig>,
    version: VoiceVersion,
    phase: Phase,
    heartbeat_due_ms: u64,
    rate: RateWindow,
    /// What has no number: HELLO, acknowledgements, RESUMED.
    control: VecDeque<Control>,
    events: VecDeque<Event>,
    /// The number in the newest heartbeat that the session has not looked at.
    acknowledged: Option<u16>,
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
    Closed(VoiceCloseCode),
}

enum Control {
    Hello,
    HeartbeatAck(Number),
    Resumed,
    BackendVersion,
}

impl Connection {
    /// A connection that was just opened; HELLO is its first message.
    pub fn new(now_ms: u64, config: Arc<VoiceConfig>, version: VoiceVersion) -> Self {
        Self {
            phase: Phase::Greeted { due_ms: now_ms.saturating_add(config.identify_timeout_ms) },
            heartbeat_due_ms: now_ms.saturating_add(config.heartbeat_timeout_ms),
            rate: RateWindow::default(),
            control: VecDeque::from([Control::Hello]),
            events: VecDeque::new(),
            acknowledged: None,
            config,
            version,
        }
    }

    /// What the client's address asked for.
    pub const fn version(&self) -> VoiceVersion {
        self.version
    }
    /// The limits that hold for it.
    pub const fn config(&self) -> &Arc<VoiceConfig> {
        &self.config
    }
    /// Whether it is closed: nothing is read any more, and only answers that already waited are written.
    pub const fn is_closed(&self) -> bool {
        self.closed_with().is_some()
    }
    /// The code that it is closed with.
    pub(crate) const fn closed_with(&self) -> Option<VoiceCloseCode> {
        match self.phase {
            Phase::Closed(code) => Some(code),
            Phase::Greeted { .. } | Phase::Authenticating | Phase::Attached => None,
        }
    }

    /// Takes a message of the client.
    pub fn handle_frame(&mut self, now_ms: u64, frame: Frame<'_>) {
        match self.receive(now_ms, frame) {
            // Before it belongs to a session there is nothing else that it may say.
            Ok(_) => {}
            Err(code) => self.close(code),
        }
    }

    /// As [`Self::handle_frame`]; gives what concerns the session.
    pub(crate) fn receive(&mut self, now_ms: u64, frame: Frame<'_>) -> Result<Option<ClientPayload>, VoiceCloseCode> {
        if self.is_closed() {
            return Ok(None);
        }
        if let Some(max_events) = self.config.rate_events
            && !self.rate.admit(now_ms, max_events, self.config.rate_window_ms)
        {
            return Err(VoiceCloseCode::RateLimited);
        }
        if frame.len() > self.config.payload_max_bytes {
            return Err(VoiceCloseCode::FailedToDecode);
        }
        let envelope = Envelope::decode(self.version, frame)?;
        // Who may not send it at all need not send it well.
        match (envelope.opcode, self.phase) {
            (VoiceOpcode::Heartbeat, _) => {}
            (VoiceOpcode::Identify | VoiceOpcode::Resume, Phase::Greeted { .. }) => {}
            (VoiceOpcode::Identify | VoiceOpcode::Resume, _) => return Err(VoiceCloseCode::AlreadyAuthenticated),
            (_, Phase::Attached) => {}
            _ => return Err(VoiceCloseCode::NotAuthenticated),
        }
        match envelope.payload()? {
            ClientPayload::Heartbeat { nonce, seq_ack } => {
                self.heartbeat_due_ms = now_ms.saturating_add(self.config.heartbeat_timeout_ms);
                self.acknowledged = seq_ack.or(self.acknowledged);
                self.send(Control::HeartbeatAck(nonce));
            }
            ClientPayload::Identify(identify) => {
                self.phase = Phase::Authenticating;
                self.act(Event::Identify(identify));
            }
            ClientPayload::Resume(resume) => {
                self.phase = Phase::Authenticating;
                self.act(Event::Resume(resume));
            }
            ClientPayload::VoiceBackendVersion => self.send(Control::BackendVersion),
            payload => return Ok(Some(payload)),
        }
        Ok(None)
    }

    /// Looks at the clock; to be called when [`poll_timeout`](Self::poll_timeout) has passed, after the frames that
    /// already arrived were handled.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.poll_timeout().is_some_and(|due_ms| now_ms >= due_ms) {
            self.close(VoiceCloseCode::SessionTimeout);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.phase {
            Phase::Closed(_) => None,
            Phase::Greeted { due_ms } => Some(due_ms.min(self.heartbeat_due_ms)),
            Phase::Authenticating | Phase::Attached => Some(self.heartbeat_due_ms),
        }
    }

    /// The next message to send; of a closed connection what waited when it was closed, to go out before the close frame.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let control = self.control.pop_front()?;
        Some(Transmit::Text(self.write(control)))
    }

    fn write(&self, control: Control) -> String {
        let (opcode, data) = match control {
            Control::Hello => {
                // As a float: songbird's type for it is one.
                let interval_ms = self.config.heartbeat_interval_ms as f64;
                (VoiceOpcode::Hello, json!({"v": self.version.number(), "heartbeat_interval": interval_ms}))
            }
            Control::HeartbeatAck(nonce) if self.version.is_numbered() => {
                (VoiceOpcode::HeartbeatAck, json!({"t": nonce}))
            }
            Control::HeartbeatAck(nonce) => (VoiceOpcode::HeartbeatAck, nonce.into()),
            Control::Resumed => (VoiceOpcode::Resumed, json!(null)),
            Control::BackendVersion => {
                let version = &self.config.backend_version;
                (VoiceOpcode::VoiceBackendVersion, json!({"voice": version, "rtc_worker": version}))
            }
        };
        envelope(opcode, &data.to_string(), None)
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends the connection: the shell is told to close, after the answers that wait.
    pub fn close(&mut self, code: VoiceCloseCode) {
        if !self.is_closed() {
            self.phase = Phase::Closed(code);
            self.events.push_back(Event::Close(code));
        }
    }

    /// Becomes a session's connection.
    pub(crate) fn attach(&mut self) {
        // A heartbeat before RESUME tells nothing: RESUME itself says what the client has.
        self.acknowledged = None;
        if !self.is_closed() {
            self.phase = Phase::Attached;
        }
    }
    pub(crate) fn resumed(&mut self) {
        self.send(Control::Resumed);
    }
    pub(crate) const fn take_acknowledged(&mut self) -> Option<u16> {
        self.acknowledged.take()
    }
    pub(crate) fn act(&mut self, event: Event) {
        if self.events.len() >= WAITING_MAX {
            self.close(VoiceCloseCode::RateLimited);
        } else if !self.is_closed() {
            self.events.push_back(event);
        }
    }

    fn send(&mut self, control: Control) {
        if self.is_closed() {
            return;
        }
        if self.control.len() >= WAITING_MAX {
            // It asks for answers and does not read them.
            self.control.clear();
            self.close(VoiceCloseCode::RateLimited);
        } else {
            self.control.push_back(control);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("version", &self.version).field("phase", &self.phase).finish_non_exhaustive()
    }
}
