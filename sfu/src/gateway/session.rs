//! The task of a session, from IDENTIFY until its end, over all its connections.

use rookery_forwarder::Streams;
use rookery_model::voice::node::{VoiceLeaveReason, VoiceMember, VoiceNodeEvent};
use rookery_model::voice::{
    Codec, EncryptionMode, MediaType, SessionDescription, Ssrc, VideoStream, VoiceCloseCode, VoiceIdentify, VoiceReady,
};
use rookery_voice_session::{
    Connection, EndReason, Event, Frame, Resumption, Selected, Selection, Session, SessionInit,
};
use rookery_webrtc::Offer;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;
use tokio::sync::oneshot;

use super::connection;
use super::socket::{Incoming, Socket};
use crate::directory::{Identified, Live};
use crate::events::{NoRoute, OfferRefused, SessionEnded, SessionResumed, SessionStarted};
use crate::mail::{Mail, Resume};
use crate::mailbox::Mailbox;
use crate::media::{Command, PayloadTypes, Refused};
use crate::shared::Shared;

/// The highest version of end-to-end encryption that is spoken here.
const DAVE_MAX: u16 = 0;

struct SessionTask {
    shared: Arc<Shared>,
    session: Session,
    socket: Option<Socket>,
    mailbox: Mailbox,
    live: Live,
    /// Why it ends, if not for its client's doings.
    reason: Option<VoiceLeaveReason>,
    /// Whether the core knows that there is no socket.
    is_detached: bool,
}

/// Starts a session, in the place of another of the same member, and drives it until it is over.
pub(super) async fn start(
    shared: Arc<Shared>,
    mut connection: Connection,
    socket: Socket,
    identify: VoiceIdentify,
    identified: Identified,
    mailbox: Mailbox,
) {
    let Identified { live, replaced } = identified;
    let member = live.grant.member();
    if let Some(replaced) = replaced {
        end_replaced(&shared, replaced).await;
    }
    let begun = begin(&shared, &live, &identify).await;
    let (init, streams) = match begun {
        Ok(begun) => begun,
        Err(code) => {
            shared.directory.ended(shared.clock.now_ms(), &live, false);
            connection.close(code);
            return connection::close(&shared, &mut connection, socket, code);
        }
    };
    let ready = ready(&shared, &live, &identify, streams);
    drop(identify);
    let session = Session::new(init, ready, connection);
    SessionStarted { member: &member, version: session.version().number() }.emit();
    shared.events.tell(VoiceNodeEvent::Connected(member));
    let task = SessionTask { shared, session, socket: Some(socket), mailbox, live, reason: None, is_detached: false };
    // Boxed for itself, so that what was needed to start is given back.
    let tasks = task.shared.tasks.clone();
    tasks.spawn(task.run());
}

/// Ends the session that another takes the place of, before that begins.
async fn end_replaced(shared: &Shared, replaced: Live) {
    let member = replaced.grant.member();
    shared.command(replaced.grant.core, Command::Leave { member: replaced.reference() }).await;
    shared.events.tell(VoiceNodeEvent::Left { member, reason: VoiceLeaveReason::Replaced });
    let close = Mail::Close { code: VoiceCloseCode::Disconnected, reason: VoiceLeaveReason::Replaced };
    let _ = replaced.mail.send(close).await;
}

async fn begin(
    shared: &Shared,
    live: &Live,
    identify: &VoiceIdentify,
) -> Result<(SessionInit, Streams), VoiceCloseCode> {
    let init = SessionInit::from_identify(identify, live.grant.settings.dave, DAVE_MAX)?;
    let (reply, answer) = oneshot::channel();
    let (grant, mail) = (Arc::clone(&live.grant), live.mail.clone());
    shared.command(live.grant.core, Command::Join { grant, session: live.session, mail, reply }).await;
    match answer.await {
        Ok(Ok(streams)) => Ok((init, streams)),
        Ok(Err(Refused::Outdated)) => Err(VoiceCloseCode::Disconnected),
        Ok(Err(Refused::Full)) => Err(VoiceCloseCode::ServerNotFound),
        // The core stopped.
        Err(_) => Err(VoiceCloseCode::VoiceServerCrashed),
    }
}

fn ready(shared: &Shared, live: &Live, identify: &VoiceIdentify, streams: Streams) -> VoiceReady {
    let address = shared.cores[live.grant.core].0;
    let ip: IpAddr = shared.config.advertised_ip.unwrap_or(address.ip());
    // Whoever sends no video needs no SSRC for it.
    let wants_video = identify.video || !identify.streams.is_empty();
    let video = VideoStream {
        kind: MediaType::Video,
        rid: "100".into(),
        quality: 100,
        ssrc: Some(Ssrc(streams.video.0)),
        rtx_ssrc: Some(Ssrc(streams.rtx.0)),
        ..VideoStream::default()
    };
    VoiceReady {
        ssrc: Ssrc(streams.audio.0),
        ip: ip.to_canonical(),
        port: address.port(),
        modes: EncryptionMode::ALL.to_vec(),
        experiments: Vec::new(),
        streams: if wants_video { vec![video] } else { Vec::new() },
        ice_servers: shared.config.turn.servers(live.grant.user, SystemTime::now()).into_iter().collect(),
    }
}

impl SessionTask {
    async fn run(mut self) {
        while self.act().await.is_none() {
            let due_ms = self.session.poll_timeout();
            let Self { shared, session, socket, mailbox, reason, .. } = &mut self;
            tokio::select! {
                biased;
                incoming = poll_fn(|cx| match socket {
                    Some(socket) => socket.poll(cx, || session.poll_transmit()),
                    None => Poll::Pending,
                }) => self.incoming(incoming),
                mail = mailbox.recv() => self.mail(mail).await,
                () = shared.stopping.cancelled(), if reason.is_none() => {
                    let (code, reason) = (VoiceCloseCode::VoiceServerCrashed, VoiceLeaveReason::Drained);
                    self.mail(Mail::Close { code, reason }).await;
                }
                () = shared.clock.reached(due_ms) => self.session.handle_timeout(self.shared.clock.now_ms()),
            }
        }
    }

    /// Does what the session wants done; something once it is over.
    async fn act(&mut self) -> Option<()> {
        while let Some(event) = self.session.poll_event() {
            match event {
                // Boxed, as all that is seldom and large: what runs for long is no larger for it.
                Event::SelectProtocol(selection) => Box::pin(self.select(*selection)).await,
                Event::Speaking { flags, .. } => {
                    self.command(Command::Speaking { member: self.live.reference(), flags }).await;
                }
                Event::Close(code) => self.close(code),
                Event::Ended(reason) => {
                    Box::pin(self.end(reason)).await;
                    return Some(());
                }
                Event::Video(video) => self.command(Command::Video { member: self.live.reference(), video }).await,
                Event::MediaSinkWants(wants) => {
                    self.command(Command::MediaSinkWants { member: self.live.reference(), wants }).await;
                }
                Event::NoRoute => NoRoute.emit(),
                // End-to-end encryption is not done here yet; what codecs are called is agreed on with the protocol.
                Event::SessionUpdate(_) | Event::Dave(_) | Event::Identify(_) | Event::Resume(_) => {}
            }
        }
        let is_detached = self.socket.is_none();
        if std::mem::replace(&mut self.is_detached, is_detached) != is_detached {
            self.command(Command::Detached { member: self.live.reference(), is_detached }).await;
            if is_detached && !self.session.is_ended() {
                self.shared.events.tell(VoiceNodeEvent::Detached(self.member()));
            }
        }
        None
    }

    fn incoming(&mut self, incoming: Incoming) {
        let now_ms = self.shared.clock.now_ms();
        match incoming {
            Incoming::Text(text) => self.session.handle_frame(now_ms, Frame::Text(&text)),
            Incoming::Binary(bytes) => self.session.handle_frame(now_ms, Frame::Binary(&bytes)),
            Incoming::Close(code) => {
                if let Some(socket) = self.socket.take() {
                    self.shared.close(socket, Vec::new(), None);
                }
                self.session.handle_client_close(now_ms, code);
            }
            Incoming::Gone => {
                self.socket = None;
                self.session.handle_detached(now_ms);
            }
        }
    }

    async fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Events(notices) => {
                let user = self.live.grant.user;
                for notice in notices.iter().filter(|notice| notice.except != Some(user)) {
                    self.session.send(&notice.payload);
                }
            }
            Mail::Resume(resume) => Box::pin(self.resume(*resume)).await,
            Mail::Close { code, reason } => {
                self.reason = Some(reason);
                self.session.close(code);
                if self.socket.is_none() {
                    self.finish();
                }
            }
        }
    }

    async fn resume(&mut self, resume: Resume) {
        let Resume { connection, socket, seq_ack } = resume;
        match self.session.resume(*connection, seq_ack) {
            Ok(resumption) => {
                // The client has given the older one up.
                if let Some(older) = self.socket.replace(socket) {
                    self.shared.close(older, Vec::new(), Some(VoiceCloseCode::SessionInvalid));
                }
                SessionResumed { resumed: true }.emit();
                self.shared.events.tell(VoiceNodeEvent::Resumed(self.member()));
                if resumption == Resumption::StateLost {
                    self.command(Command::Resync { member: self.live.reference() }).await;
                }
            }
            Err(mut connection) => {
                SessionResumed { resumed: false }.emit();
                connection::close(&self.shared, &mut connection, socket, VoiceCloseCode::SessionInvalid);
            }
        }
    }

    async fn select(&mut self, selection: Selection) {
        match selection.selected {
            Selected::Udp { address, mode } => self.select_udp(address, mode, &selection.codecs).await,
            Selected::WebRtc { sdp } => self.select_web_rtc(&sdp, &selection.codecs).await,
        }
    }

    async fn select_udp(&mut self, claimed: Option<SocketAddr>, mode: EncryptionMode, codecs: &[Codec]) {
        let (reply, answer) = oneshot::channel();
        let (member, types) = (self.live.reference(), PayloadTypes::listed(codecs));
        let video = types.preferred_video();
        self.command(Command::Activate { member, mode, claimed, types, reply }).await;
        // None if the room has put it out: what closes the session is in the mailbox.
        let Ok(Some(secret_key)) = answer.await else { return };
        let description = self.description(video.name());
        self.session.describe(SessionDescription { mode: Some(mode), secret_key: Some(secret_key), ..description });
    }

    async fn select_web_rtc(&mut self, sdp: &str, codecs: &[Codec]) {
        let mut offer = match Offer::parse(sdp) {
            Ok(offer) => offer,
            Err(error) => {
                OfferRefused { error: &error }.emit();
                return self.session.close(VoiceCloseCode::BadRequest);
            }
        };
        for codec in codecs {
            offer.add_codec(&codec.name, codec.payload_type, codec.rtx_payload_type);
        }
        let (reply, answer) = oneshot::channel();
        let (member, types) = (self.live.reference(), PayloadTypes::offered(&offer));
        let video = types.preferred_video();
        self.command(Command::Offer { member, offer: Box::new(offer), types, reply }).await;
        let Ok(Some(answer)) = answer.await else { return };
        let description = self.description(video.name());
        self.session.describe(SessionDescription { sdp: Some(answer), ..description });
    }

    fn description(&self, video_codec: &str) -> SessionDescription {
        SessionDescription {
            audio_codec: "opus".into(),
            video_codec: video_codec.into(),
            media_session_id: format!("{:x}", self.live.session),
            mode: None,
            secret_key: None,
            sdp: None,
            keyframe_interval: None,
            dave_protocol_version: self.session.init().dave_protocol_version,
        }
    }

    /// Closes the connection, as the session said.
    fn close(&mut self, code: VoiceCloseCode) {
        let left = std::iter::from_fn(|| self.session.poll_transmit()).collect();
        if let Some(socket) = self.socket.take() {
            self.shared.close(socket, left, Some(code));
        }
        self.session.handle_detached(self.shared.clock.now_ms());
        if self.reason.is_some() {
            self.finish();
        }
    }

    /// A code after which clients resume leaves the session there; when it was told to end, that is over.
    fn finish(&mut self) {
        self.session.close(VoiceCloseCode::SessionInvalid);
    }

    async fn end(&mut self, reason: EndReason) {
        let (reason, may_return) = match (self.reason, reason) {
            (Some(reason), _) => (reason, false),
            (None, EndReason::ClosedByClient) => (VoiceLeaveReason::ClosedByClient, true),
            (None, EndReason::ResumeWindowPassed) => (VoiceLeaveReason::TimedOut, true),
            (None, EndReason::Closed(code)) => (VoiceLeaveReason::Protocol { code: code.code() }, true),
        };
        if let Some(socket) = self.socket.take() {
            self.shared.close(socket, Vec::new(), None);
        }
        self.command(Command::Leave { member: self.live.reference() }).await;
        self.shared.directory.ended(self.shared.clock.now_ms(), &self.live, may_return);
        let member = self.member();
        SessionEnded { member: &member, reason }.emit();
        // Whoever replaced it has told.
        if reason != VoiceLeaveReason::Replaced {
            self.shared.events.tell(VoiceNodeEvent::Left { member, reason });
        }
    }

    fn member(&self) -> VoiceMember {
        self.live.grant.member()
    }
    /// Boxed, so that the task has no room for a command while there is none.
    fn command(&self, command: Command) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.shared.command(self.live.grant.core, command))
    }
}
