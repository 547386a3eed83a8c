//! The PoP host against a component that misbehaves on request (`tests/guest`), over real sockets.

// clippy.toml allows it in tests; this extends that to their helpers.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails here is a test that fails")]

mod api;
mod bodies;
mod clients;
mod component;
mod instances;
mod region;
mod shutdown;
mod support;
mod tls;
mod web;
