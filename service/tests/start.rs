//! Telemetry for a whole process; alone in its file, because a process can have it once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rookery_service::events::ProcessReady;
use rookery_service::telemetry::TelemetryError;
use rookery_service::{Telemetry, TelemetryOptions, emit};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn telemetry_starts_once_and_events_reach_it() {
    let telemetry = Telemetry::start(&TelemetryOptions::default()).unwrap();
    emit(ProcessReady { role: "dev", version: "1.2.3", took: Duration::from_millis(5) });
    let text = telemetry.render();
    assert!(text.contains("rookery_build_info{role=\"dev\",version=\"1.2.3\"} 1"), "{text}");
    let stop = CancellationToken::new();
    let upkeep = tokio::spawn(telemetry.keep_up(stop.clone()));
    stop.cancel();
    upkeep.await.unwrap();
    let again = Telemetry::start(&TelemetryOptions::default()).unwrap_err();
    assert!(matches!(again, TelemetryError::LogInstalled(_)), "{again}");
}
