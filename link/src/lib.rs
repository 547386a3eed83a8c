//! The link between points of presence and regions: framed calls over QUIC with mutual TLS.
//!
//! A point of presence keeps one QUIC connection to a region and opens one bidirectional stream for each call. On the
//! stream goes one frame ([`frame`]): a CBOR header and a payload that the link never looks into. The region answers
//! with one frame. Both ends prove with a certificate of the deployment's own CA ([`ca`]) which role they have.
//!
//! What the link promises:
//! - a call ends by its deadline, with a reply or with a [`CallError`] that says whether it may have been executed;
//! - a connection lost before the reply is replaced and the call sent again with the **same operation id**, so a region
//!   that remembers operation ids executes it once;
//! - a region never abandons a handler half-way: past its deadline only the reply is dropped;
//! - everything is bounded: connections, calls in flight, their bytes, frame sizes, waiting times.

pub mod ca;
mod client;
mod events;
mod figures;
pub mod frame;
mod header;
mod identity;
mod keeper;

mod pool;
mod server;
mod stream;
mod tls;
mod transport;

pub use ca::{CaError, DeploymentCa};
pub use client::{BusySide, CallError, Client, ClientOptions, ClientStats, ConnectError};
pub use header::{CALL_VERSION, CallHeader, Kind, ReplyHeader, Status};
pub use identity::{Identity, IdentityError, Role};
pub use pool::{Pool, RegionAddress};
pub use server::{BindError, DrainOutcome, Server, ServerOptions};
pub use tls::{ALPN, LinkTls, TlsError};
pub use transport::CloseCode;
