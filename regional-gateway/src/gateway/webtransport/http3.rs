//! The little HTTP/3 that a WebTransport session is opened and closed with.
//!
//! Why not `wtransport::Connection`: it closes with a QUIC code, which browsers do not show to a page, and each takes a
//! task and seven queues. Here a session's worker drives the streams, and closes with a capsule. Settings, header
//! compression and the checks of a request are wtransport's.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, ReadBuf};
use wtransport::VarInt;
use wtransport::proto::frame::Frame;
use wtransport::proto::headers::Headers;
use wtransport::proto::ids::StatusCode;
use wtransport::proto::session::{SessionRequest, SessionResponse};
use wtransport::proto::settings::Settings;
use wtransport::proto::stream_header::StreamHeader;
use wtransport::quinn::{self, RecvStream, SendStream};

use super::capsule::{self, CapsuleReader};

/// Frames that open a session are no longer than this: settings, and the headers of one request.
const FRAME_MAX_BYTES: u64 = 4_096;
/// What the CONNECT stream carries is a capsule of a few bytes, once.
const READ_BYTES: usize = 256;

const CONTROL_STREAM: u64 = 0x00;
const HEADERS: u64 = 0x01;
const SETTINGS: u64 = 0x04;
const WEBTRANSPORT_STREAM: u64 = 0x41;

/// Why a client did not get a session.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the connection failed")]
    Connection(#[from] quinn::ConnectionError),
    #[error("a stream ended early")]
    Read(#[from] quinn::ReadExactError),
    #[error("a stream was given up")]
    Write(#[from] quinn::WriteError),
    #[error("the client does not speak HTTP/3 as it should: {0}")]
    Protocol(&'static str),
    #[error("there is nothing at this path")]
    NotFound,
}

/// A client's request for a session.
pub struct Request {
    request: SessionRequest,
    connect: (SendStream, RecvStream),
    control: Control,
}

/// The streams that neither end may close before the connection: ours, and the client's control and QPACK streams.
type Control = (SendStream, Vec<RecvStream>);

/// An open session, without its streams of payloads.
pub struct Session {
    connect: (SendStream, RecvStream),
    capsules: CapsuleReader,
    _control: Control,
}

/// Exchanges settings and reads the request.
pub async fn accept(connection: &quinn::Connection) -> Result<Request, HandshakeError> {
    let mut ours = connection.open_uni().await?;
    ours.write_all(&opening()).await?;
    let theirs = control_stream(connection).await?;
    let mut connect = connection.accept_bi().await?;
    let headers = read_frame(&mut connect.1, HEADERS).await?;
    let headers = Headers::with_frame(&Frame::new_headers(Cow::Owned(headers)))
        .map_err(|_| HandshakeError::Protocol("the headers do not decompress"))?;
    let request = SessionRequest::try_from(headers).map_err(|_| HandshakeError::Protocol("no WebTransport request"))?;
    Ok(Request { request, connect, control: (ours, theirs) })
}

impl Request {
    /// The path with its query.
    pub fn path(&self) -> &str {
        self.request.path()
    }

    /// Answers with another status than success.
    pub async fn refuse(mut self, status: StatusCode) -> Result<(), HandshakeError> {
        self.respond(&SessionResponse::with_status_code(status)).await?;
        // An answer that nobody waits for any more needs no end.
        let _ = self.connect.0.finish();
        let _ = self.connect.0.stopped().await;
        Ok(())
    }

    /// Opens the session.
    pub async fn accept(mut self) -> Result<Session, HandshakeError> {
        self.respond(&SessionResponse::ok()).await?;
        Ok(Session { connect: self.connect, capsules: CapsuleReader::default(), _control: self.control })
    }

    async fn respond(&mut self, response: &SessionResponse) -> Result<(), HandshakeError> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &response.headers().generate_frame());
        Ok(self.connect.0.write_all(&bytes).await?)
    }
}

impl Session {
    /// Its number: that of the CONNECT stream.
    pub fn id(&self) -> u64 {
        quinn::VarInt::from(self.connect.0.id()).into_inner()
    }

    /// The stream that the client opens for payloads, behind its header.
    pub async fn accept_stream(
        &self,
        connection: &quinn::Connection,
    ) -> Result<(SendStream, RecvStream), HandshakeError> {
        let (send, mut recv) = connection.accept_bi().await?;
        if read_varint(&mut recv).await? != WEBTRANSPORT_STREAM || read_varint(&mut recv).await? != self.id() {
            return Err(HandshakeError::Protocol("a stream that is not the session's"));
        }
        Ok((send, recv))
    }

    /// Waits for the client to close: its code, none if it went without one.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        loop {
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            if ready!(Pin::new(&mut self.connect.1).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(None);
            }
            if buffer.filled().is_empty() {
                // The end of the stream alone is the same as code 0 (draft-ietf-webtrans-http3, section 6).
                return Poll::Ready(Some(0));
            }
            match self.capsules.push(buffer.filled()) {
                Ok(None) => {}
                Ok(code) => return Poll::Ready(code),
                Err(capsule::Malformed) => return Poll::Ready(None),
            }
        }
    }

    /// Tells the client that the session is closed, and why.
    pub async fn close(&mut self, code: u32, reason: &str) -> Result<(), quinn::WriteError> {
        self.connect.0.write_all(&capsule::close(code, reason)).await?;
        // Only fails if it was finished before.
        let _ = self.connect.0.finish();
        Ok(())
    }
}

/// Our control stream's beginning.
fn opening() -> Vec<u8> {
    let settings = Settings::builder()
        .qpack_max_table_capacity(VarInt::from_u32(0))
        .qpack_blocked_streams(VarInt::from_u32(0))
        .enable_connect_protocol()
        .enable_webtransport()
        .enable_h3_datagrams()
        .webtransport_max_sessions(VarInt::from_u32(1))
        .build();
    let mut bytes = Vec::new();
    StreamHeader::new_control().write(&mut bytes).expect("a vector takes what is put");
    write_frame(&mut bytes, &settings.generate_frame());
    bytes
}

/// The client's streams up to its control stream, whose settings are read. Of the others nothing is wanted: they may
/// wait unread, and their number is limited.
async fn control_stream(connection: &quinn::Connection) -> Result<Vec<RecvStream>, HandshakeError> {
    let mut streams = Vec::new();
    loop {
        let mut stream = connection.accept_uni().await?;
        let is_control = read_varint(&mut stream).await? == CONTROL_STREAM;
        if is_control {
            let settings = read_frame(&mut stream, SETTINGS).await?;
            Settings::with_frame(&Frame::new_settings(Cow::Owned(settings)))
                .map_err(|_| HandshakeError::Protocol("its settings"))?;
        }
        streams.push(stream);
        if is_control {
            return Ok(streams);
        }
    }
}

/// The payload of the next frame of a type; those of types that nobody knows are passed over.
async fn read_frame(stream: &mut RecvStream, wanted: u64) -> Result<Vec<u8>, HandshakeError> {
    const KNOWN: [u64; 3] = [0x00, HEADERS, SETTINGS];
    loop {
        let (kind, length) = (read_varint(stream).await?, read_varint(stream).await?);
        if length > FRAME_MAX_BYTES {
            return Err(HandshakeError::Protocol("a frame that is too long"));
        }
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        if kind == wanted {
            return Ok(payload);
        }
        if KNOWN.contains(&kind) {
            return Err(HandshakeError::Protocol("a frame out of place"));
        }
    }
}

/// A variable-length integer (RFC 9000, section 16).
async fn read_varint(stream: &mut RecvStream) -> Result<u64, HandshakeError> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes[..1]).await?;
    let length = 1 << (bytes[0] >> 6);
    stream.read_exact(&mut bytes[1..length]).await?;
    bytes[0] &= 0x3f;
    Ok(bytes[..length].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn write_frame(bytes: &mut Vec<u8>, frame: &Frame<'_>) {
    frame.write(bytes).expect("a vector takes what is put");
}
