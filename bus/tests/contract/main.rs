//! What the bus promises, on both engines, and what only NATS can do wrong.
//!
//! The NATS servers are real ones, of the program that `ROOKERY_TEST_NATS` names.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "what tests share fails and prints like a test")]

mod contract;
mod faults;
mod nats;
mod relayed;
mod server;
mod stage;
