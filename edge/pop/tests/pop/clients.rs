//! Clients that hold on without asking, do not read, or ask for what they may not have.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestPop, start};

/// Sends bytes and waits until the other side closes; returns what it said.
async fn until_closed(pop: &TestPop, bytes: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(pop.addr()).await.unwrap();
    client.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a close too.
    let _ = client.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let pop = start(|config| config.connections.header_read_timeout_ms = 100).await;
    for start in [&b""[..], b"G", b"PRI * HTT", b"GET /api/count HTTP/1.1\r\nhost: x\r\n"] {
        let started = Instant::now();
        until_closed(&pop, start).await;
        assert!(started.elapsed() >= Duration::from_millis(90), "closed too early after {start:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_done_is_closed_after_a_while() {
    let pop = start(|config| config.connections.idle_timeout_ms = 100).await;
    let answer = until_closed(&pop, b"GET /api/count HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let pop = start(|config| {
        config.connections.max_open = 1;
        config.connections.stalled_response_timeout_ms = 200;
    })
    .await;
    let mut client = TcpStream::connect(pop.addr()).await.unwrap();
    // Three megabytes each, more than the kernel's buffers take.
    for _ in 0..8 {
        client.write_all(b"GET /api/big HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }
    // There is place for one connection only, so this is answered once the other is gone.
    assert_eq!(pop.get("/api/count").await.status, 200);
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.read(&mut buffer).await {
        received += count;
    }
    assert!(received < 8 * (3 << 20), "all of {received} bytes arrived");
}

#[tokio::test]
async fn a_slow_reader_that_does_read_gets_everything() {
    let pop = start(|config| {
        config.connections.idle_timeout_ms = 150;
        config.connections.stalled_response_timeout_ms = 150;
    })
    .await;
    let mut client = TcpStream::connect(pop.addr()).await.unwrap();
    for _ in 0..4 {
        client.write_all(b"GET /api/big HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }
    let mut received = 0;
    let mut buffer = vec![0; 256 << 10];
    while received < 4 * (3 << 20) {
        match client.read(&mut buffer).await.unwrap() {
            0 => panic!("closed after {received} bytes"),
            count => received += count,
        }
        // Slower than it could, never as slow as the time allowed.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_head_too_large_is_refused() {
    let pop = start(|config| config.connections.max_head_bytes = 8 << 10).await;
    let mut head = b"GET /api/count HTTP/1.1\r\nhost: x\r\nx-long: ".to_vec();
    head.extend(vec![b'a'; 20 << 10]);
    head.extend(b"\r\n\r\n");
    let answer = until_closed(&pop, &head).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(pop.get("/api/count").await.status, 200);
}

#[tokio::test]
async fn garbage_gets_a_400_or_a_close() {
    let pop = start(|_| {}).await;
    let answer = until_closed(&pop, b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(pop.get("/api/count").await.status, 200);
}

#[tokio::test]
async fn one_address_may_not_take_all_connections() {
    let pop = start(|config| config.connections.max_open_per_client = 1).await;
    let mut holder = TcpStream::connect(pop.addr()).await.unwrap();
    holder.write_all(b"GET /api/count HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(holder.read(&mut [0; 1_024]).await.unwrap() > 0);
    assert!(pop.try_get("/api/count").await.is_err());
    drop(holder);
    // Open again as soon as the server noticed.
    while pop.try_get("/api/count").await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_address_with_too_many_invalid_requests_is_refused_everything() {
    let pop = start(|config| config.client.invalid_requests = 3).await;
    for _ in 0..3 {
        assert_eq!(pop.get("/api/status/401").await.status, 401);
    }
    let refused = pop.get("/api/count").await;
    refused.assert_error(429, 0, "You are being rate limited.");
    assert!(refused.json()["retry_after"].as_f64().unwrap() > 590.0);
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 600);
    assert_eq!(refused.headers["x-ratelimit-global"], "true");
    // Without it discord.py raises where it should wait.
    assert_eq!(refused.headers["via"], "1.1 rookery");
    assert_eq!(pop.get("/").await.status, 429);
    assert!(pop.region.calls().is_empty());
}
