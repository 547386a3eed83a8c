//! A client's WebSocket after its handshakes.

use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::Transmit;
use rookery_websocket::{FrameKind, FrameReader, HEADER_MAX_BYTES, Incoming as Frame, close_body, write_header};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::admission::Admitted;
use super::tls::TlsStream;

/// What came from a client.
pub(crate) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    /// Its close frame, with the code if there was one.
    Close(Option<u16>),
    /// The connection is gone without one, or broken.
    Gone,
}

/// See the head of the file. Small, so that whatever holds it while it waits is small too.
pub(crate) struct Socket(Box<Inner>);

struct Inner {
    stream: TlsStream,
    reader: FrameReader,
    /// What the client closed with.
    closed: Option<Option<u16>>,
    _place: Admitted,
}

impl Socket {
    pub(crate) fn new(stream: TlsStream, place: Admitted, message_max_bytes: usize) -> Self {
        Self(Box::new(Inner { stream, reader: FrameReader::new(message_max_bytes), closed: None, _place: place }))
    }

    /// Writes what `next` gives while the client takes it, and gives what the client sent.
    ///
    /// Nothing is fetched that cannot be written, so that what waits counts as the client's backlog where it is kept.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, mut next: impl FnMut() -> Option<Transmit>) -> Poll<Incoming> {
        loop {
            if self.0.poll_write(cx, &mut next).is_err() {
                return Poll::Ready(Incoming::Gone);
            }
            return Poll::Ready(match ready!(self.0.poll_frame(cx)) {
                Ok(Frame::Text(text)) => Incoming::Text(text),
                Ok(Frame::Binary(bytes)) => Incoming::Binary(bytes),
                Ok(Frame::Close(code)) => Incoming::Close(code),
                Ok(Frame::Ping(body)) => match self.0.send(FrameKind::Pong, &body) {
                    Ok(()) => continue,
                    Err(_) => Incoming::Gone,
                },
                Ok(Frame::Pong) => continue,
                // Too long for us to read on: the core's answer to what is somewhat too long is better, but comes too late.
                Err(_) => Incoming::Gone,
            });
        }
    }

    /// Sends what is left and a close frame, and waits until the client has closed too, all within a time.
    pub(crate) async fn close(mut self, left: Vec<Transmit>, code: Option<VoiceCloseCode>, within: Duration) {
        // Whoever does not take part in it is closed anyway.
        let _ = tokio::time::timeout(within, self.0.close(left, code)).await;
    }
}

impl Inner {
    fn poll_write(&mut self, cx: &mut Context<'_>, next: &mut impl FnMut() -> Option<Transmit>) -> io::Result<()> {
        loop {
            match self.stream.poll_send(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(sent) => sent?,
            }
            match next() {
                Some(transmit) => self.transmit(&transmit)?,
                None => return Ok(()),
            }
        }
    }

    /// The next frame; none after the client's last.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Frame>> {
        loop {
            match self.reader.next_message() {
                Ok(Some(frame)) => {
                    if let Frame::Close(code) = frame {
                        self.closed = Some(code);
                    }
                    return Poll::Ready(Ok(frame));
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            }
            if !ready!(self.stream.poll_fill(cx))? {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let bytes = self.stream.take_plain();
            self.reader.push(&bytes);
        }
    }

    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let kind = match transmit {
            Transmit::Text(_) => FrameKind::Text,
            Transmit::Binary(_) => FrameKind::Binary,
        };
        self.send(kind, transmit.as_bytes())
    }

    fn send(&mut self, kind: FrameKind, body: &[u8]) -> io::Result<()> {
        let mut header = [0; HEADER_MAX_BYTES];
        let header_bytes = write_header(kind, body.len(), &mut header);
        // One record of TLS for what is not too long for one.
        self.stream.queue(&[&header[..header_bytes], body].concat())
    }

    async fn close(&mut self, left: Vec<Transmit>, code: Option<VoiceCloseCode>) -> io::Result<()> {
        for transmit in left {
            self.transmit(&transmit)?;
            poll_fn(|cx| self.stream.poll_send(cx)).await?;
        }
        let body = match (code, self.closed) {
            (Some(code), _) => close_body(code.code(), code.reason()),
            // As it closed.
            (None, Some(Some(code))) => close_body(code, ""),
            (None, _) => Vec::new(),
        };
        self.send(FrameKind::Close, &body)?;
        poll_fn(|cx| self.stream.poll_send(cx)).await?;
        while self.closed.is_none() {
            poll_fn(|cx| self.poll_frame(cx)).await?;
        }
        self.stream.end().await
    }
}
