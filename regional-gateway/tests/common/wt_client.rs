//! A gateway client over `wtransport`'s own connection: an implementation of WebTransport that is not ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, endpoint::endpoint_side::Client};

use super::World;
use super::client::{Cut, Heard, identify};

/// Longer than anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct WtClient {
    pub connection: Connection,
    pub send: SendStream,
    pub recv: RecvStream,
    buffer: Vec<u8>,
    pub seq: u64,
    pub session_id: String,
    _endpoint: Arc<Endpoint<Client>>,
}

/// An endpoint that trusts the world's certificates.
pub fn endpoint(world: &World) -> Arc<Endpoint<Client>> {
    endpoint_that_trusts(&world.region().webtransport().expect("WebTransport is on").certificates.hashes())
}

/// An endpoint that trusts certificates by their hashes.
pub fn endpoint_that_trusts(hashes: &[String]) -> Arc<Endpoint<Client>> {
    let digests = hashes.iter().map(|hash| {
        let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&hash[2 * i..2 * i + 2], 16).unwrap()).collect();
        Sha256Digest::new(bytes.try_into().unwrap())
    });
    let config = ClientConfig::builder()
        .with_bind_address(SocketAddr::from(([127, 0, 0, 1], 0)))
        .with_server_certificate_hashes(digests)
        .build();
    Arc::new(Endpoint::client(config).unwrap())
}

impl WtClient {
    /// Opens a session and takes its HELLO.
    pub async fn connect(world: &World) -> Self {
        Self::connect_to(world, world.running.webtransport_addr.unwrap()).await
    }

    /// As [`Self::connect`], by way of another address.
    pub async fn connect_to(world: &World, address: SocketAddr) -> Self {
        let mut client = Self::open(endpoint(world), address, "/gateway?v=10&encoding=json").await;
        let hello = client.payload().await;
        assert_eq!(hello["op"], 10);
        client
    }

    pub async fn open(endpoint: Arc<Endpoint<Client>>, address: SocketAddr, path: &str) -> Self {
        let connection = endpoint.connect(format!("https://{address}{path}")).await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap().await.unwrap();
        Self { connection, send, recv, buffer: Vec::new(), seq: 0, session_id: String::new(), _endpoint: endpoint }
    }

    pub async fn send(&mut self, payload: Value) {
        self.send_frame(0, payload.to_string().as_bytes()).await;
    }

    /// A frame as the documentation has it.
    pub async fn send_frame(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![kind];
        match payload.len() {
            length @ 0..64 => frame.push(length as u8),
            length => frame.extend((length as u32 | 0x8000_0000).to_be_bytes()),
        }
        frame.extend(payload);
        // The server may have closed in the middle of a frame that is too long; what it closed with is heard later.
        let _ = self.send.write_all(&frame).await;
    }

    /// What comes next on the stream, whatever it is.
    pub async fn hear(&mut self) -> Heard {
        loop {
            if let Some(payload) = self.take_frame() {
                if let Some(seq) = payload["s"].as_u64() {
                    assert_eq!(seq, self.seq + 1, "numbers have no gap and none comes twice: {payload}");
                    self.seq = seq;
                }
                // The comings and goings of others come at any time.
                if payload["t"] == "PRESENCE_UPDATE" || payload["t"] == "SESSIONS_REPLACE" {
                    continue;
                }
                return Heard::Payload(payload);
            }
            let mut bytes = [0; 4_096];
            match tokio::time::timeout(PATIENCE, self.recv.read(&mut bytes)).await.expect("something comes in time") {
                Ok(Some(length)) => self.buffer.extend(&bytes[..length]),
                Ok(None) | Err(_) => break,
            }
        }
        // The session's close says why.
        match tokio::time::timeout(PATIENCE, self.connection.accept_uni()).await.expect("it closes in time") {
            Err(wtransport::error::ConnectionError::ApplicationClosed(close)) => {
                assert!(!close.reason().is_empty(), "a close has a reason");
                Heard::Closed(u16::try_from(close.code().into_inner()).unwrap())
            }
            _ => Heard::Ended,
        }
    }

    fn take_frame(&mut self) -> Option<Value> {
        let kind = *self.buffer.first()?;
        assert_eq!(kind, 0, "JSON is text");
        let first = *self.buffer.get(1)?;
        let length_bytes = 1usize << (first >> 6);
        let length = self.buffer.get(1..1 + length_bytes)?;
        let length = length.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
        let length = length & !(0xc0usize << (8 * (length_bytes - 1)));
        let end = 1 + length_bytes + length;
        let payload = serde_json::from_slice(self.buffer.get(1 + length_bytes..end)?).unwrap();
        self.buffer.drain(..end);
        Some(payload)
    }

    pub async fn payload(&mut self) -> Value {
        match self.hear().await {
            Heard::Payload(payload) => payload,
            other => panic!("wanted a payload, got {other:?}"),
        }
    }

    /// The next event, which must be this one; its data.
    pub async fn expect(&mut self, name: &str) -> Value {
        let payload = self.payload().await;
        assert_eq!(payload["t"], name, "{payload}");
        payload["d"].clone()
    }

    pub async fn expect_op(&mut self, op: u64) -> Value {
        let payload = self.payload().await;
        assert_eq!(payload["op"], op, "{payload}");
        payload["d"].clone()
    }

    /// The code of the session's close, whatever comes before it.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.hear().await {
                Heard::Payload(_) => {}
                Heard::Closed(code) => return code,
                Heard::Ended => panic!("the session ended without a code"),
            }
        }
    }

    pub async fn beat(&mut self) {
        let seq = self.seq;
        self.send(json!({"op": 1, "d": seq})).await;
        self.expect_op(11).await;
    }

    /// Identifies; READY's data. The GUILD_CREATE of every guild in it is taken too.
    pub async fn identify(&mut self, token: &str, intents: u64) -> Value {
        self.send(identify(token, intents)).await;
        let ready = self.expect("READY").await;
        self.session_id = ready["session_id"].as_str().unwrap().to_owned();
        for _ in ready["guilds"].as_array().unwrap() {
            self.expect("GUILD_CREATE").await;
        }
        ready
    }

    /// The next datagram, which is a payload of its own.
    pub async fn datagram(&self) -> Value {
        let datagram = tokio::time::timeout(PATIENCE, self.connection.receive_datagram()).await;
        serde_json::from_slice(&datagram.expect("one comes in time").unwrap()).unwrap()
    }

    /// Leaves without a word.
    pub fn cut(self, websocket_address: SocketAddr) -> Cut {
        Cut { seq: self.seq, session_id: self.session_id, address: websocket_address }
    }
}

/// A relay of UDP packets that can change the address which the server sees, as an address translator or a phone does,
/// and swallow everything.
pub struct Relay {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
}

#[derive(Clone)]
struct Way {
    socket: Arc<UdpSocket>,
    is_blocked: bool,
}

impl Relay {
    pub async fn start(server: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let (way, mut looked_at) = watch::channel(Way { socket: upstream(server).await, is_blocked: false });
        tokio::spawn(async move {
            let (mut client, mut packet, mut answer) = (None, [0; 2_048], [0; 2_048]);
            loop {
                let Way { socket, is_blocked } = looked_at.borrow_and_update().clone();
                tokio::select! {
                    changed = looked_at.changed() => if changed.is_err() { return },
                    Ok((length, from)) = front.recv_from(&mut packet) => {
                        client = Some(from);
                        if !is_blocked {
                            let _ = socket.send(&packet[..length]).await;
                        }
                    }
                    Ok(length) = socket.recv(&mut answer) => {
                        if let (Some(client), false) = (client, is_blocked) {
                            let _ = front.send_to(&answer[..length], client).await;
                        }
                    }
                }
            }
        });
        Self { address, way }
    }

    /// From now on the server sees another address.
    pub async fn move_to_another_address(&self, server: SocketAddr) {
        let socket = upstream(server).await;
        self.way.send_modify(|way| way.socket = socket);
    }

    pub fn block(&self, is_blocked: bool) {
        self.way.send_modify(|way| way.is_blocked = is_blocked);
    }
}

async fn upstream(server: SocketAddr) -> Arc<UdpSocket> {
    // Another host, as far as loopback has any.
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(2);
    let host = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, host], 0))).await.unwrap();
    socket.connect(server).await.unwrap();
    Arc::new(socket)
}
