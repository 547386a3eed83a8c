//! TLS of the voice gateway, for many connections that idle.
//!
//! rustls does the handshake, and everything for a client of TLS 1.2. With TLS 1.3 only its secrets are kept after that:
//! its buffers, keys made ready and state take 7 KB of a connection that sends fifty bytes every few seconds.

mod records;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ProtocolVersion, ServerConfig};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use self::records::{RecordError, Records, Taken};

/// Bytes that one read takes at most; on the stack of the read, so a connection that idles holds none of them.
const READ_BYTES: usize = 4_096;
/// What may wait to be decrypted: a record of TLS, or the messages of a handshake.
const INCOMING_MAX_BYTES: usize = 24 * 1_024;
/// What may wait to be sent beside the one message that is written at a time: answers to a client that does not read them.
const ANSWERS_MAX_BYTES: usize = 16 * 1_024;
/// What is tried for a message of the handshake first.
const HANDSHAKE_BYTES: usize = 1_024;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("what came is too long, or asks for too much")]
    TooMuch,
    #[error("nothing can be written now")]
    NotReady,
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// The server's end of a connection after its handshake.
pub(crate) struct TlsStream {
    io: TcpStream,
    session: Session,
    /// What came and is not decrypted.
    incoming: Vec<u8>,
    /// What is decrypted and not read, from `read` on.
    plain: Vec<u8>,
    read: usize,
    /// What is encrypted and not written, from `written` on.
    outgoing: Vec<u8>,
    written: usize,
    /// The client sends no more.
    is_ended: bool,
}

enum Session {
    Whole(Box<UnbufferedServerConnection>),
    Records(Box<Records>),
}

/// What rustls wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Handshaking,
    Traffic,
    Ended,
}

/// Does the handshake. The configuration must let secrets be taken.
pub(crate) async fn accept(mut io: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
    let mut connection = UnbufferedServerConnection::new(config).map_err(TlsError::from)?;
    let (mut incoming, mut plain, mut outgoing) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = [0; READ_BYTES];
    loop {
        let progress = advance(&mut connection, &mut incoming, &mut plain, &mut outgoing);
        if progress.is_err() {
            say_why(&mut connection, &mut incoming, &mut outgoing);
        }
        io.write_all(&outgoing).await?;
        outgoing.clear();
        match progress? {
            Progress::Traffic if !connection.is_handshaking() => break,
            Progress::Ended => return Err(io::ErrorKind::UnexpectedEof.into()),
            Progress::Traffic | Progress::Handshaking => {}
        }
        match io.read(&mut bytes).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length if incoming.len() + length > INCOMING_MAX_BYTES => return Err(TlsError::TooMuch.into()),
            length => incoming.extend_from_slice(&bytes[..length]),
        }
    }
    let session = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => Session::Records(Box::new(Records::new(connection).map_err(TlsError::from)?)),
        _ => Session::Whole(Box::new(connection)),
    };
    incoming.shrink_to_fit();
    let outgoing = Vec::new();
    Ok(TlsStream { io, session, incoming, plain, read: 0, outgoing, written: 0, is_ended: false })
}

impl TlsStream {
    /// Waits until there is something to read; false at the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.read < self.plain.len() {
                return Poll::Ready(Ok(true));
            }
            if self.is_ended {
                return Poll::Ready(Ok(false));
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                // Without a word, which may be somebody else's doing.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.incoming.extend_from_slice(buffer.filled());
            self.decrypt()?;
        }
    }

    /// Takes what there is to read.
    pub(crate) fn take_plain(&mut self) -> Vec<u8> {
        let mut plain = std::mem::take(&mut self.plain);
        plain.drain(..std::mem::take(&mut self.read));
        plain
    }

    fn decrypt(&mut self) -> Result<(), TlsError> {
        if self.incoming.len() > INCOMING_MAX_BYTES || self.outgoing.len() - self.written > ANSWERS_MAX_BYTES {
            return Err(TlsError::TooMuch);
        }
        let Self { session, incoming, plain, outgoing, is_ended, .. } = self;
        match session {
            Session::Whole(connection) => {
                // Once more after the end, for what is to be answered.
                while advance(connection, incoming, plain, outgoing)? == Progress::Ended
                    && !std::mem::replace(is_ended, true)
                {}
            }
            Session::Records(records) => *is_ended |= records.take(incoming, plain, outgoing)? == Taken::Closed,
        }
        if incoming.is_empty() {
            *incoming = Vec::new();
        }
        Ok(())
    }

    /// Encrypts something; it is sent by [`poll_send`](Self::poll_send).
    pub(crate) fn queue(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.session {
            Session::Records(records) => records.write(data, &mut self.outgoing).map_err(TlsError::from)?,
            Session::Whole(connection) => {
                with_traffic(connection, &mut self.incoming, &mut self.outgoing, |traffic, out| {
                    encrypt(out, data.len(), |place| traffic.encrypt(data, place))
                })?
            }
        }
        Ok(())
    }

    /// Sends what was written; ready when the kernel has all of it.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.outgoing[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        (self.outgoing, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more comes, and ends the connection's side.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        match &mut self.session {
            Session::Records(records) => records.close(&mut self.outgoing).map_err(TlsError::from)?,
            Session::Whole(connection) => {
                with_traffic(connection, &mut self.incoming, &mut self.outgoing, |traffic, out| {
                    encrypt(out, 0, |place| traffic.queue_close_notify(place))
                })?
            }
        }
        std::future::poll_fn(|cx| self.poll_send(cx)).await?;
        self.io.shutdown().await
    }
}

/// Lets rustls do what it can with what came.
fn advance(
    connection: &mut UnbufferedServerConnection,
    incoming: &mut Vec<u8>,
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> Result<Progress, TlsError> {
    loop {
        let UnbufferedStatus { mut discard, state } = connection.process_tls_records(incoming);
        let progress = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                None
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode(&mut data, outgoing)?;
                None
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                None
            }
            ConnectionState::BlockedHandshake => Some(Progress::Handshaking),
            ConnectionState::WriteTraffic(_) => Some(Progress::Traffic),
            ConnectionState::PeerClosed | ConnectionState::Closed => Some(Progress::Ended),
            // Nothing is offered that could come before the handshake is done.
            _ => return Err(TlsError::NotReady),
        };
        incoming.drain(..discard);
        if let Some(progress) = progress {
            return Ok(progress);
        }
    }
}

/// Writes the alert for what failed, if there is one.
fn say_why(connection: &mut UnbufferedServerConnection, incoming: &mut [u8], outgoing: &mut Vec<u8>) {
    if let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process_tls_records(incoming).state {
        // Nobody is there to be told that it does not fit.
        let _ = encode(&mut data, outgoing);
    }
}

fn encode(
    data: &mut EncodeTlsData<'_, rustls::server::ServerConnectionData>,
    outgoing: &mut Vec<u8>,
) -> Result<(), TlsError> {
    let begin = outgoing.len();
    let mut room = HANDSHAKE_BYTES;
    loop {
        outgoing.resize(begin + room, 0);
        match data.encode(&mut outgoing[begin..]) {
            Ok(length) => {
                outgoing.truncate(begin + length);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) if needed.required_size > room => room = needed.required_size,
            Err(_) => {
                outgoing.truncate(begin);
                return Err(TlsError::NotReady);
            }
        }
    }
}

/// Writes while rustls may.
fn with_traffic(
    connection: &mut UnbufferedServerConnection,
    incoming: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
    write: impl FnOnce(&mut WriteTraffic<'_, rustls::server::ServerConnectionData>, &mut Vec<u8>) -> Result<(), TlsError>,
) -> Result<(), TlsError> {
    let UnbufferedStatus { discard, state } = connection.process_tls_records(incoming);
    let written = match state? {
        ConnectionState::WriteTraffic(mut traffic) => write(&mut traffic, outgoing),
        _ => Err(TlsError::NotReady),
    };
    incoming.drain(..discard);
    written
}

/// Makes room for what is encrypted of so many bytes.
fn encrypt(
    outgoing: &mut Vec<u8>,
    data_bytes: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let begin = outgoing.len();
    let mut room = data_bytes + HANDSHAKE_BYTES;
    loop {
        outgoing.resize(begin + room, 0);
        match write(&mut outgoing[begin..]) {
            Ok(length) => {
                outgoing.truncate(begin + length);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => room = needed.required_size,
            Err(_) => {
                outgoing.truncate(begin);
                return Err(TlsError::NotReady);
            }
        }
    }
}

// As the WebSocket's handshake reads and writes.
impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if ready!(self.poll_fill(cx))? {
            let length = buffer.remaining().min(self.plain.len() - self.read);
            buffer.put_slice(&self.plain[self.read..self.read + length]);
            self.read += length;
            if self.read == self.plain.len() {
                (self.plain, self.read) = (Vec::new(), 0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        self.queue(data)?;
        Poll::Ready(Ok(data.len()))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
