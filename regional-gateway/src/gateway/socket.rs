//! A client's socket with its place among the connections, and how it is closed.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rookery_model::gateway::CloseCode;
use rookery_session::Transmit;

use super::admission::Admitted;
use super::websocket::frame::{FrameError, FrameKind, Incoming, close_body};
use super::websocket::{Batch, OutgoingFrame, RecvError, WebSocket};
use super::webtransport::{self, WebTransport};

/// Bytes handed to the socket ahead of the kernel; what is beyond stays in the session, which counts it.
const QUEUE_BYTES: usize = 32 * 1024;
/// Pings and pongs that a connection may send for each data message; a flood of them is no conversation.
const CONTROL_FRAMES_MAX: u32 = 256;

/// A process that ends waits no longer than this for a client's good-bye.
const GOING_AWAY_WITHIN: Duration = Duration::from_secs(2);
/// A client that was told everything has so long to end its side.
const LINGER_WITHIN: Duration = Duration::from_secs(2);

/// An open connection of a client.
pub struct Socket {
    transport: Transport,
    /// Control frames since the last data message.
    control_frames: u32,
    /// How the client broke the framing: nothing more of it can be read.
    broken: Option<FrameError>,
    _place: Admitted,
}

enum Transport {
    WebSocket(WebSocket),
    /// Boxed: it is larger, and rarer.
    WebTransport(Box<WebTransport>),
}

/// What came from the client.
pub enum Received {
    Text(String),
    Binary(Vec<u8>),
    /// The connection is over, with the close code that the client gave.
    Closed(Option<u16>),
    /// The client broke the framing: close with this.
    Broken(CloseCode),
}

impl From<Result<webtransport::Incoming, webtransport::RecvError>> for Received {
    fn from(received: Result<webtransport::Incoming, webtransport::RecvError>) -> Self {
        match received {
            Ok(webtransport::Incoming::Text(text)) => Self::Text(text),
            Ok(webtransport::Incoming::Binary(bytes)) => Self::Binary(bytes),
            // 0 is what a client closes with that gives no code.
            Ok(webtransport::Incoming::Closed(code)) => {
                Self::Closed(u16::try_from(code).ok().filter(|code| *code != 0).or(Some(1005)))
            }
            Err(webtransport::RecvError::Frame(_)) => Self::Broken(CloseCode::DecodeError),
            Err(webtransport::RecvError::Ended) => Self::Closed(None),
        }
    }
}

/// With what a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    Code(CloseCode),
    /// 1001, "going away".
    GoingAway,
    /// The answer to a close frame of the client.
    Answer(Option<u16>),
    /// Nobody is there to read a close frame.
    Abandon,
}

impl Socket {
    /// An open WebSocket that holds a place.
    pub const fn new(websocket: WebSocket, place: Admitted) -> Self {
        Self { transport: Transport::WebSocket(websocket), control_frames: 0, broken: None, _place: place }
    }

    /// An open WebTransport session that holds a place.
    pub fn webtransport(webtransport: WebTransport, place: Admitted) -> Self {
        let transport = Transport::WebTransport(Box::new(webtransport));
        Self { transport, control_frames: 0, broken: None, _place: place }
    }

    /// The next thing that came; pings are answered on the way.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let websocket = match &mut self.transport {
            Transport::WebSocket(websocket) => websocket,
            Transport::WebTransport(webtransport) => return webtransport.poll_recv(cx).map(Received::from),
        };
        loop {
            let message = match ready!(websocket.poll_recv(cx)) {
                Ok(message) => message,
                Err(RecvError::Frame(error)) => {
                    self.broken = Some(error);
                    let is_flood = matches!(error, FrameError::TooManyFragments { .. });
                    let code = if is_flood { CloseCode::RateLimited } else { CloseCode::DecodeError };
                    return Poll::Ready(Received::Broken(code));
                }
                Err(RecvError::Ended | RecvError::Io(_)) => return Poll::Ready(Received::Closed(None)),
            };
            match message {
                Incoming::Text(text) => {
                    self.control_frames = 0;
                    return Poll::Ready(Received::Text(text));
                }
                Incoming::Binary(bytes) => {
                    self.control_frames = 0;
                    return Poll::Ready(Received::Binary(bytes));
                }
                Incoming::Close(code) => return Poll::Ready(Received::Closed(code.or(Some(1005)))),
                Incoming::Ping(body) => {
                    // A client that does not read its pongs gets no more of them.
                    if websocket.queued_bytes() < QUEUE_BYTES {
                        websocket.queue(OutgoingFrame::whole(FrameKind::Pong, body.into()));
                    }
                }
                Incoming::Pong => {}
            }
            self.control_frames += 1;
            if self.control_frames > CONTROL_FRAMES_MAX {
                return Poll::Ready(Received::Broken(CloseCode::RateLimited));
            }
        }
    }

    /// Whether more should be fetched from the session.
    pub const fn has_room(&self) -> bool {
        self.queued_bytes() < QUEUE_BYTES
    }

    /// Bytes that wait for the kernel to take them.
    pub const fn queued_bytes(&self) -> usize {
        match &self.transport {
            Transport::WebSocket(websocket) => websocket.queued_bytes(),
            Transport::WebTransport(webtransport) => webtransport.queued_bytes(),
        }
    }

    /// Whether it carries datagrams beside the stream.
    pub const fn has_datagrams(&self) -> bool {
        matches!(self.transport, Transport::WebTransport(_))
    }

    /// Sends a payload that may be lost, beside the stream; whether it was sent.
    pub fn send_datagram(&self, payload: &[u8]) -> bool {
        match &self.transport {
            Transport::WebSocket(_) => false,
            Transport::WebTransport(webtransport) => webtransport.send_datagram(payload),
        }
    }

    /// Queues a frame of the session.
    pub fn queue(&mut self, transmit: Transmit) {
        match &mut self.transport {
            Transport::WebSocket(websocket) => websocket.queue(transmit.into()),
            Transport::WebTransport(webtransport) => webtransport.queue(transmit),
        }
    }

    /// Writes frames of the session, as many in one call of the kernel as there are, until it has no more or the kernel
    /// takes no more; whether there were some.
    pub fn transmit(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch,
        next: impl FnMut() -> Option<Transmit>,
    ) -> io::Result<bool> {
        match &mut self.transport {
            Transport::WebSocket(websocket) => transmit_websocket(websocket, cx, batch, next),
            Transport::WebTransport(webtransport) => transmit_webtransport(webtransport, cx, next),
        }
    }

    /// Writes what is queued.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::WebSocket(websocket) => websocket.poll_flush(cx),
            Transport::WebTransport(webtransport) => webtransport.poll_flush(cx),
        }
    }

    /// Says good-bye and waits for the client's, both for so long at most; then the socket is gone.
    pub async fn close(self, closing: Closing, mut within: Duration) {
        let Some((code, reason)) = self.last_words(closing) else { return };
        if closing == Closing::GoingAway {
            within = within.min(GOING_AWAY_WITHIN);
        }
        metrics::counter!("rookery_gateway_closes_total", "code" => code.to_string()).increment(1);
        let mut websocket = match self.transport {
            Transport::WebSocket(websocket) => websocket,
            Transport::WebTransport(webtransport) if matches!(closing, Closing::Answer(_)) => {
                return webtransport.answer_close();
            }
            Transport::WebTransport(webtransport) => return webtransport.close(code, reason, within).await,
        };
        websocket.queue(OutgoingFrame::whole(FrameKind::Close, close_body(code, reason).into()));
        let is_awaited = !matches!(closing, Closing::Answer(_)) && self.broken.is_none();
        let good_bye = say_good_bye(&mut websocket, is_awaited);
        if let Ok(Err(error)) = tokio::time::timeout(within, good_bye).await {
            tracing::debug!(%error, "a connection ended before it was closed");
        }
    }

    /// Code and reason of the close frame; none if nobody is there to read it.
    fn last_words(&self, closing: Closing) -> Option<(u16, &'static str)> {
        Some(match (closing, self.broken) {
            // WebSocket has codes of its own for what is wrong below the payloads.
            (Closing::Code(CloseCode::DecodeError), Some(FrameError::Protocol(_))) => (1002, "Protocol error."),
            (Closing::Code(CloseCode::DecodeError), Some(FrameError::NotUtf8)) => (1007, "Text is not UTF-8."),
            (Closing::Code(code), _) => (code.code(), code.reason()),
            (Closing::GoingAway, _) => (1001, "Going away."),
            // 1005 stands for "no code" and never goes on the wire.
            (Closing::Answer(code), _) => (code.filter(|code| *code != 1005).unwrap_or(1000), ""),
            (Closing::Abandon, _) => return None,
        })
    }
}

/// Writes what is queued, waits for the client's close frame if one is still to come, and ends the stream.
async fn say_good_bye(websocket: &mut WebSocket, mut is_awaited: bool) -> io::Result<()> {
    poll_fn(|cx| websocket.poll_flush(cx)).await?;
    let mut is_silent = false;
    while is_awaited {
        match poll_fn(|cx| websocket.poll_recv(cx)).await {
            Ok(Incoming::Close(_)) | Err(RecvError::Ended | RecvError::Io(_)) => {
                (is_awaited, is_silent) = (false, true);
            }
            Err(RecvError::Frame(_)) => is_awaited = false,
            // It was on its way, and is passed over.
            Ok(_) => {}
        }
    }
    poll_fn(|cx| websocket.poll_shutdown(cx)).await?;
    if is_silent {
        return Ok(());
    }
    // A socket that is dropped with something unread is reset, and the close frame may be lost with it.
    let end = poll_fn(|cx| websocket.poll_discard(cx));
    tokio::time::timeout(LINGER_WITHIN, end).await.unwrap_or(Ok(()))
}

fn transmit_websocket(
    websocket: &mut WebSocket,
    cx: &mut Context<'_>,
    batch: &mut Batch,
    mut next: impl FnMut() -> Option<Transmit>,
) -> io::Result<bool> {
    let mut some = false;
    loop {
        if !websocket.is_flushed() {
            while websocket.queued_bytes() < QUEUE_BYTES {
                let Some(transmit) = next() else { break };
                websocket.queue(transmit.into());
                some = true;
            }
            if websocket.poll_flush(cx)?.is_pending() {
                return Ok(some);
            }
        }
        batch.clear();
        while !batch.is_full() {
            let Some(transmit) = next() else { break };
            batch.push(transmit);
        }
        if batch.is_empty() {
            return Ok(some);
        }
        some = true;
        let may_be_more = batch.is_full();
        if websocket.write(batch)? && !may_be_more {
            return Ok(some);
        }
    }
}

/// QUIC packs what it takes into packets in a task of its own: a batch would save nothing here.
fn transmit_webtransport(
    webtransport: &mut WebTransport,
    cx: &mut Context<'_>,
    mut next: impl FnMut() -> Option<Transmit>,
) -> io::Result<bool> {
    let mut some = false;
    loop {
        let mut may_be_more = true;
        while may_be_more && webtransport.queued_bytes() < QUEUE_BYTES {
            match next() {
                Some(transmit) => webtransport.queue(transmit),
                None => may_be_more = false,
            }
            some |= may_be_more;
        }
        if webtransport.poll_flush(cx)?.is_pending() || !may_be_more {
            return Ok(some);
        }
    }
}
