//! What starting has in common: arguments, the runtime, how failures are told.

use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use rookery_service::{ConfigErrors, Telemetry, TelemetryOptions, Validate};
use serde::de::DeserializeOwned;

/// Wrong arguments or configuration, as clap has it.
const EXIT_USAGE: u8 = 2;

/// A role that runs apart.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// Its configuration, TOML.
    #[arg(long, value_name = "FILE", env = "ROOKERY_CONFIG")]
    pub config: PathBuf,
    /// Reads the configuration, prints every mistake, and ends: 0 if there is none, else 2.
    #[arg(long)]
    pub check: bool,
    /// Changes one setting: `--set rest.global_per_second=100`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Written whole, by rename, once every listener answers.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

impl RoleArgs {
    /// The configuration, unless it was only to be checked.
    pub fn load<T: DeserializeOwned + Validate>(&self) -> anyhow::Result<Option<T>> {
        let config = rookery_service::load(Some(&self.config), &self.sets)?;
        if self.check {
            writeln!(std::io::stdout(), "{}: no mistakes", self.config.display())?;
            return Ok(None);
        }
        Ok(Some(config))
    }
}

/// Runs a command on a runtime of its own.
pub fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let result = runtime.block_on(work);
    // What still runs was given its time by the drain.
    runtime.shutdown_background();
    result
}

/// Logs and figures, from the first line on.
pub fn telemetry(options: &TelemetryOptions) -> anyhow::Result<Telemetry> {
    Telemetry::start(options).context("the telemetry")
}

/// Tells a failure with all its causes.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let mut err = std::io::stderr().lock();
    let code = if error.is::<ConfigErrors>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE };
    // Nobody is left to tell if standard error is gone.
    let _ = writeln!(err, "rookery: {error:#}");
    code
}
