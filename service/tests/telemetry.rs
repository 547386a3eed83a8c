//! Logs, figures, and the operator's port.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use rookery_service::telemetry::{TelemetryError, recorder, subscriber};
use rookery_service::{LogFormat, Readiness, Telemetry, TelemetryOptions, operator_http};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(options: &TelemetryOptions, rust_log: Option<&str>, act: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = subscriber(options, rust_log.map(str::to_owned), false, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, act);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_lines_carry_the_fields_of_their_spans() {
    let options = TelemetryOptions { log_format: LogFormat::Json, ..Default::default() };
    let log = logged(&options, None, || {
        let _region = tracing::info_span!("region", region = "eu-1").entered();
        let _session = tracing::info_span!("session", session_id = "abc", guild_id = 7).entered();
        tracing::info!(took_ms = 3, "resumed");
        tracing::debug!("not at this level");
    });
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = lines.as_slice() else { panic!("one line expected: {log}") };
    assert_eq!(line["message"], "resumed");
    assert_eq!(line["took_ms"], 3);
    assert_eq!(line["spans"][0]["region"], "eu-1");
    assert_eq!(line["spans"][1]["session_id"], "abc");
    assert_eq!(line["spans"][1]["guild_id"], 7);
}

#[test]
fn the_configured_filter_goes_before_rust_log() {
    let act = || tracing::debug!("seen");
    let filtered = |filter: Option<&str>, rust_log: Option<&str>| {
        let options = TelemetryOptions { log_filter: filter.map(str::to_owned), ..Default::default() };
        logged(&options, rust_log, act).contains("seen")
    };
    assert!(!filtered(None, None));
    assert!(filtered(None, Some("debug")));
    assert!(filtered(Some("debug"), Some("error")));
    assert!(!filtered(Some("error"), Some("debug")));
}

#[test]
fn a_wrong_filter_is_an_error_that_names_it() {
    let options = TelemetryOptions { log_filter: Some("rookery=loudly".to_owned()), ..Default::default() };
    let Err(error) = subscriber(&options, None, false, io::sink) else { panic!("the filter is wrong") };
    assert!(matches!(&error, TelemetryError::Filter { filter, .. } if filter == "rookery=loudly"), "{error}");
}

#[test]
fn figures_are_rendered_with_buckets_and_the_processs_own() {
    let recorder = recorder().unwrap();
    let telemetry = Telemetry::with_recorder(&recorder);
    let text = metrics::with_local_recorder(&recorder, || {
        metrics::counter!("rookery_things_total", "kind" => "a").increment(2);
        metrics::histogram!("rookery_thing_seconds").record(0.003);
        telemetry.render()
    });
    assert!(text.contains("rookery_things_total{kind=\"a\"} 2"), "{text}");
    assert!(text.contains("rookery_thing_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
    assert!(text.contains("rookery_thing_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    let figure = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(figure("process_resident_memory_bytes ") > 100_000.0);
    assert!(figure("process_open_fds ") >= 3.0);
    assert!(figure("process_cpu_seconds_total ") >= 0.0);
}

async fn get(path: &str, readiness: &Readiness) -> (StatusCode, String) {
    let telemetry = Telemetry::with_recorder(&recorder().unwrap());
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = operator_http::router(readiness.clone(), telemetry).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_shows_every_part_and_its_reason() {
    let readiness = Readiness::new();
    let (store, link) = (readiness.part("store"), readiness.part("link"));
    store.ready();
    link.not_ready("no connection to eu-1");
    let (status, body) = get("/readyz", &readiness).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let expected = serde_json::json!({
        "ready": false,
        "draining": false,
        "parts": {"store": {"ready": true}, "link": {"ready": false, "reason": "no connection to eu-1"}},
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    link.ready();
    assert_eq!(get("/readyz", &readiness).await.0, StatusCode::OK);
    readiness.start_draining();
    assert_eq!(get("/readyz", &readiness).await.0, StatusCode::SERVICE_UNAVAILABLE);
    // It is alive all the while.
    assert_eq!(get("/healthz", &readiness).await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(get("/metrics", &readiness).await.0, StatusCode::OK);
    assert_eq!(get("/else", &readiness).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_port_is_served_until_it_is_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let routes = operator_http::router(Readiness::new(), Telemetry::with_recorder(&recorder().unwrap()));
    let served = tokio::spawn(operator_http::serve(listener, routes, stop.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    stop.cancel();
    served.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
