//! Calls to the region: what the host adds, what it passes on, and when it gives up.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::Method;
use rookery_pop::RegionCallError;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{FakeRegion, request, start, start_with};

#[tokio::test]
async fn a_call_carries_what_the_component_may_not_choose() {
    let pop = start(|config| config.requests.region_call_timeout_ms = 3_000).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = request(Method::GET, "/api/call", "");
    request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
    assert_eq!(pop.send(request).await.text(), "re:ping");
    let (header, payload) = pop.region.calls().remove(0);
    assert_eq!(payload, b"ping");
    assert_eq!(header.traceparent.as_deref(), Some(traceparent));
    assert_eq!(header.client_ip, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert!((1..=3_000).contains(&header.deadline_ms), "{}", header.deadline_ms);
    assert_eq!(header.operation_id[6] >> 4, 7, "the operation id is a UUIDv7");
}

#[tokio::test]
async fn every_call_has_an_operation_id_of_its_own() {
    let pop = start(|_| {}).await;
    assert_eq!(pop.get("/api/call-twice").await.text(), "re:onere:two");
    pop.get("/api/call").await;
    let calls = pop.region.calls();
    let ids: HashSet<_> = calls.iter().map(|(header, _)| header.operation_id).collect();
    assert_eq!((calls.len(), ids.len()), (3, 3));
}

#[tokio::test]
async fn the_component_learns_why_a_call_failed() {
    for (failure, name) in [
        (RegionCallError::Busy, "busy"),
        (RegionCallError::Unavailable, "unavailable"),
        (RegionCallError::DeadlineExceeded, "deadline-exceeded"),
        (RegionCallError::TooLarge, "too-large"),
    ] {
        let pop = start_with(FakeRegion::failing(failure), |_| {}).await;
        assert_eq!(pop.get("/api/call").await.text(), name);
    }
}

#[tokio::test]
async fn a_request_may_not_call_without_end() {
    let pop = start(|config| config.component.max_calls_per_request = 1).await;
    assert_eq!(pop.get("/api/call-twice").await.text(), "re:one");
}

#[tokio::test]
async fn beyond_the_places_and_the_queue_is_a_503_at_once() {
    let pop = start_with(FakeRegion::gated(), |config| {
        config.requests.max_concurrent = 1;
        config.requests.max_queued = 1;
        config.requests.queue_timeout_ms = 60_000;
        config.requests.timeout_ms = 60_000;
        config.requests.region_call_timeout_ms = 60_000;
    })
    .await;
    let mut first = std::pin::pin!(pop.get("/api/call"));
    tokio::select! {
        answer = &mut first => panic!("answered before the region did: {answer:?}"),
        () = pop.region.wait_for_calls(1) => {}
    }
    // Of two more, one waits its turn and the other is refused, whichever came first.
    let (second, third) = (Box::pin(pop.get("/api/call")), Box::pin(pop.get("/api/call")));
    let (refused, waiting) = futures_util::future::select(second, third).await.factor_first();
    refused.assert_error(503, 0, "503: Service Unavailable");
    assert_eq!(refused.headers["retry-after"], "1");
    pop.region.open(2);
    assert_eq!(first.await.text(), "re:ping");
    assert_eq!(waiting.await.text(), "re:ping");
}

#[tokio::test]
async fn a_request_over_its_time_is_a_504() {
    let pop = start_with(FakeRegion::gated(), |config| config.requests.timeout_ms = 100).await;
    pop.get("/api/call").await.assert_error(504, 0, "504: Gateway Timeout");
    pop.region.wait_for_abandoned(1).await;
    assert_eq!(pop.get("/api/count").await.text(), "1");
}

#[tokio::test]
async fn waiting_for_the_region_is_no_computing() {
    let pop = start_with(FakeRegion::gated(), |config| config.component.max_compute_ms = 30).await;
    let mut answer = std::pin::pin!(pop.get("/api/call"));
    tokio::select! {
        answer = &mut answer => panic!("answered before the region did: {answer:?}"),
        // Ten times the budget passes; that is what is tested.
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    pop.region.open(1);
    assert_eq!(answer.await.text(), "re:ping");
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place() {
    let pop = start_with(FakeRegion::gated(), |config| config.requests.max_concurrent = 1).await;
    let mut client = TcpStream::connect(pop.addr()).await.unwrap();
    client.write_all(b"GET /api/call HTTP/1.1\r\nhost: pop.test\r\n\r\n").await.unwrap();
    pop.region.wait_for_calls(1).await;
    drop(client);
    pop.region.wait_for_abandoned(1).await;
    let next = pop.get("/api/count").await;
    assert_eq!(next.text(), "1", "the abandoned instance must not be used again");
}
