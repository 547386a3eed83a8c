//! The API from outside: a request in, the call that the region gets, the response out.

#![allow(clippy::unwrap_used, reason = "what tests share is as much a test as they are")]

mod accounts;
mod applications;
mod authentication;
mod channels;
mod coverage;
mod embeds;
mod forms;
mod guilds;
mod harness;
mod messages;
mod never_panics;
mod operator;
mod reactions;
mod samples;
mod shaping;
mod users;
mod voice;
