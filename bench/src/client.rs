//! Load: requests at a concurrency, gateway sessions.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Sends `count` requests, `concurrency` at a time; the latency of each.
pub async fn requests(
    count: usize,
    concurrency: usize,
    request: impl Fn(usize) -> reqwest::RequestBuilder + Send + Sync + 'static,
) -> anyhow::Result<Vec<Duration>> {
    let next = Arc::new(AtomicUsize::new(0));
    let request = Arc::new(request);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let (next, request) = (next.clone(), request.clone());
        workers.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok::<_, anyhow::Error>(latencies);
                }
                let begun = Instant::now();
                let response = request(n).send().await?;
                let status = response.status();
                let body = response.bytes().await?;
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                latencies.push(begun.elapsed());
            }
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(worker) = workers.join_next().await {
        all.extend(worker??);
    }
    Ok(all)
}

/// A client of the gateway that has identified.
pub struct Session {
    socket: WebSocketStream<TcpStream>,
}

impl Session {
    /// Connects from a given address, since one address has too few ports for many sessions.
    pub async fn start(gateway: &str, source: Ipv4Addr, token: &str) -> anyhow::Result<Self> {
        let address: SocketAddr = gateway.trim_start_matches("ws://").parse().context("the gateway's address")?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async(format!("{gateway}/?v=10&encoding=json"), stream).await?;
        let mut session = Self { socket };
        session.wait_for(r#""op":10"#).await?;
        let identify = serde_json::json!({
            "op": 2,
            "d": { "token": token, "properties": { "os": "linux", "browser": "bench", "device": "bench" } },
        });
        session.socket.send(Message::text(identify.to_string())).await?;
        session.wait_for(r#""t":"READY""#).await?;
        session.wait_for(r#""t":"GUILD_CREATE""#).await?;
        Ok(session)
    }

    /// Reads until a payload has this text.
    pub async fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        loop {
            match self.socket.next().await.context("the server closed the session")?? {
                Message::Text(payload) if payload.contains(text) => return Ok(()),
                Message::Close(frame) => bail!("the server closed the session: {frame:?}"),
                _ => {}
            }
        }
    }
}

/// The address from which the n-th session comes.
pub fn source(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(n / 10_000 % 250).unwrap_or(0))
}

/// Starts sessions, a few at a time.
pub async fn sessions(gateway: &str, tokens: &[String], count: usize) -> anyhow::Result<Vec<Session>> {
    const AT_ONCE: usize = 32;
    let starts = (0..count).map(|n| {
        let token = &tokens[n % tokens.len()];
        Session::start(gateway, source(n), token)
    });
    let mut starts = futures_util::stream::iter(starts).buffer_unordered(AT_ONCE);
    let mut sessions = Vec::with_capacity(count);
    while let Some(session) = starts.next().await {
        sessions.push(session?);
    }
    Ok(sessions)
}
