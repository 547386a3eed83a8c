//! A client's side of the wire, and events to send.

#![allow(dead_code, reason = "each test file uses its own part")]

use flate2::{Decompress, FlushDecompress};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::event::{MessageDelete, MessageEvent, Ready, TypingStart};
use rookery_model::gateway::{CloseCode, Event, Intents};
use rookery_model::message::{Message, MessageFlags, MessageType};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use rookery_session::{
    Action, Compression, Connection, Encoding, Frame, GatewayParams, Session, SessionConfig, SessionInit, Transmit,
    cbor, etf,
};
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use zstd_safe::{DCtx, InBuffer, OutBuffer};

pub const BOT: UserId = UserId::new(7);
pub const ALL_INTENTS: u64 = Intents::all().bits();

/// Reads what a connection sends, as the client that asked for these parameters would.
pub struct Reader {
    params: GatewayParams,
    inflate: Decompress,
    zstd: DCtx<'static>,
    /// Bytes that the decompressor is given next.
    piece: usize,
}

impl Reader {
    pub fn new(params: GatewayParams) -> Self {
        Self { params, inflate: Decompress::new(true), zstd: DCtx::create(), piece: 1 }
    }

    pub fn read(&mut self, transmit: &Transmit) -> Value {
        self.read_bytes(&transmit.clone().into_bytes(), transmit.is_binary)
    }

    pub fn read_bytes(&mut self, data: &[u8], is_binary: bool) -> Value {
        let plain = match self.params.compression {
            Compression::ZlibStream => {
                assert!(is_binary, "compressed streams go in binary messages");
                assert!(data.ends_with(&[0, 0, 0xff, 0xff]), "a message ends with a sync flush");
                self.inflate_stream(data)
            }
            Compression::ZstdStream => {
                assert!(is_binary, "compressed streams go in binary messages");
                self.decompress_zstd(data)
            }
            _ if self.params.encoding == Encoding::Json && is_binary => {
                let mut plain = Vec::new();
                flate2::read::ZlibDecoder::new(data).read_to_end(&mut plain).expect("a zlib payload");
                plain
            }
            _ => data.to_vec(),
        };
        match self.params.encoding {
            Encoding::Json => serde_json::from_slice(&plain).expect("JSON"),
            Encoding::Etf => etf::from_slice(&plain).expect("ETF"),
            Encoding::Cbor => cbor::from_slice(&plain).expect("CBOR"),
        }
    }

    fn decompress_zstd(&mut self, data: &[u8]) -> Vec<u8> {
        let (mut plain, mut consumed) = (Vec::new(), 0);
        let mut buffer = vec![0; 4_096];
        loop {
            self.piece = self.piece * 7 % 1_009;
            let end = (consumed + self.piece).min(data.len());
            let mut input = InBuffer::around(&data[consumed..end]);
            let mut output = OutBuffer::around(&mut buffer[..]);
            let left =
                self.zstd.decompress_stream(&mut output, &mut input).expect("the frame goes on where it stopped");
            assert_ne!(left, 0, "there is one frame, which never ends");
            plain.extend(output.as_slice());
            let is_full = output.as_slice().len() == 4_096;
            consumed += input.pos();
            if consumed == data.len() && !is_full {
                return plain;
            }
        }
    }

    fn inflate_stream(&mut self, data: &[u8]) -> Vec<u8> {
        let start = self.inflate.total_in();
        let mut plain = Vec::with_capacity(1024);
        loop {
            let consumed = (self.inflate.total_in() - start) as usize;
            if consumed == data.len() && plain.len() < plain.capacity() {
                return plain;
            }
            plain.reserve(1024);
            // In pieces of any length, as a socket gives them.
            self.piece = self.piece * 7 % 1_009;
            let end = (consumed + self.piece).min(data.len());
            self.inflate
                .decompress_vec(&data[consumed..end], &mut plain, FlushDecompress::Sync)
                .expect("the stream goes on where it stopped");
        }
    }
}

/// Writes a client's payload in its encoding.
pub fn encode(encoding: Encoding, payload: &Value) -> Vec<u8> {
    match encoding {
        Encoding::Json => serde_json::to_vec(payload).expect("JSON"),
        Encoding::Etf => etf::to_vec(payload).expect("ETF"),
        Encoding::Cbor => cbor::to_vec(payload).expect("CBOR"),
    }
}

pub fn params(query: &str) -> GatewayParams {
    GatewayParams::from_query(query).expect("parameters")
}

pub fn config() -> Arc<SessionConfig> {
    Arc::new(SessionConfig::default())
}

pub fn identify(intents: u64) -> Value {
    json!({"op": 2, "d": {"token": "Bot token", "intents": intents, "properties": {"os": "linux"}}})
}

/// A fresh connection that said HELLO.
pub fn connect(query: &str) -> Connection {
    connect_with(query, config())
}

pub fn connect_with(query: &str, config: Arc<SessionConfig>) -> Connection {
    let mut connection = Connection::new(0, config, params(query));
    assert!(connection.poll_transmit().is_some(), "HELLO");
    connection
}

/// Sends one payload to a connection.
pub fn send(connection: &mut Connection, now_ms: u64, payload: &Value) {
    let bytes = encode(connection.params().encoding, payload);
    connection.handle_frame(now_ms, Frame::Binary(&bytes));
}

/// The code that a connection is to be closed with.
pub fn closed_with(connection: &mut Connection) -> Option<u16> {
    while let Some(action) = connection.poll_action() {
        if let Action::Close(code) = action {
            assert!(connection.poll_transmit().is_none(), "nothing is sent after the close");
            return Some(code.code());
        }
    }
    None
}

/// The code that a fresh connection is closed with because of one frame.
pub fn close_code_of(query: &str, frame: Frame<'_>) -> Option<u16> {
    let mut connection = connect(query);
    connection.handle_frame(1, frame);
    closed_with(&mut connection)
}

/// A session on a connection, with its client's reader.
pub fn session(query: &str, intents: u64) -> (Session, Reader) {
    session_with(query, intents, config())
}

pub fn session_with(query: &str, intents: u64, config: Arc<SessionConfig>) -> (Session, Reader) {
    let mut connection = Connection::new(0, config, params(query));
    let mut reader = Reader::new(params(query));
    assert_eq!(reader.read(&connection.poll_transmit().expect("HELLO"))["op"], 10);
    send(&mut connection, 0, &identify(intents));
    (accept(connection, "s1"), reader)
}

/// Makes the session of a connection whose IDENTIFY waits.
pub fn accept(mut connection: Connection, session_id: &str) -> Session {
    let Some(Action::Identify(identify)) = connection.poll_action() else { panic!("no IDENTIFY waits") };
    let init = SessionInit::from_identify(session_id, BOT, true, Intents::PRIVILEGED, &identify)
        .expect("an acceptable IDENTIFY");
    Session::new(init, connection)
}

/// Everything that a session has to send, read.
pub fn drain(session: &mut Session, reader: &mut Reader) -> Vec<Value> {
    std::iter::from_fn(|| session.poll_transmit()).map(|t| reader.read(&t)).collect()
}

/// The code that a session's connection is to be closed with.
pub fn session_closed_with(session: &mut Session) -> Option<CloseCode> {
    std::iter::from_fn(|| session.poll_action())
        .find_map(|a| if let Action::Close(code) = a { Some(code) } else { None })
}

pub fn user(id: u64) -> User {
    User::new(UserId::new(id), format!("user{id}"))
}

/// A small event that its number tells from others.
pub fn numbered(n: u64) -> Event {
    Event::MessageDelete(MessageDelete {
        id: MessageId::new(n),
        channel_id: ChannelId::new(5),
        guild_id: Some(GuildId::new(1)),
    })
}

/// An event that may be lost.
pub fn typing() -> Event {
    Event::TypingStart(TypingStart {
        channel_id: ChannelId::new(5),
        guild_id: Some(GuildId::new(1)),
        user_id: UserId::new(2),
        timestamp: 1_790_000_000,
        member: None,
    })
}

/// Written down and read back.
pub fn through_bytes<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("data");
    ciborium::from_reader(bytes.as_slice()).expect("what was written")
}

/// A message in a channel.
pub fn message(id: u64, author: u64, content: &str) -> Message {
    Message {
        id: MessageId::new(id),
        channel_id: ChannelId::new(5),
        kind: MessageType::Default,
        author: user(author),
        content: content.into(),
        timestamp: MessageId::new(id).timestamp(),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mentions: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        reactions: Vec::new(),
        nonce: None,
        pinned: false,
        flags: MessageFlags::empty(),
        components: Vec::new(),
        webhook_id: None,
        application_id: None,
        message_reference: None,
        call: None,
        referenced_message: None,
    }
}

pub fn message_create(message: Message, guild_id: Option<u64>) -> Event {
    let kind = if guild_id.is_some() { ChannelType::GuildText } else { ChannelType::Dm };
    Event::MessageCreate(Box::new(MessageEvent {
        message,
        guild_id: guild_id.map(GuildId::new),
        member: None,
        channel_type: kind.into(),
    }))
}

pub fn ready(session_id: &str) -> Event {
    let ready = json!({
        "v": 10,
        "user": {"id": BOT, "username": "bot", "email": null, "verified": true, "mfa_enabled": false,
            "locale": "en-US", "premium_type": 0, "flags": 0, "bio": ""},
        "guilds": [{"id": "1", "unavailable": true}],
        "session_id": session_id,
        "resume_gateway_url": "ws://127.0.0.1:1/",
        "session_type": "normal",
        "application": {"id": BOT, "flags": 0},
        "private_channels": [],
        "relationships": [],
        "presences": [],
        "geo_ordered_rtc_regions": [],
        "auth": {},
        "user_settings": {},
        "_trace": [],
    });
    Event::Ready(Box::new(serde_json::from_value::<Ready>(ready).expect("a READY")))
}
