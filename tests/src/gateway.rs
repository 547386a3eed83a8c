//! A gateway client that shows everything: payloads in their order, close codes, and it reads only when asked to.
//!
//! It has heartbeats while it waits for events, so that a slow machine does not end its sessions.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::PATIENCE;

/// Intents that the tests ask for.
pub mod intents {
    pub const GUILDS: u64 = 1;
    pub const GUILD_MEMBERS: u64 = 1 << 1;
    pub const GUILD_MESSAGES: u64 = 1 << 9;
    pub const DIRECT_MESSAGES: u64 = 1 << 12;
    pub const MESSAGE_CONTENT: u64 = 1 << 15;
}

/// What comes over a connection.
#[derive(Debug, PartialEq)]
pub enum Arrival {
    Payload(Value),
    /// The connection is over; without a code it broke.
    Closed(Option<u16>),
}

/// An open connection.
pub struct Gateway {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    url: String,
    token: String,
    /// `s` of the newest event that was read.
    pub seq: u64,
    /// READY; null before.
    pub ready: Value,
    /// Events that came while something else was waited for.
    early: VecDeque<(String, Value)>,
    heartbeats: Option<Heartbeats>,
}

/// When heartbeats are due.
struct Heartbeats {
    next: Instant,
    interval: Duration,
}

impl Heartbeats {
    /// Twice as often as HELLO wants them: nobody may read for a while.
    fn new(interval: Duration) -> Self {
        let interval = interval / 2;
        Self { next: Instant::now() + interval, interval }
    }
}

impl Gateway {
    /// Connects and reads HELLO.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let mut gateway = Self::connect(url, "v=10&encoding=json").await?;
        let hello = gateway.payload().await?;
        let interval = hello["d"]["heartbeat_interval"].as_u64().unwrap_or_default();
        ensure!(hello["op"] == 10 && interval > 0, "no HELLO: {hello}");
        gateway.heartbeats = Some(Heartbeats::new(Duration::from_millis(interval)));
        Ok(gateway)
    }

    /// Connects with this query and reads nothing.
    pub async fn connect(url: &str, query: &str) -> anyhow::Result<Self> {
        let connecting = tokio_tungstenite::connect_async(format!("{url}/?{query}"));
        let (socket, _) = tokio::time::timeout(PATIENCE, connecting).await.context("no handshake in time")??;
        let (url, token) = (url.to_owned(), String::new());
        Ok(Self { socket, url, token, seq: 0, ready: Value::Null, early: VecDeque::new(), heartbeats: None })
    }

    /// Starts a session and waits until every guild is there; without intents as people's clients do.
    pub async fn start(url: &str, token: &str, intents: Option<u64>) -> anyhow::Result<Self> {
        Self::start_with(url, token, &json!({ "intents": intents })).await
    }

    /// Starts a session with further fields in IDENTIFY.
    pub async fn start_with(url: &str, token: &str, fields: &Value) -> anyhow::Result<Self> {
        let mut gateway = Self::open(url).await?;
        gateway.identify(token, fields).await?;
        gateway.ready = gateway.event("READY").await?;
        let guilds = gateway.ready["guilds"].as_array().context("guilds")?.len();
        for _ in 0..guilds {
            let guild = gateway.event("GUILD_CREATE").await?;
            gateway.early.push_back(("GUILD_CREATE".into(), guild));
        }
        Ok(gateway)
    }

    /// Sends IDENTIFY.
    pub async fn identify(&mut self, token: &str, fields: &Value) -> anyhow::Result<()> {
        let properties = json!({ "os": "linux", "browser": "rookery-tests", "device": "rookery-tests" });
        let mut identify = json!({ "token": token, "properties": properties });
        for (name, value) in fields.as_object().into_iter().flatten() {
            identify[name] = value.clone();
        }
        self.token = token.to_owned();
        self.send(&json!({ "op": 2, "d": identify })).await
    }

    /// Continues this session on a new connection, from what this one has read; HELLO is read, what follows is not.
    pub async fn resume(self) -> anyhow::Result<Self> {
        let next = self.resumed_copy().await?;
        Ok(Self { early: self.early, ..next })
    }

    /// As [`Self::resume`], and this one stays as it is: for another attempt if this fails. Events that wait to be asked
    /// for stay with it.
    pub async fn resumed_copy(&self) -> anyhow::Result<Self> {
        Self::resume_at(&self.url, &self.token, &self.ready, self.seq).await
    }

    /// Continues a session of which this is known, at this address; HELLO is read, what follows is not.
    pub async fn resume_at(url: &str, token: &str, ready: &Value, seq: u64) -> anyhow::Result<Self> {
        let session_id = ready["session_id"].as_str().context("no session to resume")?;
        let mut next = Self::open(url).await?;
        next.send(&json!({ "op": 6, "d": { "token": token, "session_id": session_id, "seq": seq } })).await?;
        Ok(Self { token: token.to_owned(), seq, ready: ready.clone(), ..next })
    }

    /// The session's id.
    pub fn session_id(&self) -> anyhow::Result<&str> {
        self.ready["session_id"].as_str().context("no session")
    }

    /// Sends a payload.
    pub async fn send(&mut self, payload: &Value) -> anyhow::Result<()> {
        self.send_raw(Message::text(payload.to_string())).await
    }

    /// Sends a message as it is.
    pub async fn send_raw(&mut self, message: Message) -> anyhow::Result<()> {
        self.socket.send(message).await.context("sending to the gateway")
    }

    /// What comes next, whatever it is.
    pub async fn next(&mut self) -> anyhow::Result<Arrival> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.context("nothing comes")?;
            return Ok(match message {
                Some(Ok(Message::Text(text))) => {
                    let payload: Value = serde_json::from_str(text.as_str())?;
                    if let Some(seq) = payload["s"].as_u64() {
                        ensure!(seq == self.seq + 1, "after event {} came {seq}: {payload}", self.seq);
                        self.seq = seq;
                    }
                    Arrival::Payload(payload)
                }
                Some(Ok(Message::Close(frame))) => Arrival::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(other)) => bail!("unexpected {other:?}"),
                Some(Err(_)) | None => Arrival::Closed(None),
            });
        }
    }

    /// The next payload.
    pub async fn payload(&mut self) -> anyhow::Result<Value> {
        match self.next().await? {
            Arrival::Payload(payload) => Ok(payload),
            Arrival::Closed(code) => bail!("closed with {code:?}"),
        }
    }

    /// The next event, by name and data.
    pub async fn next_event(&mut self) -> anyhow::Result<(String, Value)> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        self.read_event().await
    }

    /// The next payload, with heartbeats meanwhile.
    async fn payload_in_time(&mut self) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            let due = self.heartbeats.as_ref().map(|heartbeats| heartbeats.next);
            let is_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                payload = self.payload() => return payload,
                () = is_due => {}
            }
            ensure!(begun.elapsed() < PATIENCE, "nothing comes");
            let seq = Some(self.seq).filter(|seq| *seq > 0);
            self.send(&json!({ "op": 1, "d": seq })).await?;
            if let Some(heartbeats) = &mut self.heartbeats {
                heartbeats.next = Instant::now() + heartbeats.interval;
            }
        }
    }

    async fn read_event(&mut self) -> anyhow::Result<(String, Value)> {
        loop {
            let mut payload = self.payload_in_time().await?;
            match payload["op"].as_u64() {
                Some(0) => {
                    let name = payload["t"].as_str().context("an event has a name")?.to_owned();
                    // The comings and goings of others happen at any time.
                    if matches!(name.as_str(), "PRESENCE_UPDATE" | "SESSIONS_REPLACE") {
                        continue;
                    }
                    return Ok((name, payload["d"].take()));
                }
                Some(11) => {}
                _ => bail!("no event: {payload}"),
            }
        }
    }

    /// Waits for an event of this name; those before it are kept for later questions.
    pub async fn event(&mut self, name: &str) -> anyhow::Result<Value> {
        if let Some(place) = self.early.iter().position(|(early, _)| early == name) {
            return Ok(self.early.remove(place).context("just found")?.1);
        }
        loop {
            match self.read_event().await.with_context(|| format!("waiting for {name}, passed {:?}", self.early))? {
                (found, data) if found == name => return Ok(data),
                other => self.early.push_back(other),
            }
        }
    }

    /// The next events, which must be these, in this order.
    pub async fn expect<const N: usize>(&mut self, names: [&str; N]) -> anyhow::Result<[Value; N]> {
        let mut events = Vec::with_capacity(N);
        let mut found = Vec::with_capacity(N);
        while found.len() < N {
            let event = self.next_event().await;
            let (name, data) = event.with_context(|| format!("expected {names:?}, got {found:?} so far"))?;
            found.push(name);
            if names[found.len() - 1] != found[found.len() - 1] {
                bail!("expected {names:?}, got {found:?}, the last with {data}");
            }
            events.push(data);
        }
        Ok(events.try_into().expect("as many as there are names"))
    }

    /// Everything up to the message with this content, which is not among it.
    pub async fn until_message(&mut self, content: &str) -> anyhow::Result<Vec<(String, Value)>> {
        let mut before = Vec::new();
        loop {
            let event = self.next_event().await.with_context(|| format!("no message {content:?} after {before:?}"))?;
            if event.0 == "MESSAGE_CREATE" && event.1["content"] == content {
                return Ok(before);
            }
            before.push(event);
        }
    }

    /// Forgets the events that came so far and were not asked for.
    pub fn forget_early(&mut self) {
        self.early.clear();
    }

    /// Reads until the connection is over; its code.
    pub async fn closed(&mut self) -> anyhow::Result<Option<u16>> {
        loop {
            if let Arrival::Closed(code) = self.next().await? {
                return Ok(code);
            }
        }
    }

    /// Closes with a code that keeps the session, as a client does that will come back.
    pub async fn leave_for_now(mut self) -> anyhow::Result<Self> {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
        let frame = CloseFrame { code: CloseCode::from(4900), reason: "".into() };
        self.socket.close(Some(frame)).await.context("closing")?;
        Ok(self)
    }
}
