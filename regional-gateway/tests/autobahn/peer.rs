//! A client of WebSocket that writes whatever it is told, and reads no more than the protocol allows a server.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::case::{Chop, Event, Frame};

/// The example of RFC 6455, section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The longest head of an answer that is read.
const HEAD_MAX_BYTES: usize = 4_096;
/// What may have been read ahead of the script.
const HEARD_MAX: usize = 64;

/// One thing that the server did.
pub enum Heard {
    Event(Event),
    Close(Option<u16>),
    /// The stream ended in order.
    End,
    Reset,
    /// What no server may send.
    Wrong(&'static str),
}

/// The peer's end of a connection.
pub struct Peer {
    writer: OwnedWriteHalf,
    heard: mpsc::Receiver<Heard>,
    unsent: Vec<u8>,
    mask: u32,
    /// Bytes of its body that the frame had so far that is sent in parts.
    at: usize,
}

impl Peer {
    /// Shakes hands, with more headers in the request than it needs; the lines of the answer too.
    pub async fn connect(address: SocketAddr, more_headers: &str) -> (Self, Vec<String>) {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, mut writer) = stream.into_split();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more_headers}\r\n"
        );
        writer.write_all(request.as_bytes()).await.unwrap();
        let mut reader = BufReader::new(reader);
        let head = read_head(&mut reader).await;
        assert!(head[0].starts_with("HTTP/1.1 101 "), "{head:?}");
        let accept = head.iter().filter_map(|line| line.split_once(": "));
        let accept: Vec<&str> = accept
            .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(accept, [ACCEPT]);
        let (tell, heard) = mpsc::channel(HEARD_MAX);
        tokio::spawn(listen(reader, tell));
        (Self { writer, heard, unsent: Vec::new(), mask: 0x37fa_213d, at: 0 }, head)
    }

    /// What the server does next.
    pub async fn hear(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::End)
    }

    pub async fn send(&mut self, frame: &Frame, chop: Chop) {
        match chop {
            Chop::Joined => self.put(frame),
            Chop::Alone => {
                self.flush().await;
                self.put(frame);
                self.flush().await;
            }
            Chop::Octets(size) => {
                self.flush().await;
                self.put(frame);
                let bytes = std::mem::take(&mut self.unsent);
                for portion in bytes.chunks(size) {
                    self.write(portion).await;
                }
            }
        }
    }

    /// Begins a text frame whose body comes in parts.
    pub async fn begin(&mut self, body_bytes: usize) {
        self.put_header(0x81, body_bytes);
        self.at = 0;
    }

    /// Sends a part of the body of the frame that was begun.
    pub async fn part(&mut self, body: &[u8]) {
        self.put_masked(body, self.at);
        self.at += body.len();
        self.flush().await;
    }

    /// Writes what waits to be joined.
    pub async fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.unsent);
        self.write(&bytes).await;
    }

    /// A server that closed takes no more; what it said before is still to be read.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
        // So that portions are seen one by one.
        tokio::task::yield_now().await;
    }

    fn put(&mut self, frame: &Frame) {
        let first = (u8::from(frame.is_final) << 7) | (frame.rsv << 4) | frame.opcode;
        self.put_header(first, frame.body.len());
        self.put_masked(&frame.body, 0);
    }

    fn put_header(&mut self, first: u8, body_bytes: usize) {
        // Another mask for each frame; which one does not matter.
        self.mask = self.mask.wrapping_mul(0x9e37_79b1).rotate_left(5);
        self.unsent.push(first);
        match body_bytes {
            0..126 => self.unsent.push(0x80 | body_bytes as u8),
            126..0x1_0000 => {
                self.unsent.push(0xfe);
                self.unsent.extend((body_bytes as u16).to_be_bytes());
            }
            _ => {
                self.unsent.push(0xff);
                self.unsent.extend((body_bytes as u64).to_be_bytes());
            }
        }
        self.unsent.extend(self.mask.to_be_bytes());
    }

    fn put_masked(&mut self, body: &[u8], at: usize) {
        let mask = self.mask.to_be_bytes();
        self.unsent.extend(body.iter().enumerate().map(|(i, byte)| byte ^ mask[(at + i) & 3]));
    }
}

async fn read_head(reader: &mut BufReader<OwnedReadHalf>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut bytes = 0;
    loop {
        let mut line = String::new();
        bytes += reader.read_line(&mut line).await.unwrap();
        assert!(line.ends_with("\r\n") && bytes <= HEAD_MAX_BYTES, "{lines:?}");
        match line.trim_end() {
            "" => return lines,
            line => lines.push(line.to_owned()),
        }
    }
}

/// Reads until the connection is over or nobody listens.
async fn listen(mut reader: BufReader<OwnedReadHalf>, tell: mpsc::Sender<Heard>) {
    let mut message = None;
    loop {
        let heard = match read_frame(&mut reader).await {
            Ok(Some(frame)) => match take(&mut message, frame) {
                Some(heard) => heard,
                None => continue,
            },
            Ok(None) => Heard::End,
            Err(error) if error.kind() == ErrorKind::InvalidData => Heard::Wrong("a frame that no server may send"),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Heard::Wrong("half a frame"),
            Err(_) => Heard::Reset,
        };
        let is_over = !matches!(heard, Heard::Event(_) | Heard::Close(_));
        if tell.send(heard).await.is_err() || is_over {
            return;
        }
    }
}

/// The next frame; none at the end of the stream.
async fn read_frame(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Frame>> {
    let mut first = [0];
    if reader.read(&mut first).await? == 0 {
        return Ok(None);
    }
    let second = reader.read_u8().await?;
    let (body_bytes, least) = match second & 0x7f {
        126 => (u64::from(reader.read_u16().await?), 126),
        127 => (reader.read_u64().await?, 0x1_0000),
        short => (u64::from(short), 0),
    };
    let is_masked = second & 0x80 != 0;
    if is_masked || body_bytes < least || body_bytes > 1 << 30 {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; body_bytes as usize];
    reader.read_exact(&mut body).await?;
    let (rsv, opcode) = ((first[0] >> 4) & 7, first[0] & 15);
    Ok(Some(Frame { is_final: first[0] & 0x80 != 0, rsv, opcode, body: body.into() }))
}

/// What a frame completes; `message` is what came of a message so far.
fn take(message: &mut Option<(bool, Vec<u8>)>, frame: Frame) -> Option<Heard> {
    let is_control = frame.opcode >= 8;
    if frame.rsv != 0 || (is_control && (!frame.is_final || frame.body.len() > 125)) {
        return Some(Heard::Wrong("a reserved bit, or a control frame that is none"));
    }
    let event = match (frame.opcode, message.take()) {
        (0, Some((is_text, mut body))) => {
            body.extend_from_slice(&frame.body);
            return whole(message, is_text, body, frame.is_final);
        }
        (opcode @ (1 | 2), None) => return whole(message, opcode == 1, frame.body.into(), frame.is_final),
        (8, _) => return Some(close(&frame.body)),
        (9, rest) => {
            *message = rest;
            Event::Ping(frame.body)
        }
        (10, rest) => {
            *message = rest;
            Event::Pong(frame.body)
        }
        _ => return Some(Heard::Wrong("a frame out of order")),
    };
    Some(Heard::Event(event))
}

fn whole(message: &mut Option<(bool, Vec<u8>)>, is_text: bool, body: Vec<u8>, is_final: bool) -> Option<Heard> {
    if !is_final {
        *message = Some((is_text, body));
        return None;
    }
    if is_text && std::str::from_utf8(&body).is_err() {
        return Some(Heard::Wrong("text that is not UTF-8"));
    }
    Some(Heard::Event(Event::Message { is_text, body: body.into() }))
}

fn close(body: &Bytes) -> Heard {
    match body[..] {
        [] => Heard::Close(None),
        [a, b, ref reason @ ..] if std::str::from_utf8(reason).is_ok() => {
            Heard::Close(Some(u16::from_be_bytes([a, b])))
        }
        _ => Heard::Wrong("a close frame that no server may send"),
    }
}
