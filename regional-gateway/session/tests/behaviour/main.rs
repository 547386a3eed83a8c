//! The session core's behaviours, one file each.

mod backlog;
mod bad_input;
mod call_connect;
mod cbor;
mod common;
mod compression;
mod ephemeral;
mod etf;
mod guild_subscriptions;
mod heartbeat;
mod hello;
mod identify;
mod intents;
mod rate_limit;
mod request_channel_info;
mod resume;
mod stream;
