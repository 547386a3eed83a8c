//! The point of presence: HTTP in front, the WebAssembly component inside, regions behind.
//!
//! A request passes [`server`] (listeners, connections, TLS), [`service`] (what every request gets: limits, CORS,
//! figures, log), [`dispatch`] (component, bulk bytes or a page of our own), and for the API a [`handler::Handler`]:
//! the component ([`component`]) or, for benchmarks, the same code run natively ([`native`]).
//!
//! A point of presence reads no database and holds no rule of the API.

mod admission;
mod api_config;
mod body;
mod call_context;
mod client_limit;
mod client_slots;
pub mod component;
pub mod config;
mod connection;
mod cors;
mod dispatch;
mod error_reply;
mod events;
pub mod handler;
mod native;
mod region;
mod running;
mod server;
mod service;
mod status_page;
mod tls;

pub use call_context::CallContext;
pub use config::{EngineKind, PopConfig};
pub use region::{RegionCallError, RegionClient};
pub use running::{BoundPop, Pop, PopDeps, RunningPop, StartError};
pub use status_page::StatusEntry;
pub use tls::TlsError;
