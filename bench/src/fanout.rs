//! A message's way to all sessions that look on: server CPU of one delivery, beside a bare send of as many bytes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::server::Server;
use crate::statistics::{median, ratio, us};
use crate::{client, cpu};

/// Messages of a round; each waits until everybody has the one before, so that no two share a write.
const MESSAGES: usize = 20;
/// What a delivered message takes on the wire, about.
const FRAME_BYTES: usize = 700;

/// To `sessions` sessions.
pub async fn run(rounds: usize, sessions: usize) -> anyhow::Result<Value> {
    let server = Server::start(&[]).await?;
    let seed = server.seed(sessions).await?;
    let mut all = client::sessions(&server.gateway, &seed.user_tokens, sessions).await?;
    let http = reqwest::Client::new();
    let url = format!("{}/v10/channels/{}/messages", server.api, seed.channel_id);
    let floor_sockets = tokio::task::spawn_blocking(move || sockets(sessions)).await??;
    let (mut delivered, mut floor) = (vec![], vec![]);
    for round in 0..=rounds {
        let before = server.cpu()?;
        for n in 0..MESSAGES {
            let content = format!("round {round} message {n}: about as long as what people write to each other");
            http.post(&url)
                .header("Authorization", format!("Bot {}", seed.bot_token))
                .json(&json!({ "content": &content }))
                .send()
                .await?
                .error_for_status()?;
            try_join_all(all.iter_mut().map(|session| session.wait_for(&content))).await?;
        }
        let spent = us(server.cpu()? - before) / (MESSAGES * sessions) as f64;
        let bare = send_to_all(&floor_sockets)?;
        // The first round warms up.
        if round > 0 {
            delivered.push(spent);
            floor.push(bare);
        }
    }
    let (delivered, floor) = (median(delivered), median(floor));
    Ok(json!({
        "bench": "fanout",
        "sessions": sessions,
        "rounds": rounds,
        "messages_per_round": MESSAGES,
        "server_cpu_us_per_delivery": (delivered * 100.0).round() / 100.0,
        "floor_send_cpu_us": (floor * 100.0).round() / 100.0,
        "of_floor": ratio(delivered, floor),
    }))
}

/// Connected pairs on loopback.
fn sockets(count: usize) -> anyhow::Result<Vec<(TcpStream, TcpStream)>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let client = TcpStream::connect(address).context("a socket for the floor")?;
            let (server, _) = listener.accept()?;
            server.set_nodelay(true)?;
            Ok((server, client))
        })
        .collect()
}

/// CPU microseconds of one bare send: the calling thread alone writes, and what it wrote is read uncounted.
fn send_to_all(sockets: &[(TcpStream, TcpStream)]) -> anyhow::Result<f64> {
    let frame = [b'x'; FRAME_BYTES];
    let mut spent = std::time::Duration::ZERO;
    for _ in 0..MESSAGES {
        let before = cpu::of_thread()?;
        for (server, _) in sockets {
            (&mut &*server).write_all(&frame)?;
        }
        spent += cpu::of_thread()? - before;
        let mut buffer = [0; FRAME_BYTES];
        for (_, client) in sockets {
            (&mut &*client).read_exact(&mut buffer)?;
        }
    }
    Ok(us(spent) / (MESSAGES * sockets.len()) as f64)
}
