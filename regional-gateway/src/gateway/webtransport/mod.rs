//! A WebTransport connection of the server's side: one ordered stream of payloads, and datagrams.

pub mod capsule;
pub mod certificates;
mod development;
pub mod frame;
pub mod http3;
pub mod listener;
mod quic;

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rookery_session::Transmit;
use tokio::io::{AsyncRead as _, ReadBuf};
use wtransport::VarInt;
use wtransport::proto::bytes::BytesWriter as _;
use wtransport::quinn::{self, RecvStream, SendStream};

use frame::{Frame, FrameError, FrameKind, FrameReader};
use http3::Session;

/// Bytes that one read takes at most; on the stack of the read.
const READ_BYTES: usize = 4_096;
/// Places for outgoing pieces that an idle connection keeps.
const KEEP_PIECES: usize = 4;
/// HTTP/3's "no error".
const H3_NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);

/// What came from the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    /// It closed the session with this code.
    Closed(u32),
}

/// Why nothing more can be received.
#[derive(Debug, thiserror::Error)]
pub enum RecvError {
    #[error("the connection ended")]
    Ended,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// An open session with its ordered stream.
pub struct WebTransport {
    connection: quinn::Connection,
    session: Session,
    send: SendStream,
    recv: RecvStream,
    /// The client ended its side of the stream: whether it closed the session shows on the session's own stream.
    recv_ended: bool,
    reader: FrameReader,
    /// Headers and payloads in turn.
    outgoing: VecDeque<Bytes>,
    queued_bytes: usize,
}

impl WebTransport {
    /// Puts together what the handshake brought.
    pub fn new(
        connection: quinn::Connection,
        session: Session,
        (send, recv): (SendStream, RecvStream),
        max_payload_bytes: usize,
    ) -> Self {
        Self {
            connection,
            session,
            send,
            recv,
            recv_ended: false,
            reader: FrameReader::new(max_payload_bytes),
            outgoing: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// Queues a payload; nothing is written before [`Self::poll_flush`].
    pub fn queue(&mut self, payload: Transmit) {
        let kind = if payload.is_binary { FrameKind::Binary } else { FrameKind::Text };
        let mut header = frame::header(kind, payload.len());
        self.queued_bytes += header.len() + payload.len();
        // What is this message's own goes in one piece; what is shared with others is not copied.
        let (head, data, tail) = payload.into_parts();
        header.extend_from_slice(&head);
        let pieces = [header.into(), data, Bytes::from_static(tail)];
        self.outgoing.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }

    /// Bytes queued and not yet taken by QUIC.
    pub const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// The next whole payload, or the end.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, RecvError>> {
        loop {
            match self.reader.next_frame()? {
                Some(Frame::Text(text)) => return Poll::Ready(Ok(Incoming::Text(text))),
                Some(Frame::Binary(bytes)) => return Poll::Ready(Ok(Incoming::Binary(bytes))),
                None => {}
            }
            if self.recv_ended || self.poll_read(cx).is_pending() {
                // What the client sent before it closed is read first.
                let code = ready!(self.session.poll_closed(cx)).or_else(|| self.close_code());
                return Poll::Ready(code.map(Incoming::Closed).ok_or(RecvError::Ended));
            }
        }
    }

    /// The code with which the client closed the whole connection, as clients that are no browsers do.
    fn close_code(&self) -> Option<u32> {
        match self.connection.close_reason()? {
            quinn::ConnectionError::ApplicationClosed(close) => u32::try_from(close.error_code.into_inner()).ok(),
            _ => None,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(Pin::new(&mut self.recv).poll_read(cx, &mut buffer));
        self.recv_ended = read.is_err() || buffer.filled().is_empty();
        self.reader.push(buffer.filled());
        Poll::Ready(())
    }

    /// Hands what is queued to QUIC; ready when all of it is taken, which a client that does not read delays.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let pieces = self.outgoing.make_contiguous();
            // Nothing is lost with a future that waits: what it wrote, it said.
            let written = ready!(pin!(self.send.write_chunks(pieces)).poll(cx))?;
            self.queued_bytes -= written.bytes;
            self.outgoing.drain(..written.chunks);
        }
        // A burst's queue is not kept by a connection that is idle afterwards.
        if self.outgoing.capacity() > KEEP_PIECES {
            self.outgoing = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a payload beside the stream, if it fits one packet and the network takes it now; whether it was sent.
    pub fn send_datagram(&self, payload: &[u8]) -> bool {
        // The session's number in quarters goes before it (RFC 9297, section 2.1).
        let Ok(quarter_id) = VarInt::try_from_u64(self.session.id() / 4) else { return false };
        let mut datagram = Vec::with_capacity(VarInt::MAX_SIZE + payload.len());
        if datagram.put_varint(quarter_id).is_err() {
            return false;
        }
        datagram.extend_from_slice(payload);
        // QUIC makes room by dropping what waits longest; here the newest is dropped, which costs nothing.
        let fits = self.connection.max_datagram_size().is_some_and(|max_bytes| datagram.len() <= max_bytes)
            && datagram.len() <= self.connection.datagram_send_buffer_space();
        fits && self.connection.send_datagram(datagram.into()).is_ok()
    }

    /// Sends what is queued, then closes the session with this code, and waits for the client to go; both for so long
    /// at most.
    pub async fn close(mut self, code: u16, reason: &str, within: Duration) {
        let good_bye = async {
            std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
            // Browsers drop what they have not read when the session closes: first all of it arrives.
            let _ = self.send.finish();
            let _ = self.send.stopped().await;
            self.session.close(code.into(), reason).await?;
            let code = std::future::poll_fn(|cx| self.session.poll_closed(cx)).await;
            tracing::trace!(?code, "the client closed too");
            io::Result::Ok(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(within, good_bye).await {
            tracing::debug!(%error, "a connection ended before it was closed");
        }
        self.connection.close(H3_NO_ERROR, reason.as_bytes());
    }

    /// Ends a session that the client closed.
    pub fn answer_close(self) {
        self.connection.close(H3_NO_ERROR, b"");
    }
}
