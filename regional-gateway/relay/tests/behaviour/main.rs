//! How two ends behave on a way that is known, one concern a file.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod cost;
mod flow;
mod hostile;
mod loss;
mod peers;
mod way;
