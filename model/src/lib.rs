//! Ids, entities, permissions, protocol codes, errors and the calls between edge and region.
//!
//! Everything here is data: no sockets, clocks, tasks or databases. One set of serde implementations serves both wires:
//! a human-readable format (JSON) carries ids as strings and timestamps as ISO 8601, a binary one (CBOR, ETF) carries
//! both as integers.

pub mod audit_log;
pub mod call;
pub mod channel;
mod client_network;
pub mod color;
pub mod embed;
pub mod error;
pub mod gateway;
pub mod guild;
pub mod id;
pub mod invite;
pub mod lease;
pub mod limits;
pub mod member;
pub mod message;
pub mod outbox;
pub mod patch;
pub mod permissions;
pub mod relationship;
pub mod role;
pub mod stage_instance;
pub mod store;
pub mod timestamp;
pub mod user;
pub mod username;
pub mod voice;
pub mod webhook;

pub use client_network::client_network;
pub use error::{ApiError, ErrorCode, FieldError, PathSegment};
pub use id::*;
pub use patch::Patch;
pub use permissions::Permissions;
pub use timestamp::Timestamp;
