//! What the host answers itself.

use http::Method;
use rookery_pop::StatusEntry;

use crate::support::{request, start};

#[tokio::test]
async fn the_page_says_what_runs_where() {
    let pop = start(|_| {}).await;
    pop.pop.set_status(&[StatusEntry::running("Gateway", "ws://127.0.0.1:8081"), StatusEntry::absent("Voice")]);
    let page = pop.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text().contains("ws://127.0.0.1:8081"));
    assert!(page.text().contains("not running"));
}

#[tokio::test]
async fn what_is_not_there_is_a_404_in_the_apis_shape() {
    let pop = start(|_| {}).await;
    for path in ["/favicon.ico", "/healthz", "/apix"] {
        pop.get(path).await.assert_error(404, 0, "404: Not Found");
    }
}

#[tokio::test]
async fn a_page_of_any_origin_may_call_the_api() {
    let pop = start(|_| {}).await;
    let mut question = request(Method::OPTIONS, "/api/v10/users/@me", "");
    for (name, value) in [
        ("origin", "https://example.com"),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,content-type"),
    ] {
        question.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = pop.send(question).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization,content-type");
    assert!(answer.headers["access-control-allow-methods"].to_str().unwrap().contains("PATCH"));

    let answer = pop.get("/api/count").await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    for name in ["x-ratelimit-remaining", "x-ratelimit-reset-after", "retry-after"] {
        assert!(exposed.contains(name), "{name} is not exposed");
    }
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let pop = start(|_| {}).await;
    let answer = pop.send(request(Method::HEAD, "/", "")).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}
