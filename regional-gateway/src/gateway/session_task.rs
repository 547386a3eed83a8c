//! The task of one session: it moves events from the owners through the session's core to the socket, and frames back.
//!
//! There is one for every connected client, so it is a plain state machine: one small allocation, no futures inside.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rookery_guild::Subscriber;
use rookery_model::gateway::{CloseCode, Event};
use rookery_model::{ApiError, ErrorCode, GuildId};
use rookery_session::{Action, EndReason, Frame, Payload, Session};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::connection;
use super::input::{Attach, Control, Input};
use super::member_requests::{MemberRequests, TooMany};
use super::registry::{SessionHandle, Signal, Signals};
use super::socket::{Closing, Received, Socket};
use super::subscriptions::Subscriptions;
use crate::Region;
use crate::config::ms;
use crate::owners::guild::command::MembersCommand;

/// Frames and inbox entries taken in a row before the other sources, and other tasks, have their turn.
const FRAMES_AT_ONCE: usize = 16;
const INPUTS_AT_ONCE: usize = 128;
const ROUNDS_AT_ONCE: usize = 8;
/// How long the timer may be set ahead when nothing is due.
const FAR_MS: u64 = 3_600_000;

/// A running session.
pub struct SessionTask {
    region: Arc<Region>,
    handle: Arc<SessionHandle>,
    session: Session,
    inbox: mpsc::Receiver<Input>,
    socket: Option<Socket>,
    subscriptions: Subscriptions,
    member_requests: MemberRequests,
    is_bot: bool,
    /// As IDENTIFY asked: guilds with more members come without the offline ones.
    large_threshold: u32,
    /// How the connection is closed if the session ends now.
    last_word: Closing,
    timer: Pin<Box<Sleep>>,
    timer_ms: u64,
}

/// Whether a source had something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Some,
    None,
}

impl SessionTask {
    /// A session on the socket whose client identified.
    pub fn new(
        region: Arc<Region>,
        handle: Arc<SessionHandle>,
        session: Session,
        inbox: mpsc::Receiver<Input>,
        socket: Socket,
        is_bot: bool,
        large_threshold: u32,
    ) -> Self {
        let timer_ms = region.clock.now_ms();
        let timer = Box::pin(tokio::time::sleep_until(region.clock.instant(timer_ms)));
        Self {
            region,
            handle,
            session,
            inbox,
            socket: Some(socket),
            subscriptions: Subscriptions::default(),
            member_requests: MemberRequests::default(),
            is_bot,
            large_threshold,
            last_word: Closing::Abandon,
            timer,
            timer_ms,
        }
    }

    fn receive_signals(&mut self, cx: &mut Context<'_>) -> Progress {
        let Poll::Ready(signals) = self.handle.poll_signals(cx) else { return Progress::None };
        self.take_signals(signals);
        Progress::Some
    }

    fn take_signals(&mut self, signals: Signals) {
        let ends = [
            (Signal::Lost, Closing::Code(CloseCode::UnknownError)),
            (Signal::Shutdown, Closing::GoingAway),
            (Signal::Revoked, Closing::Code(CloseCode::AuthenticationFailed)),
        ];
        for (signal, closing) in ends {
            if signals.has(signal) {
                self.last_word = closing;
                self.session.revoke();
            }
        }
        if signals.has(Signal::Reconnect) {
            self.session.request_reconnect();
        }
    }

    fn receive_frames(&mut self, cx: &mut Context<'_>, now_ms: u64) -> Progress {
        for count in 0..FRAMES_AT_ONCE {
            let Some(socket) = &mut self.socket else {
                return if count == 0 { Progress::None } else { Progress::Some };
            };
            match socket.poll_receive(cx) {
                Poll::Pending => return if count == 0 { Progress::None } else { Progress::Some },
                Poll::Ready(Received::Text(text)) => self.session.handle_frame(now_ms, Frame::Text(&text)),
                Poll::Ready(Received::Binary(bytes)) => self.session.handle_frame(now_ms, Frame::Binary(&bytes)),
                Poll::Ready(Received::Broken(code)) => self.session.close(code),
                Poll::Ready(Received::Closed(code)) => {
                    let closing = if code.is_some() { Closing::Answer(code) } else { Closing::Abandon };
                    self.close_socket(closing);
                    self.session.handle_client_close(now_ms, code);
                }
            }
            // A close that the core asks for comes before the next frame.
            self.carry_out(now_ms);
        }
        Progress::Some
    }

    fn receive_inputs(&mut self, cx: &mut Context<'_>, now_ms: u64) -> Progress {
        for count in 0..INPUTS_AT_ONCE {
            match self.inbox.poll_recv(cx) {
                Poll::Ready(Some(input)) => self.take_input(now_ms, input),
                // The registry holds the other end for as long as this task runs.
                Poll::Ready(None) | Poll::Pending => {
                    return if count == 0 { Progress::None } else { Progress::Some };
                }
            }
        }
        Progress::Some
    }

    fn take_input(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Dispatch(payload) => {
                if !self.send_datagram(&payload) {
                    self.session.handle_dispatch(payload);
                }
            }
            Input::Own(event) => self.take_own(&event),
            Input::Control(Control::Attach(attach)) => self.attach(now_ms, *attach),
            Input::Control(Control::GuildJoined(id)) => {
                if self.session.holds_guild(id) {
                    self.subscriptions.want(id);
                }
            }
            Input::Control(Control::GuildLeft(id)) => {
                self.subscriptions.left(id);
            }
            Input::Control(Control::NotSubscribed(id, error)) => {
                if error.status >= 500 {
                    tracing::warn!(guild_id = %id, %error, "a guild is out of reach; the session tries again");
                    self.subscriptions.failed(id, now_ms);
                } else {
                    self.subscriptions.left(id);
                }
            }
            Input::Control(Control::Subscribed(id)) => self.subscriptions.confirmed(id),
            Input::Control(Control::NoMembers(id, error)) => self.no_members(now_ms, id, &error),
            Input::Control(Control::NotReady(error)) => {
                let unauthorized = error.is(ErrorCode::Unauthorized);
                tracing::info!(%error, "a session could not start");
                let code = if unauthorized { CloseCode::AuthenticationFailed } else { CloseCode::UnknownError };
                self.last_word = Closing::Code(code);
                self.session.revoke();
            }
        }
    }

    /// Sends what may be lost beside the stream, where there is such a way: it is then done with, sent or not.
    fn send_datagram(&self, payload: &Payload) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.has_datagrams()) else { return false };
        if !payload.event().is_ephemeral() {
            return false;
        }
        if let Some(bytes) = self.session.write_unnumbered(payload) {
            let result = if socket.send_datagram(&bytes) { "sent" } else { "dropped" };
            metrics::counter!("rookery_gateway_datagrams_total", "result" => result).increment(1);
        }
        true
    }

    fn take_own(&mut self, event: &Event) {
        let taken = self.session.handle_own_dispatch(event);
        match event {
            Event::Ready(ready) => ready.guilds.iter().for_each(|guild| self.subscriptions.want(guild.id)),
            Event::GuildCreate(_) if taken => self.subscriptions.measured(self.session.last_event_bytes()),
            Event::GuildMembersChunk(chunk) => self.member_requests.answered(chunk),
            _ => {}
        }
    }

    fn no_members(&mut self, now_ms: u64, guild_id: GuildId, error: &ApiError) {
        if error.status >= 500 {
            self.member_requests.failed(guild_id, now_ms);
        } else {
            self.member_requests.refused(guild_id);
        }
    }

    fn attach(&mut self, now_ms: u64, attach: Attach) {
        let Attach { connection, socket, seq } = attach;
        match self.session.resume(now_ms, connection, seq) {
            Ok(()) => {
                self.close_socket(Closing::Code(CloseCode::UnknownError));
                self.socket = Some(socket);
                metrics::counter!("rookery_gateway_resumes_total", "result" => "resumed").increment(1);
                tracing::debug!(seq, "resumed");
            }
            Err(connection) => {
                metrics::counter!("rookery_gateway_resumes_total", "result" => "refused").increment(1);
                connection::spawn(Arc::clone(&self.region), connection, socket);
            }
        }
    }

    fn watch_timer(&mut self, cx: &mut Context<'_>, now_ms: u64) -> Progress {
        let due_ms = self.due_ms();
        if due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.session.handle_timeout(now_ms);
        }
        // Deadlines mostly move away, with each heartbeat: the timer stays where it is and looks again when it fires.
        let wanted_ms = self.due_ms().unwrap_or(now_ms + FAR_MS).max(now_ms + 1);
        if self.timer.is_elapsed() || wanted_ms < self.timer_ms {
            self.timer_ms = wanted_ms;
            let at = self.region.clock.instant(wanted_ms);
            self.timer.as_mut().reset(at);
        }
        if self.timer.as_mut().poll(cx).is_ready() { Progress::Some } else { Progress::None }
    }

    fn due_ms(&self) -> Option<u64> {
        // Guilds are not asked while the client does not take what it has: then nothing of theirs is due.
        let guilds = [self.subscriptions.poll_timeout(), self.member_requests.poll_timeout()];
        let guilds = guilds.into_iter().flatten().filter(|_| self.session.has_room());
        guilds.chain(self.session.poll_timeout()).min()
    }

    /// Does what the core asks for; true when the session is over.
    fn carry_out(&mut self, now_ms: u64) -> bool {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Close(code) => {
                    self.transmit_answers();
                    self.close_socket(Closing::Code(code));
                    self.session.handle_detached(now_ms);
                }
                Action::Ended(reason) => self.end(reason),
                Action::RequestGuildMembers(request) => {
                    if let Err(TooMany) = self.member_requests.add(request, self.is_bot) {
                        self.session.close(CloseCode::RateLimited);
                    }
                }
                // A session's connection is past these.
                Action::Identify(_) | Action::Resume(_) => self.session.close(CloseCode::AlreadyAuthenticated),
                // Presence, voice, member lists and soundboards come with their own features.
                Action::PresenceUpdate(_)
                | Action::VoiceStateUpdate(_)
                | Action::GuildSubscriptions(_)
                | Action::RequestSoundboardSounds(_) => {}
            }
        }
        self.session.is_ended()
    }

    fn end(&mut self, reason: EndReason) {
        tracing::debug!(?reason, "the session is over");
        metrics::counter!("rookery_sessions_ended_total", "reason" => reason_name(reason)).increment(1);
        self.close_socket(self.last_word);
    }

    fn close_socket(&mut self, closing: Closing) {
        let Some(socket) = self.socket.take() else { return };
        let within = ms(self.region.config.gateway.close_timeout_ms);
        self.region.tasks.spawn(socket.close(closing, within));
    }

    /// Queues the answers that a connection still owes, before its close frame: few and small, so that no look at the
    /// socket's room is needed.
    fn transmit_answers(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        while let Some(transmit) = self.session.poll_transmit() {
            socket.queue(transmit);
        }
    }

    /// Subscribes to guilds as fast as the client takes their snapshots.
    fn ask_guilds(&mut self, now_ms: u64) {
        while self.subscriptions.is_starting() && self.session.has_room() {
            let at_once = self.region.config.gateway.subscribe_concurrency;
            let Some(guild_id) = self.subscriptions.next(now_ms, at_once, self.session.room_bytes()) else { return };
            let subscriber = Subscriber {
                id: self.handle.subscriber,
                user_id: self.handle.user_id,
                intents: self.session.intents(),
                large_threshold: self.large_threshold,
            };
            if self.region.owners.subscribe_guild(guild_id, Arc::clone(&self.handle), subscriber).is_err() {
                self.subscriptions.failed(guild_id, now_ms);
            }
        }
    }

    /// Asks for the next chunk of members as soon as the client has taken the last.
    fn ask_members(&mut self, now_ms: u64) {
        while self.session.has_room() {
            let Some((guild_id, request, cursor)) = self.member_requests.next(now_ms) else { return };
            let command = MembersCommand { guild_id, session: Arc::clone(&self.handle), request, cursor };
            if let Err(error) = self.region.owners.request_members(command) {
                self.no_members(now_ms, guild_id, &error);
            }
        }
    }

    /// Writes what waits, in as few writes as the socket allows.
    fn transmit(&mut self, cx: &mut Context<'_>, now_ms: u64) -> Progress {
        let mut progress = Progress::None;
        loop {
            let Some(socket) = &mut self.socket else { return progress };
            while socket.has_room() {
                let Some(transmit) = self.session.poll_transmit() else { break };
                socket.queue(transmit);
                progress = Progress::Some;
            }
            match socket.poll_flush(cx) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(())) => {
                    // Everything is out: once more, until the session has nothing either.
                    let Some(transmit) = self.session.poll_transmit() else { return progress };
                    socket.queue(transmit);
                    progress = Progress::Some;
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "the connection broke");
                    self.socket = None;
                    self.session.handle_detached(now_ms);
                    return Progress::Some;
                }
            }
        }
    }

    /// One look at every source; whether any had something.
    fn round(&mut self, cx: &mut Context<'_>) -> Progress {
        let now_ms = self.region.clock.now_ms();
        self.session.observe_time(now_ms);
        let sources = [
            self.receive_signals(cx),
            self.receive_frames(cx, now_ms),
            self.receive_inputs(cx, now_ms),
            self.watch_timer(cx, now_ms),
        ];
        if self.carry_out(now_ms) {
            return Progress::None;
        }
        self.ask_guilds(now_ms);
        self.ask_members(now_ms);
        let sent = self.transmit(cx, now_ms);
        // Writing can close a connection (a compressor that failed, a socket that broke).
        self.carry_out(now_ms);
        if sources.contains(&Progress::Some) { Progress::Some } else { sent }
    }

    /// Leaves no trace: registry, owners, and connections that came too late.
    fn take_leave(&mut self) {
        self.close_socket(self.last_word);
        self.region.sessions.remove(&self.handle);
        self.inbox.close();
        while let Ok(input) = self.inbox.try_recv() {
            if let Input::Control(Control::Attach(attach)) = input {
                let Attach { mut connection, socket, .. } = *attach;
                connection.invalid_session(self.region.clock.now_ms(), false);
                connection::spawn(Arc::clone(&self.region), Box::new(connection), socket);
            }
        }
        let guild_ids = self.subscriptions.take();
        self.region.owners.unsubscribe(self.handle.subscriber, self.handle.user_id, guild_ids);
    }
}

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..ROUNDS_AT_ONCE {
            let progress = this.round(cx);
            if this.session.is_ended() {
                this.take_leave();
                return Poll::Ready(());
            }
            if progress == Progress::None {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

const fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::ResumeWindowPassed => "resume_window_passed",
        EndReason::ClosedByClient => "closed_by_client",
        EndReason::ReplayOverflow => "replay_overflow",
        EndReason::Revoked => "revoked",
    }
}
