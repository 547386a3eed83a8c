//! What a misbehaving component costs: one request its answer, and nothing else.

use std::time::{Duration, Instant};

use rookery_pop::component::ComponentError;
use rookery_pop::{Pop, StartError};

use crate::support::{FakeRegion, TestPop, start, test_config, test_deps};

async fn assert_fails_once(pop: &TestPop, path: &str) {
    pop.get(path).await.assert_error(500, 0, "500: Internal Server Error");
    let next = pop.get("/api/count").await;
    assert_eq!((next.status.as_u16(), next.text()), (200, "1"), "after {path} a new instance was expected");
    // Also that instance must go, so that the next path again sees a first request.
    pop.get("/api/trap").await.assert_error(500, 0, "500: Internal Server Error");
}

#[tokio::test]
async fn whatever_goes_wrong_inside_costs_one_request_a_500() {
    let pop = start(|config| config.component.max_compute_ms = 200).await;
    for path in ["/api/trap", "/api/loop", "/api/bomb", "/api/recurse", "/api/silent", "/api/late-trap", "/api/fail"] {
        assert_fails_once(&pop, path).await;
    }
}

#[tokio::test]
async fn a_loop_is_cut_at_its_budget_and_lets_others_run_meanwhile() {
    // The test's runtime has one thread: had the loop kept it, nothing else would have been answered before its end.
    let pop = start(|config| config.component.max_compute_ms = 500).await;
    assert_eq!(pop.get("/api/count").await.text(), "1");
    let started = Instant::now();
    let looping = async {
        let answer = pop.get("/api/loop").await;
        (answer.status.as_u16(), started.elapsed())
    };
    let others = async {
        for _ in 0..5 {
            assert_eq!(pop.get("/api/count").await.status, 200);
        }
        started.elapsed()
    };
    let ((status, cut_after), others_took) = tokio::join!(looping, others);
    assert_eq!(status, 500);
    assert!(cut_after >= Duration::from_millis(400), "cut after {cut_after:?}");
    assert!(others_took < cut_after, "others took {others_took:?}, the loop {cut_after:?}");
}

#[tokio::test]
async fn a_response_over_the_cap_is_a_500() {
    let pop = start(|config| config.requests.max_response_bytes = 1 << 20).await;
    pop.get("/api/big").await.assert_error(500, 0, "500: Internal Server Error");
    assert_eq!(pop.get("/api/count").await.text(), "1");
}

#[tokio::test]
async fn a_large_response_arrives_whole() {
    let pop = start(|_| {}).await;
    let answer = pop.get("/api/big").await;
    assert_eq!(answer.body.len(), 3 << 20);
    assert!(answer.body.iter().all(|&byte| byte == b'x'));
}

#[tokio::test]
async fn a_binary_without_component_says_what_to_do() {
    let mut deps = test_deps(&FakeRegion::echoing().into());
    deps.component = Some(Vec::new());
    let error = Pop::start(test_config(), deps).await.err().unwrap();
    assert!(matches!(error, StartError::Component(ComponentError::Absent)));
    assert!(error.to_string().contains("cargo xtask build"));
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused_at_start() {
    let mut deps = test_deps(&FakeRegion::echoing().into());
    deps.component = Some(b"\x7fELF no".to_vec());
    let error = Pop::start(test_config(), deps).await.err().unwrap();
    assert!(matches!(error, StartError::Component(ComponentError::Load(_))), "{error}");
}
