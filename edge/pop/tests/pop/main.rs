//! The PoP host against a component that misbehaves on request (`tests/guest`), over real sockets.

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
