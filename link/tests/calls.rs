//! Calls on a link that works: many at once, bounds, deadlines, versions, sizes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use rookery_link::frame::{decode_reply, encode_head};
use rookery_link::{BusySide, CallError, CallHeader, ClientOptions, CloseCode, Kind, Role, ServerOptions, Status};
use support::{Deployment, header, raw_connection, until_healthy, within};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

const LONG_MS: u32 = 20_000;

/// A handler that tells of each call and answers when it is let.
#[derive(Clone)]
struct Gate {
    arrived: Arc<watch::Sender<usize>>,
    open: Arc<Semaphore>,
    finished: Arc<watch::Sender<usize>>,
}

impl Gate {
    fn new() -> Self {
        Self { arrived: Arc::default(), open: Arc::new(Semaphore::new(0)), finished: Arc::default() }
    }

    async fn pass(self, payload: Bytes) -> Bytes {
        self.arrived.send_modify(|arrived| *arrived += 1);
        self.open.acquire().await.unwrap().forget();
        self.finished.send_modify(|finished| *finished += 1);
        payload
    }

    async fn until_arrived(&self, count: usize) {
        within(self.arrived.subscribe().wait_for(|arrived| *arrived >= count)).await.unwrap();
    }

    async fn until_finished(&self, count: usize) {
        within(self.finished.subscribe().wait_for(|finished| *finished >= count)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_are_in_flight_at_once_on_one_connection() {
    let deployment = Deployment::new();
    let gate = Gate::new();
    let at_server = gate.clone();
    let server = deployment.server(ServerOptions::default(), move |header, payload| {
        let gate = at_server.clone();
        async move {
            let mut answer = BytesMut::from(&header.operation_id[..]);
            answer.extend_from_slice(&gate.pass(payload).await);
            answer.freeze()
        }
    });
    let client = deployment.client(server.address, ClientOptions::default());
    let mut calls = JoinSet::new();
    for n in 0..1_000 {
        let client = client.clone();
        calls.spawn(async move {
            let answer = client.call(header(n, LONG_MS), Bytes::from(format!("payload {n}"))).await.unwrap();
            let expected = [&u128::from(n).to_be_bytes()[..], format!("payload {n}").as_bytes()].concat();
            assert_eq!(answer, expected);
        });
    }
    gate.until_arrived(1_000).await;
    assert_eq!(client.stats().in_flight, 1_000);
    gate.open.add_permits(1_000);
    while let Some(result) = within(calls.join_next()).await {
        result.unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.in_flight, stats.retries, stats.connections), (0, 0, 1));
}

#[tokio::test]
async fn header_fields_arrive_and_large_payloads_go_both_ways() {
    let deployment = Deployment::new();
    let (seen_sender, mut seen) = mpsc::channel(1);
    let server = deployment.server(ServerOptions::default(), move |header, payload| {
        let seen = seen_sender.clone();
        async move {
            seen.send(header).await.unwrap();
            payload
        }
    });
    let client = deployment.client(server.address, ClientOptions::default());
    let sent = CallHeader {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        client_ip: Some("192.0.2.1".parse().unwrap()),
        ..header(7, LONG_MS)
    };
    let payload: Bytes = (0..3_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
    let answer = within(client.call(sent.clone(), payload.clone())).await.unwrap();
    assert!(answer == payload, "the payload came back changed");
    let received = seen.recv().await.unwrap();
    assert!(received.deadline_ms > 0 && received.deadline_ms <= LONG_MS);
    assert_eq!(CallHeader { deadline_ms: LONG_MS, ..received }, sent);
    assert_eq!(within(client.call(header(8, LONG_MS), Bytes::new())).await.unwrap(), Bytes::new());
}

#[tokio::test]
async fn calls_beyond_a_connections_bound_are_busy_at_once() {
    let options = ServerOptions { max_in_flight_per_connection: 2, ..Default::default() };
    assert_busy_beyond_two(options).await;
}

#[tokio::test]
async fn calls_beyond_the_servers_bound_are_busy_at_once() {
    let options = ServerOptions { max_in_flight: 2, ..Default::default() };
    assert_busy_beyond_two(options).await;
}

#[tokio::test]
async fn calls_beyond_the_memory_bound_are_busy_at_once() {
    let options = ServerOptions { max_in_flight_bytes: 2 * 64 * 1024, ..Default::default() };
    assert_busy_beyond_two(options).await;
}

async fn assert_busy_beyond_two(options: ServerOptions) {
    let deployment = Deployment::new();
    let gate = Gate::new();
    let at_server = gate.clone();
    let server = deployment.server(options, move |_, payload| at_server.clone().pass(payload));
    let client = deployment.client(server.address, ClientOptions::default());
    let payload = Bytes::from(vec![1; 64 * 1024]);
    let call = |n| {
        let (client, payload) = (client.clone(), payload.clone());
        tokio::spawn(async move { client.call(header(n, LONG_MS), payload).await })
    };
    let held = [call(1), call(2)];
    gate.until_arrived(2).await;
    let busy = within(call(3)).await.unwrap();
    assert_eq!(busy, Err(CallError::Busy { side: BusySide::Region }));
    assert!(!busy.unwrap_err().may_have_executed());
    gate.open.add_permits(3);
    for call in held {
        within(call).await.unwrap().unwrap();
    }
    within(call(4)).await.unwrap().unwrap();
    assert_eq!(*gate.arrived.borrow(), 3, "the busy call must not have run");
}

#[tokio::test]
async fn calls_beyond_the_clients_bound_are_busy_without_being_sent() {
    let deployment = Deployment::new();
    let gate = Gate::new();
    let at_server = gate.clone();
    let server = deployment.server(ServerOptions::default(), move |_, payload| at_server.clone().pass(payload));
    let client = deployment.client(server.address, ClientOptions { max_in_flight: 1, ..Default::default() });
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.call(header(1, LONG_MS), Bytes::new()).await }
    });
    gate.until_arrived(1).await;
    let busy = client.call(header(2, LONG_MS), Bytes::new()).await;
    assert_eq!(busy, Err(CallError::Busy { side: BusySide::Client }));
    gate.open.add_permits(2);
    within(held).await.unwrap().unwrap();
    within(client.call(header(3, LONG_MS), Bytes::new())).await.unwrap();
    assert_eq!(*gate.arrived.borrow(), 2);
}

#[tokio::test]
async fn past_the_deadline_the_caller_is_told_and_the_handler_runs_to_its_end() {
    let deployment = Deployment::new();
    let gate = Gate::new();
    let at_server = gate.clone();
    let options = ServerOptions { max_in_flight: 1, ..Default::default() };
    let server = deployment.server(options, move |_, payload| at_server.clone().pass(payload));
    let client = deployment.client(server.address, ClientOptions::default());
    until_healthy(&client, true).await;
    let late = within(client.call(header(1, 300), Bytes::new())).await;
    assert_eq!(late, Err(CallError::DeadlineExceeded));
    assert!(late.unwrap_err().may_have_executed());
    gate.until_arrived(1).await;
    // It still counts as in flight, so a region cannot pile up work that nobody waits for.
    let busy = within(client.call(header(2, LONG_MS), Bytes::new())).await;
    assert_eq!(busy, Err(CallError::Busy { side: BusySide::Region }));
    gate.open.add_permits(1);
    gate.until_finished(1).await;
}

#[tokio::test]
async fn the_region_itself_answers_when_a_deadline_passes() {
    let deployment = Deployment::new();
    let server = deployment.server(ServerOptions::default(), |_, _| std::future::pending::<Bytes>());
    let connection = raw_connection(server.address, &deployment.tls(Role::Pop)).await;
    let head = encode_head(&header(1, 50), 0, 0).unwrap();
    assert_eq!(raw_status(&connection, &head).await, Status::DeadlineExceeded);
    let head = encode_head(&header(2, 0), 0, 0).unwrap();
    assert_eq!(raw_status(&connection, &head).await, Status::DeadlineExceeded);
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_runs_to_its_end() {
    let deployment = Deployment::new();
    let gate = Gate::new();
    let at_server = gate.clone();
    let server = deployment.server(ServerOptions::default(), move |_, payload| at_server.clone().pass(payload));
    let client = deployment.client(server.address, ClientOptions::default());
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call(header(1, LONG_MS), Bytes::new()).await }
    });
    gate.until_arrived(1).await;
    call.abort();
    assert!(within(call).await.unwrap_err().is_cancelled());
    assert_eq!(client.stats().in_flight, 0);
    client.close().await;
    gate.open.add_permits(1);
    gate.until_finished(1).await;
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_call_only() {
    let deployment = Deployment::new();
    let server = deployment.server(ServerOptions::default(), |_, payload| async move {
        assert!(payload != "panic", "as the test wants it");
        payload
    });
    let client = deployment.client(server.address, ClientOptions::default());
    assert_eq!(within(client.call(header(1, LONG_MS), "panic".into())).await, Err(CallError::Internal));
    assert_eq!(within(client.call(header(2, LONG_MS), "fine".into())).await.unwrap(), "fine");
    assert_eq!(client.stats().connections, 1);
}

#[tokio::test]
async fn a_version_that_the_region_does_not_speak_is_refused_with_its_own() {
    let deployment = Deployment::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let options = ServerOptions { min_version: 2, max_version: 3, ..Default::default() };
    let server = deployment.server(options, move |_, payload| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { payload }
    });
    let client = deployment.client(server.address, ClientOptions::default());
    for version in [1, 4] {
        let call = CallHeader { version, ..header(1, LONG_MS) };
        let refused = within(client.call(call, "x".into())).await;
        assert_eq!(refused, Err(CallError::VersionUnsupported { ours: version, theirs: 3 }));
    }
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    for version in [2, 3] {
        let call = CallHeader { version, ..header(1, LONG_MS) };
        assert_eq!(within(client.call(call, "x".into())).await.unwrap(), "x");
    }
}

#[tokio::test]
async fn payloads_over_the_limit_are_refused_at_each_end() {
    let deployment = Deployment::new();
    let options = ServerOptions { max_request_bytes: 1_000, max_reply_bytes: 2_000, ..Default::default() };
    let server = deployment.server(options, |_, payload| async move {
        match payload.len() {
            1 => Bytes::from(vec![0; 2_001]),
            2 => Bytes::from(vec![0; 1_501]),
            _ => payload,
        }
    });
    let client_options = ClientOptions { max_request_bytes: 1_200, max_reply_bytes: 1_500, ..Default::default() };
    let client = deployment.client(server.address, client_options);
    let call = async |bytes: usize| within(client.call(header(1, LONG_MS), vec![7; bytes].into())).await;
    assert!(matches!(call(1_201).await, Err(CallError::TooLarge(_))), "over the client's own limit");
    assert_eq!(
        call(1_001).await,
        Err(CallError::Protocol {
            reason: format!("the region gave the stream up with code {}", CloseCode::FrameTooLarge as u32)
        })
    );
    assert_eq!(call(1).await, Err(CallError::Internal), "a reply over the region's own limit");
    assert!(matches!(call(2).await, Err(CallError::Protocol { .. })), "a reply over the client's limit");
    assert_eq!(call(1_000).await.unwrap().len(), 1_000);
    assert_eq!(client.stats().connections, 1, "none of this may cost the connection");
}

#[tokio::test]
async fn garbage_costs_its_own_stream_only() {
    let deployment = Deployment::new();
    let server = deployment.server(ServerOptions::default(), |_, payload| async { payload });
    let connection = raw_connection(server.address, &deployment.tls(Role::Pop)).await;
    let mut wrong_header = BytesMut::new();
    wrong_header.put_u32(3);
    wrong_header.put_u32(0);
    wrong_header.put_slice(&[0xff, 0x00, 0x13]);
    let mut huge_header = BytesMut::new();
    huge_header.put_u32(u32::MAX);
    huge_header.put_u32(0);
    let mut huge_payload = BytesMut::new();
    huge_payload.put_u32(10);
    huge_payload.put_u32(u32::MAX);
    for (bytes, code) in [
        (wrong_header, CloseCode::Malformed),
        (huge_header, CloseCode::FrameTooLarge),
        (huge_payload, CloseCode::FrameTooLarge),
    ] {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        // The stream stays open: the server must not wait for more before it refuses.
        send.write_all(&bytes).await.unwrap();
        let error = within(receive.read_to_end(100)).await.unwrap_err();
        let quinn::ReadToEndError::Read(quinn::ReadError::Reset(reset)) = error else {
            panic!("expected a reset, got {error:?}");
        };
        assert_eq!(reset, quinn::VarInt::from_u32(code as u32));
    }
    let bulk = CallHeader { kind: Kind::Stream, ..header(1, LONG_MS) };
    assert_eq!(raw_status(&connection, &encode_head(&bulk, 0, 0).unwrap()).await, Status::KindUnsupported);
    let fine = encode_head(&header(1, LONG_MS), 0, 0).unwrap();
    assert_eq!(raw_status(&connection, &fine).await, Status::Ok);
}

#[tokio::test]
async fn a_peer_that_stops_in_the_middle_of_a_frame_is_given_up() {
    let deployment = Deployment::new();
    let options = ServerOptions { frame_timeout_ms: 200, ..Default::default() };
    let server = deployment.server(options, |_, payload| async { payload });
    let connection = raw_connection(server.address, &deployment.tls(Role::Pop)).await;
    let whole = encode_head(&header(1, LONG_MS), 10, 10).unwrap();
    for sent in [4, whole.len() - 1, whole.len()] {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&whole[..sent]).await.unwrap();
        let error = within(receive.read_to_end(100)).await.unwrap_err();
        let expected = quinn::ReadError::Reset(quinn::VarInt::from_u32(CloseCode::TooSlow as u32));
        assert_eq!(error, quinn::ReadToEndError::Read(expected), "{sent} bytes sent");
    }
}

#[tokio::test]
async fn a_full_server_refuses_further_connections() {
    let deployment = Deployment::new();
    let options = ServerOptions { max_connections: 1, ..Default::default() };
    let server = deployment.server(options, |_, payload| async { payload });
    let first = deployment.client(server.address, ClientOptions::default());
    assert_eq!(within(first.call(header(1, LONG_MS), "x".into())).await.unwrap(), "x");
    let quick = ClientOptions { unavailable_after_ms: 200, ..Default::default() };
    let second = deployment.client(server.address, quick);
    let refused = within(second.call(header(2, LONG_MS), "x".into())).await;
    assert!(matches!(refused, Err(CallError::Unavailable { .. })), "{refused:?}");
    first.close().await;
    until_healthy(&second, true).await;
    assert_eq!(within(second.call(header(3, LONG_MS), "x".into())).await.unwrap(), "x");
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection() {
    let deployment = Deployment::new();
    let server = deployment.server(ServerOptions::default(), |_, payload| async { payload });
    let client = deployment.client(server.address, ClientOptions::default());
    let mut healthy = client.healthy();
    until_healthy(&client, true).await;
    let other = client.clone();
    drop(client);
    assert_eq!(within(other.call(header(1, LONG_MS), "x".into())).await.unwrap(), "x");
    drop(other);
    // The channel ends with the task that kept the connection.
    within(async { while healthy.changed().await.is_ok() {} }).await;
}

async fn raw_status(connection: &quinn::Connection, bytes: &[u8]) -> Status {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    send.finish().unwrap();
    let reply = within(receive.read_to_end(1_000)).await.unwrap();
    decode_reply(&reply).unwrap().0.status
}
