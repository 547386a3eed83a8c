//! A client's WebSocket after its handshakes.

use futures_util::{Sink as _, Stream as _};
use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::Transmit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::admission::Admitted;

/// What came from a client.
pub(crate) enum Incoming {
    Message(Message),
    /// Its close frame, with the code if there was one.
    Close(Option<u16>),
    /// The connection is gone without one, or broken.
    Gone,
}

/// See the head of the file.
pub(crate) struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    _place: Admitted,
    needs_flush: bool,
}

impl Socket {
    pub(crate) fn new(stream: WebSocketStream<TlsStream<TcpStream>>, place: Admitted) -> Self {
        Self { stream, _place: place, needs_flush: false }
    }

    /// Writes what `next` gives while the client takes it, and gives what the client sent.
    ///
    /// Nothing is fetched that cannot be written, so that what waits counts as the client's backlog where it is kept.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, mut next: impl FnMut() -> Option<Transmit>) -> Poll<Incoming> {
        if self.poll_write(cx, &mut next).is_err() {
            return Poll::Ready(Incoming::Gone);
        }
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            Some(Ok(Message::Close(frame))) => Incoming::Close(frame.map(|frame| frame.code.into())),
            Some(Ok(message)) => Incoming::Message(message),
            // Too long for us to read on: the core's answer to what is somewhat too long is better, but comes too late.
            Some(Err(_)) | None => Incoming::Gone,
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, next: &mut impl FnMut() -> Option<Transmit>) -> Result<(), Error> {
        loop {
            match Pin::new(&mut self.stream).poll_ready(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready?,
            }
            match next() {
                Some(transmit) => {
                    self.needs_flush = true;
                    Pin::new(&mut self.stream).start_send(message(transmit))?;
                }
                None if self.needs_flush => {
                    if Pin::new(&mut self.stream).poll_flush(cx)?.is_pending() {
                        return Ok(());
                    }
                    self.needs_flush = false;
                }
                None => return Ok(()),
            }
        }
    }

    /// Sends what is left and a close frame, and waits until the client has closed too, all within a time.
    pub(crate) async fn close(mut self, left: Vec<Transmit>, code: Option<VoiceCloseCode>, within: Duration) {
        let closing = async {
            for transmit in left {
                futures_util::SinkExt::feed(&mut self.stream, message(transmit)).await?;
            }
            let frame =
                code.map(|code| CloseFrame { code: CloseCode::from(code.code()), reason: code.reason().into() });
            self.stream.close(frame).await?;
            while let Some(message) = futures_util::StreamExt::next(&mut self.stream).await {
                message?;
            }
            Ok::<(), Error>(())
        };
        // Whoever does not take part in it is closed anyway.
        let _ = tokio::time::timeout(within, closing).await;
    }
}

fn message(transmit: Transmit) -> Message {
    match transmit {
        Transmit::Text(text) => Message::text(text),
        Transmit::Binary(bytes) => Message::binary(bytes),
    }
}
