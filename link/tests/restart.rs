//! A region that dies, drains, comes back or stays away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rookery_link::{
    BindError, CallError, CallHeader, Client, ClientOptions, DrainOutcome, LinkTls, Pool, RegionAddress, Role, Server,
    ServerOptions,
};
use support::{Deployment, PATIENCE, REGION, Running, header, loopback, raw_connection, until_healthy, within};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A region in a runtime of its own, which can be made to end without a word to its peers.
struct Region {
    runtime: Runtime,
    address: SocketAddr,
    calls: mpsc::Receiver<CallHeader>,
}

impl Region {
    /// Starts one that answers with its name, or never.
    fn start(address: SocketAddr, tls: &LinkTls, answers: bool) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (seen, calls) = mpsc::channel(16);
        let server = {
            let _inside = runtime.enter();
            bind_again(address, tls)
        };
        let address = server.local_addr().unwrap();
        runtime.spawn(server.serve(
            move |header, payload| {
                let seen = seen.clone();
                async move {
                    seen.send(header).await.unwrap();
                    if !answers {
                        std::future::pending::<()>().await;
                    }
                    payload
                }
            },
            CancellationToken::new(),
        ));
        Self { runtime, address, calls }
    }

    /// Ends it as a killed process ends: the socket is gone, nothing more is sent.
    fn kill(self) {
        std::thread::spawn(move || self.runtime.shutdown_timeout(PATIENCE)).join().unwrap();
    }
}

/// Binds an address that its last owner may be about to give back.
fn bind_again(address: SocketAddr, tls: &LinkTls) -> Server {
    let give_up = std::time::Instant::now() + PATIENCE;
    loop {
        match Server::bind(address, tls, ServerOptions::default()) {
            Ok(server) => return server,
            Err(BindError::Socket { .. }) if std::time::Instant::now() < give_up => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn patient() -> ClientOptions {
    ClientOptions { unavailable_after_ms: PATIENCE.as_millis() as u64, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_when_the_region_dies_reaches_its_successor_as_the_same_operation() {
    let deployment = Deployment::new();
    let tls = deployment.tls(Role::Region);
    let mut first = Region::start(loopback(), &tls, false);
    let address = first.address;
    // So long that only the successor's stateless reset can end the old connection in time.
    let client = deployment.client(address, ClientOptions { idle_timeout_ms: 600_000, ..patient() });
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call(header(4711, PATIENCE.as_millis() as u32), "once".into()).await }
    });
    let seen_by_first = within(first.calls.recv()).await.unwrap();
    first.kill();
    let mut second = Region::start(address, &tls, true);
    let seen_by_second = within(second.calls.recv()).await.unwrap();
    assert_eq!(within(call).await.unwrap().unwrap(), "once");
    assert_eq!(seen_by_first.operation_id, 4711u128.to_be_bytes());
    assert_eq!(seen_by_second.operation_id, seen_by_first.operation_id);
    assert!(seen_by_second.deadline_ms < seen_by_first.deadline_ms, "the time that passed must be taken off");
    let stats = client.stats();
    assert_eq!((stats.retries, stats.connections), (1, 2));
    second.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_stays_dead_ends_calls_with_an_unknown_outcome_and_later_ones_at_once() {
    let deployment = Deployment::new();
    let mut region = Region::start(loopback(), &deployment.tls(Role::Region), false);
    let options = ClientOptions {
        keep_alive_ms: 50,
        idle_timeout_ms: 200,
        connect_timeout_ms: 100,
        unavailable_after_ms: 200,
        ..Default::default()
    };
    let client = deployment.client(region.address, options);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call(header(1, PATIENCE.as_millis() as u32), Bytes::new()).await }
    });
    within(region.calls.recv()).await.unwrap();
    region.kill();
    let lost = within(call).await.unwrap().unwrap_err();
    assert!(matches!(lost, CallError::ConnectionLost { .. }), "{lost:?}");
    assert!(lost.may_have_executed());
    let started = std::time::Instant::now();
    let later = within(client.call(header(2, PATIENCE.as_millis() as u32), Bytes::new())).await.unwrap_err();
    assert!(matches!(later, CallError::Unavailable { .. }), "{later:?}");
    assert!(!later.may_have_executed());
    assert!(started.elapsed() < Duration::from_secs(2), "a call to a dead region must fail at once");
    assert!(!*client.healthy().borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_there_first_connects_when_the_region_comes() {
    let deployment = Deployment::new();
    let tls = deployment.tls(Role::Region);
    // Bound, so that nobody else gets the port, and dropped when the region takes it over.
    let placeholder = std::net::UdpSocket::bind(loopback()).unwrap();
    let address = placeholder.local_addr().unwrap();
    let client = deployment.client(address, ClientOptions { connect_timeout_ms: 200, ..patient() });
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call(header(1, PATIENCE.as_millis() as u32), "x".into()).await }
    });
    // The client's first packet has come and found nobody.
    placeholder.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut packet = [0; 2048];
    assert!(placeholder.recv(&mut packet).unwrap() >= 1200);
    assert!(!*client.healthy().borrow());
    drop(placeholder);
    let mut region = Region::start(address, &tls, true);
    within(region.calls.recv()).await.unwrap();
    assert_eq!(within(call).await.unwrap().unwrap(), "x");
    assert!(*client.healthy().borrow());
    region.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_in_flight_and_sends_new_calls_to_the_successor() {
    let deployment = Deployment::new();
    let tls = deployment.tls(Role::Region);
    let (seen_sender, mut seen) = mpsc::channel(1);
    let release = CancellationToken::new();
    let until = release.clone();
    let first = Running::start(loopback(), &tls, ServerOptions::default(), move |_, _| {
        let (seen, until) = (seen_sender.clone(), until.clone());
        async move {
            seen.send(()).await.unwrap();
            until.cancelled().await;
            Bytes::from_static(b"by the first")
        }
    });
    let client = deployment.client(first.address, patient());
    let raw = raw_connection(first.address, &deployment.tls(Role::Pop)).await;
    let call = |n| {
        let client = client.clone();
        tokio::spawn(async move { client.call(header(n, PATIENCE.as_millis() as u32), Bytes::new()).await })
    };
    let in_flight = call(1);
    within(seen.recv()).await.unwrap();
    first.stop.cancel();
    let meanwhile = call(2);
    until_healthy(&client, false).await;
    assert!(!first.task.is_finished(), "a call is still in flight");
    release.cancel();
    assert_eq!(within(in_flight).await.unwrap().unwrap(), "by the first");
    assert_eq!(within(first.task).await.unwrap(), DrainOutcome::Finished);
    let closed = within(raw.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed:?}") };
    assert_eq!(close.error_code, quinn::VarInt::from_u32(rookery_link::CloseCode::Drained as u32));
    let second = bind_again(first.address, &tls);
    tokio::spawn(second.serve(|_, _| async { Bytes::from_static(b"by the second") }, CancellationToken::new()));
    assert_eq!(within(meanwhile).await.unwrap().unwrap(), "by the second");
}

#[tokio::test]
async fn draining_gives_up_on_what_does_not_end() {
    let deployment = Deployment::new();
    let (seen_sender, mut seen) = mpsc::channel(1);
    let options = ServerOptions { drain_timeout_ms: 100, ..Default::default() };
    let server = deployment.server(options, move |_, _| {
        let seen = seen_sender.clone();
        async move {
            seen.send(()).await.unwrap();
            std::future::pending::<Bytes>().await
        }
    });
    let client = deployment.client(server.address, ClientOptions { unavailable_after_ms: 200, ..Default::default() });
    let call = tokio::spawn(async move { client.call(header(1, 20_000), Bytes::new()).await });
    within(seen.recv()).await.unwrap();
    server.stop.cancel();
    let outcome = within(server.task).await.unwrap();
    assert!(matches!(outcome, DrainOutcome::TimedOut { unfinished: 1.. }), "{outcome:?}");
    let lost = within(call).await.unwrap();
    assert!(matches!(lost, Err(CallError::ConnectionLost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_pool_uses_the_first_region_and_the_next_while_that_is_away() {
    let deployment = Deployment::new();
    let named = |name: &'static str| {
        deployment.server(ServerOptions::default(), move |_, _| async move { Bytes::from_static(name.as_bytes()) })
    };
    let (near, far) = (named("near"), named("far"));
    let options = ClientOptions { unavailable_after_ms: 300, ..Default::default() };
    let regions = [RegionAddress::new(near.address), RegionAddress::new(far.address)];
    let pool = Pool::connect(&regions, &deployment.tls(Role::Pop), &options).unwrap();
    for client in pool.clients() {
        until_healthy(client, true).await;
    }
    let call = async |n| within(pool.call(header(n, 10_000), Bytes::new())).await;
    assert_eq!(call(1).await.unwrap(), "near");
    near.stop.cancel();
    within(near.task).await.unwrap();
    until_healthy(&pool.clients()[0], false).await;
    assert_eq!(call(2).await.unwrap(), "far");
    let mut healthy = pool.healthy();
    assert!(*within(healthy.wait_for(|healthy| *healthy)).await.unwrap());
    far.stop.cancel();
    within(far.task).await.unwrap();
    within(healthy.wait_for(|healthy| !*healthy)).await.unwrap();
    let nobody = call(3).await;
    assert!(matches!(nobody, Err(CallError::Unavailable { .. })), "{nobody:?}");
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let deployment = Deployment::new();
    let server = deployment.server(ServerOptions::default(), |_, payload| async { payload });
    let client = Client::connect(server.address, REGION, &deployment.tls(Role::Pop), ClientOptions::default()).unwrap();
    within(client.call(header(1, 10_000), Bytes::new())).await.unwrap();
    within(client.close()).await;
    let refused = within(client.call(header(2, 10_000), Bytes::new())).await.unwrap_err();
    assert_eq!(refused, CallError::Unavailable { reason: "the client is closed".to_owned() });
}
