//! Handshakes take no more time and are no more than they may be.

use crate::common::*;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whether the server closes a connection without having said anything.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(timeout(PATIENCE, stream.read(&mut byte)).await.expect("closed in time"), Ok(0) | Err(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_closed() {
    let world = World::with(|config| config.handshake_timeout_ms = 50);
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_may_begin_only_so_many_handshakes() {
    let world = World::with(|config| config.handshakes_per_address_max = 2);
    let first = TcpStream::connect(world.address()).await.unwrap();
    let second = TcpStream::connect(world.address()).await.unwrap();
    let mut third = TcpStream::connect(world.address()).await.unwrap();
    assert!(is_closed(&mut third).await);
    drop((first, second));
    // Their places are free again, once the server has seen that they are gone.
    let joined = async { while !world.try_connect().await {} };
    timeout(PATIENCE, joined).await.expect("places are given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_identify_is_closed() {
    let world = World::with(|config| config.session.identify_timeout_ms = 50);
    let mut wire = world.connect("?v=8").await;
    assert_eq!(wire.close_code().await, Some(4009));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_beat_is_closed_and_may_resume() {
    let world = World::with(|config| {
        config.session.heartbeat_interval_ms = 10;
        config.session.heartbeat_timeout_ms = 300;
    });
    let mut alice = world.join(5, 1, 8, AES).await;
    assert_eq!(alice.wire.close_code().await, Some(4009));
    let mut wire = world.connect("?v=8").await;
    let resume = serde_json::json!({"op": 7, "d": {"server_id": "1", "session_id": "session-1", "token": alice.token,
        "seq_ack": alice.wire.seq}});
    wire.send(resume).await;
    wire.until(9).await;
}
