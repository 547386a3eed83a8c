//! A session: what outlives the connections of one client between IDENTIFY and the end of its resume window.

use rookery_model::gateway::{CloseCode, Event, Identify, Intents, Shard};
use rookery_model::{GuildId, UserId};
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::action::{Action, EndReason};
use crate::config::SessionConfig;
use crate::connection::Connection;
use crate::inbound::Frame;
use crate::params::Encoding;
use crate::payload::{Payload, sees_content, serialize};
use crate::replay::{Own, Replay, Stored, seconds};
use crate::transmit::Transmit;
use crate::unnumbered;

/// Who a session belongs to and what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInit {
    /// Unguessable, made by the shell; READY tells it to the client.
    pub session_id: Box<str>,
    pub user_id: UserId,
    /// None: everything, as people's clients get it.
    pub intents: Option<Intents>,
    /// None: not sharded.
    pub shard: Option<Shard>,
}

impl SessionInit {
    /// Checks what an authenticated client asked for; `granted` are the privileged intents that a bot's application has.
    ///
    /// Fails with 4010 for a shard that does not exist, 4013 for intents that do not exist or that a bot left out (every
    /// version spoken here wants them), 4014 for privileged ones without grant.
    pub fn from_identify(
        session_id: impl Into<Box<str>>,
        user_id: UserId,
        is_bot: bool,
        granted: Intents,
        identify: &Identify,
    ) -> Result<Self, CloseCode> {
        let shard = identify.shard()?;
        let intents = identify.intents()?;
        if is_bot {
            let asked = intents.ok_or(CloseCode::InvalidIntents)?;
            if !granted.contains(asked & Intents::PRIVILEGED) {
                return Err(CloseCode::DisallowedIntents);
            }
        }
        Ok(Self { session_id: session_id.into(), user_id, intents, shard })
    }
}

/// The state of a session.
pub struct Session {
    init: SessionInit,
    config: Arc<SessionConfig>,
    replay: Replay,
    /// The first event that was not given to the connection yet; what is before it, the client may have.
    next_unsent: u64,
    /// Up to here unsent events were waiting when the connection took over; they do not count against its backlog.
    exempt_until: u64,
    unsent_bytes: usize,
    /// Those of them that are of this session's own events, which come only as fast as the client reads.
    unsent_own_bytes: usize,
    /// How this session's own events are written.
    encoding: Encoding,
    /// The newest time that was told.
    now_ms: u64,
    link: Link,
}

enum Link {
    Attached(Box<Connection>),
    /// Waits for RESUME.
    Detached {
        until_ms: u64,
    },
    Ended {
        /// Not yet told to the shell.
        untold: Option<EndReason>,
    },
}

/// RESUMED is the same for everybody.
static RESUMED: LazyLock<Arc<Payload>> = LazyLock::new(|| Payload::new(Event::Resumed));

impl Session {
    /// Starts a session on the connection that identified. The first event given to it should be READY.
    pub fn new(init: SessionInit, mut connection: Connection) -> Self {
        connection.attach();
        Self {
            init,
            config: Arc::clone(connection.config()),
            replay: Replay::new(),
            next_unsent: 1,
            exempt_until: 0,
            unsent_bytes: 0,
            unsent_own_bytes: 0,
            encoding: connection.encoding(),
            now_ms: 0,
            link: Link::Attached(Box::new(connection)),
        }
    }

    /// A session that waits for RESUME.
    pub(crate) fn detached(
        init: SessionInit,
        config: Arc<SessionConfig>,
        replay: Replay,
        next_unsent: u64,
        encoding: Encoding,
        until_ms: u64,
    ) -> Self {
        Self {
            init,
            config,
            replay,
            next_unsent,
            exempt_until: 0,
            unsent_bytes: 0,
            unsent_own_bytes: 0,
            encoding,
            now_ms: 0,
            link: Link::Detached { until_ms },
        }
    }

    pub(crate) const fn init(&self) -> &SessionInit {
        &self.init
    }
    pub(crate) const fn replay(&self) -> &Replay {
        &self.replay
    }
    pub(crate) const fn next_unsent(&self) -> u64 {
        self.next_unsent
    }
    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }
    /// How long it would wait for RESUME if its connection were lost now, or waits still; none if it is over.
    pub(crate) fn resume_window_left_ms(&self, now_ms: u64) -> Option<u64> {
        match self.link {
            Link::Attached(_) => Some(self.config.resume_window_ms),
            Link::Detached { until_ms } => Some(until_ms.saturating_sub(now_ms)),
            Link::Ended { .. } => None,
        }
    }

    /// What the client knows it by.
    pub fn session_id(&self) -> &str {
        &self.init.session_id
    }
    /// Whose it is.
    pub const fn user_id(&self) -> UserId {
        self.init.user_id
    }
    /// What it asked for; none for everything.
    pub const fn intents(&self) -> Option<Intents> {
        self.init.intents
    }
    /// The shard it asked for.
    pub const fn shard(&self) -> Option<Shard> {
        self.init.shard
    }
    /// The number of the newest event.
    pub fn last_seq(&self) -> u64 {
        self.replay.last_seq()
    }
    /// Whether an open connection is attached.
    pub fn is_attached(&self) -> bool {
        self.open_connection().is_some()
    }
    /// Whether it is over.
    pub const fn is_ended(&self) -> bool {
        matches!(self.link, Link::Ended { .. })
    }
    /// Whether a guild's events concern this shard.
    pub fn holds_guild(&self, guild_id: GuildId) -> bool {
        self.init.shard.unwrap_or(Shard::WHOLE).holds_guild(guild_id)
    }
    /// Whether the intents let the event through.
    pub fn wants(&self, event: &Event) -> bool {
        let Some(intents) = self.init.intents else { return true };
        // Of changes of its own membership a session hears whatever it asked for.
        let is_own = matches!(event, Event::GuildMemberUpdate(m) if m.member.user.as_ref().map(|u| u.id) == Some(self.init.user_id));
        let required = event.required_intents();
        is_own || required.is_empty() || intents.intersects(required)
    }
    /// Whether events in bulk (the guilds of a READY, the members of a guild) may be asked for; when not, send what
    /// waits first. Never while nobody reads: what nobody takes would only push other events out of the replay buffer.
    pub fn has_room(&self) -> bool {
        self.room_bytes() > 0
    }
    /// Bytes of such events that may be asked for now.
    pub fn room_bytes(&self) -> usize {
        let reads = self.is_attached() && self.next_unsent > self.exempt_until;
        if !reads || self.unsent_events() >= self.config.unsent_max_events / 2 {
            return 0;
        }
        (self.config.unsent_max_bytes / 2).saturating_sub(self.unsent_bytes)
    }
    /// Bytes of the newest event's data.
    pub fn last_event_bytes(&self) -> usize {
        self.replay.get(self.last_seq()).map_or(0, Stored::bytes)
    }

    /// Tells the time, once a round; events that tell of a moment are dropped when it is over.
    pub const fn observe_time(&mut self, now_ms: u64) {
        if now_ms > self.now_ms {
            self.now_ms = now_ms;
        }
    }

    /// Takes a message of the client.
    pub fn handle_frame(&mut self, now_ms: u64, frame: Frame<'_>) {
        self.observe_time(now_ms);
        let sent = self.next_unsent - 1;
        let Link::Attached(connection) = &mut self.link else { return };
        connection.handle_frame(now_ms, frame);
        if let Some(seq) = connection.take_acknowledged() {
            // People's clients come back with what they acknowledged, or anew. Much of what they get, nobody else gets: the
            // list of the user's own sessions, friends.
            let is_bot = self.init.intents.is_some();
            let keep = if is_bot { self.config.replay_acknowledged_max_events } else { 0 };
            self.replay.acknowledge(seq.min(sent), keep);
        }
    }

    /// Looks at the clock; to be called when [`poll_timeout`](Self::poll_timeout) has passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.observe_time(now_ms);
        match &mut self.link {
            Link::Attached(connection) => connection.handle_timeout(now_ms),
            Link::Detached { until_ms } if now_ms >= *until_ms => self.end(EndReason::ResumeWindowPassed),
            Link::Detached { .. } | Link::Ended { .. } => {}
        }
    }

    /// Takes an event that others may get too; false if the session does not want it or is over.
    ///
    /// [Ephemeral](Event::is_ephemeral) ones are not taken while nobody reads, or reads too slowly.
    pub fn handle_dispatch(&mut self, payload: Arc<Payload>) -> bool {
        let event = payload.event();
        if self.is_ended() || !self.wants(event) || (event.is_ephemeral() && !self.keeps_up()) {
            return false;
        }
        let exposure = payload.exposure(self.init.user_id, sees_content(self.init.intents));
        let bytes = u32::try_from(payload.form(self.encoding, exposure).plain().len()).unwrap_or(u32::MAX);
        self.push(Stored::Shared { payload, exposure, bytes, at_s: seconds(self.now_ms) });
        true
    }

    /// Writes an event that gets no number and is not kept, for a way to the client beside the stream on which it may be
    /// lost; none if the session does not want it, or nobody is there.
    pub fn write_unnumbered(&self, payload: &Payload) -> Option<Vec<u8>> {
        if !self.is_attached() || !self.wants(payload.event()) {
            return None;
        }
        let exposure = payload.exposure(self.init.user_id, sees_content(self.init.intents));
        Some(unnumbered::write(self.encoding, payload.name(), payload.form(self.encoding, exposure).plain()))
    }

    /// Takes an event that only this session gets, such as READY and GUILD_CREATE; false if the session does not want
    /// it or is over.
    ///
    /// The shell asks for these only while the session [has room](Self::has_room). So their bytes do not make a slow
    /// consumer of a client that reads.
    ///
    /// Only its written form is kept, and that until the client acknowledges it: a session that idles costs little.
    pub fn handle_own_dispatch(&mut self, event: &Event) -> bool {
        if self.is_ended() || !self.wants(event) {
            return false;
        }
        let encoding = self.encoding;
        let data = serialize(encoding, event);
        self.push(Stored::Own(Box::new(Own { name: event.name().into(), encoding, data })));
        true
    }

    /// The socket is gone, without a close frame of the client or with another code than 1000 and 1001.
    pub fn handle_detached(&mut self, now_ms: u64) {
        if matches!(self.link, Link::Attached(_)) {
            self.link = Link::Detached { until_ms: now_ms.saturating_add(self.config.resume_window_ms) };
            (self.unsent_bytes, self.unsent_own_bytes) = (0, 0);
            self.end_if_unresumable();
        }
    }

    /// The client closed with this code: 1000 and 1001 give the session up.
    ///
    /// Source: "Initiating a Disconnect" of the API's documentation.
    pub fn handle_client_close(&mut self, now_ms: u64, code: Option<u16>) {
        match code {
            Some(1000 | 1001) if matches!(self.link, Link::Attached(_)) => self.end(EndReason::ClosedByClient),
            _ => self.handle_detached(now_ms),
        }
    }

    /// Continues on a new connection whose client, authenticated as [`user_id`](Self::user_id), received everything up
    /// to `seq`: what it missed goes out in order, then RESUMED.
    ///
    /// An older connection that is still there is dropped; the shell closes its socket. If the session cannot be
    /// resumed from `seq` the connection comes back, answered with 4007 (a number that was never given out) or INVALID
    /// SESSION (what followed is not kept any more): drive it on as before.
    pub fn resume(&mut self, now_ms: u64, mut connection: Connection, seq: u64) -> Result<(), Box<Connection>> {
        if self.is_ended() {
            connection.invalid_session(now_ms, false);
            return Err(Box::new(connection));
        }
        if seq > self.replay.last_seq() {
            connection.close(CloseCode::InvalidSeq);
            return Err(Box::new(connection));
        }
        if !self.replay.covers(seq, connection.encoding()) {
            connection.invalid_session(now_ms, false);
            return Err(Box::new(connection));
        }
        self.observe_time(now_ms);
        // What the client did not receive, it numbers as it comes now.
        self.replay.remove_ephemeral_after(seq);
        connection.attach();
        self.encoding = connection.encoding();
        self.link = Link::Attached(Box::new(connection));
        self.next_unsent = seq + 1;
        self.exempt_until = self.replay.last_seq();
        (self.unsent_bytes, self.unsent_own_bytes) = (0, 0);
        self.handle_dispatch(Arc::clone(&RESUMED));
        Ok(())
    }

    /// Asks the client to connect anew and resume, as when the node drains.
    pub fn request_reconnect(&mut self) {
        if let Link::Attached(connection) = &mut self.link {
            connection.request_reconnect();
        }
    }

    /// Closes the connection; the session stays and waits for RESUME.
    pub fn close(&mut self, code: CloseCode) {
        if let Link::Attached(connection) = &mut self.link {
            connection.close(code);
        }
    }

    /// Ends the session for good, as when its token was revoked. The shell closes the socket itself.
    pub fn revoke(&mut self) {
        self.end(EndReason::Revoked);
    }

    /// The next frame to send; call until none, then flush the socket once.
    ///
    /// Call it only while the socket takes more: what is not fetched counts as the connection's backlog. Of a connection
    /// that is to be closed it gives the answers that still wait, and no events: those are for RESUME.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let Link::Attached(connection) = &mut self.link else { return None };
        if let Some(transmit) = connection.poll_transmit() {
            return Some(transmit);
        }
        if connection.is_closed() {
            return None;
        }
        self.drop_stale();
        let Link::Attached(connection) = &mut self.link else { return None };
        let seq = self.next_unsent;
        let event = self.replay.get(seq)?;
        let transmit = connection.dispatch(event.name(), seq, event.body(self.encoding))?;
        self.next_unsent += 1;
        if seq > self.exempt_until {
            self.unsent_bytes = self.unsent_bytes.saturating_sub(event.bytes());
            if event.is_own() {
                self.unsent_own_bytes = self.unsent_own_bytes.saturating_sub(event.bytes());
            }
        }
        Some(transmit)
    }

    /// Takes out the next events to send as far as their moments are over; the numbers of what follows were not given
    /// to this connection yet.
    fn drop_stale(&mut self) {
        let seq = self.next_unsent;
        while self.replay.get(seq).is_some_and(|event| event.is_stale(self.now_ms)) {
            let bytes = self.replay.remove(seq).map_or(0, |event| event.bytes());
            if seq > self.exempt_until {
                self.unsent_bytes = self.unsent_bytes.saturating_sub(bytes);
            } else {
                self.exempt_until -= 1;
            }
        }
    }

    /// Whether a client reads, and has at most half of what it may have before it.
    fn keeps_up(&self) -> bool {
        self.is_attached()
            && self.unsent_events() <= self.config.unsent_max_events / 2
            && self.unsent_bytes <= self.config.unsent_max_bytes / 2
    }

    /// Reads here and there what taking and sending an event need, so that it is in the processor's caches by then; what it
    /// returns means nothing.
    pub fn touch(&self) -> u64 {
        let connection = match &self.link {
            Link::Attached(connection) => connection.touch(),
            Link::Detached { until_ms } => *until_ms,
            Link::Ended { .. } => 0,
        };
        connection ^ self.replay.touch() ^ self.next_unsent ^ self.now_ms ^ self.unsent_bytes as u64
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        match &self.link {
            Link::Attached(connection) => connection.poll_timeout(),
            Link::Detached { until_ms } => Some(*until_ms),
            Link::Ended { .. } => None,
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        match &mut self.link {
            Link::Attached(connection) => connection.poll_action(),
            Link::Detached { .. } => None,
            Link::Ended { untold } => untold.take().map(Action::Ended),
        }
    }

    fn open_connection(&self) -> Option<&Connection> {
        match &self.link {
            Link::Attached(connection) if !connection.is_closed() => Some(connection),
            _ => None,
        }
    }

    fn unsent_events(&self) -> usize {
        let sent = (self.next_unsent - 1).max(self.exempt_until);
        usize::try_from(self.replay.last_seq().saturating_sub(sent)).unwrap_or(usize::MAX)
    }

    fn push(&mut self, event: Stored) {
        let (bytes, own_bytes) = (event.bytes(), if event.is_own() { event.bytes() } else { 0 });
        let attached = self.is_attached();
        // What an open connection has still to send is bounded below.
        let keep_from = if attached { self.next_unsent } else { u64::MAX };
        self.replay.push(event, self.config.replay_max_events, self.config.replay_max_bytes, keep_from);
        if !attached {
            return self.end_if_unresumable();
        }
        self.unsent_bytes += bytes;
        self.unsent_own_bytes += own_bytes;
        let unsent_events = self.unsent_events();
        let shared_bytes = self.unsent_bytes - self.unsent_own_bytes;
        // A single event may be larger than the bound: it could otherwise never be sent.
        let behind = unsent_events > self.config.unsent_max_events
            || (shared_bytes > self.config.unsent_max_bytes && unsent_events > 1);
        if behind {
            self.close(CloseCode::UnknownError);
        }
    }

    /// Ends a waiting session when an event was dropped that the client cannot have.
    fn end_if_unresumable(&mut self) {
        if matches!(self.link, Link::Detached { .. }) && self.next_unsent < self.replay.first_seq() {
            self.end(EndReason::ReplayOverflow);
        }
    }

    fn end(&mut self, reason: EndReason) {
        if !self.is_ended() {
            self.link = Link::Ended { untold: Some(reason) };
            self.replay.clear();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user_id", &self.init.user_id)
            .field("intents", &self.init.intents)
            .field("last_seq", &self.last_seq())
            .field("attached", &self.is_attached())
            .finish_non_exhaustive()
    }
}
