//! Request bodies: caps, times, and what goes past the component.

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestPop, request, start};

async fn raw(pop: &TestPop, bytes: &[u8]) -> String {
    let mut client = TcpStream::connect(pop.addr()).await.unwrap();
    client.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_reaches_the_component_whole() {
    let pop = start(|_| {}).await;
    let body: Bytes = (0..1 << 20).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
    let answer = pop.send(request(Method::POST, "/api/echo", body.clone())).await;
    assert_eq!(answer.body, body);
    assert_eq!(pop.send(request(Method::POST, "/api/echo", "")).await.body, "");
}

#[tokio::test]
async fn a_body_over_the_cap_is_a_413_and_its_sender_sees_it() {
    let pop = start(|config| config.requests.max_body_bytes = 100_000).await;
    assert_eq!(pop.send(request(Method::POST, "/api/echo", vec![b'x'; 100_000])).await.status, 200);
    let answer = pop.send(request(Method::POST, "/api/echo", vec![b'x'; 100_001])).await;
    answer.assert_error(413, 40005, "Request entity too large");
}

#[tokio::test]
async fn a_chunked_body_over_the_cap_is_a_413() {
    let pop = start(|config| config.requests.max_body_bytes = 1_000).await;
    let mut wire =
        b"POST /api/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..3 {
        wire.extend_from_slice(b"190\r\n");
        wire.extend_from_slice(&[b'x'; 0x190]);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&pop, &wire).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with(r#"{"message":"Request entity too large","code":40005}"#), "{answer}");
}

#[tokio::test]
async fn who_asks_before_sending_too_much_is_told_without_sending_it() {
    let pop = start(|config| config.requests.max_body_bytes = 1_000).await;
    let head = b"POST /api/echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5000000\r\n\r\n";
    let answer = raw(&pop, head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408() {
    let pop = start(|config| config.requests.body_read_timeout_ms = 50).await;
    let answer = raw(&pop, b"POST /api/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let pop = start(|config| {
        config.requests.max_body_bytes = 4_096;
        config.requests.max_buffered_body_bytes = 4_096;
    })
    .await;
    let mut holder = TcpStream::connect(pop.addr()).await.unwrap();
    holder.write_all(b"POST /api/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4096\r\n\r\n").await.unwrap();
    holder.write_all(&[b'x'; 4_000]).await.unwrap();
    // Until those bytes were read there is room for others.
    loop {
        let answer = pop.send(request(Method::POST, "/api/echo", vec![b'x'; 200])).await;
        if answer.status == 503 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(pop.get("/api/count").await.status, 200, "what has no body needs no room");
    drop(holder);
    while pop.send(request(Method::POST, "/api/echo", vec![b'x'; 200])).await.status == 503 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_multipart_body_is_honestly_refused() {
    let pop = start(|_| {}).await;
    let mut upload = request(Method::POST, "/api/v10/channels/1/messages", vec![b'x'; 2 << 20]);
    upload.headers_mut().insert("content-type", "multipart/form-data; boundary=x".parse().unwrap());
    let answer = pop.send(upload).await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.json()["code"], 50068);
}
