//! The operator's port: `/healthz`, `/readyz`, `/metrics`.
//!
//! It shows names of parts and figures, nothing of users; it belongs on a private address all the same. It is stopped
//! last, so that a draining process still says that it is.

use std::future::Future;
use std::io;

use axum::Json;
pub use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::telemetry::Telemetry;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The operator's routes; processes may merge their own into it.
///
/// - `/healthz`: 200 as long as the process answers at all;
/// - `/readyz`: 200 if it wants work, else 503, with every part and its reason as JSON;
/// - `/metrics`: the figures in Prometheus' text format.
pub fn router(readiness: Readiness, telemetry: Telemetry) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(telemetry))
}

/// A route of more figures in Prometheus' text format, rendered when they are asked for; 503 while there are none.
pub fn figures<F, R>(path: &str, render: F) -> Router
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Option<String>> + Send,
{
    let answer = async move || match render().await {
        Some(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    Router::new().route(path, get(answer))
}

/// Serves routes on the operator's port until `stop` is cancelled.
pub async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) -> io::Result<()> {
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    let report = readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn metrics(State(telemetry): State<Telemetry>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], telemetry.render())
}
