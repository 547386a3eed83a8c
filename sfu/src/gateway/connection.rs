//! A connection before it belongs to a session.

use rookery_model::voice::{VoiceCloseCode, VoiceIdentify, VoiceResume};
use rookery_voice_session::{Connection, Event, Frame};
use std::future::poll_fn;
use std::sync::Arc;

use super::session;
use super::socket::{Incoming, Socket};
use crate::events::{AuthenticationFailed, SessionResumed};
use crate::mail::{Mail, Resume};
use crate::mailbox::mailbox;
use crate::shared::Shared;

/// Reads until the client identifies or resumes.
pub(super) async fn run(shared: Arc<Shared>, mut connection: Box<Connection>, mut socket: Socket) {
    loop {
        match connection.poll_event() {
            Some(Event::Identify(identify)) => return identified(shared, connection, socket, identify).await,
            Some(Event::Resume(resume)) => return resumed(shared, connection, socket, *resume).await,
            Some(Event::Close(code)) => return close(&shared, &mut connection, socket, code),
            // Everything else belongs to sessions.
            Some(_) => continue,
            None => {}
        }
        let due_ms = connection.poll_timeout();
        tokio::select! {
            biased;
            incoming = poll_fn(|cx| socket.poll(cx, || connection.poll_transmit())) => {
                let now_ms = shared.clock.now_ms();
                match incoming {
                    Incoming::Text(text) => connection.handle_frame(now_ms, Frame::Text(&text)),
                    Incoming::Binary(bytes) => connection.handle_frame(now_ms, Frame::Binary(&bytes)),
                    Incoming::Close(_) => return shared.close(socket, Vec::new(), None),
                    Incoming::Gone => return,
                }
            }
            () = shared.stopping.cancelled() => connection.close(VoiceCloseCode::VoiceServerCrashed),
            () = shared.clock.reached(due_ms) => connection.handle_timeout(shared.clock.now_ms()),
        }
    }
}

async fn identified(
    shared: Arc<Shared>,
    mut connection: Box<Connection>,
    socket: Socket,
    identify: Box<VoiceIdentify>,
) {
    let (mail, mailbox) = mailbox(shared.config.mailbox_capacity);
    match shared.directory.identify(shared.clock.now_ms(), &identify, mail) {
        Ok(identified) => {
            // The core's boxed connection is moved into the session's; its task is no larger for it.
            Box::pin(session::start(shared, *connection, socket, *identify, identified, mailbox)).await;
        }
        Err(code) => {
            AuthenticationFailed { opcode: "identify", code: code.code() }.emit();
            connection.close(code);
            close(&shared, &mut connection, socket, code);
        }
    }
}

async fn resumed(shared: Arc<Shared>, connection: Box<Connection>, socket: Socket, resume: VoiceResume) {
    let code = match shared.directory.resume(&resume) {
        Ok(session) => {
            let resume = Box::new(Resume { connection, socket, seq_ack: resume.seq_ack });
            let Err(Mail::Resume(resume)) = session.send(Mail::Resume(resume)).await else {
                return;
            };
            // It ended just now.
            let Resume { connection, socket, .. } = *resume;
            return refuse(&shared, connection, socket, VoiceCloseCode::SessionInvalid);
        }
        Err(code) => code,
    };
    refuse(&shared, connection, socket, code);
}

fn refuse(shared: &Shared, mut connection: Box<Connection>, socket: Socket, code: VoiceCloseCode) {
    SessionResumed { resumed: false }.emit();
    AuthenticationFailed { opcode: "resume", code: code.code() }.emit();
    connection.close(code);
    close(shared, &mut connection, socket, code);
}

/// Closes what belongs to no session.
pub(super) fn close(shared: &Shared, connection: &mut Connection, socket: Socket, code: VoiceCloseCode) {
    let left = std::iter::from_fn(|| connection.poll_transmit()).collect();
    shared.close(socket, left, Some(code));
}
