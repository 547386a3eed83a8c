//! Configuration, telemetry, health, drain: the things every process does, done once.
//!
//! A process reads: load the configuration ([`config`]), start telemetry ([`telemetry`]), build its parts and mark each
//! ready ([`operator_http`]), say so in the ready file ([`ready_file`]), wait for a signal and drain ([`drain`]).

pub mod config;
pub mod drain;
pub mod events;
pub mod operator_http;
pub mod readiness;
pub mod ready_file;
pub mod telemetry;
pub mod tls;

pub use config::{ConfigErrors, Mistake, Mistakes, Validate, load};
pub use drain::{Drain, DrainOutcome};
pub use events::{Event, emit};
pub use readiness::{Part, Readiness};
pub use telemetry::{LogFormat, Telemetry, TelemetryOptions};
