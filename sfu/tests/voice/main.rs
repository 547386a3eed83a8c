//! A node as clients and owners see it, over loopback.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

#[path = "../common/mod.rs"]
mod common;

mod authentication;
mod bad_input;
mod control;
mod handshake;
mod hearing;
mod links;
mod many;
mod presence;
mod resume;
mod video;
mod web_rtc;
