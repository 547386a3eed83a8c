//! A WebSocket connection of the server's side, over TCP.

pub mod frame;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use frame::{FrameError, FrameKind, FrameReader, HEADER_MAX_BYTES, Incoming, write_header};

/// Bytes that one read takes at most; on the stack of the read, so an idle connection holds none of them.
const READ_BYTES: usize = 4_096;
/// Pieces that one write hands to the kernel at most.
const WRITE_SLICES: usize = 64;

/// Places for outgoing frames that an idle connection keeps.
const KEEP_FRAMES: usize = 4;

/// Why nothing more can be received.
#[derive(Debug, thiserror::Error)]
pub enum RecvError {
    /// The client went away without a close frame.
    #[error("the connection ended")]
    Ended,
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A WebSocket after its handshake.
pub struct WebSocket {
    stream: TcpStream,
    reader: FrameReader,
    outgoing: VecDeque<OutgoingFrame>,
    /// Bytes of the first outgoing frame that are already written.
    written: usize,
    queued_bytes: usize,
}

struct OutgoingFrame {
    header: [u8; HEADER_MAX_BYTES],
    header_bytes: u8,
    body: Bytes,
}

impl OutgoingFrame {
    fn len(&self) -> usize {
        usize::from(self.header_bytes) + self.body.len()
    }
    /// The two pieces of it that are left after `skip` bytes.
    fn slices(&self, skip: usize) -> [&[u8]; 2] {
        let header = &self.header[..usize::from(self.header_bytes)];
        match header.get(skip..) {
            Some(rest) => [rest, &self.body],
            None => [&[], &self.body[skip - header.len()..]],
        }
    }
}

impl WebSocket {
    /// Takes over a stream on which the handshake is done.
    pub fn new(stream: TcpStream, max_message_bytes: usize) -> Self {
        Self {
            stream,
            reader: FrameReader::new(max_message_bytes),
            outgoing: VecDeque::new(),
            written: 0,
            queued_bytes: 0,
        }
    }

    /// Queues a frame; nothing is written before [`Self::poll_flush`].
    pub fn queue(&mut self, kind: FrameKind, body: Bytes) {
        let mut header = [0; HEADER_MAX_BYTES];
        let header_bytes = write_header(kind, body.len(), &mut header) as u8;
        let frame = OutgoingFrame { header, header_bytes, body };
        self.queued_bytes += frame.len();
        self.outgoing.push_back(frame);
    }

    /// Bytes queued and not yet taken by the kernel.
    pub const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// The next whole message.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, RecvError>> {
        loop {
            if let Some(message) = self.reader.next_message()? {
                return Poll::Ready(Ok(message));
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(RecvError::Ended));
            }
            self.reader.push(buffer.filled());
        }
    }

    /// Writes what is queued, many frames in one call of the kernel; ready when all of it is taken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            let pieces = self.outgoing.iter().enumerate().flat_map(|(i, frame)| {
                let skip = if i == 0 { self.written } else { 0 };
                frame.slices(skip)
            });
            let mut used = 0;
            for (slot, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
                *slot = IoSlice::new(piece);
                used += 1;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..used]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.take_written(written);
        }
        // A burst's queue is not kept by a connection that is idle afterwards.
        if self.outgoing.capacity() > KEEP_FRAMES {
            self.outgoing = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the end of the stream once everything is flushed.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn take_written(&mut self, bytes: usize) {
        self.queued_bytes -= bytes;
        self.written += bytes;
        while let Some(length) = self.outgoing.front().map(OutgoingFrame::len).filter(|len| *len <= self.written) {
            self.written -= length;
            self.outgoing.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

    use super::*;

    /// Our end and an independent implementation's end of one connection.
    async fn pair() -> (WebSocket, WebSocketStream<MaybeTlsStream<TcpStream>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let client = WebSocketStream::from_raw_socket(MaybeTlsStream::Plain(client), Role::Client, None).await;
        (WebSocket::new(server, 4_096), client)
    }

    #[tokio::test]
    async fn messages_of_every_length_arrive_both_ways() {
        let (mut server, mut client) = pair().await;
        let lengths = [0, 1, 125, 126, 127, 4_096];
        for length in lengths {
            client.send(Message::text("x".repeat(length))).await.unwrap();
            let got = poll_fn(|cx| server.poll_recv(cx)).await.unwrap();
            assert_eq!(got, Incoming::Text("x".repeat(length)));
        }
        let sent: Vec<Vec<u8>> = [0, 125, 126, 65_535, 65_536, 700_000].map(|n| vec![b'y'; n]).to_vec();
        for body in &sent {
            server.queue(FrameKind::Binary, body.clone().into());
        }
        let flush = poll_fn(|cx| server.poll_flush(cx));
        let receive = async {
            for body in &sent {
                assert!(client.next().await.unwrap().unwrap().into_data() == body[..]);
            }
        };
        tokio::join!(async { flush.await.unwrap() }, receive);
        assert_eq!((server.queued_bytes(), server.written, server.outgoing.capacity()), (0, 0, 0));
    }

    #[tokio::test]
    async fn pings_closes_and_ends_are_told_apart() {
        let (mut server, mut client) = pair().await;
        client.send(Message::Ping("hi".into())).await.unwrap();
        assert_eq!(poll_fn(|cx| server.poll_recv(cx)).await.unwrap(), Incoming::Ping(b"hi".to_vec()));
        server.queue(FrameKind::Pong, Bytes::from_static(b"hi"));
        server.queue(FrameKind::Close, frame::close_body(4000, "why").into());
        poll_fn(|cx| server.poll_flush(cx)).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("hi".into()));
        let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no close") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "why"));
        // Tungstenite answers the close frame, then waits for our end.
        let answer = poll_fn(|cx| server.poll_recv(cx));
        let client_answers = async {
            tokio::select! {
                answer = answer => answer.unwrap(),
                _ = client.next() => panic!("nothing more was sent"),
            }
        };
        assert_eq!(client_answers.await, Incoming::Close(Some(4000)));
        drop(client);
        assert!(matches!(poll_fn(|cx| server.poll_recv(cx)).await, Err(RecvError::Ended)));
    }
}
