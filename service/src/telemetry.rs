//! Logs by `tracing`, figures by `metrics`, set up once in a process.
//!
//! Logs go to standard error; standard output belongs to what commands print. Spans that name `region`, `session_id` or
//! `guild_id` show on every line inside them. User content and tokens are never logged.

mod process;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// What is logged if nothing else is said.
pub const DEFAULT_FILTER: &str = "info";

/// How often recorded durations are folded into their buckets; until then each takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Upper bounds for figures whose name ends in `_seconds`.
const SECONDS_BUCKETS: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds for figures whose name ends in `_bytes`.
const BYTES_BUCKETS: &[f64] =
    &[64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// The `[telemetry]` part of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryOptions {
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, such as `info,rookery_link=debug`. Without it `RUST_LOG` decides,
    /// and without that [`DEFAULT_FILTER`].
    pub log_filter: Option<String>,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter {filter:?} is wrong; expected something like \"info,rookery_link=debug\"")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// The recorder refuses its buckets.
    #[error("the metrics recorder cannot be built")]
    Recorder(#[from] BuildError),
    /// Something else logs already.
    #[error("logging is set up already")]
    LogInstalled(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// Something else records already.
    #[error("metrics are set up already")]
    MetricsInstalled,
}

/// Telemetry that runs; clones share it.
#[derive(Clone)]
pub struct Telemetry {
    prometheus: PrometheusHandle,
}

impl Telemetry {
    /// Sets up logging and metrics for this process. Called first, because metric handles that were made earlier lead
    /// nowhere.
    pub fn start(options: &TelemetryOptions) -> Result<Self, TelemetryError> {
        let subscriber = subscriber(options, std::env::var("RUST_LOG").ok(), io::stderr().is_terminal(), io::stderr)?;
        let recorder = recorder()?;
        let prometheus = recorder.handle();
        tracing::subscriber::set_global_default(subscriber)?;
        metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::MetricsInstalled)?;
        Ok(Self { prometheus })
    }

    /// Telemetry of a recorder that was installed elsewhere, or only in a scope.
    pub fn with_recorder(recorder: &PrometheusRecorder) -> Self {
        Self { prometheus: recorder.handle() }
    }

    /// Every figure in Prometheus' text format.
    pub fn render(&self) -> String {
        process::record();
        self.prometheus.render()
    }

    /// Keeps the recorder's memory bounded until `stop` is cancelled; every process runs this.
    pub async fn keep_up(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.prometheus.run_upkeep(),
            }
        }
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// A recorder with the buckets that fit this project's names.
pub fn recorder() -> Result<PrometheusRecorder, TelemetryError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES_BUCKETS)?;
    Ok(builder.build_recorder())
}

/// A subscriber that writes to `writer`.
pub fn subscriber<W>(
    options: &TelemetryOptions,
    rust_log: Option<String>,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = options.log_filter.clone().or(rust_log).unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    let env_filter = EnvFilter::builder().parse(&filter).map_err(|source| TelemetryError::Filter { filter, source })?;
    let registry = tracing_subscriber::registry().with(env_filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    Ok(match options.log_format {
        LogFormat::Text => Box::new(registry.with(lines)),
        LogFormat::Json => Box::new(registry.with(lines.json().flatten_event(true).with_span_list(true))),
    })
}
