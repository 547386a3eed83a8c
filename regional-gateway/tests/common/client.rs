//! A gateway client over tungstenite: an implementation of WebSocket that is not ours.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    ws: WebSocketStream<TcpStream>,
    /// The number of the last event.
    pub seq: u64,
    pub session_id: String,
    address: SocketAddr,
    /// Whether the comings and goings of others are heard too: they come at any time.
    pub hears_presences: bool,
}

/// What the server did.
#[derive(Debug)]
pub enum Heard {
    Payload(Value),
    Closed(u16),
    Ended,
}

impl Client {
    /// Opens a connection and takes its HELLO.
    pub async fn connect(address: SocketAddr, path: &str) -> Self {
        let mut client = Self::open(address, path).await;
        let hello = client.payload().await;
        assert_eq!(hello["op"], 10);
        assert!(hello["d"]["heartbeat_interval"].as_u64().unwrap() > 0);
        client
    }

    /// Opens a connection.
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // Small, so that a client that does not read is noticed soon.
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let url = format!("ws://{address}{path}");
        let (ws, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Self { ws, seq: 0, session_id: String::new(), address, hears_presences: false }
    }

    pub async fn send(&mut self, payload: Value) {
        self.ws.send(Message::text(payload.to_string())).await.unwrap();
    }

    /// Holds a payload back until [`Self::flush`].
    pub async fn feed(&mut self, payload: Value) {
        self.ws.feed(Message::text(payload.to_string())).await.unwrap();
    }

    pub async fn feed_raw(&mut self, message: Message) {
        self.ws.feed(message).await.unwrap();
    }

    pub async fn flush(&mut self) {
        self.ws.flush().await.unwrap();
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.ws.send(message).await.unwrap();
    }

    /// Sends a message; false if the connection is over already.
    pub async fn try_send_raw(&mut self, message: Message) -> bool {
        self.ws.send(message).await.is_ok()
    }

    /// As [`Self::try_send_raw`], held back until the library's buffer is full.
    pub async fn try_feed_raw(&mut self, message: Message) -> bool {
        self.ws.feed(message).await.is_ok()
    }

    /// Sends what was held back; false if the connection is over already.
    pub async fn try_flush(&mut self) -> bool {
        self.ws.flush().await.is_ok()
    }

    /// Sends bytes past the library.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.ws.get_mut().write_all(bytes).await.unwrap();
    }

    /// What comes next, whatever it is.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.ws.next()).await.expect("something comes in time");
            let text = match next {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(Some(frame)))) => return Heard::Closed(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(other)) => panic!("unexpected {other:?}"),
                None | Some(Err(_)) => return Heard::Ended,
            };
            let payload: Value = serde_json::from_str(&text).unwrap();
            if let Some(seq) = payload["s"].as_u64() {
                assert_eq!(seq, self.seq + 1, "numbers have no gap and none comes twice: {payload}");
                self.seq = seq;
            }
            let is_presence = payload["t"] == "PRESENCE_UPDATE" || payload["t"] == "SESSIONS_REPLACE";
            if is_presence && !self.hears_presences {
                continue;
            }
            return Heard::Payload(payload);
        }
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

    /// The next payload, which must have this opcode; its data.
    pub async fn expect_op(&mut self, op: u64) -> Value {
        let payload = self.payload().await;
        assert_eq!(payload["op"], op, "{payload}");
        payload["d"].clone()
    }

    /// The code of the close frame, whatever comes before it.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.hear().await {
                Heard::Payload(_) => {}
                Heard::Closed(code) => return code,
                Heard::Ended => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Sends a heartbeat and waits for its answer: everything sent before has arrived by then.
    pub async fn beat(&mut self) {
        let seq = self.seq;
        self.send(json!({"op": 1, "d": seq})).await;
        self.expect_op(11).await;
    }

    /// Identifies; READY's data.
    pub async fn identify(&mut self, token: &str, intents: u64) -> Value {
        self.send(identify(token, intents)).await;
        let ready = self.expect("READY").await;
        self.session_id = ready["session_id"].as_str().unwrap().to_owned();
        ready
    }

    /// Drops the TCP connection without a close frame; what was not read is lost.
    pub fn cut(self) -> Cut {
        Cut { seq: self.seq, session_id: self.session_id, address: self.address }
    }
}

/// A client whose connection is gone, and what it remembers.
pub struct Cut {
    pub seq: u64,
    pub session_id: String,
    pub address: SocketAddr,
}

impl Cut {
    /// Connects anew and asks to resume.
    pub async fn resume(&self, token: &str) -> Client {
        let mut client = Client::connect(self.address, "/?v=10&encoding=json").await;
        client.seq = self.seq;
        client.session_id.clone_from(&self.session_id);
        client.send(json!({"op": 6, "d": {"token": token, "session_id": self.session_id, "seq": self.seq}})).await;
        client
    }
}

pub fn identify(token: &str, intents: u64) -> Value {
    let properties = json!({"os": "linux", "browser": "test", "device": "test"});
    json!({"op": 2, "d": {"token": token, "intents": intents, "properties": properties}})
}
