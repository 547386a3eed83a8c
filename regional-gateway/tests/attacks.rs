//! Clients that want to do harm, beside one that only wants its events.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Client, Person, TestGuild, World};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// An event reaches the victim within this, whatever goes on; far more than it takes, for a busy machine.
const WITHIN: Duration = Duration::from_secs(5);

/// Somebody who is in a guild and follows it.
struct Victim {
    person: Person,
    guild: TestGuild,
    client: Client,
    count: u32,
}

impl Victim {
    async fn new(world: &World) -> Self {
        let person = world.person("victim").await;
        let guild = world.guild(&[&person]).await;
        let client = world.online(&person).await;
        Self { person, guild, client, count: 0 }
    }

    /// Events still come, in order and soon.
    async fn is_unharmed(&mut self, world: &World) {
        let begun = Instant::now();
        for _ in 0..5 {
            self.count += 1;
            let content = self.count.to_string();
            world.send(&self.person, self.guild.channel, &content).await.unwrap();
            assert_eq!(self.client.expect("MESSAGE_CREATE").await["content"], content);
        }
        self.client.beat().await;
        assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    }
}

/// Begins a handshake and does not end it.
async fn dawdle(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /?v=10 HTTP/1.1\r\nHost:").await.unwrap();
    stream
}

/// Waits until the server has ended the connection, without a word.
async fn ends(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(WITHIN, stream.read_to_end(&mut rest)).await.expect("it ends in time");
    // A reset is an end as well.
    assert!(read.is_err() || rest.is_empty());
}

#[tokio::test]
async fn handshakes_that_do_not_end_take_no_place_from_others() {
    let world = World::with(|config| {
        config.gateway.max_handshakes_per_address = 4;
        config.gateway.handshake_timeout_ms = 60_000;
    })
    .await;
    let mut victim = Victim::new(&world).await;
    let address = world.running.gateway_addr;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(dawdle(address).await);
    }
    // From the same address nobody gets further; whoever is connected stays so, and others come in.
    ends(TcpStream::connect(address).await.unwrap()).await;
    victim.is_unharmed(&world).await;
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = other.connect(address).await.unwrap();
    tokio_tungstenite::client_async(format!("ws://{address}/?v=10&encoding=json"), stream).await.unwrap();
    drop(slow);
    victim.is_unharmed(&world).await;
}

#[tokio::test]
async fn one_address_does_not_take_all_places() {
    let world = World::with(|config| config.gateway.max_connections_per_address = 3).await;
    let mut victim = Victim::new(&world).await;
    let address = world.running.gateway_addr;
    let held = [world.connect().await, world.connect().await];
    ends(TcpStream::connect(address).await.unwrap()).await;
    victim.is_unharmed(&world).await;
    drop(held);
    // Their places are free again as soon as the server has noticed.
    let begun = Instant::now();
    loop {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/?v=10&encoding=json");
        if tokio_tungstenite::client_async(url, stream).await.is_ok() {
            break;
        }
        assert!(begun.elapsed() < WITHIN);
    }
}

#[tokio::test]
async fn fragments_without_end_are_closed_with_4008() {
    let world = World::start().await;
    let mut victim = Victim::new(&world).await;
    let mut attacker = world.connect().await;
    attacker.send_raw(Message::Frame(Frame::message(Vec::new(), OpCode::Data(Data::Text), false))).await;
    for n in 0..1_000 {
        let fragment = Frame::message(Vec::new(), OpCode::Data(Data::Continue), false);
        if !attacker.try_send_raw(Message::Frame(fragment)).await {
            break;
        }
        if n == 100 {
            victim.is_unharmed(&world).await;
        }
    }
    assert_eq!(attacker.close_code().await, 4008);
    victim.is_unharmed(&world).await;
}

#[tokio::test]
async fn a_flood_of_small_frames_in_one_write_is_closed_with_4008() {
    let world = World::start().await;
    let mut victim = Victim::new(&world).await;
    let mut attacker = world.connect().await;
    for _ in 0..20_000 {
        if !attacker.try_feed_raw(Message::Pong("".into())).await {
            break;
        }
    }
    let _ = attacker.try_flush().await;
    let flood = attacker.close_code();
    let (code, ()) = tokio::join!(flood, victim.is_unharmed(&world));
    assert_eq!(code, 4008);
}

#[tokio::test]
async fn a_message_over_the_limit_is_closed_with_4002_before_it_came() {
    let world = World::start().await;
    let mut victim = Victim::new(&world).await;
    let mut attacker = world.online(&victim.person).await;
    // The header of a frame of 16 MiB, and nothing of it.
    let header = [&[0x82, 0xff][..], &(16_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    attacker.send_bytes(&header).await;
    assert_eq!(attacker.close_code().await, 4002);
    victim.is_unharmed(&world).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_nobody_waits_for_it() {
    let world = World::with(|config| {
        config.gateway.session.unsent_max_events = 64;
        config.gateway.session.replay_max_events = 128;
        config.gateway.send_buffer_bytes = 8 * 1024;
        // Far fewer than the events below.
        config.gateway.inbox_capacity = 4;
    })
    .await;
    let mut victim = Victim::new(&world).await;
    let mut deaf = world.online(&victim.person).await;
    let content = "x".repeat(2_000);
    for _ in 0..300 {
        world.send(&victim.person, victim.guild.channel, &content).await.unwrap();
        assert_eq!(victim.client.expect("MESSAGE_CREATE").await["content"], content);
    }
    assert_eq!(deaf.close_code().await, 4000);
    victim.is_unharmed(&world).await;
}

#[tokio::test]
async fn requests_for_members_without_end_are_closed_with_4008() {
    let world = World::start().await;
    let mut victim = Victim::new(&world).await;
    let mut attacker = world.online(&victim.person).await;
    let guild_id = victim.guild.id.to_string();
    for _ in 0..130 {
        let request = json!({"op": 8, "d": {"guild_id": guild_id, "query": "", "limit": 0}});
        if !attacker.try_feed_raw(Message::text(request.to_string())).await {
            break;
        }
    }
    let _ = attacker.try_flush().await;
    let (code, ()) = tokio::join!(attacker.close_code(), victim.is_unharmed(&world));
    assert_eq!(code, 4008);
}
