//! Instances are kept and used again, until there is a reason not to.

use std::time::Duration;

use crate::support::start;

#[tokio::test]
async fn an_instance_is_reused() {
    let pop = start(|_| {}).await;
    for count in ["1", "2", "3"] {
        assert_eq!(pop.get("/api/count").await.text(), count);
    }
}

#[tokio::test]
async fn an_instance_is_replaced_after_its_share_of_requests() {
    let pop = start(|config| config.component.max_requests_per_instance = 2).await;
    for count in ["1", "2", "1", "2"] {
        assert_eq!(pop.get("/api/count").await.text(), count);
    }
}

#[tokio::test]
async fn an_instance_that_leaks_resources_is_replaced() {
    let pop = start(|_| {}).await;
    assert_eq!(pop.get("/api/leak").await.text(), "1");
    assert_eq!(pop.get("/api/count").await.text(), "1");
}

#[tokio::test]
async fn an_instance_that_grew_large_is_replaced() {
    let pop = start(|_| {}).await;
    assert_eq!(pop.get("/api/grow").await.text(), "1");
    assert_eq!(pop.get("/api/count").await.text(), "1");
    let pop = start(|config| config.component.max_idle_memory_bytes = 32 << 20).await;
    assert_eq!(pop.get("/api/grow").await.text(), "1");
    assert_eq!(pop.get("/api/count").await.text(), "2");
}

#[tokio::test]
async fn an_idle_instance_is_given_back() {
    let pop = start(|config| config.component.idle_timeout_ms = 40).await;
    assert_eq!(pop.get("/api/count").await.text(), "1");
    // What is tested is that time passes.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(pop.get("/api/count").await.text(), "1");
}

#[tokio::test]
async fn new_settings_reach_every_later_request() {
    let pop = start(|_| {}).await;
    let mut config = rookery_edge_api::Config::default();
    assert_eq!(pop.get("/api/config").await.body, config.to_cbor().unwrap());
    config.max_body_bytes = 7;
    pop.pop.set_api_config(config.clone()).unwrap();
    assert_eq!(pop.get("/api/config").await.body, config.to_cbor().unwrap());
}

#[tokio::test]
async fn the_component_sees_only_the_headers_of_the_api() {
    let pop = start(|_| {}).await;
    let mut request = crate::support::request(http::Method::GET, "/api/headers", "");
    for name in ["authorization", "cookie", "x-forwarded-for", "x-audit-log-reason"] {
        request.headers_mut().insert(name, "value".parse().unwrap());
    }
    assert_eq!(pop.send(request).await.text(), "authorization,x-audit-log-reason");
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let pop = start(|config| config.requests.max_concurrent = 4).await;
    let answers = futures_util::future::join_all((0..64).map(|_| pop.get("/api/call"))).await;
    assert!(answers.iter().all(|answer| answer.text() == "re:ping"));
    assert_eq!(pop.region.calls().len(), 64);
}
