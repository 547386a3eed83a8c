//! The REST API as pure logic: a request goes in, a call to the region goes out, its reply becomes a response.
//!
//! No sockets, clocks or randomness: a host implements [`Env`] and calls [`handle`]. What needs no state is decided
//! here (paths, authentication's form and signature, the shape of bodies), what needs state is the region's.

mod auth;
mod config;
mod emoji;
mod env;
mod handle;
mod http;
mod percent;
mod query;
mod read;
mod router;
mod routes;
mod shape;

pub use config::{Config, ConfigError, RequestLimits};
pub use env::{CallFailure, Env};
pub use handle::handle;
pub use http::{Request, Response};
pub use routes::{RouteInfo, routes};
pub use shape::error_response;
