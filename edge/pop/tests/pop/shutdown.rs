//! The end: requests under way are answered, connections closed, and nothing waits for ever.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::{FakeRegion, connect_http2, get_from, send_http2, start, start_with};

#[tokio::test]
async fn a_request_under_way_is_answered_and_new_connections_are_not_taken() {
    let pop = start_with(FakeRegion::gated(), |_| {}).await;
    let (address, region) = (pop.addr(), pop.region.clone());
    let answer = tokio::spawn(get_from(address, "/api/call"));
    region.wait_for_calls(1).await;
    let shutdown = tokio::spawn(pop.pop.shutdown());
    // Once the listener is gone the shutdown has begun.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!shutdown.is_finished());
    region.open(1);
    assert_eq!(answer.await.unwrap().unwrap().text(), "re:ping");
    shutdown.await.unwrap();
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let pop = start(|_| {}).await;
    let mut silent = TcpStream::connect(pop.addr()).await.unwrap();
    let mut http2 = connect_http2(TcpStream::connect(pop.addr()).await.unwrap()).await;
    assert_eq!(send_http2(&mut http2, "/api/count").await.status, 200);
    tokio::time::timeout(Duration::from_secs(5), pop.pop.shutdown()).await.expect("the shutdown hangs");
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_after_the_drain_time() {
    let pop = start_with(FakeRegion::gated(), |config| config.connections.drain_timeout_ms = 100).await;
    let (address, region) = (pop.addr(), pop.region.clone());
    let answer = tokio::spawn(get_from(address, "/api/call"));
    region.wait_for_calls(1).await;
    pop.pop.shutdown().await;
    assert!(answer.await.unwrap().is_err());
    region.wait_for_abandoned(1).await;
}
