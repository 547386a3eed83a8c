//! The voice session's behaviours, one file each.

mod backlog;
mod bad_input;
mod close;
mod common;
mod dave;
mod heartbeat;
mod identify;
mod libraries;
mod media;
mod resume;
mod select_protocol;
mod songbird;
