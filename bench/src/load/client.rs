//! One client: as little work as a client can do, since it shares the machine with the server.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use super::Speech;
use super::timestamps;

/// A WebSocket client that counts messages, or a bare socket that counts bytes.
pub struct Client {
    stream: TcpStream,
    state: State,
    /// Bytes of a frame's header, or of the head of its payload, that came so far.
    held: Vec<u8>,
    /// Bytes of the frame under way that are passed over.
    skip: usize,
    pub bytes: u64,
    pub messages: u64,
    /// Changes of presence that it was told of.
    pub presences: u64,
    /// Heartbeats sent, and answered.
    beats: u64,
    pub acks: u64,
    /// Frames that came, without the answers to heartbeats; counted where they cannot be read.
    frames: u64,
    /// It got its guild.
    pub is_ready: bool,
    /// The number of the last event.
    seq: u64,
    is_compressed: bool,
    /// The kernel's time of what came last, for those in the sample.
    pub last_ns: u64,
    is_sampled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Open,
    Bare,
}

/// Bytes of a payload that say which it is.
const HEAD_BYTES: usize = 64;

/// Clients of one source address, each perhaps with a socket of the floor beside; there are 28,000 ports.
const CLIENTS_OF_AN_ADDRESS: usize = 4_000;

/// Connects from an address of its own range, since one address has too few ports for so many. However its process ends, the
/// connection is reset: a port that waits for its time to pass is missing to the next run.
fn connected(to: SocketAddr, n: usize) -> anyhow::Result<std::net::TcpStream> {
    let source = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(n / CLIENTS_OF_AN_ADDRESS % 250).unwrap_or(0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&to.into()).context("connecting")?;
    let stream = std::net::TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Client {
    /// A session that asks for its upgrade.
    pub fn session(gateway: SocketAddr, n: usize, speech: Speech, is_sampled: bool) -> anyhow::Result<Self> {
        let mut stream = connected(gateway, n)?;
        let compress = match speech {
            Speech::Json => "",
            Speech::ZlibStream => "&compress=zlib-stream",
        };
        let request = format!(
            "GET /?v=10&encoding=json{compress} HTTP/1.1\r\nHost: {gateway}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        if is_sampled {
            timestamps::enable(&stream)?;
        }
        Self::new(stream, State::Handshake, speech, is_sampled)
    }

    /// A bare socket.
    pub fn bare(address: SocketAddr, n: usize) -> anyhow::Result<Self> {
        Self::new(connected(address, n)?, State::Bare, Speech::Json, false)
    }

    fn new(stream: std::net::TcpStream, state: State, speech: Speech, is_sampled: bool) -> anyhow::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            state,
            held: Vec::new(),
            skip: 0,
            bytes: 0,
            messages: 0,
            presences: 0,
            beats: 0,
            acks: 0,
            frames: 0,
            is_ready: false,
            seq: 0,
            is_compressed: speech != Speech::Json,
            last_ns: 0,
            is_sampled,
        })
    }

    /// Whether it counts bytes alone.
    pub const fn is_bare(&self) -> bool {
        matches!(self.state, State::Bare)
    }

    pub const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends IDENTIFY; it may be sent before HELLO came.
    fn identify(&mut self, token: &str) -> anyhow::Result<()> {
        let identify = serde_json::json!({
            "op": 2,
            "d": { "token": token, "properties": { "os": "linux", "browser": "bench", "device": "bench" } },
        });
        self.send(identify.to_string().as_bytes())
    }

    /// Acknowledges everything that came.
    pub fn heartbeat(&mut self) -> anyhow::Result<()> {
        self.beats += 1;
        let heartbeat = format!(r#"{{"op":1,"d":{}}}"#, self.seq);
        self.send(heartbeat.as_bytes())
    }

    /// Looks at members of a guild, by GUILD_SUBSCRIPTIONS.
    pub fn look(&mut self, guild_id: &str, members: &[String]) -> anyhow::Result<()> {
        let look = serde_json::json!({ "op": 14, "d": { "guild_id": guild_id, "members": members } });
        self.send(look.to_string().as_bytes())
    }

    /// Says a status of its user.
    pub fn say(&mut self, status: &str) -> anyhow::Result<()> {
        let update = serde_json::json!({ "status": status, "since": null, "activities": [], "afk": false });
        self.send(serde_json::json!({ "op": 3, "d": update }).to_string().as_bytes())
    }

    /// Masked with zeros, which the protocol allows.
    fn send(&mut self, text: &[u8]) -> anyhow::Result<()> {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()).ok().filter(|len| *len < 126) {
            Some(len) => frame.push(0x80 | len),
            None => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(text.len()).context("a short payload")?.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text);
        self.stream.write_all(&frame).context("a client's frame")
    }

    /// Reads what came.
    pub fn read(&mut self, buffer: &mut [u8], token: &str) -> anyhow::Result<()> {
        loop {
            let read = match self.receive(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.bytes += read as u64;
            let mut came = &buffer[..read];
            if self.state == State::Handshake {
                self.held.extend_from_slice(came);
                let Some(end) = self.held.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
                let rest = self.held.split_off(end + 4);
                self.held = Vec::new();
                self.state = State::Open;
                self.identify(token)?;
                self.take(&rest);
                came = &[];
            }
            if self.state == State::Open {
                self.take(came);
            }
            // Less than there was room for is all there is.
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.is_sampled {
            return self.stream.read(buffer);
        }
        let (read, at_ns) = timestamps::receive(&self.stream, buffer)?;
        self.last_ns = at_ns.unwrap_or(self.last_ns);
        Ok(read)
    }

    /// Counts the frames in what came: their heads are looked at, the rest is passed over.
    fn take(&mut self, mut came: &[u8]) {
        while !came.is_empty() {
            let passed = self.skip.min(came.len());
            self.skip -= passed;
            came = &came[passed..];
            if came.is_empty() {
                return;
            }
            // Mostly whole heads come at once; a byte at a time otherwise.
            self.held.push(came[0]);
            came = &came[1..];
            if let Some((head, rest)) = whole_head(&self.held) {
                let head = self.held[head..].to_vec();
                self.held.clear();
                self.skip = rest;
                self.count(&head);
            }
        }
    }

    fn count(&mut self, head: &[u8]) {
        if self.is_compressed {
            // Not looked into: HELLO, READY and GUILD_CREATE come first, answers to heartbeats while nothing else comes.
            if self.beats > self.acks {
                self.acks += 1;
                return;
            }
            self.frames += 1;
            self.seq = self.frames - 1;
            self.is_ready = self.frames >= 3;
            self.messages = self.frames.saturating_sub(3);
            return;
        }
        if head.starts_with(br#"{"t":""#) {
            self.seq += 1;
        }
        if head.starts_with(br#"{"t":"MESSAGE_CREATE""#) {
            self.messages += 1;
        } else if head.starts_with(br#"{"t":"PRESENCE_UPDATE""#) {
            self.presences += 1;
        } else if head.starts_with(br#"{"t":"GUILD_CREATE""#) {
            self.is_ready = true;
        } else if head.windows(7).any(|op| op == br#""op":11"#) {
            self.acks += 1;
        }
    }
}

/// Where the payload's head begins in these bytes, and how much of the payload is still to come; none while the head is
/// not whole.
fn whole_head(held: &[u8]) -> Option<(usize, usize)> {
    let (begin, len) = match held.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*held.get(2)?, *held.get(3)?]))),
        127 => (10, u64::from_be_bytes(held.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    let wanted = len.min(HEAD_BYTES);
    (held.len() >= begin + wanted).then_some((begin, len - wanted))
}
