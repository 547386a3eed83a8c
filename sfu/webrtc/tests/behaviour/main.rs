//! The endpoint as clients, and others, meet it.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod client;
mod connecting;
mod hostile;
mod loopback;
mod media;
mod world;
